"""What an attempt prints and logs, kept for the record.

`sys.stdout` and `sys.stderr` are replaced once per process by a tee that looks up, at every write,
which attempt is writing (a context variable; threads that an author starts by hand fall back to
the process's only attempt, where there is just one). So captures of attempts that run side by side
do not mix. Output of C code and of child processes does not pass through here.

Small captures ride in the outcome's row; larger ones become an object; only the first and last
megabytes of very large ones are kept, and the cut says how much is missing.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any, TextIO

INLINE_CHARACTERS = 4096
HEAD_CHARACTERS = 1_000_000
TAIL_CHARACTERS = 1_000_000


class Capture:
    """The output of one attempt. Thread-safe; bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._head = io.StringIO()
        self._head_size = 0
        self._tail: list[str] = []
        self._tail_size = 0
        self._dropped = 0
        self.mask: Callable[[str], str] = str
        """Takes out what must not be kept."""

    def write(self, text: str) -> None:
        """Append; beyond the head the oldest of the tail is dropped."""
        with self._lock:
            room = HEAD_CHARACTERS - self._head_size
            if room > 0:
                self._head.write(text[:room])
                self._head_size += min(len(text), room)
                text = text[room:]
            if not text:
                return
            if len(text) > TAIL_CHARACTERS:
                self._dropped += len(text) - TAIL_CHARACTERS
                text = text[-TAIL_CHARACTERS:]
            self._tail.append(text)
            self._tail_size += len(text)
            while self._tail_size - len(self._tail[0]) >= TAIL_CHARACTERS:
                gone = self._tail.pop(0)
                self._tail_size -= len(gone)
                self._dropped += len(gone)

    def text(self) -> str:
        """All that was kept, in order."""
        if not self._head_size:
            return ""
        with self._lock:
            parts = [self._head.getvalue()]
            if self._dropped:
                parts.append(f"\n… {self._dropped} characters dropped …\n")
            parts.extend(self._tail)
            return self.mask("".join(parts))


_capture: ContextVar[Capture | None] = ContextVar("flyte_ray_capture", default=None)
_active: dict[int, Capture] = {}
_active_lock = threading.Lock()


def _writing() -> Capture | None:
    capture = _capture.get()
    if capture is not None:
        return capture
    with _active_lock:
        return next(iter(_active.values())) if len(_active) == 1 else None


class _Tee(io.TextIOBase):
    """Passes text through and copies it to the capture of whoever writes."""

    def __init__(self, through: TextIO) -> None:
        self.through = through

    def write(self, text: str) -> int:
        capture = _writing()
        if capture is None:
            return self.through.write(text)
        capture.write(text)
        # Masked here too: on a cluster the stream itself ends in Ray's log files.
        self.through.write(capture.mask(text))
        return len(text)

    def flush(self) -> None:
        self.through.flush()

    def isatty(self) -> bool:
        return self.through.isatty()

    def fileno(self) -> int:
        return self.through.fileno()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]  # TextIOBase declares a plain attribute
        return self.through.encoding

    @property
    def buffer(self) -> object:
        return self.through.buffer

    def __getattr__(self, name: str) -> Any:
        # Scripts call `sys.stdout.reconfigure(...)`, and libraries look at `mode` and `name`.
        return getattr(self.through, name)


def install() -> None:
    """Put the tee in place, unless it is there; cheap to repeat."""
    if not isinstance(sys.stdout, _Tee):
        sys.stdout = _wrapped(sys.stdout)
    if not isinstance(sys.stderr, _Tee):
        sys.stderr = _wrapped(sys.stderr)


def _wrapped(stream: TextIO) -> Any:
    """A tee over the stream; log handlers that hold the stream itself get the tee too."""
    tee = _Tee(stream)
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    for handler in [each for log in loggers for each in getattr(log, "handlers", ())]:
        # `logging.basicConfig()` before the first run would go round the record for ever.
        if isinstance(handler, logging.StreamHandler) and handler.stream is stream:
            handler.setStream(tee)
    return tee


def said_so_far(context: Context | None = None) -> str:
    """The last of what an attempt has printed by now; for one that will not end by itself.

    Args:
        context: the attempt's; by default the process's only attempt is meant.
    """
    capture = context.get(_capture) if context is not None else _writing()
    return capture.text()[-INLINE_CHARACTERS:] if capture is not None else ""


class Captured:
    """Collects what is written inside a `with` block; see `captured`."""

    __slots__ = ("_capture", "_token")

    def __enter__(self) -> Capture:
        install()
        self._capture = capture = Capture()
        self._token = _capture.set(capture)
        with _active_lock:
            _active[id(capture)] = capture
        return capture

    def __exit__(self, *_: object) -> None:
        with _active_lock:
            del _active[id(self._capture)]
        _capture.reset(self._token)


def captured() -> Captured:
    """Collect what is written inside the block (by this context and those copied from it)."""
    return Captured()
