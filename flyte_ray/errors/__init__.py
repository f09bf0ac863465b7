"""Every exception a user can meet, as one tree. Public door; the rooms behind it hold no logic.

    FlyteRayError
    ├── UserError       the author's code failed; an attempt costs one of the task's `retries`
    ├── PlatformError   worker, node or store failed; costs the platform's own budget
    ├── UsageError      a wrong call or setting; raised at once, never retried
    └── BaseRuntimeError (also RuntimeError)        how a task's failure reaches its caller
        ├── RuntimeUserError (UserError)            code = class name of what the task raised
        │   ├── NonRecoverableError, RuntimeDataValidationError, WrongCallError, …    final
        │   ├── OOMError, TaskInterruptedError, RetriesExhaustedError, ActionAbortedError, …
        │   └── TaskTimeoutError → MaxRuntimeExceeded-, MaxQueuedTimeExceeded-, DeadlineExceeded-
        ├── RuntimeSystemError (PlatformError) → UnionRpcError
        ├── RuntimeUnknownError (UserError)
        └── InitializationError (UsageError)
    StoreError (PlatformError) → StoreUnwritableError (UsageError too), DigestMismatchError
    FencedError (PlatformError)
    RunNotFoundError, RunExistsError, ConfigurationError, InfeasibleResourcesError, … (UsageError)
    ActionCancelled is a BaseException, so that `except Exception` cannot swallow an abort.

The rule to know: every error carries ids and plain values as attributes, never live objects, and
comes through pickle and copy unharmed whatever its constructor looks like (`__reduce__` goes round
it). `code`, `kind` and `recoverable` are what the lifecycle and the user branch on.
"""

from __future__ import annotations

from flyte_ray.errors.families import (
    BaseRuntimeError,
    FlyteRayError,
    InitializationError,
    PlatformError,
    RuntimeSystemError,
    RuntimeUnknownError,
    RuntimeUserError,
    UnionRpcError,
    UsageError,
    UserError,
)
from flyte_ray.errors.record import (
    ActionCancelled,
    DigestMismatchError,
    FencedError,
    RemoteTraceback,
    StoreError,
    StoreUnwritableError,
)
from flyte_ray.errors.task import (
    ActionAbortedError,
    AppleSiliconError,
    CodeBundleError,
    ConditionAlreadyExistsError,
    ConditionFailedError,
    ConditionNotFoundError,
    ConditionTimedoutError,
    CustomError,
    DeadlineExceededError,
    DeploymentError,
    GPUFaultError,
    GPUFaultSystemError,
    GPUFaultUserError,
    ImageBuildError,
    ImagePullBackOffError,
    InlineIOMaxBytesBreached,
    InvalidImageNameError,
    InvalidPackageError,
    MaxQueuedTimeExceededError,
    MaxRuntimeExceededError,
    ModuleLoadError,
    NonRecoverableError,
    NotInTaskContextError,
    OnlyAsyncIOSupportedError,
    OOMError,
    ParameterMaterializationError,
    PrimaryContainerNotFoundError,
    RemoteTaskNotFoundError,
    RemoteTaskUsageError,
    ResourceExhaustedError,
    RestrictedTypeError,
    RetriesExhaustedError,
    RuntimeDataValidationError,
    SlowDownError,
    SyncTaskCallInAsyncContextError,
    TaskInterruptedError,
    TaskTimeoutError,
    TraceDoesNotAllowNestedTasksError,
)
from flyte_ray.errors.usage import (
    ActionNotFoundError,
    ConfigurationError,
    InfeasibleResourcesError,
    LogsNotYetAvailableError,
    NotATaskError,
    RunExistsError,
    RunNotFoundError,
    TypeTransformerFailedError,
    UnserializableInputError,
    UnsupportedValueError,
    WrongCallError,
)

__all__ = [
    # families
    "FlyteRayError",
    "UserError",
    "PlatformError",
    "UsageError",
    "BaseRuntimeError",
    "InitializationError",
    "RuntimeUserError",
    "RuntimeSystemError",
    "RuntimeUnknownError",
    "UnionRpcError",
    # task
    "OOMError",
    "TaskInterruptedError",
    "PrimaryContainerNotFoundError",
    "RetriesExhaustedError",
    "InvalidImageNameError",
    "ImagePullBackOffError",
    "NotInTaskContextError",
    "TaskTimeoutError",
    "MaxQueuedTimeExceededError",
    "MaxRuntimeExceededError",
    "DeadlineExceededError",
    "NonRecoverableError",
    "CustomError",
    "RuntimeDataValidationError",
    "InvalidPackageError",
    "ConditionTimedoutError",
    "ConditionFailedError",
    "ConditionAlreadyExistsError",
    "ConditionNotFoundError",
    "RemoteTaskNotFoundError",
    "RemoteTaskUsageError",
    "DeploymentError",
    "ImageBuildError",
    "ModuleLoadError",
    "InlineIOMaxBytesBreached",
    "ActionAbortedError",
    "SlowDownError",
    "ResourceExhaustedError",
    "OnlyAsyncIOSupportedError",
    "ParameterMaterializationError",
    "RestrictedTypeError",
    "CodeBundleError",
    "SyncTaskCallInAsyncContextError",
    "TraceDoesNotAllowNestedTasksError",
    "AppleSiliconError",
    "GPUFaultError",
    "GPUFaultUserError",
    "GPUFaultSystemError",
    # usage
    "WrongCallError",
    "UnserializableInputError",
    "UnsupportedValueError",
    "TypeTransformerFailedError",
    "NotATaskError",
    "ConfigurationError",
    "InfeasibleResourcesError",
    "RunNotFoundError",
    "RunExistsError",
    "ActionNotFoundError",
    "LogsNotYetAvailableError",
    # record
    "StoreError",
    "StoreUnwritableError",
    "DigestMismatchError",
    "FencedError",
    "ActionCancelled",
    "RemoteTraceback",
]

# Tracebacks and pickles name the door, not the room behind it.
for _name in __all__:
    globals()[_name].__module__ = __name__
