"""Wrong calls and settings: found out before anything starts, and never retried.

Most are builtin errors too (`TypeError`, `ValueError`), as plain Python would have raised.
"""

from __future__ import annotations

from flyte_ray.errors.families import PlatformError, RuntimeUserError, UsageError, UserError


class WrongCallError(RuntimeUserError, UsageError, TypeError):
    """A task was called with arguments it does not take; also a plain `TypeError`."""

    code = "TypeError"
    recoverable = False

    def __init__(self, message: str, *, task: str = "", parameter: str = "") -> None:
        super().__init__(type(self).code, message)
        self.task = task
        self.parameter = parameter


class UnserializableInputError(WrongCallError):
    """A value cannot be stored, so it cannot be handed to a task."""

    code = "UnserializableInputError"


class UnsupportedValueError(UsageError, ValueError):
    """A setting has a value that flyte_ray does not support."""


class TypeTransformerFailedError(UserError, TypeError, AssertionError, ValueError):
    """A value could not be converted to or from its annotated type."""


class NotATaskError(UsageError, TypeError):
    """Something was run or referred to as a task that is none."""


class ConfigurationError(UsageError, ValueError):
    """A setting, configuration file or environment variable cannot be understood."""


class InfeasibleResourcesError(UsageError):
    """No node, present or to come, could ever satisfy the request."""

    def __init__(self, message: str, *, task: str = "") -> None:
        super().__init__(message)
        self.task = task


class RunNotFoundError(UsageError, LookupError):
    """The store holds no run of that name."""

    def __init__(self, message: str, *, run_name: str = "") -> None:
        super().__init__(message)
        self.run_name = run_name


class RunExistsError(UsageError):
    """The store holds a run of that name already."""

    code = "RunAlreadyExistsError"

    def __init__(self, message: str, *, run_name: str = "") -> None:
        super().__init__(message)
        self.run_name = run_name


class ActionNotFoundError(UsageError, RuntimeError):
    """The run has no action of that name."""


class LogsNotYetAvailableError(PlatformError):
    """The attempt has written no logs yet."""
