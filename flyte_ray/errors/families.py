"""The trunk of the tree: root, the three families, and the errors a task's caller sees.

The rule to know: pickle and copy go round the constructors (`FlyteRayError.__reduce__`), so a
subclass may ask for whatever arguments it likes.
"""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn


def _revive(cls: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    """Rebuild an error without its constructor, which may ask for other arguments."""
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class FlyteRayError(Exception):
    """Root of the tree: `except flyte_ray.errors.FlyteRayError` catches all of it.

    Example:
        >>> from flyte_ray.errors import FlyteRayError, RunNotFoundError
        >>> try:
        ...     raise RunNotFoundError("there is no run 'r1'", run_name="r1")
        ... except FlyteRayError as error:
        ...     error.code
        'RunNotFoundError'
    """

    code: str = "FlyteRayError"
    """Stable name of what happened; the class's own name unless it says otherwise."""
    kind: str = "unknown"
    """Whose failure it is: "user", "system", "usage" or "unknown"."""
    recoverable: ClassVar[bool] = True
    """False: trying again cannot help, so no retry is spent on it."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "code" not in vars(cls):
            cls.code = cls.__name__

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self.args, dict(self.__dict__))


class UserError(FlyteRayError):
    """The author's code failed; a user retry is spent on it."""

    kind = "user"


class PlatformError(FlyteRayError):
    """The platform failed below the author's code; a system retry is spent on it."""

    kind = "system"


class UsageError(FlyteRayError):
    """A wrong call or setting: raised at once, never retried."""

    kind = "usage"
    recoverable = False


class BaseRuntimeError(FlyteRayError, RuntimeError):
    """A task's failure as its caller sees it. Arithmetic with it raises it.

    So a failed element of `map(..., return_exceptions=True)` cannot be summed up unnoticed.
    """

    def __init__(self, code: str, kind: str, message: str, worker: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.kind = kind
        self.worker = worker


def _raise_again(self: BaseRuntimeError, *_: object) -> NoReturn:
    raise self


_BINARY = "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and or xor"
for _operator in _BINARY.split():
    setattr(BaseRuntimeError, f"__{_operator}__", _raise_again)
    setattr(BaseRuntimeError, f"__r{_operator}__", _raise_again)
for _operator in ("neg", "pos", "abs", "invert"):
    setattr(BaseRuntimeError, f"__{_operator}__", _raise_again)


class InitializationError(BaseRuntimeError, UsageError):
    """The session is not set up for what was asked; call `init()` first."""


class RuntimeUserError(BaseRuntimeError, UserError):
    """The task's own code failed; `code` is the class name of what it raised."""

    def __init__(self, code: str, message: str, worker: str | None = None) -> None:
        super().__init__(code, "user", message, worker)


class RuntimeSystemError(BaseRuntimeError, PlatformError):
    """Worker, node or store failed more often than the platform's budget allows."""

    def __init__(self, code: str, message: str, worker: str | None = None) -> None:
        super().__init__(code, "system", message, worker)


class RuntimeUnknownError(BaseRuntimeError, UserError):
    """The task failed in a way that nobody could name."""

    def __init__(self, code: str, message: str, worker: str | None = None) -> None:
        super().__init__(code, "unknown", message, worker)


class UnionRpcError(RuntimeSystemError):
    """A remote service did not answer as it should."""
