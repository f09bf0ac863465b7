from __future__ import annotations

import asyncio
import contextvars
import io
import logging
import sys
import threading

import pytest

from flyte_ray.engine import output
from flyte_ray.engine.output import HEAD_CHARACTERS, TAIL_CHARACTERS, Capture, captured


def test_what_is_printed_is_kept_and_still_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with captured() as capture:
        print("to the record")
        print("and to the terminal", file=sys.stderr)
    assert capture.text() == "to the record\nand to the terminal\n"
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("to the record\n", "and to the terminal\n")


def test_after_the_block_nothing_is_kept() -> None:
    with captured() as capture:
        pass
    print("too late")
    assert capture.text() == ""


def test_captures_side_by_side_do_not_mix() -> None:
    async def speak(word: str) -> str:
        with captured() as capture:
            for _ in range(3):
                print(word)
                await asyncio.sleep(0)
        return capture.text()

    async def both() -> list[str]:
        return list(await asyncio.gather(speak("one"), speak("two")))

    assert asyncio.run(both()) == ["one\n" * 3, "two\n" * 3]


def test_threads_with_the_context_and_lone_threads_are_heard() -> None:
    with captured() as capture:
        context = contextvars.copy_context()
        for target in (lambda: context.run(print, "with context"), lambda: print("without")):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
    assert capture.text() == "with context\nwithout\n"


def test_a_stranger_among_several_attempts_is_nobodys() -> None:
    with captured() as outer, captured() as inner:
        thread = threading.Thread(target=lambda: print("whose?"))
        thread.start()
        thread.join()
    assert (outer.text(), inner.text()) == ("", "")


def test_logging_that_was_set_up_before_is_kept_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    handler = logging.StreamHandler()  # holds the stream itself, as basicConfig does
    logger = logging.getLogger("tests.output")
    logger.addHandler(handler)
    try:
        with captured() as capture:
            logger.warning("a warning")
    finally:
        logger.removeHandler(handler)
    assert capture.text() == "a warning\n"


def test_installing_twice_wraps_once() -> None:
    output.install()
    first = sys.stdout
    output.install()
    assert sys.stdout is first


def test_the_tee_looks_like_the_stream_it_covers(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stream)
    output.install()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    assert stream.line_buffering
    assert sys.stdout.encoding == "utf-8"
    assert sys.stdout.writable()
    assert not sys.stdout.isatty()


@pytest.mark.parametrize("piece", [1000, 70_001, 3_000_000])
def test_very_long_output_keeps_its_ends_and_says_what_is_missing(piece: int) -> None:
    capture, total = Capture(), 6_000_000
    for begin in range(0, total, piece):
        capture.write("x" * min(piece, total - begin))
    capture.write("the end")
    text = capture.text()
    assert text.startswith("x" * 1000)
    assert text.endswith("the end")
    kept = len(text) - len(text[text.index("\n…") : text.index("…\n") + 2])
    dropped = int(text.partition("… ")[2].partition(" ")[0])
    assert kept <= HEAD_CHARACTERS + 2 * TAIL_CHARACTERS
    assert kept + dropped == total + len("the end")


def test_short_output_is_kept_as_it_is() -> None:
    capture = Capture()
    capture.write("a")
    capture.write("b\n")
    assert capture.text() == "ab\n"
