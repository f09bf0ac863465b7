"""The error tree: families, codes, Flyte's constructor forms, and travelling unharmed."""

from __future__ import annotations

import copy
import inspect
import operator
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from flyte_ray import errors

EVERY_CLASS = [getattr(errors, name) for name in errors.__all__]

SPECIAL_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "BaseRuntimeError": ("Code", "user", "message"),
    "InitializationError": ("Code", "user", "message"),
    "RuntimeUserError": ("Code", "message", "worker-1"),
    "RuntimeSystemError": ("Code", "message", "worker-1"),
    "RuntimeUnknownError": ("Code", "message"),
    "CustomError": ("Code", "message"),
    "OOMError": ("Code", "message"),
    "TaskInterruptedError": ("Code", "message"),
    "PrimaryContainerNotFoundError": ("Code", "message"),
    "RetriesExhaustedError": ("Code", "message"),
    "InvalidImageNameError": ("Code", "message"),
    "ImagePullBackOffError": ("Code", "message"),
    "NotInTaskContextError": ("Code", "message"),
    "UnionRpcError": ("Code", "message"),
    "RuntimeDataValidationError": ("x", ValueError("too large"), "env.f"),
    "InvalidPackageError": ("numpy", "not found"),
}


def made(cls: type[BaseException]) -> BaseException:
    return cls(*SPECIAL_ARGUMENTS.get(cls.__name__, ("message",)))


@pytest.mark.parametrize("cls", EVERY_CLASS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize(
    "travel",
    [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deepcopy"],
)
def test_every_error_travels_with_its_attributes(
    cls: type[BaseException], travel: Callable[[Any], Any]
) -> None:
    error = made(cls)
    error.run_name = "r1"  # type: ignore[attr-defined]
    error.add_note("seen on node 3")

    arrived = travel(error)

    assert type(arrived) is cls
    assert str(arrived) == str(error)
    assert arrived.args == error.args
    assert vars(arrived) == vars(error)


def test_every_class_of_the_rooms_is_exported() -> None:
    rooms = [errors.families, errors.record, errors.task, errors.usage]  # type: ignore[attr-defined]
    defined = {
        name
        for room in rooms
        for name, value in vars(room).items()
        if inspect.isclass(value) and issubclass(value, BaseException) and name[0] != "_"
    }
    assert defined == set(errors.__all__)


@pytest.mark.parametrize("cls", EVERY_CLASS, ids=lambda cls: cls.__name__)
def test_tracebacks_name_the_public_door(cls: type) -> None:
    assert cls.__module__ == "flyte_ray.errors"


@pytest.mark.parametrize(
    "cls",
    [cls for cls in EVERY_CLASS if cls is not errors.ActionCancelled],
    ids=lambda c: c.__name__,
)
def test_all_errors_but_cancellation_are_under_the_root(cls: type) -> None:
    assert issubclass(cls, errors.FlyteRayError)


def test_except_exception_does_not_swallow_an_abort() -> None:
    assert not issubclass(errors.ActionCancelled, Exception)


@pytest.mark.parametrize(
    ("error", "code", "kind", "family"),
    [
        (errors.RuntimeUserError("ValueError", "x"), "ValueError", "user", errors.UserError),
        (errors.RuntimeSystemError("Lost", "x"), "Lost", "system", errors.PlatformError),
        (errors.RuntimeUnknownError("Odd", "x"), "Odd", "unknown", errors.UserError),
        (errors.InitializationError("NoInit", "user", "x"), "NoInit", "user", errors.UsageError),
        (errors.OOMError("OOM", "x"), "OOM", "user", errors.UserError),
        (errors.MaxRuntimeExceededError("x"), "MaxRuntimeExceededError", "user", errors.UserError),
        (errors.TaskTimeoutError("x", code="Slow"), "Slow", "user", errors.UserError),
        (errors.ModuleLoadError("x"), "ModuleLoadError", "user", errors.UserError),
        (errors.NonRecoverableError("x"), "NonRecoverableError", "user", errors.UserError),
        (errors.NonRecoverableError("x", "Mine"), "Mine", "user", errors.UserError),
        (errors.WrongCallError("x"), "TypeError", "user", errors.UsageError),
        (
            errors.RuntimeDataValidationError("x", "e"),
            "DataValidationError",
            "user",
            errors.UserError,
        ),
        (errors.RunExistsError("x"), "RunAlreadyExistsError", "usage", errors.UsageError),
        (errors.StoreError("x"), "StoreError", "system", errors.PlatformError),
        (errors.StoreUnwritableError("x"), "StoreUnwritableError", "usage", errors.StoreError),
        (errors.GPUFaultUserError("x", xid=79), "GPUFaultUserError", "user", errors.UserError),
        (errors.GPUFaultSystemError("x"), "GPUFaultSystemError", "system", errors.PlatformError),
    ],
)
def test_code_kind_and_family(
    error: errors.FlyteRayError, code: str, kind: str, family: type
) -> None:
    assert (error.code, error.kind) == (code, kind)
    assert isinstance(error, family)


def test_subclass_of_an_author_has_its_own_name_as_code() -> None:
    class BadInput(errors.NonRecoverableError):
        pass

    assert BadInput("no rows").code == "BadInput"


@pytest.mark.parametrize(
    "cls",
    [
        errors.NonRecoverableError,
        errors.DeadlineExceededError,
        errors.RunNotFoundError,
        errors.WrongCallError,
        errors.UnserializableInputError,
        errors.FencedError,
    ],
)
def test_final_errors_are_not_recoverable(cls: type[errors.FlyteRayError]) -> None:
    assert not cls.recoverable


@pytest.mark.parametrize(
    "cls", [errors.OOMError, errors.MaxRuntimeExceededError, errors.StoreError, errors.CustomError]
)
def test_other_errors_are_worth_a_retry(cls: type[errors.FlyteRayError]) -> None:
    assert cls.recoverable


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (errors.BaseRuntimeError, RuntimeError),
        (errors.WrongCallError, TypeError),
        (errors.UnserializableInputError, TypeError),
        (errors.ActionNotFoundError, RuntimeError),
        (errors.RunNotFoundError, LookupError),
        (errors.TypeTransformerFailedError, AssertionError),
        (errors.TypeTransformerFailedError, ValueError),
        (errors.ResourceExhaustedError, errors.SlowDownError),
        (errors.DigestMismatchError, errors.StoreError),
    ],
)
def test_errors_are_also_what_plain_python_would_raise(cls: type, builtin: type) -> None:
    assert issubclass(cls, builtin)


