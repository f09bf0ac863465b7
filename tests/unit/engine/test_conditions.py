"""Waiting for an answer from outside, while the store is away now and then."""

from __future__ import annotations

import asyncio

import pytest

from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.core.condition import ANSWERED, ConditionWish
from flyte_ray.core.context import ActionContext, entered
from flyte_ray.engine.conditions import ConditionDesk, ConditionTools
from flyte_ray.store.mailbox import Mailbox
from flyte_ray.store.values import RunValues
from flyte_ray.testing.faults import FaultyBlobs
from tests.unit.engine.scenes import MemoryBook, attempt
from tests.unit.store.stores import DictBlobs


@pytest.mark.parametrize("timeout_s", [None, 0.001])
def test_a_store_that_is_away_is_no_answer_and_no_refusal(
    timeout_s: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    store, parent = FaultyBlobs(DictBlobs()), attempt()
    tools = ConditionTools(
        book=MemoryBook(),
        codecs=PayloadCodec(),
        values=RunValues(store, parent.run.name),
        blobs=store,
        rest=lambda _: asyncio.sleep(0),
    )
    here = ActionContext(
        controller=None,  # type: ignore[arg-type]
        run=parent.run,
        action_id=parent.action_id,
        parent_id=parent.parent_id,
        scope=parent.scope,
        scope_id=parent.action_id,
        task=parent.task,
        attempt=1,
        mode="local",
    )

    async def scene() -> object:
        with entered(here):
            desk = ConditionDesk(parent, tools, lambda *_: 1)
            step = await desk.open(ConditionWish(name="ok", timeout_s=timeout_s))
        Mailbox(store, parent.run.name).post(ANSWERED, step.action_id, {"value": True})
        store.fail("get", times=3)
        return await step.wait()

    assert asyncio.run(scene()) is True
    assert caplog.text.count("cannot look for an answer") == 1
