"""The last resort: cloudpickle, for values that no other codec knows.

A pickle's bytes are no stable content address (sets differ between processes, equal strings may be
one object or two), so such values are marked unstable and warned of once per class. Exceptions:
tasks, which have an identity; functions and classes, which are known by the code that they reach
and not by their names, so that an edit of a function makes another input of it.
"""

from __future__ import annotations

import builtins
import copyreg
import dataclasses
import inspect
import io
import logging
import pickle
import sys
from functools import partial
from types import BuiltinFunctionType, FunctionType
from typing import Any

import cloudpickle

from flyte_ray.codec.codec import Encoded, Unserializable, type_name
from flyte_ray.core.components import is_task
from flyte_ray.core.digest import digest_bytes, digest_json
from flyte_ray.core.origins import distribution_of, origin_of_code
from flyte_ray.core.reach import reached

logger = logging.getLogger(__name__)

# A dataclass of __main__ travels by value and loses the identity of these sentinels: on the other
# side every field would seem to have a default. Pickled by name they stay what they are.
copyreg.pickle(type(dataclasses.MISSING), lambda _: "MISSING")
copyreg.pickle(type(dataclasses.KW_ONLY), lambda _: "KW_ONLY")

_warned: set[type] = set()


class PickleCodec:
    """Any picklable value."""

    name = "pickle"

    def accepts(self, type_: Any) -> bool:
        return True

    def encode(self, value: Any, type_: Any, *, warn: bool = True) -> Encoded:
        try:
            data, names = _pickled(value)
        except RecursionError:
            raise
        except Exception as error:
            # Whatever a user's __reduce__ raises, the value cannot be stored.
            raise Unserializable(value, f"{type(error).__name__}: {error}") from error
        known_as = _identity(value) or _code(value)
        stable = known_as is not None or _by_reference(value)
        if warn and not stable:
            _warn_once(type(value))
        content = digest_bytes(data)
        return Encoded(
            digest=digest_json(known_as) if known_as is not None else content,
            content=content,
            type=type_name(type(value)),
            parts=(data,),
            stable=stable,
            names=names if known_as is None else (),
        )

    def decode(self, data: bytes, type_: Any) -> Any:
        return pickle.loads(data)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """Notes the classes, functions and tasks that a pickle names instead of holding them."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=5)
        self.names: list[Any] = []
        self._others: set[type] = set()

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind in self._others:
            return NotImplemented  # as for all of its kind: told at once, for there may be many
        reduced = super().reducer_override(obj)
        if reduced is NotImplemented:
            if isinstance(obj, type | FunctionType) or is_task(obj):
                self.names.append(obj)
            else:
                self._others.add(kind)
        return reduced


def _pickled(value: Any) -> tuple[bytes, tuple[Any, ...]]:
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(value)
    return file.getvalue(), tuple(pickler.names)


def _identity(value: Any) -> list[str] | None:
    """The identity of a task object (see `core/callee`), which its pickle does not tell."""
    cls = type(value)
    if not (hasattr(cls, "identity") and hasattr(cls, "address") and hasattr(cls, "interface")):
        return None
    identity = value.identity
    return ["task", identity] if isinstance(identity, str) else None


def _code(value: Any) -> list[Any] | None:
    """What a function or class does, which its pickle does not tell either.

    None where the code does not say it all: of what closes over objects only their class is seen.
    """
    if not isinstance(value, type | FunctionType | partial):
        return None
    named: Any = inspect.unwrap(value.func if isinstance(value, partial) else value)
    origin = origin_of_code(named)
    if origin.kind == "package" and not isinstance(value, partial):
        return ["package", f"{origin.name}.{named.__qualname__}", *distribution_of(origin.name)]
    if origin.kind != "author":
        return None
    reach = reached(value)
    if reach.opaque and not _by_reference(value):
        return None
    return ["code", reach.digest]


def _by_reference(value: Any) -> bool:
    """True for classes and functions that a pickle only names."""
    if not isinstance(value, type | FunctionType | BuiltinFunctionType):
        return False
    module = sys.modules.get(getattr(value, "__module__", "") or "")
    if module is None or module.__name__ == "__main__":
        return value is getattr(builtins, value.__name__, None)
    found: Any = module
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is value


def _warn_once(cls: type) -> None:
    if cls in _warned:
        return
    _warned.add(cls)
    logger.warning(
        "Values of %s.%s are pickled: their digests may differ between runs, so cached results "
        "may not be found again. Use a dataclass, or give a hash function: "
        "Annotated[%s, HashFunction.from_fn(...)].",
        cls.__module__,
        cls.__qualname__,
        cls.__name__,
    )
