"""PUBLIC: who is to be told how a run ended.

The wishes are checked here, accepted by `with_runcontext(notifications=…)` and triggers, and kept.
Nothing is sent yet: this release has no sender. Until it has one, follow a run with `run.watch`, or
call your own webhook after `run.wait()`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from flyte_ray.core.model import ActionPhase

__all__ = ["Email", "NamedDelivery", "NamedRule", "Notification", "Slack", "Teams", "Webhook"]

Phases = str | ActionPhase | Sequence[str | ActionPhase]

_ENDS = (ActionPhase.SUCCEEDED, ActionPhase.FAILED, ActionPhase.ABORTED, ActionPhase.TIMED_OUT)
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, kw_only=True)
class Notification:
    """What all notifications have: the ends of a run at which they are sent."""

    on_phase: Phases
    """One phase or several of SUCCEEDED, FAILED, ABORTED, TIMED_OUT."""

    def __post_init__(self) -> None:
        given = [self.on_phase] if isinstance(self.on_phase, str) else list(self.on_phase)
        known = {phase.value: phase for phase in _ENDS}
        phases = tuple(known.get(str(phase).lower()) for phase in given)
        if not phases or None in phases:
            raise ValueError(
                f"{type(self).__name__}: on_phase must be one or several of "
                f"{', '.join(phase.name for phase in _ENDS)}, not {self.on_phase!r}"
            )
        object.__setattr__(self, "on_phase", phases)
        self._check()

    def _check(self) -> None:
        """Refuse impossible values of the fields of its own."""

    def _need_url(self, name: str, url: object) -> None:
        if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"{type(self).__name__}: {name} must be an http(s) URL, not {url!r}")


@dataclass(frozen=True, kw_only=True)
class Email(Notification):
    """A mail.

    Example:
        >>> Email(on_phase="failed", recipients=["ops@example.com"]).recipients
        ['ops@example.com']
    """

    recipients: Sequence[str]
    cc: Sequence[str] = ()
    bcc: Sequence[str] = ()
    subject: str = "Run {run.name}: {run.phase}"
    body: str = "Task {task.name}, run {run.name}: {run.phase}. {run.error}"
    html_body: str | None = None

    def _check(self) -> None:
        if isinstance(self.recipients, str) or not self.recipients:
            raise ValueError("Email: recipients must be a list of at least one address")


@dataclass(frozen=True, kw_only=True)
class Slack(Notification):
    """A message to a Slack webhook.

    Example:
        >>> from flyte_ray.models import ActionPhase
        >>> slack = Slack(on_phase=ActionPhase.FAILED, webhook_url="https://hooks.example.com/x")
        >>> slack.on_phase
        (<ActionPhase.FAILED: 'failed'>,)
    """

    webhook_url: str
    message: str | None = None
    blocks: Sequence[Mapping[str, Any]] | None = None

    def _check(self) -> None:
        self._need_url("webhook_url", self.webhook_url)


@dataclass(frozen=True, kw_only=True)
class Teams(Notification):
    """A message to a Teams webhook."""

    webhook_url: str
    title: str = "Run {run.name}: {run.phase}"
    message: str | None = None
    card: Mapping[str, Any] | None = None

    def _check(self) -> None:
        self._need_url("webhook_url", self.webhook_url)


@dataclass(frozen=True, kw_only=True)
class Webhook(Notification):
    """A request to any URL."""

    url: str
    method: str = "POST"
    headers: Mapping[str, str] | None = None
    body: Mapping[str, Any] | str | None = None

    def _check(self) -> None:
        self._need_url("url", self.url)
        if self.method not in _METHODS:
            raise ValueError(f"Webhook: method must be one of {_METHODS}, not {self.method!r}")


@dataclass(frozen=True, kw_only=True)
class NamedDelivery(Notification):
    """A delivery that is set up elsewhere, by its name."""

    name: str


@dataclass(frozen=True)
class NamedRule:
    """A rule that is set up elsewhere, by its name."""

    name: str
