"""Names of classes in the record, and the way back.

A label is a bare name for Python's own classes (`datetime`, `tuple`) and `module:Class` for all
others. Classes of `__main__` and of functions have none: other processes cannot import them.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Collection
from typing import Any

from flyte_ray.codec.scalars import LABELS

_BY_LABEL = {label: cls for cls, label in reversed(list(LABELS.items()))}


def label_of(cls: type) -> str | None:
    """A name under which every process finds the class, or None."""
    bare: str | None = LABELS.get(cls)
    if bare is not None:
        return bare
    if vars(builtins).get(cls.__qualname__) is cls:
        return str(cls.__qualname__)
    if cls.__module__ == "__main__" or "<" in cls.__qualname__:
        return None
    found: Any = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        found = getattr(found, name, None)
    return f"{cls.__module__}:{cls.__qualname__}" if found is cls else None


def named_class(label: str) -> type:
    """The class behind a label.

    Raises:
        LookupError: it cannot be imported.
    """
    module, _, qualname = label.rpartition(":")
    found: Any
    if not module:
        found = _BY_LABEL.get(label) or getattr(builtins, label, None)
    else:
        try:
            found = importlib.import_module(module)
            for name in qualname.split("."):
                found = getattr(found, name)
        except (ImportError, AttributeError) as error:
            raise LookupError(f"the class '{label}' cannot be imported: {error}") from error
    if not isinstance(found, type):
        raise LookupError(f"there is no class '{label}' here")
    return found


def class_named(name: str, packages: Collection[str]) -> Any:
    """The class of a dotted type name from one of the packages, or of a bare one; else `Any`."""
    package, _, last = name.rpartition(".")
    try:
        if not package:
            return named_class(name)
        if package.partition(".")[0] in packages:
            return getattr(importlib.import_module(package), last)
    except (ImportError, AttributeError, LookupError):
        pass
    return Any
