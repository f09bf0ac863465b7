"""The tree of errors (§34)."""

import flyte.errors as errors
from said import attempt, say

CODED = ["RuntimeUserError", "RuntimeSystemError", "RuntimeUnknownError", "OOMError"]
MESSAGE = [
    "ActionAbortedError",
    "InlineIOMaxBytesBreached",
    "MaxRuntimeExceededError",
    "MaxQueuedTimeExceededError",
    "DeadlineExceededError",
    "NonRecoverableError",
    "ConditionTimedoutError",
    "ConditionFailedError",
    "DeploymentError",
    "ImageBuildError",
    "ModuleLoadError",
    "CodeBundleError",
    "SlowDownError",
    "RestrictedTypeError",
    "SyncTaskCallInAsyncContextError",
    "TraceDoesNotAllowNestedTasksError",
]

if __name__ == "__main__":
    for name in CODED:
        made = getattr(errors, name)("Code", "said")
        say(name, (made.code, made.kind, str(made), isinstance(made, RuntimeError)))
    for name in MESSAGE:
        made = getattr(errors, name)("said")
        say(name, (made.code, made.kind, str(made)))
    say("timeouts", issubclass(errors.DeadlineExceededError, errors.TaskTimeoutError))
    say("custom", errors.CustomError.from_exception(ValueError("x")).code)
    bad = errors.RuntimeUserError("C", "m")
    attempt("plus", lambda: bad + 1)
    attempt("times", lambda: bad * 2)
    attempt("sum", lambda: sum([1, bad]))
