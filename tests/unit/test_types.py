"""Types of an author's own, and what the record holds of values."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import pytest

from flyte_ray.author.environment import TaskEnvironment
from flyte_ray.errors import TypeTransformerFailedError
from flyte_ray.testing.harness import LocalHarness, flyte_local
from flyte_ray.types import FlytePickle, TypeEngine, TypeTransformer, literal_string_repr

__all__ = ["flyte_local"]


class Celsius:
    def __init__(self, degrees: float) -> None:
        self.degrees = degrees


class CelsiusTransformer(TypeTransformer[Celsius]):
    def to_bytes(self, value: Celsius) -> bytes:
        return repr(value.degrees).encode()

    def from_bytes(self, data: bytes) -> Celsius:
        return Celsius(float(data))

    def to_html(self, value: Celsius) -> str:
        return f"<b>{value.degrees}°</b>"


TypeEngine.register(CelsiusTransformer("test-celsius", Celsius))
env = TaskEnvironment(name="custom-types")


@env.task
async def warmer(x: Celsius) -> Celsius:
    return Celsius(x.degrees + 1)


@env.task
async def main(x: Celsius) -> float:
    return (await warmer(x)).degrees


@env.task
def keys(x: FlytePickle[dict]) -> list[str]:  # type: ignore[type-arg]
    return sorted(map(str, x))


def test_a_registered_type_travels_between_tasks(flyte_local: LocalHarness) -> None:
    run = flyte_local.run(main, x=Celsius(20.0))
    assert run.outputs()[0] == 21.0
    (child,) = [action for action in run.actions() if action.task.endswith("warmer")]
    assert child.inputs is not None
    assert child.inputs.values["x"].codec == "transformer-test-celsius"


def test_a_type_is_registered_once() -> None:
    with pytest.raises(ValueError, match="Celsius is registered already"):
        TypeEngine.register(CelsiusTransformer("again", Celsius))
    with pytest.raises(TypeError, match="TypeTransformer or a Codec"):
        TypeEngine.register(object())  # type: ignore[arg-type]


def test_transformers_can_be_asked_for() -> None:
    found = TypeEngine.get_transformer(Celsius)
    assert found.name == "test-celsius"
    assert Celsius in TypeEngine.get_available_transformers()
    assert TypeEngine.to_html(Celsius(3.0)) == "<b>3.0°</b>"
    assert TypeEngine.to_html([1, 2]) == "[1, 2]"
    with pytest.raises(TypeTransformerFailedError, match="expected Celsius"):
        found.assert_type(Celsius, 3)


class Kelvin(Celsius):
    pass


def test_a_further_type_can_share_a_transformer() -> None:
    TypeEngine.register_additional_type(TypeEngine.get_transformer(Celsius), Kelvin)
    literal = asyncio.run(TypeEngine.to_literal(Kelvin(1.0), Kelvin))
    assert literal.codec == "transformer-test-celsius"


@pytest.mark.parametrize(
    ("value", "kind"), [(1, int), ([1, 2], list[int]), (date(2026, 1, 2), date), (None, None)]
)
def test_a_value_and_its_form_in_the_record(value: Any, kind: Any) -> None:
    async def there_and_back() -> Any:
        literal = await TypeEngine.to_literal(value, kind)
        return await TypeEngine.to_python_value(literal, kind)

    assert asyncio.run(there_and_back()) == value


def test_a_value_that_does_not_fit_is_refused() -> None:
    with pytest.raises(TypeTransformerFailedError, match="int"):
        asyncio.run(TypeEngine.to_literal("text", int))


def test_what_is_to_be_pickled_is_pickled(flyte_local: LocalHarness) -> None:
    run = flyte_local.run(keys, x={"a": 1, ("b", 2): object})
    assert run.outputs()[0] == ["('b', 2)", "a"]
    assert run.spec.inputs.values["x"].codec == "pickle"


def test_values_can_be_shown() -> None:
    literal = asyncio.run(TypeEngine.to_literal([1, 2], list[int]))
    assert literal_string_repr({"x": literal}) == {"x": "[1,2]"}
    assert literal_string_repr(None) == {}
