"""Attempts that were exported as tests (`flyte-ray replay RUN/ACTION --export-test FILE`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyte_ray.client.explain.overlay import OverlayBlobs
from flyte_ray.client.explain.recording import from_json
from flyte_ray.client.explain.replay import Replayed, replay
from flyte_ray.core.failure import from_exception


class ExportedAttempt:
    """One attempt with its code, its inputs and the results of its calls.

    Example:
        >>> attempt = ExportedAttempt(json.loads(RECORDING))  # doctest: +SKIP
        >>> attempt.run(code="current")  # doctest: +SKIP
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._found, objects = from_json(data)
        self._blobs = OverlayBlobs(None, objects)
        self._last: Replayed | None = None

    def run(self, *, code: str = "recorded") -> Any:
        """Run the body; what it returned. Raises what it raised.

        Args:
            code: "recorded", or "current" for what can be imported here.
        """
        self._last = replay(self._found, self._blobs, code=code)
        if self._last.exception is not None:
            raise self._last.exception
        return self._last.value

    @property
    def agrees(self) -> bool:
        """True if the last run came to what the record says."""
        return self._last is not None and self._last.agrees

    def describes(self, error: BaseException) -> bool:
        """True if the attempt failed with such an error: same type, same message."""
        recorded, now = self._found.failure, from_exception(error)
        return recorded is not None and (recorded.code, recorded.message) == (
            now.code,
            now.message,
        )
