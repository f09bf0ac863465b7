"""What crosses processes arrives as it was sent."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

from flyte_ray.core.address import TaskAddress
from flyte_ray.core.calls import AttemptSpec, CodeSpec
from flyte_ray.core.failure import from_exception
from flyte_ray.core.ids import ActionId, RunName, Scope
from flyte_ray.core.model import Outcome, OutcomeKind, Place
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.payload import EncodedValue, Payload
from flyte_ray.core.resources import Resources
from flyte_ray.core.retry import RetryStrategy
from flyte_ray.core.timeout import Timeout
from flyte_ray.runtime import wire
from flyte_ray.runtime.wire import (
    AttemptPacker,
    AttemptUnpacker,
    by_value,
    pack_outcome,
    unpack_outcome,
)
from tests.unit.engine.scenes import attempt, run_spec

PAYLOAD = Payload(
    values={
        "x": EncodedValue(
            codec="json",
            type="int",
            digest="d" * 64,
            size_bytes=1,
            inline="1",
            code=(("m.A", "c" * 64),),
        )
    }
)


def test_a_further_attempt_differs_in_its_number_and_time_only() -> None:
    spec = full_spec()
    assert spec.submitted(4, 99) == replace(spec, attempt=4, queued_us=99)
    assert replace(spec, replay=False).submitted(2, 1).replay


def full_spec() -> AttemptSpec:
    """An attempt none of whose fields has its default."""
    return AttemptSpec(
        run=run_spec(name=RunName("full"), code=CodeSpec(digest="c" * 64), labels={"a": "b"}),
        action_id=ActionId("a7"),
        parent_id=ActionId("a0"),
        scope=Scope("s7"),
        task="env.step",
        address=TaskAddress(name="env.step", module="m", file="f.py", blob_key="code/b.pkl"),
        attempt=3,
        inputs=PAYLOAD,
        options=TaskOptions(
            resources=Resources(cpu=2),
            retries=RetryStrategy(4),
            timeout=Timeout(max_runtime=timedelta(seconds=9)),
            plugin_config={"any": "thing"},
        ),
        group="g",
        custom_context={"k": "v"},
        replay=True,
        queued_us=17,
        cache_key="key",
    )


def test_the_full_attempt_has_no_default_left() -> None:
    plain, full = attempt(), full_spec()
    same = [
        field.name
        for field in fields(AttemptSpec)
        if getattr(plain, field.name) == getattr(full, field.name)
    ]
    assert same == ["parent_id", "task"]


def test_an_attempt_arrives_as_it_was() -> None:
    data = AttemptPacker(by_value).pack(full_spec())
    assert AttemptUnpacker().unpack(data) == full_spec()


def test_the_run_can_be_read_before_the_rest() -> None:
    data = AttemptPacker(by_value).pack(full_spec())
    assert AttemptUnpacker().run(data) == full_spec().run


def test_what_calls_share_is_pickled_once_and_read_once() -> None:
    dumped: list[Any] = []

    def dumps(value: Any) -> bytes:
        dumped.append(value)
        return by_value(value)

    packer, unpacker = AttemptPacker(dumps), AttemptUnpacker()
    spec = full_spec()
    one, two = packer.pack(spec), packer.pack(replace(spec, attempt=4))
    assert len(dumped) == 1
    first, second = unpacker.unpack(one), unpacker.unpack(two)
    assert first.run is second.run
    assert first.options is second.options
    assert second.attempt == 4


def test_options_of_equal_ids_are_not_mixed_up() -> None:
    packer, unpacker = AttemptPacker(by_value), AttemptUnpacker()
    for count in range(3 * wire.REMEMBERED):
        spec = attempt(options=TaskOptions(retries=RetryStrategy(count)))
        assert unpacker.unpack(packer.pack(spec)).options.retries.count == count


class LocalConfig:
    """A plugin config that another process could not import."""

    def __init__(self) -> None:
        self.answer = 42


LocalConfig.__module__ = "__main__"


def test_an_authors_object_in_the_options_travels_by_value() -> None:
    spec = attempt(options=TaskOptions(plugin_config=LocalConfig()))
    arrived = AttemptUnpacker().unpack(AttemptPacker(by_value).pack(spec))
    assert arrived.options.plugin_config.answer == 42


def test_an_outcome_arrives_as_it_was() -> None:
    outcome = Outcome(
        kind=OutcomeKind.USER_ERROR,
        outputs=PAYLOAD,
        error=from_exception(ValueError("no")),
        started_us=1,
        ended_us=2,
        place=Place(node="n", worker="w", pid=3),
        logs="printed",
        logs_key="runs/r/logs/a/1.log",
    )
    assert unpack_outcome(pack_outcome(outcome)) == outcome
