"""The environment of an app: options, and the functions that make up its life.

It can be written and checked; nothing serves it yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flyte_ray.app.parts import Domain, Link, Parameter, Port, Scaling, Timeouts
from flyte_ray.author.environment import Environment
from flyte_ray.client.serving import serve

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(eq=False)
class AppEnvironment(Environment):
    """What an app needs, and its functions.

    Example:
        >>> env = AppEnvironment(name="web", port=8000)
        >>> @env.server
        ... def serve() -> None: ...
        >>> env.port.port
        8000
    """

    type: str | None = None
    port: int | Port = 8080
    args: Sequence[str] | str | None = None
    command: Sequence[str] | str | None = None
    requires_auth: bool = True
    scaling: Scaling = field(default_factory=Scaling)
    domain: Domain | None = None
    links: Sequence[Link] = ()
    parameters: Sequence[Parameter] = ()
    cluster_pool: str | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)

    server_function: Callable[..., Any] | None = field(init=False, default=None, repr=False)
    startup_function: Callable[..., Any] | None = field(init=False, default=None, repr=False)
    shutdown_function: Callable[..., Any] | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.port = self.port if isinstance(self.port, Port) else Port(self.port)

    def server(self, function: F) -> F:
        """The function that serves; a decorator."""
        self.server_function = function
        return function

    def on_startup(self, function: F) -> F:
        """The function that is called before; a decorator."""
        self.startup_function = function
        return function

    def on_shutdown(self, function: F) -> F:
        """The function that is called after; a decorator."""
        self.shutdown_function = function
        return function

    @property
    def endpoint(self) -> str:
        """The app's URL.

        Raises:
            UsageError: it is not served.
        """
        serve(self)
