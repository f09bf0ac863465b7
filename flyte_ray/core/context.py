"""The one context variable of the house: which action is running here.

Set by `engine/attempt` around a body, read by `author/`. Outside an action it is None, and a call
of a task is then a plain Python call.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

from flyte_ray.core.calls import RunSpec
from flyte_ray.core.ids import ActionId, Scope
from flyte_ray.core.ports import Blobs, Controller, Veil


@dataclass(slots=True, kw_only=True)
class Workbench:
    """Mutable things that belong to one attempt, whatever context copies exist of it."""

    report: Any = None
    checkpoint: Any = None
    data: dict[str, Any] = field(default_factory=dict)
    veil: Veil | None = None
    """Of tasks with secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionContext:
    """What the running code may know of where it runs."""

    controller: Controller
    run: RunSpec
    action_id: ActionId
    """The real action; differs from `scope_id` inside a trace."""
    parent_id: ActionId | None
    scope: Scope
    """Under which children are named."""
    scope_id: ActionId
    """`action_id`, or the pseudo-action of the innermost trace."""
    task: str
    attempt: int
    mode: str
    group: str | None = None
    custom_context: Mapping[str, str] = field(default_factory=dict)
    in_trace: bool = False
    bench: Workbench = field(default_factory=Workbench)
    store: Blobs | None = None
    """The `Blobs` of the run's store, for checkpoints, reports and files."""


_current: ContextVar[ActionContext | None] = ContextVar("flyte_ray_action", default=None)


def current() -> ActionContext | None:
    """The running action, or None outside of one."""
    return _current.get()


class Entered:
    """Makes a context the running action inside a `with` block; see `entered`."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: ActionContext | None) -> None:
        self._context = context

    def __enter__(self) -> ActionContext | None:
        self._token = _current.set(self._context)
        return self._context

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def entered(context: ActionContext | None) -> Entered:
    """Make this the running action inside the `with` block."""
    return Entered(context)


def changed(**changes: Any) -> Entered:
    """The running action with some fields replaced; outside an action, nothing happens."""
    here = _current.get()
    return Entered(None if here is None else replace(here, **changes))
