"""Cache keys. The golden values must never change while `FORMAT` stays what it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flyte_ray.core.cache_key import FORMAT, CacheComponents, components_of
from flyte_ray.core.payload import EncodedValue, Payload


def value(digest: str) -> EncodedValue:
    return EncodedValue(codec="json", type="int", digest=digest * 64, size_bytes=1, inline="1")


INPUTS = Payload(values={"x": value("d")})


def components(ignored: tuple[str, ...] = (), inputs: Payload = INPUTS) -> CacheComponents:
    return components_of(
        task="env.step", version="v1", interface="i" * 64, inputs=inputs, ignored=ignored
    )


def test_golden_values() -> None:
    assert FORMAT == "cache-1"
    assert components().key == "5ac4a74c167b3e5507b813e0b018ca8142ff759f9ba600ead47192c915f90dc8"
    assert components(ignored=("x",)).key == (
        "4b6f9ce42089e5579126d5f7fc2f3c50340101150b9262a77421bd0432157d19"
    )


@pytest.mark.parametrize("part", ["task", "version", "interface", "inputs"])
def test_every_component_counts(part: str) -> None:
    assert replace(components(), **{part: "another"}).key != components().key


def test_an_ignored_input_does_not_count() -> None:
    one = Payload(values={"x": value("d"), "verbose": value("e")})
    other = Payload(values={"x": value("d"), "verbose": value("f")})
    assert components(("verbose",), one) == components(("verbose",), other)
    assert components((), one) != components((), other)


def test_the_order_of_inputs_does_not_count() -> None:
    one = Payload(values={"x": value("d"), "y": value("e")})
    other = Payload(values={"y": value("e"), "x": value("d")})
    assert components((), one).key == components((), other).key
