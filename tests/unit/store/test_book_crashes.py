"""The owner of a book dies, or hears a lie, at each of its storage calls: nothing told is lost."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from flyte_ray.core.ids import RunName
from flyte_ray.core.model import EventKind
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import RunExistsError, RunNotFoundError, StoreError
from flyte_ray.store.ledger import create_book, open_book
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.store.log_files import LogFiles
from flyte_ray.store.pacing import Pace
from flyte_ray.testing.crashes import Crash, CrashingBlobs, every_crash
from flyte_ray.testing.faults import SlowBlobs
from tests.unit.store.books import row, run_spec, success
from tests.unit.store.stores import DictBlobs

RUN = RunName("r1")
PATIENT_S = 30
PACE = Pace(window=2, gap_per_leaf_s=0, patience_s=1.0)


class Told:
    """Writes a book, and remembers what it was told is stored."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def write(self, blobs: Blobs, prefix: str) -> None:
        try:
            book = create_book(blobs, run_spec(), prefix, pace=PACE)
        except RunExistsError:
            book, _ = open_book(blobs, RUN, prefix, pace=PACE)
        try:
            for number in range(3):
                name = f"{prefix}{number}"
                book.append([success(name)]).result(PATIENT_S)
                self.names.append(name)
            book.finish("succeeded", {})
        finally:
            book.close()


def check(blobs: Blobs, told: list[str], what: str) -> None:
    """The next owner has all of it, each once, and can go on."""
    try:
        book, events = open_book(blobs, RUN, "next", pace=PACE)
    except RunNotFoundError:
        assert not told, what
        return
    names = Counter(event.action_id for event in events if event.kind is EventKind.SUCCEEDED)
    assert set(told) <= set(names), what
    assert set(names.values()) <= {1}, what
    book.append([success("more")]).result(PATIENT_S)
    book.close()


def played(start: Callable[[], DictBlobs]) -> int:
    told = Told()

    def story(blobs: Blobs) -> None:
        told.names.clear()
        told.write(blobs, "b")

    count = 0
    for left in every_crash(start, story):
        check(left.blobs, told.names, str(left))
        count += 1
    return count


# The dead owner's writer threads end with the crash in their hands.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_first_owner_that_dies_at_any_call_has_lost_nothing_it_was_told() -> None:
    assert played(DictBlobs) > 18


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_later_owner_that_dies_at_any_call_has_lost_nothing_it_was_told() -> None:
    def start() -> DictBlobs:
        blobs = DictBlobs()
        Told().write(blobs, "a")
        return blobs

    whole = start()
    copies = dict(whole.objects)

    def copy() -> DictBlobs:
        blobs = DictBlobs()
        blobs.objects.update(copies)
        return blobs

    assert played(copy) > 40


def test_the_dead_make_no_more_calls() -> None:
    blobs = CrashingBlobs(DictBlobs(), at=1, when="after")
    blobs.put("a", b"1")
    with pytest.raises(Crash):
        blobs.put("b", b"2")
    with pytest.raises(Crash):
        blobs.get("a")
    assert blobs.crashed == ("put", "b")


def test_a_lost_reply_is_an_error_and_the_call_has_happened() -> None:
    inner = DictBlobs()
    blobs = CrashingBlobs(inner, at=0, when="lost")
    with pytest.raises(StoreError):
        blobs.put_new("a", b"1")
    assert blobs.put_new("a", b"1")
    assert blobs.exists("a")
    assert blobs.list("") == ["a"]
    blobs.delete(["a"])
    assert blobs.get.__name__ == "get"
    assert inner.objects == {}


RACER = """
import sys
from pathlib import Path
from flyte_ray.core.ids import RunName
from flyte_ray.errors import FlyteRayError
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.store.ownership import claim_first
from flyte_ray.store.compaction import compact_run
from flyte_ray.store.ledger import open_book
from flyte_ray.store.run_file import write_run
from tests.unit.store.books import run_spec, success
blobs, me = LocalBlobs(Path(sys.argv[1])), sys.argv[2]
sys.stdin.readline()
for number in range(60):
    if blobs.put_new(f"race/{number}", me.encode()):
        print("object", number)
    try:
        write_run(blobs, run_spec(f"run{number}", user=me))
        print("run", number)
    except FlyteRayError:
        pass
    if claim_first(blobs, RunName(f"claim{number}"), me):
        print("claim", number)
compact_run(blobs, "r1")
book, events = open_book(blobs, "r1", me)
print("epoch", book.epoch)
book.close()
"""


def test_of_two_processes_that_race_for_every_put_once_one_wins(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    Told().write(blobs, "a")
    before = [event.action_id for event in LogFiles(blobs, RUN).events()]
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path), f"racer {me}"],
            cwd=Path(__file__).resolve().parents[3],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for me in range(2)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    lines = [line for racer in racers for line in racer.communicate()[0].splitlines()]
    wins = Counter(line for line in lines if not line.startswith("epoch"))
    assert all(racer.returncode in (0, 1) for racer in racers)  # 1: fenced by the other
    assert set(wins.values()) == {1}
    assert len(wins) == 180
    epochs = [line for line in lines if line.startswith("epoch")]
    assert len(set(epochs)) == len(epochs) >= 1
    assert [event.action_id for event in LogFiles(blobs, RUN).events()] == before


@pytest.mark.parametrize("slow", [False, True])
def test_a_fan_out_of_ten_thousand_is_a_few_hundred_objects(slow: bool) -> None:
    """Submitted and ended rows, handed in one by one as a crowd of workers does."""
    blobs = DictBlobs()
    book = create_book(SlowBlobs(blobs) if slow else blobs, run_spec(), "test")
    acks = []
    for number in range(10_000):
        book.note([row(EventKind.SUBMITTED, f"b{number}")])
        acks.append(book.append([success(f"b{number}")]))
    for ack in acks:
        ack.result(PATIENT_S)
    book.finish("succeeded", {})
    assert len(blobs.objects) <= 500
