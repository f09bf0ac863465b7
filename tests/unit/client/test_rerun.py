"""A rerun with code whose task takes other inputs than it did."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import flyte_ray as flyte
from flyte_ray.testing.harness import LocalHarness, flyte_local

__all__ = ["flyte_local"]


@pytest.fixture
def earlier(flyte_local: LocalHarness) -> str:
    """A run of the task as it was: with inputs `xs` and `k`."""

    async def total(xs: list[int], k: int = 1) -> int:
        return sum(xs) * k

    return flyte_local.run(_named(total), xs=[1, 2], k=3).name


def _named(func: Any) -> Any:
    return flyte.TaskEnvironment(name="edited").task(func)


@pytest.mark.parametrize("recover", [True, False])
def test_an_input_that_is_new_and_needs_a_value_is_named(
    flyte_local: LocalHarness, earlier: str, recover: bool
) -> None:
    async def total(ys: list[int]) -> int:
        return sum(ys)

    _named(total)
    with pytest.raises(ValueError, match=r"\(xs, k gone, ys new\): give a value for ys, or"):
        flyte_local.rerun(earlier, recover=recover, code="current")


def test_a_renamed_input_takes_the_value_that_it_is_given(
    flyte_local: LocalHarness, earlier: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def total(ys: list[int], k: int = 1) -> int:
        return sum(ys) * k

    _named(total)
    with caplog.at_level(logging.WARNING):
        again = flyte_local.rerun(earlier, code="current", ys=[10])
    assert again.outputs()[0] == 30
    assert dict(again.inputs()) == {"k": 3, "ys": [10]}
    assert f"other inputs now than in run {earlier} (xs gone, ys new)" in caplog.text


def test_an_input_that_is_gone_is_left_out_and_a_new_one_has_its_default(
    flyte_local: LocalHarness, earlier: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def total(xs: list[int], more: int = 5) -> int:
        return sum(xs) + more

    _named(total)
    with caplog.at_level(logging.WARNING):
        again = flyte_local.rerun(earlier, recover=True, code="current")
    assert again.outputs()[0] == 8
    assert dict(again.inputs()) == {"xs": [1, 2], "more": 5}
    assert "(k gone, more new)" in caplog.text
    assert "recovered with changed inputs" in caplog.text


def test_the_stored_code_takes_the_inputs_that_it_took(
    flyte_local: LocalHarness, earlier: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        again = flyte_local.rerun(earlier, code="stored", k=2)
    assert again.outputs()[0] == 6
    assert "other inputs" not in caplog.text
