"""Values in flight. The golden text stands in books that were written long ago."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from flyte_ray.core.payload import EMPTY, EncodedValue, Payload

VALUES = st.builds(
    EncodedValue,
    codec=st.sampled_from(["json", "pickle", "npy"]),
    type=st.text(max_size=10),
    digest=st.text("0123456789abcdef", min_size=64, max_size=64),
    size_bytes=st.integers(0, 2**40),
    inline=st.none() | st.text(max_size=20),
    key=st.none() | st.text(min_size=1, max_size=20),
    elements=st.lists(st.text(max_size=4), max_size=3).map(tuple),
    stable=st.booleans(),
    code=st.lists(st.tuples(st.text(max_size=9), st.text("0123456789abcdef")), max_size=2).map(
        tuple
    ),
)
PAYLOADS = st.dictionaries(st.text(max_size=8), VALUES, max_size=4).map(
    lambda values: Payload(values=values)
)

ONE = EncodedValue(codec="json", type="int", digest="d" * 64, size_bytes=1, inline="1")


def test_golden_values() -> None:
    payload = Payload(values={"x": ONE})
    assert payload.to_json() == (
        '{"x":{"codec":"json","type":"int","digest":"' + "d" * 64 + '","size":1,"inline":"1"}}'
    )
    assert payload.digest == "f3a383be8023d6573e16257bb8c9c5a981e31b9421f3449646f2aab7ca285493"
    assert EMPTY.digest == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_the_code_that_a_value_names_counts_and_the_names_of_it_do_not() -> None:
    def digest(*code: tuple[str, str]) -> str:
        return Payload(values={"x": replace(ONE, code=code)}).digest

    assert digest() == Payload(values={"x": ONE}).digest
    assert digest(("fast.Fast", "a")) == digest(("__main__.Fast", "a"))
    assert (
        len({digest(), digest(("f", "a")), digest(("f", "b")), digest(("f", "a"), ("g", "b"))}) == 4
    )
    assert (
        Payload(values={"x": replace(ONE, code=(("f", "a"),))}).digest_without(("x",))
        == EMPTY.digest
    )


@given(PAYLOADS)
def test_what_is_written_is_read_back(payload: Payload) -> None:
    assert Payload.from_json(payload.to_json()) == payload


@given(PAYLOADS)
def test_the_text_of_a_value_is_that_of_its_plain_form(payload: Payload) -> None:
    for value in payload.values.values():
        assert json.loads(value.to_json()) == value.to_dict()


def test_fields_at_their_default_are_left_out() -> None:
    assert set(ONE.to_dict()) == {"codec", "type", "digest", "size", "inline"}


def test_fields_of_later_releases_are_passed_over() -> None:
    data = {**ONE.to_dict(), "invented_later": 1}
    assert EncodedValue.from_dict(data) == ONE


@given(PAYLOADS)
def test_the_digest_does_not_depend_on_the_order_of_names(payload: Payload) -> None:
    turned = Payload(values=dict(reversed(payload.values.items())))
    assert turned.digest == payload.digest


@given(PAYLOADS)
def test_the_digest_speaks_of_contents_and_code_alone(payload: Payload) -> None:
    moved = {
        name: EncodedValue(
            codec="other", type="t", digest=value.digest, size_bytes=0, key="k", code=value.code
        )
        for name, value in payload.values.items()
    }
    assert Payload(values=moved).digest == payload.digest


def test_the_record_stays_readable_text() -> None:
    text = Payload(values={"größe": ONE}).to_json()
    assert "größe" in text
    assert list(json.loads(text)) == ["größe"]
