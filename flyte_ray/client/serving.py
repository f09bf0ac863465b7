"""`serve`: known by name, not yet carried out. Apps can be described (`flyte_ray.app`), not served.

Refused at once, with the next step.
"""

from __future__ import annotations

from typing import Any, NoReturn

from flyte_ray.client.dual import blocking
from flyte_ray.errors import UsageError


class AppHandle:
    """A served app; there is none yet."""


class ServeContext:
    """How apps would be served; made by `with_servecontext`."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options

    @blocking
    def serve(self, app: object) -> NoReturn:
        """Serve an app; see `serve`."""
        serve(app)


@blocking
def serve(app: object) -> NoReturn:
    """Serve an app; an error for now.

    Raises:
        UsageError: always; names the next step.
    """
    raise UsageError(
        f"app {getattr(app, 'name', app)!r} cannot be served: this release runs tasks only. Serve "
        "it with Ray Serve (`serve run module:app`, with @serve.ingress around a FastAPI app), or "
        "start its server by hand."
    )


def with_servecontext(mode: str | None = None, **options: Any) -> ServeContext:
    """Options of a `serve` to come."""
    return ServeContext({"mode": mode, **options})
