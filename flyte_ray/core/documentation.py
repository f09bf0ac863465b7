"""What a task says of itself and where it points: `Documentation` and the `Link` protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Documentation:
    """A description shown beside the task; it replaces the docstring there.

    Example:
        >>> Documentation(description="Trains the model.").description
        'Trains the model.'
    """

    description: str


@runtime_checkable
class Link(Protocol):
    """An address shown beside each action of a task, such as its page in a tracking tool.

    Example:
        >>> class Tracker:
        ...     name = "tracker"
        ...     icon_uri = None
        ...     def get_link(self, run_name, **kwargs):
        ...         return f"https://tracker.example/{run_name}"
        >>> isinstance(Tracker(), Link)
        True
    """

    @property
    def name(self) -> str:
        """The text of the link."""
        ...

    @property
    def icon_uri(self) -> str | None: ...

    def get_link(
        self,
        run_name: str,
        project: str,
        domain: str,
        context: dict[str, str],
        parent_action_name: str,
        action_name: str,
        pod_name: str,
        **kwargs: Any,
    ) -> str:
        """The address for one action; called by keyword, once, when the action is submitted."""
        ...
