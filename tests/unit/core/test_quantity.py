"""Kubernetes quantities, against the grammar."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_ray.core.quantity import parse_quantity


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0),
        ("2", 2),
        ("1.5", Fraction(3, 2)),
        (".5", Fraction(1, 2)),
        ("500m", Fraction(1, 2)),
        ("100u", Fraction(1, 10_000)),
        ("512Mi", 512 * 1024**2),
        ("4Gi", 4 * 1024**3),
        ("1.5Gi", 3 * 1024**3 // 2),
        ("2Ti", 2 * 1024**4),
        ("1Pi", 1024**5),
        ("500M", 500_000_000),
        ("1G", 10**9),
        ("3k", 3000),
        ("3K", 3000),
        ("1E", 10**18),
        ("1e3", 1000),
        ("12E2", 1200),
        ("1e-3", Fraction(1, 1000)),
        (" 4Gi ", 4 * 1024**3),
    ],
)
def test_quantity_is_read_exactly(text: str, amount: Fraction | int) -> None:
    assert parse_quantity(text) == amount


@pytest.mark.parametrize(
    "text", ["", "abc", "4Gb", "4 Gi", "Gi", "-1", "+1", "1.2.3", "1e", "0x10", "1ki", "٣", "1e999"]
)
def test_what_is_no_quantity_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="4Gi"):
        parse_quantity(text)


@given(st.integers(0, 10**12), st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi", "Ti"]))
def test_quantities_scale_with_their_number(number: int, suffix: str) -> None:
    assert parse_quantity(f"{number}{suffix}") == number * parse_quantity(f"1{suffix}")


@given(st.text(max_size=8))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert parse_quantity(text) >= 0
    except ValueError as error:
        assert repr(text) in str(error)
