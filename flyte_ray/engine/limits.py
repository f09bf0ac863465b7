"""Stopping a body that runs in a thread: its own time limit, and cancellation.

Python can raise an exception in another thread between two of its bytecodes; a thread that sits in
a C call (a sleep, a lock, numpy) gets it only when the call returns. That is the soft stop. What
does not stop is ended by force by whoever owns the process (`runtime/executor`), or, in the
in-process engine, left behind as a daemon thread whose result nobody will see.
"""

from __future__ import annotations

import ctypes
import threading


class StopBody(BaseException):
    """Raised inside a body that must end. No `except Exception` of the author's swallows it."""


def interrupt(thread: threading.Thread) -> bool:
    """Raise `StopBody` in the thread as soon as it runs Python code; False if it has ended."""
    if thread.ident is None or not thread.is_alive():
        return False
    hit: int = ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident), ctypes.py_object(StopBody)
    )
    return hit == 1
