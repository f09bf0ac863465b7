"""The garbage collector's thresholds during runs in an author's process."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from flyte_ray.engine.collecting import THRESHOLDS, begin_patience, end_patience


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_the_last_run_to_end_puts_the_thresholds_back() -> None:
    gc.set_threshold(700, 10, 10)
    begin_patience()
    begin_patience()
    assert gc.get_threshold() == THRESHOLDS
    end_patience()
    assert gc.get_threshold() == THRESHOLDS
    end_patience()
    assert gc.get_threshold() == (700, 10, 10)


def test_what_an_author_sets_meanwhile_stays() -> None:
    begin_patience()
    gc.set_threshold(5, 5, 5)
    end_patience()
    assert gc.get_threshold() == (5, 5, 5)
