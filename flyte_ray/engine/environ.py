"""Environment variables of a task in a process that others share.

Worker processes of Ray get theirs at start and need nothing of this; the in-process engine runs
tasks side by side in one process, so variables are counted: set by the first attempt that asks,
taken back after the last one. Two tasks that want different values for one variable at the same
time see the later one; only separate processes could part them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_lock = threading.Lock()
_users: dict[str, int] = {}
_before: dict[str, str | None] = {}


@contextmanager
def applied(variables: Mapping[str, str]) -> Iterator[None]:
    """The variables are set inside the block, and as they were after its last user has left."""
    with _lock:
        for name, value in variables.items():
            if not _users.get(name):
                _before[name] = os.environ.get(name)
            _users[name] = _users.get(name, 0) + 1
            os.environ[name] = value
    try:
        yield
    finally:
        with _lock:
            for name in variables:
                _users[name] -= 1
                if not _users[name]:
                    _put_back(name)


def _put_back(name: str) -> None:
    before = _before.pop(name)
    if before is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = before
