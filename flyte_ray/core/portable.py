"""How an exception travels as bytes, whatever its author did to it.

Many exceptions pickle but do not come back: their constructor wants other arguments than `args`.
So the bytes are loaded once before they are trusted, and an exception that fails is sent as a
husk instead: its class, and those of its parts that can travel. No constructor written in Python
runs when a husk is revived.
"""

from __future__ import annotations

import pickle
import types
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

Dumps: TypeAlias = Callable[[Any], bytes]

LIMIT_BYTES = 256 * 1024
"""Larger exceptions travel without their attributes: they stand in the book."""

MISBEHAVIOUR = (Exception, SystemExit, GeneratorExit)
"""What an author's `__reduce__`, `__str__` or constructor may raise; Ctrl-C and aborts pass."""

_HEAP_TYPE = 1 << 9
"""CPython's Py_TPFLAGS_HEAPTYPE: set for every class that is not built in."""

_UNTOUCHED = ("args", "obj")
"""`args` are set by themselves; `obj` of an AttributeError is a live object."""


def text_of(error: BaseException) -> str:
    """`str(error)`, or a remark where that fails; always encodable."""
    try:
        text = str(error)
    except MISBEHAVIOUR as failure:
        text = f"<the message of {type(error).__name__} cannot be shown: {type(failure).__name__}>"
    return text.encode("utf-8", "backslashreplace").decode()


def to_bytes(error: BaseException, dumps: Dumps = pickle.dumps) -> bytes | None:
    """Bytes that `pickle.loads` turns into an equal exception; None if nothing does."""
    for form in (error, _Husk(error, with_parts=True), _Husk(error, with_parts=False)):
        try:
            data = dumps(form)
            if len(data) <= LIMIT_BYTES and _is_like(pickle.loads(data), error):
                return data
        except MISBEHAVIOUR:
            continue
    return None


def from_bytes(data: bytes | None) -> BaseException | None:
    """The exception, or None where its class cannot be loaded here."""
    if data is None:
        return None
    try:
        error = pickle.loads(data)
    except MISBEHAVIOUR:
        return None
    return error if isinstance(error, BaseException) else None


def _is_like(copy: object, error: BaseException) -> bool:
    return type(copy) is type(error) and text_of(copy) == text_of(error)


class _Husk:
    """Pickles as a recipe for the exception that goes round its class's constructor."""

    def __init__(self, error: BaseException, *, with_parts: bool) -> None:
        self._error = error
        self._with_parts = with_parts

    def __reduce__(self) -> tuple[Any, ...]:
        error = self._error
        if not self._with_parts:
            return _refill, (type(error), (text_of(error),), {}, {})
        args = tuple(each if _can_travel(each) else repr(each) for each in native_args(error))
        state = {name: value for name, value in vars(error).items() if _can_travel(value)}
        members = {name: value for name, value in members_of(error) if _can_travel(value)}
        return _refill, (type(error), args, state, members)


def _can_travel(value: object) -> bool:
    try:
        pickle.loads(pickle.dumps(value))
    except MISBEHAVIOUR:
        return False
    return True


def _refill(
    cls: type[BaseException],
    args: tuple[Any, ...],
    state: dict[str, Any],
    members: dict[str, Any],
) -> BaseException:
    error = bare_instance(cls, args)
    vars(error).update(state)
    set_members(error, members)
    return error


def native_class(cls: type[BaseException]) -> type[BaseException]:
    """The base that owns the object's layout; only its `__new__` may make an instance."""
    base: type | None = cls
    while base is not None and base.__flags__ & _HEAP_TYPE:
        base = base.__base__
    assert base is not None
    assert issubclass(base, BaseException)
    return base


def native_args(error: BaseException) -> tuple[Any, ...]:
    """The arguments with which the native constructor makes such an object."""
    if isinstance(error, BaseExceptionGroup):
        # `args` may be what a subclass's own constructor was given.
        return error.message, list(error.exceptions)
    return error.args


def bare_instance(cls: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    """An instance that only the native constructor has seen."""
    native = native_class(cls)
    error: BaseException = native.__new__(cls, *args)
    try:
        native.__init__(error, *args)
    except MISBEHAVIOUR:
        pass  # arguments of the subclass; what they stood for comes with the members
    object.__setattr__(error, "args", args)  # an author's __setattr__ may refuse
    return error


def members_of(error: BaseException) -> Iterator[tuple[str, Any]]:
    """What stands in slots rather than in `__dict__`: `errno`, `start`, an author's slots."""
    seen = set(_UNTOUCHED)
    for cls in type(error).__mro__:
        for name, descriptor in vars(cls).items():
            if name in seen or name.startswith("__") or not _is_slot(descriptor):
                continue
            seen.add(name)
            try:
                yield name, getattr(error, name)
            except MISBEHAVIOUR:
                continue  # an empty slot


def _is_slot(descriptor: object) -> bool:
    return isinstance(descriptor, types.MemberDescriptorType | types.GetSetDescriptorType)


def set_members(error: BaseException, members: dict[str, Any]) -> None:
    """Fill slots; those that are read-only were set by the native constructor."""
    for name, value in members.items():
        try:
            # An OSError whose filename is *set* to None shows it.
            if getattr(error, name, None) is not value:
                setattr(error, name, value)
        except MISBEHAVIOUR:
            continue
