"""Leaves a mark on disk for each body of the source miner that begins, in whatever process it does.

Python imports this by itself in every process whose PYTHONPATH names this folder: the driver of the
demo and Ray's workers. So the demo is run as it is, and what was executed is counted without it.
MARKS is the folder of the marks; each holds a line per execution.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

BODIES = {"discover", "analyse", "tabulate", "train", "evaluate", "write_card", "write_report"}
MARKS = os.environ.get("MARKS")


def note(frame: FrameType, event: str, argument: Any) -> None:
    """A profile hook: sees the calls of a thread until a body begins in it, and writes that down.

    Every body has a thread of its own. Beyond its first line the hook would only slow it down.
    """
    if event != "call" or frame.f_code.co_name not in BODIES:
        return
    file = Path(frame.f_code.co_filename)
    if file.parent.name != "source_miner":
        return
    item = frame.f_locals.get("item")
    name = frame.f_code.co_name if item is None else f"{frame.f_code.co_name}-{item}"
    mark = os.open(f"{MARKS}/{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(mark, f"{os.getpid()}\n".encode())
    os.close(mark)
    sys.setprofile(None)


if MARKS:
    threading.setprofile(note)
