"""The exception a parent sees for a child's: Flyte's and Python's type in one.

A child's `ValueError("x")` reaches its parent as an instance of a class made here, which inherits
from `RuntimeUserError` and from `ValueError`: both `except` clauses match, `.code` is the class
name as in Flyte, and the attributes are the original's. Where the original has a `code` or `kind`
of its own, Flyte's wins; the original is the `__cause__`.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from flyte_ray.core.portable import (
    MISBEHAVIOUR,
    bare_instance,
    members_of,
    native_args,
    set_members,
)
from flyte_ray.errors import RuntimeUserError

MARK = "_flyte_ray_failure"
"""Attribute of an exception that came out of another action: its `ErrorInfo`."""

_ALONE = (StopIteration, StopAsyncIteration)
"""Python gives these a meaning of their own: raised in a coroutine they would become another."""


def make_twin(
    original: BaseException, failure: Any, rebuild: Callable[[Any], BaseException]
) -> RuntimeUserError | None:
    """An exception that is both; None where the two types do not combine.

    Args:
        original: what the child raised.
        failure: its `ErrorInfo` (`code` and `message` are read).
        rebuild: makes the twin from the failure again, in another process.
    """
    if not isinstance(original, Exception) or isinstance(original, _ALONE):
        return None
    try:
        cls = _twin_class(type(original), rebuild)  # type: ignore[arg-type]  # classes do hash
        twin = bare_instance(cls, native_args(original))
        vars(twin).update(vars(original))
        set_members(twin, dict(members_of(original)))
        object.__setattr__(twin, "args", original.args)
        for name, value in (("message", failure.message), ("worker", None)):
            if not hasattr(original, name):
                vars(twin)[name] = value
        vars(twin)[MARK] = failure
    except MISBEHAVIOUR:
        return None
    return twin if isinstance(twin, RuntimeUserError) else None


@lru_cache(maxsize=512)
def _twin_class(
    original: type[Exception], rebuild: Callable[[Any], BaseException]
) -> type[RuntimeUserError]:
    """The common subclass; raises whatever the original's metaclass or layout objects with."""

    def reduce(self: Any, _protocol: Any = None) -> tuple[Any, ...]:
        notes = vars(self).get("__notes__")
        return rebuild, (vars(self)[MARK],), {"__notes__": notes} if notes else None

    def show(self: Any) -> str:
        return f"{original.__name__}({vars(self)[MARK].message!r})"

    def text(self: Any) -> str:
        message: str = vars(self)[MARK].message
        return message

    def fill(namespace: dict[str, Any]) -> None:
        namespace.update(
            __module__=original.__module__,
            __qualname__=original.__qualname__,
            __doc__=original.__doc__,
            __str__=text,
            __repr__=show,
            __reduce__=reduce,
            __reduce_ex__=reduce,
            code=property(lambda self: vars(self)[MARK].code),
            kind="user",
        )

    return types.new_class(original.__name__, (RuntimeUserError, original), exec_body=fill)
