"""A running task for tests of files: a context with a store, and nothing behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.core import context
from flyte_ray.core.address import TaskAddress
from flyte_ray.core.calls import RunSpec
from flyte_ray.core.ids import ActionId, RunName, Scope
from flyte_ray.core.payload import Payload
from tests.unit.codec.values import MemoryValues

CODECS = PayloadCodec()


@contextmanager
def running_task(store_url: str, **changes: Any) -> Iterator[None]:
    """As if the body of a task of run `r1` ran here."""
    run = RunSpec(
        name=RunName("r1"),
        store_url=store_url,
        task="e.f",
        address=TaskAddress(name="e.f"),
        task_identity="",
        inputs=Payload(),
        **changes,
    )
    here = context.ActionContext(
        controller=None,  # type: ignore[arg-type]
        run=run,
        action_id=ActionId("a0"),
        parent_id=None,
        scope=Scope("a0"),
        scope_id=ActionId("a0"),
        task="e.f",
        attempt=1,
        mode="local",
    )
    with context.entered(here):
        yield


def pass_on(value: Any, type_: Any, files_url: str | None = None) -> Any:
    """The value as the next task gets it."""
    store = MemoryValues(files_url)
    payload = CODECS.encode({"x": value}, {"x": type_}, store, "task 'e.f', input")
    return CODECS.decode(Payload.from_json(payload.to_json()), {"x": type_}, store)["x"]


def digest_of(value: Any, type_: Any, files_url: str | None = None) -> str:
    """What a cache key sees of the value."""
    store = MemoryValues(files_url)
    payload = CODECS.encode({"x": value}, {"x": type_}, store, "task 'e.f', input")
    return payload.values["x"].digest
