"""Scalars that are handed on are known again; scalars that are merely equal are not."""

from __future__ import annotations

import weakref
from typing import Any

import pytest

from flyte_ray.codec.passing import LONGEST_TEXT, MOST_HELD, Passing
from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.core.payload import EncodedValue, Payload
from tests.unit.codec.values import MemoryValues

STORE = MemoryValues()


def stored(codecs: PayloadCodec, value: Any) -> EncodedValue:
    return codecs.encode({"x": value}, {}, STORE, "t").values["x"]


def handed_out(codecs: PayloadCodec, value: Any) -> Any:
    return codecs.decode_one(stored(codecs, value), Any, STORE)


@pytest.mark.parametrize("value", [1.5, 1000, "text"])
def test_a_scalar_that_came_out_of_a_payload_is_marked_when_it_goes_into_another(
    value: Any,
) -> None:
    codecs = PayloadCodec()
    out = handed_out(codecs, value)
    assert stored(codecs, out).passed
    assert stored(codecs, [out, 1]).passed
    assert stored(codecs, {"k": out}).passed
    assert not stored(codecs, value).passed


def test_a_scalar_out_of_a_list_is_known_again() -> None:
    codecs = PayloadCodec()
    first, *_ = handed_out(codecs, [0.25, 0.5])
    assert stored(codecs, first).passed


@pytest.mark.parametrize("value", [0, 256, -5, True, None, "", "a"])
def test_what_python_shares_is_never_marked(value: Any) -> None:
    codecs = PayloadCodec()
    assert not stored(codecs, handed_out(codecs, value)).passed


def test_the_mark_changes_no_digest_and_survives_the_record() -> None:
    codecs = PayloadCodec()
    out = handed_out(codecs, 7.25)
    plain, marked = stored(codecs, 7.25), stored(codecs, out)
    assert (plain.digest, plain) == (marked.digest, marked)
    assert Payload.from_json(Payload(values={"x": marked}).to_json()).values["x"].passed
    assert "passed" not in plain.to_dict()


def test_only_the_latest_scalars_are_held() -> None:
    passing = Passing()
    values = [float(number) for number in range(2 * MOST_HELD + 10)]
    for value in values:
        passing.remember(value)
    assert passing.has_seen(values[-1])
    assert not passing.has_seen(values[0])


@pytest.mark.parametrize("make", [lambda held: [held], lambda held: {"k": held, "n": 1.5}])
def test_what_is_no_scalar_is_not_kept_alive(make: Any) -> None:
    class Large:
        pass

    passing, large = Passing(), Large()
    passing.remember(make(large))
    gone = weakref.ref(large)
    del large
    assert gone() is None


def test_long_texts_are_not_held_wherever_they_stand() -> None:
    passing, text = Passing(), "x" * (LONGEST_TEXT + 1)
    passing.remember([text, 2.5])
    assert not passing.has_seen(text)
    passing.remember(text)
    assert not passing.has_seen(text)
