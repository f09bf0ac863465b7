"""How attempts are read where the author's code comes only from the run's bundle. No Ray."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flyte_ray.core.cache import Cache
from flyte_ray.core.calls import AttemptSpec, RunSpec
from flyte_ray.core.model import OutcomeKind
from flyte_ray.runtime import worker
from flyte_ray.runtime.callers import Caller
from flyte_ray.runtime.replica import Replica
from flyte_ray.runtime.slots import Slots
from flyte_ray.runtime.store_order import store_of
from flyte_ray.runtime.wire import (
    AttemptBytes,
    AttemptPacker,
    AttemptUnpacker,
    by_value,
    unpack_outcome,
)
from tests.unit.engine.scenes import attempt, run_spec

POLICY = """
class Monthly:
    def get_version(self, salt, params):
        return "2030-01"
"""


class Home:
    """Makes a run's code importable, and remembers who came."""

    is_poisoned = False

    def __init__(self, code: Path) -> None:
        self._code = code
        self.lodged: list[str] = []

    def lodging(self, run: RunSpec) -> None:
        self.lodged.append(run.name)
        sys.path.insert(0, str(self._code))


class Listener(Caller):
    """A caller that keeps what it is told."""

    __slots__ = ("heard",)
    heard: list[tuple[Any, ...]]

    def say(self, *frame: Any) -> None:
        self.heard.append(frame)


class Reader(Replica):
    """A replica that reads attempts and begins none."""

    def __init__(self, home: Home) -> None:
        self._home = home  # type: ignore[assignment]  # all that reading needs of it
        self._unpacker = AttemptUnpacker()
        self._slots = Slots(4)
        self._busy = 0
        self.begun: list[AttemptSpec] = []

    def _start(self, caller: Caller, number: int, spec: AttemptSpec) -> None:
        self.begun.append(spec)


@pytest.fixture
def code(tmp_path: Path) -> Iterator[Path]:
    """A folder that is importable only after a lodging."""
    (tmp_path / "policy_of_author.py").write_text(POLICY)
    before = list(sys.path)
    yield tmp_path
    sys.path[:] = before
    sys.modules.pop("policy_of_author", None)


def packed(code: Path) -> AttemptBytes:
    """An attempt whose options hold an author's object, from a process that has the code."""
    sys.path.insert(0, str(code))
    policy = __import__("policy_of_author").Monthly()
    spec = attempt(run=run_spec(options={"host": "taking in"}))
    spec = replace(spec, options=replace(spec.options, cache=Cache("auto", policies=policy)))
    data = AttemptPacker(by_value).pack(spec)
    sys.path.remove(str(code))
    del sys.modules["policy_of_author"]
    return data


def heard_by(reader: Reader, data: AttemptBytes, *own: bytes) -> list[tuple[Any, ...]]:
    caller = Listener(None, {0: data[:2]})
    caller.heard = []
    reader._take_in(caller, [(number, 0, each) for number, each in enumerate(own)])
    return caller.heard


def test_a_replica_has_the_code_before_it_reads_the_options(code: Path) -> None:
    data, reader = packed(code), Reader(Home(code))
    assert heard_by(reader, data, data[2]) == []
    assert [spec.action_id for spec in reader.begun] == ["a1"]


def test_an_attempt_that_a_replica_cannot_read_is_answered_and_the_others_go_on(
    code: Path,
) -> None:
    data, reader = packed(code), Reader(Home(code))
    (frame,) = heard_by(reader, data, b"no attempt", data[2])
    what, ((number, outcome, _),) = frame
    assert (what, number) == ("done", 0)
    assert unpack_outcome(outcome).kind is OutcomeKind.FINAL_ERROR
    assert len(reader.begun) == reader._busy == 1


def test_a_worker_has_the_code_before_it_reads_the_options(code: Path) -> None:
    data, home = packed(code), Home(code)
    run = AttemptUnpacker().run(data)
    key = (store_of(run), run.options["host"])
    worker._homes[key] = home  # type: ignore[assignment]  # all that reading needs of it
    try:
        outcome = worker._outcome(data, None)
    finally:
        del worker._homes[key]
    assert outcome.error is not None
    assert "policy_of_author" not in outcome.error.message
    assert home.lodged == ["r1"] * 2, "the attempt itself has begun"
