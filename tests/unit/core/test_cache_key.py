"""Cache keys. The golden values must never change while `FORMAT` stays what it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flyte_ray.core.cache_key import FORMAT, CacheBasis
from flyte_ray.core.digest import digest_json
from flyte_ray.core.payload import EncodedValue, Payload


def value(digest: str) -> EncodedValue:
    return EncodedValue(codec="json", type="int", digest=digest * 64, size_bytes=1, inline="1")


INPUTS = Payload(values={"x": value("d")})


BASIS = CacheBasis(task="env.step", version="v1", interface="i" * 64)


def key(ignored: tuple[str, ...] = (), inputs: Payload = INPUTS) -> str:
    return BASIS.key(inputs.digest_without(ignored))


def test_golden_values() -> None:
    assert FORMAT == "cache-1"
    assert key() == "5ac4a74c167b3e5507b813e0b018ca8142ff759f9ba600ead47192c915f90dc8"
    assert key(ignored=("x",)) == (
        "4b6f9ce42089e5579126d5f7fc2f3c50340101150b9262a77421bd0432157d19"
    )


def test_the_key_is_the_digest_of_the_plain_list() -> None:
    odd = CacheBasis(task='a "b"\\ü', version="\ud800", interface="i")
    assert odd.key("d") == digest_json([FORMAT, odd.task, odd.version, odd.interface, "d"])


@pytest.mark.parametrize("part", ["task", "version", "interface"])
def test_every_component_counts(part: str) -> None:
    assert replace(BASIS, **{part: "another"}).key("d") != BASIS.key("d") != BASIS.key("e")


def test_an_ignored_input_does_not_count() -> None:
    one = Payload(values={"x": value("d"), "verbose": value("e")})
    other = Payload(values={"x": value("d"), "verbose": value("f")})
    assert key(("verbose",), one) == key(("verbose",), other)
    assert key((), one) != key((), other)


def test_the_order_of_inputs_does_not_count() -> None:
    one = Payload(values={"x": value("d"), "y": value("e")})
    other = Payload(values={"y": value("e"), "x": value("d")})
    assert key((), one) == key((), other)
