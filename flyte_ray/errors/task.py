"""What can become of a task: the user errors and GPU faults that its caller may catch.

Codes are class names unless a class says otherwise; scripts branch on them, so they never change.
"""

from __future__ import annotations

from typing import Any

from flyte_ray.errors.families import (
    BaseRuntimeError,
    RuntimeSystemError,
    RuntimeUserError,
)


class OOMError(RuntimeUserError):
    """The attempt ran out of memory; catch it and override the task with more."""


class TaskInterruptedError(RuntimeUserError):
    """The attempt was interrupted, for instance preempted."""


class PrimaryContainerNotFoundError(RuntimeUserError):
    """The pod template names no primary container."""


class RetriesExhaustedError(RuntimeUserError):
    """All attempts failed."""


class InvalidImageNameError(RuntimeUserError):
    """The image's name cannot be read."""


class ImagePullBackOffError(RuntimeUserError):
    """The image cannot be fetched."""


class NotInTaskContextError(RuntimeUserError):
    """Something that needs a running task was called outside of one."""


class _NamedUserError(RuntimeUserError):
    """A user error whose code is the name of its class."""

    def __init__(self, message: str, worker: str | None = None) -> None:
        super().__init__(type(self).code, message, worker)


class TaskTimeoutError(RuntimeUserError):
    """A limit of `timeout=` was exceeded."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(code or type(self).code, message)


class MaxQueuedTimeExceededError(TaskTimeoutError):
    """An attempt waited longer than `max_queued_time` for a worker."""


class MaxRuntimeExceededError(TaskTimeoutError):
    """An attempt ran longer than `max_runtime`."""


class DeadlineExceededError(TaskTimeoutError):
    """All attempts together took longer than `deadline`."""

    recoverable = False


class NonRecoverableError(RuntimeUserError):
    """Raise it (or a subclass) in a task to fail at once, whatever `retries` are left."""

    recoverable = False

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(code or type(self).code, message)


class CustomError(RuntimeUserError):
    """A failure with a code of the author's choosing."""

    @classmethod
    def from_exception(cls, error: BaseException) -> CustomError:
        """The same failure under the class name of `error`, which becomes its cause."""
        custom = cls(type(error).__name__, str(error))
        custom.__cause__ = error
        return custom


class RuntimeDataValidationError(RuntimeUserError):
    """A value does not fit its annotation."""

    code = "DataValidationError"
    recoverable = False

    def __init__(self, var: str, e: BaseException | str, task_name: str = "") -> None:
        where = f" of task '{task_name}'" if task_name else ""
        super().__init__(type(self).code, f"the value of '{var}'{where} is not valid: {e}")
        self.var = var
        self.task_name = task_name


class InvalidPackageError(RuntimeUserError):
    """A package of an image cannot be installed."""

    def __init__(self, package_name: str, original_error: BaseException | str) -> None:
        message = f"package '{package_name}' cannot be installed: {original_error}"
        super().__init__(type(self).code, message)
        self.package_name = package_name
        self.original_error = str(original_error)


class ConditionTimedoutError(_NamedUserError):
    """Nobody signalled the condition in time."""


class ConditionFailedError(_NamedUserError):
    """The condition was declined or could not be set up."""


class ConditionAlreadyExistsError(_NamedUserError):
    """This action has a condition of that name already."""


class ConditionNotFoundError(_NamedUserError):
    """The run has no condition of that name."""


class RemoteTaskNotFoundError(_NamedUserError):
    """No deployed task has that name and version."""


class RemoteTaskUsageError(_NamedUserError):
    """A deployed task was used in a way it does not allow."""


class DeploymentError(_NamedUserError):
    """A deployment failed."""


class ImageBuildError(_NamedUserError):
    """An environment's packages could not be installed or its image not be built."""


class ModuleLoadError(_NamedUserError):
    """A module with tasks cannot be imported."""


class InlineIOMaxBytesBreached(_NamedUserError):
    """Inputs or outputs are larger than `max_inline_io_bytes`."""

    recoverable = False


class ActionAbortedError(_NamedUserError):
    """The action was aborted by a user or with its run."""


class SlowDownError(_NamedUserError):
    """A service asks for fewer requests."""


class ResourceExhaustedError(SlowDownError):
    """A quota is used up."""


class OnlyAsyncIOSupportedError(_NamedUserError):
    """The operation has an async form only."""


class ParameterMaterializationError(_NamedUserError):
    """An input could not be made ready for use."""


class RestrictedTypeError(_NamedUserError):
    """A type is reserved and cannot be used here."""

    code = "RestrictedTypeUsage"


class CodeBundleError(_NamedUserError):
    """The code could not be bundled or unpacked."""


class SyncTaskCallInAsyncContextError(_NamedUserError):
    """A sync task was called where an event loop runs; await its `.aio(...)` instead."""


class TraceDoesNotAllowNestedTasksError(_NamedUserError):
    """A task was called inside a traced function; use its `.forward(...)` there."""


class AppleSiliconError(_NamedUserError):
    """A request for Apple silicon cannot be met."""


class GPUFaultError(BaseRuntimeError):
    """A GPU reported a fault; raised as one of the two classes below."""

    fault_kind: str = ""
    fault_code: str = ""
    xid: int | None = None
    severity: str = ""
    gpu_uuid: str = ""
    node: str = ""

    def __init__(self, message: str, **fault: Any) -> None:
        BaseRuntimeError.__init__(self, type(self).code, type(self).kind, message)
        if unknown := set(fault) - set(GPUFaultError.__annotations__):
            raise TypeError(f"{type(self).__name__} has no field {min(unknown)!r}")
        self.__dict__.update(fault)


class GPUFaultUserError(GPUFaultError, RuntimeUserError):
    """A GPU fault that the task's own code caused."""


class GPUFaultSystemError(GPUFaultError, RuntimeSystemError):
    """A GPU fault of the machine."""
