"""What the engine needs to know of a task object (which lives on a higher floor)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from flyte_ray.core.address import TaskAddress
from flyte_ray.core.interface import Interface
from flyte_ray.core.options import TaskOptions


class Callee(Protocol):
    """What the engine needs to know of a task object."""

    @property
    def name(self) -> str: ...
    @property
    def short_name(self) -> str: ...
    @property
    def interface(self) -> Interface: ...
    @property
    def options(self) -> TaskOptions: ...
    @property
    def is_async(self) -> bool: ...
    @property
    def identity(self) -> str:
        """Digest of name, interface and code (`core/fingerprint`): what finished work holds for."""
        ...

    @property
    def own_identity(self) -> str:
        """The same without the code of tasks that it calls: what its actions are named by."""
        ...

    @property
    def cache_version(self) -> str:
        """The version that enters the cache key (policy, or the author's own)."""
        ...

    @property
    def address(self) -> TaskAddress: ...
    @property
    def func(self) -> Callable[..., Any]: ...
