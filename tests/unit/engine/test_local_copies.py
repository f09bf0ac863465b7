"""Fast copies within one process: found by key, everybody's own, bounded, gone with the run."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import flyte_ray as flyte
from flyte_ray.client.session import temporary_session
from flyte_ray.engine.local_copies import LocalCopies
from flyte_ray.store.values import WORTH_A_COPY_LOCALLY_BYTES

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


def test_copies_that_nobody_has_any_more_keep_no_file() -> None:
    before = files()
    copies = LocalCopies()
    laid(copies, "a", "b")
    assert files() == before + 2
    del copies
    gc.collect()
    assert files() == before


def test_a_run_that_has_ended_keeps_no_copies(tmp_path: Path) -> None:
    env = flyte.TaskEnvironment(name="copying")
    held: list[int] = []

    @env.task
    async def make(n: int) -> bytes:
        return bytes([n]) * WORTH_A_COPY_LOCALLY_BYTES

    @env.task
    async def use(data: bytes) -> int:
        held.append(files())
        return len(data)

    @env.task
    async def both() -> int:
        return await use(await make(1)) + await use(await make(2))

    before = files()
    with temporary_session(store=str(tmp_path)):
        run = flyte.with_runcontext("local").run(both)
    assert files() == before
    assert run.outputs() is not None
    assert max(held) > before, "there were copies"


def files() -> int:
    return sum("flyte_ray-value" in name for name in _open_files())


def _open_files() -> Iterator[str]:
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of the listing itself
            yield str(path.readlink())
