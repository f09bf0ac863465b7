"""What can go wrong with the record, and how an abort and a far traceback travel."""

from __future__ import annotations

from flyte_ray.errors.families import FlyteRayError, PlatformError, UsageError


class StoreError(PlatformError):
    """The store cannot be reached or does not answer as it should."""

    def __init__(self, message: str, *, url: str = "") -> None:
        super().__init__(message)
        self.url = url


class StoreUnwritableError(UsageError, StoreError):
    """The store's root cannot be written; found out before anything starts."""


class DigestMismatchError(StoreError):
    """Stored bytes are not what their digest says."""


class FencedError(PlatformError):
    """Another owner has the run's book; this one must stop writing."""

    recoverable = False

    def __init__(self, message: str, *, run_name: str = "", epoch: int | None = None) -> None:
        super().__init__(message)
        self.run_name = run_name
        self.epoch = epoch


class ActionCancelled(BaseException):
    """Thrown into a sync body whose action is aborted (async ones get `CancelledError`)."""


class RemoteTraceback(FlyteRayError):
    """Carries, as a cause, the traceback text of an attempt that ran elsewhere."""

    def __str__(self) -> str:
        return f'\n"""\n{self.message.rstrip()}\n"""'
