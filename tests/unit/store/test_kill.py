"""A writer that is killed at any moment has lost nothing it was told is stored."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

from flyte_ray.core.model import EventKind
from flyte_ray.store.ledger import open_book
from flyte_ray.store.local_blobs import LocalBlobs
from tests.unit.store.books import row

ROUNDS = 5
WRITER = """
import sys, threading
from pathlib import Path
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.store.ledger import create_book, open_book
from tests.unit.store.books import run_spec, success
blobs, number = LocalBlobs(Path(sys.argv[1])), int(sys.argv[2])
book = create_book(blobs, run_spec(), "w") if number == 0 else open_book(blobs, "r1", "w")[0]
def chain(name):
    for step in range(100000):
        action = f"w{number}-{name}-{step}"
        book.append([success(action)]).result()
        sys.stdout.write(action + "\\n")
        sys.stdout.flush()
for name in range(4):
    threading.Thread(target=chain, args=(name,), daemon=True).start()
threading.Event().wait()
"""


def test_killed_writers_lose_no_acknowledged_event(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    rng = random.Random(11)
    told: set[str] = set()
    for number in range(ROUNDS):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(number)],
            cwd=root,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        for _ in range(rng.randrange(20, 400)):
            told.add(writer.stdout.readline().strip())
        writer.send_signal(signal.SIGKILL)
        # What was still in the pipe was acknowledged too; a last line may be cut off.
        rest = writer.stdout.read()
        told.update(rest[: rest.rfind("\n") + 1].split())
        writer.wait()
        writer.stdout.close()
    book, events = open_book(LocalBlobs(tmp_path), "r1", "reader")
    names = [event.action_id for event in events]
    assert len(told) >= 20 * ROUNDS
    assert told <= set(names)
    assert len(names) == len(set(names))
    book.append([row(EventKind.SUCCEEDED, "after")]).result(30)
    book.close()
