"""The text of the author's loaded modules, read while the file is what was loaded.

A file may be edited between the import and the first run. What is in memory is then the old code,
and read at that time it would be taken for the new. So when a task is decorated, and before a run,
the files of all modules that came since are read, not parsed: a few µs for each module that was
loaded, some 20 µs for each of the author's.
"""

from __future__ import annotations

import io
import sys
import tokenize
from pathlib import Path
from types import ModuleType
from typing import Any

from flyte_ray.core.origins import is_authors

_seen: dict[int, Any] = {}
"""Specs of modules that were looked at, by id; kept, so that their ids stay theirs."""
_read: dict[int, bytes] = {}
"""Of the author's among them."""
_state: tuple[int, Any] = (0, None)
"""How many modules there were, and the last: while that holds, none has come."""


def read_loaded(*, is_reloaded: bool = False) -> None:
    """Read the modules that were loaded since this was last called.

    Args:
        is_reloaded: some have been loaded again, which adds none.
    """
    global _state
    loaded = list(sys.modules.items())  # at once: other threads may import meanwhile
    number, newest = len(loaded), loaded[-1][1]
    if number == _state[0] and newest is _state[1] and not is_reloaded:
        return
    _state = number, newest
    for name, module in loaded:
        # Not by getattr: a lazy module would load itself for that.
        if not issubclass(type(module), ModuleType):
            continue
        names = object.__getattribute__(module, "__dict__")
        spec, file = names.get("__spec__"), names.get("__file__")
        if spec is None or id(spec) in _seen:
            continue
        _seen[id(spec)] = spec
        if isinstance(file, str) and is_authors(name, file):
            data = _bytes_of(file)
            if data is not None:
                _read[id(spec)] = data


def specs_read() -> list[Any]:
    """The specs of modules whose text was read and that nobody has asked for yet."""
    return [_seen[each] for each in list(_read)]


def text_of_loaded(spec: Any, file: str) -> str | None:
    """The text of a module as it was loaded; None where there is none that can be read."""
    data = _read.pop(id(spec), None) if id(spec) in _seen else None
    return _decoded(data) if data is not None else text_of_file(file)


def text_of_file(file: str) -> str | None:
    """The text of a file of Python, as it is now; None where it cannot be read."""
    data = _bytes_of(file)
    return _decoded(data) if data is not None else None


def _bytes_of(file: str) -> bytes | None:
    try:
        return Path(file).read_bytes()
    except OSError:
        return None


def _decoded(data: bytes) -> str | None:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return io.TextIOWrapper(io.BytesIO(data), encoding).read()
    except (SyntaxError, UnicodeDecodeError):
        return None