@pytest.mark.parametrize(
    "use",
    [
        lambda e: e + 1,
        lambda e: 1 + e,
        lambda e: sum([1, e]),
        lambda e: e * 2.5,
        lambda e: 2**e,
        lambda e: e / e,
        lambda e: -e,
        lambda e: abs(e),
        lambda e: operator.iadd(e, 1),
        lambda e: [0] @ e,
        lambda e: divmod(7, e),
    ],
)
def test_arithmetic_with_a_failure_raises_it(use: Callable[[Any], Any]) -> None:
    error = errors.RuntimeUserError("ValueError", "no number")
    with pytest.raises(errors.RuntimeUserError) as caught:
        use(error)
    assert caught.value is error


def test_custom_error_takes_over_code_and_text() -> None:
    cause = KeyError("k")
    error = errors.CustomError.from_exception(cause)
    assert (error.code, str(error), error.__cause__) == ("KeyError", "'k'", cause)


def test_validation_error_names_value_task_and_reason() -> None:
    text = str(errors.RuntimeDataValidationError("o0", TypeError("int expected"), "env.f"))
    assert "'o0'" in text
    assert "'env.f'" in text
    assert "int expected" in text


def test_gpu_fault_refuses_unknown_fields() -> None:
    with pytest.raises(TypeError, match="colour"):
        errors.GPUFaultUserError("x", colour="red")


def test_remote_traceback_shows_its_text() -> None:
    assert "line 3" in str(errors.RemoteTraceback("line 3\n"))
