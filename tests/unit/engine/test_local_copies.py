"""Fast copies within one process: found by key, everybody's own, bounded, gone with the run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from flyte_ray.engine.local_copies import LocalCopies

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="only on Linux")

BYTES = bytes(range(250))


def laid(copies: LocalCopies, *keys: str) -> None:
    for key in keys:
        copies.offer(key, [b"head", memoryview(BYTES)])()


def found(copies: LocalCopies) -> str:
    return "".join(key for key in "abcdef" if copies.take(key) is not None)


def test_the_parts_come_back_as_they_were_and_as_memory_of_ones_own() -> None:
    copies = LocalCopies()
    laid(copies, "a")
    mine, yours = copies.take("a"), copies.take("a")
    assert mine is not None
    assert yours is not None
    assert [bytes(part) for part in mine] == [b"head", BYTES]
    mine[1][0] = 99
    assert yours[1][0] == 0
    assert copies.take("b") is None


def test_empty_parts_keep_their_places() -> None:
    copies = LocalCopies()
    copies.offer("a", [b"", b"x", b""])()
    assert [bytes(part) for part in copies.take("a") or ()] == [b"", b"x", b""]


def test_those_asked_for_last_stay_when_room_runs_out() -> None:
    copies = LocalCopies(room_bytes=3 * 254)
    laid(copies, "a", "b", "c")
    copies.take("a")
    laid(copies, "d")
    assert found(copies) == "acd"


def test_what_has_no_room_at_all_is_not_kept() -> None:
    copies = LocalCopies(room_bytes=300)
    laid(copies, "a")
    copies.offer("b", [bytes(301)])()
    assert found(copies) == "a"


def test_at_its_end_nothing_is_kept_but_what_lies_in_a_value() -> None:
    def files() -> int:
        return sum("flyte_ray-value" in name for name in _open_files())

    before = files()
    copies = LocalCopies()
    laid(copies, "a", "a", "b")
    assert files() == before + 2
    parts = copies.take("a")
    copies.drop_all()
    laid(copies, "c")
    assert found(copies) == ""
    assert files() == before
    assert parts is not None
    assert bytes(parts[1]) == BYTES


def _open_files() -> Iterator[str]:
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of the listing itself
            yield str(path.readlink())
