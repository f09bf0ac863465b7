"""`new_condition`: a task waits for a person, or for anything else that can give an answer.

    approval = await flyte.new_condition.aio("publish", prompt="Publish the model?")
    if await approval.wait.aio():
        ...

Whoever answers says `flyte-ray signal RUN publish yes`, or calls `flyte_ray.remote.Condition`. The
answer is in the record before the task goes on, and is given again to later attempts.
"""

from __future__ import annotations

import asyncio
import json
import logging
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flyte_ray._syncify import syncify
from flyte_ray.core.condition import ConditionWish, seconds_of
from flyte_ray.core.context import current
from flyte_ray.core.ports import ConditionAnswer
from flyte_ray.errors import NotInTaskContextError

logger = logging.getLogger(__name__)

WEBHOOK_S = 10.0


@dataclass(frozen=True, slots=True)
class ConditionWebhook:
    """Whom to tell that a condition waits: a POST, once per condition.

    Example:
        >>> ConditionWebhook("https://chat.example/hook", {"text": "answer by {callback_uri}"}).url
        'https://chat.example/hook'
    """

    url: str
    payload: Mapping[str, Any] | None = None
    """Sent as JSON; `{callback_uri}` in its texts becomes the command that answers."""


class Condition:
    """A question that was asked. Made by `new_condition`.

    Example:
        >>> Condition(ConditionWish(name="go"), None).name
        'go'
    """

    def __init__(self, wish: ConditionWish, step: ConditionAnswer | None) -> None:
        self._wish = wish
        self._step = step

    @property
    def name(self) -> str:
        """What people answer to."""
        return self._wish.name

    @syncify
    async def wait(self) -> Any:
        """The answer, as soon as there is one; `.aio` awaits. Holds no CPU meanwhile.

        Raises:
            ConditionTimedoutError: nobody answered in time.
            NotInTaskContextError: it was not asked inside of a task.
        """
        if self._step is None:
            raise NotInTaskContextError(
                "NotInTaskContext",
                f"condition {self.name!r} was made outside of a task, where nobody can answer it",
            )
        return await self._step.wait()


@syncify
async def new_condition(
    name: str,
    /,
    prompt: str = "Approve?",
    prompt_type: str = "text",
    data_type: type = bool,
    description: str = "",
    timeout: timedelta | float | None = None,
    webhook: ConditionWebhook | None = None,
) -> Condition:
    """Ask for an answer from outside; wait for it with `.wait()`. `.aio` awaits.

    Args:
        name: what people answer to, in `flyte-ray signal RUN NAME VALUE`.
        prompt: the question.
        prompt_type: "text" or "markdown".
        data_type: of the answer: bool, int, float or str.
        description: more about it.
        timeout: how long to wait, seconds or a timedelta, from when it was asked first; None: ever.
        webhook: whom to tell.

    Raises:
        TypeError: another `data_type`.
        ValueError: no name, or a timeout that is not positive.

    Example:
        >>> new_condition("publish", prompt="Publish it?").name
        'publish'
    """
    wish = ConditionWish(
        name=name,
        prompt=prompt,
        prompt_type=prompt_type,
        data_type=data_type,
        description=description,
        timeout_s=seconds_of(timeout),
    )
    here = current()
    if here is None:
        return Condition(wish, None)
    step = await here.controller.open_condition(wish)
    if webhook is not None and step.is_new:
        command = f"flyte-ray signal {here.run.name} {name}"
        try:
            await asyncio.to_thread(_post, webhook, command)
        except (OSError, ValueError) as error:
            logger.warning("condition %r: its webhook failed: %s", name, error)
    return Condition(wish, step)


def _post(webhook: ConditionWebhook, command: str) -> None:
    body = json.dumps(_filled(dict(webhook.payload or {}), command)).encode()
    headers = {"Content-Type": "application/json"}
    if not webhook.url.startswith(("http://", "https://")):
        raise ValueError(f"{webhook.url!r} is no http(s) address")
    request = urllib.request.Request(webhook.url, body, headers)
    with urllib.request.urlopen(request, timeout=WEBHOOK_S):
        pass


def _filled(value: Any, command: str) -> Any:
    if isinstance(value, str):
        return value.replace("{callback_uri}", command)
    if isinstance(value, Mapping):
        return {key: _filled(each, command) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(each, command) for each in value]
    return value
