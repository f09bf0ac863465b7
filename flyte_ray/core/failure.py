"""What went wrong, as a plain value: `ErrorInfo`, made from an exception and turned back into one.

`from_exception` is asked in the process where something failed, `to_exception` in the process of
whoever waited: it gives what `except` clauses there should see. A failure that a body merely let
through (its child's) is the body's own failure: "user", and worth a retry, except for usage errors.
"""

from __future__ import annotations

import asyncio
import base64
import pickle
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, cast, get_args

from flyte_ray import errors
from flyte_ray.core.portable import MISBEHAVIOUR, Dumps, from_bytes, text_of, to_bytes
from flyte_ray.core.traceback_text import authors_text
from flyte_ray.core.twin import MARK, make_twin

ErrorKind: TypeAlias = Literal["user", "system", "usage", "cancelled", "oom", "timeout"]

TEXT_LIMIT = 64 * 1024
"""Characters of a message or traceback that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInfo:
    """One failure, fit for the record and for any process."""

    code: str
    """Class name of what was raised, or the code a framework error carries."""
    kind: ErrorKind
    """Who is charged for it."""
    message: str
    type_name: str = ""
    """Module and class of what was raised."""
    traceback: str = ""
    """As authors want to read it, causes included."""
    pickled: bytes | None = None
    """The exception itself; None where it cannot travel."""
    recoverable: bool = True
    """False: no retry can help."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `pickled` as base64."""
        encoded = base64.b64encode(self.pickled).decode() if self.pickled is not None else None
        return {
            "code": self.code,
            "kind": self.kind,
            "message": self.message,
            "type_name": self.type_name,
            "traceback": self.traceback,
            "pickled": encoded,
            "recoverable": self.recoverable,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ErrorInfo:
        """The inverse of `to_dict`; unknown fields of later versions are ignored."""
        pickled = data.get("pickled")
        return cls(
            code=data["code"],
            kind=data["kind"] if data.get("kind") in get_args(ErrorKind) else "user",
            message=data["message"],
            type_name=data.get("type_name", ""),
            traceback=data.get("traceback", ""),
            pickled=base64.b64decode(pickled) if pickled is not None else None,
            recoverable=data.get("recoverable", True),
        )


def from_exception(error: BaseException, *, dumps: Dumps = pickle.dumps) -> ErrorInfo:
    """Write down what was raised. Never raises, however the exception misbehaves.

    Args:
        error: what was caught.
        dumps: how it is pickled; by value (cloudpickle) for classes of `__main__`.
    """
    known = failure_of(error)
    if known is not None:
        is_usage = known.kind == "usage"
        return replace(
            known,
            kind="usage" if is_usage else "user",
            recoverable=not is_usage,
            traceback=_traceback_text(error),
        )
    return ErrorInfo(
        code=_code(error),
        kind=_kind(error),
        message=_shortened(_message(error)),
        type_name=_type_name(type(error)),
        traceback=_traceback_text(error),
        pickled=to_bytes(error, dumps),
        recoverable=not isinstance(error, errors.FlyteRayError) or error.recoverable,
    )


def failure_of(error: BaseException) -> ErrorInfo | None:
    """The failure of the action that `error` came out of; None for a fresh exception."""
    known = vars(error).get(MARK)
    return known if isinstance(known, ErrorInfo) else None


def to_exception(info: ErrorInfo) -> Exception:
    """What the one who waited should see raised.

    A user's exception comes back as its own type and as `RuntimeUserError`; framework errors as
    themselves. The traceback of the process that failed is at the end of the `__cause__` chain.
    """
    original = from_bytes(info.pickled)
    if _is_framework(original, info.kind):
        seen = cast(Exception, original)
        _attach_traceback(seen, info)
    else:
        twin = make_twin(original, info, to_exception) if original and info.kind == "user" else None
        seen = twin or _stand_in(info)
        if original is None:
            _attach_traceback(seen, info)
        else:
            _attach_traceback(original, info)
            object.__setattr__(seen, "__cause__", original)
    vars(seen)[MARK] = info
    return seen


def _is_framework(original: BaseException | None, kind: ErrorKind) -> bool:
    if isinstance(original, errors.BaseRuntimeError):
        return True
    return isinstance(original, errors.FlyteRayError) and kind != "user"


def _attach_traceback(error: BaseException, info: ErrorInfo) -> None:
    if info.traceback and error.__cause__ is None:
        # Goes round an author's own __setattr__.
        object.__setattr__(error, "__cause__", errors.RemoteTraceback(info.traceback))


def _stand_in(info: ErrorInfo) -> Exception:
    """The framework error that says the same, for an exception that is lost or not combinable."""
    named = _framework_class(info)
    if named is not None:
        seen = named.__new__(named)
        seen.args = (info.message,)
        vars(seen).update(message=info.message, code=info.code, worker=None)
        return seen
    match info.kind:
        case "user" if info.recoverable:
            return errors.RuntimeUserError(info.code, info.message)
        case "user":
            return errors.NonRecoverableError(info.message, info.code)
        case "system":
            return errors.RuntimeSystemError(info.code, info.message)
        case "oom":
            return errors.OOMError(info.code, info.message)
        case "timeout":
            return errors.TaskTimeoutError(info.message, info.code)
        case "cancelled":
            return errors.ActionAbortedError(info.message or "the action was aborted")
        case "usage":
            return errors.UsageError(info.message)


def _framework_class(info: ErrorInfo) -> type[errors.FlyteRayError] | None:
    """The class of our own tree that the failure names, if any."""
    module, _, name = info.type_name.rpartition(".")
    if not info.type_name and info.kind != "user":
        module, name = errors.__name__, info.code
    found = getattr(errors, name, None) if module == errors.__name__ else None
    is_ours = isinstance(found, type) and issubclass(found, errors.FlyteRayError)
    return cast("type[errors.FlyteRayError]", found) if is_ours else None


def _kind(error: BaseException) -> ErrorKind:
    match error:
        case asyncio.CancelledError() | errors.ActionCancelled() | errors.ActionAbortedError():
            return "cancelled"
        case errors.OOMError():
            return "oom"
        case errors.TaskTimeoutError():
            return "timeout"
        case errors.UserError():
            return "user"
        case errors.UsageError():
            return "usage"
        case errors.PlatformError():
            return "system"
        case _:
            return "user"


def _code(error: BaseException) -> str:
    if isinstance(error, errors.FlyteRayError):
        return str(error.code)
    return type(error).__name__


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the task called sys.exit({error.code!r})"
    return text_of(error)


def _type_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _traceback_text(error: BaseException) -> str:
    try:
        text = authors_text(error)
    except MISBEHAVIOUR:
        text = "".join(traceback.format_tb(error.__traceback__))
        text += f"{type(error).__name__}: {text_of(error)}\n"
    return _shortened(text.encode("utf-8", "backslashreplace").decode())


def _shortened(text: str) -> str:
    """The beginning and the end of a long text: both say more than the middle."""
    if len(text) <= TEXT_LIMIT:
        return text
    half = TEXT_LIMIT // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
