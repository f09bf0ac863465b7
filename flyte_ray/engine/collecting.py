"""Python's garbage collector while thousands of calls are under way.

A parent of thousands of children has millions of living objects, and Python's own thresholds have
the collector look at all of them again and again: a third of the time of a call. None of them is
garbage. In a process of ours the thresholds are raised for good, in an author's for as long as a
run of theirs is at work in it.

Young objects are looked at as often as ever: they are still in the processor's cache, and short
cycles, which may hold an author's tensors, go as soon as they do elsewhere. What has outlived that
is let alone until two million more have come.
"""

from __future__ import annotations

import gc
import threading

THRESHOLDS = (700, 3_000, 50)

_lock = threading.Lock()
_at_work = 0
_before: tuple[int, int, int] | None = None


def collect_less() -> None:
    """From now on, in this process. What is loaded by now is not looked at again."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def begin_patience() -> None:
    """A run begins to work in an author's process."""
    global _at_work, _before
    with _lock:
        _at_work += 1
        if _at_work == 1:
            _before = gc.get_threshold()
            gc.set_threshold(*THRESHOLDS)


def end_patience() -> None:
    """It has ended; the last one puts back what was set before, unless the author changed it."""
    global _at_work
    with _lock:
        _at_work -= 1
        if _at_work == 0 and _before is not None and gc.get_threshold() == THRESHOLDS:
            gc.set_threshold(*_before)
