"""Large values between tasks: durable first, quick beside it, and everybody's own."""

from __future__ import annotations

import time

import numpy as np
import pytest
import ray
from ray._private.internal_api import memory_summary

from tests.integration.contract.house import House
from tests.integration.contract.tasks import passing


@pytest.mark.parametrize("warm", [False, True], ids=["plain", "reusable"])
@pytest.mark.parametrize("kind", passing.MAKERS)
def test_a_value_is_stored_once_and_read_from_there_by_nobody(
    kind: str, warm: bool, house: House
) -> None:
    were, since, right = house.outputs(passing.without_the_store, kind, warm, str(house.store))
    assert were == (2 if kind == "nested" else 1), "it was there before its parent saw it"
    assert since == 0, "nothing was stored a second time"
    assert right == [True] * 3


def test_each_task_may_write_to_what_it_was_given(house: House) -> None:
    seen, stored = house.outputs(passing.everyone_writes, str(house.store))
    assert seen == [7.0, -1.0, 0.0, 0.0]
    assert stored == 3, "as it was made, and as two have changed it"


@pytest.mark.integration
def test_a_value_outlives_the_process_that_made_it(ray_house: House) -> None:
    assert ray_house.outputs(passing.maker_killed, str(ray_house.store)) == [True, True]


def test_an_input_of_the_run_is_handed_on_without_being_stored_again(house: House) -> None:
    value = np.arange(float(passing.LENGTH))
    before, after, last = house.outputs(passing.handed_in, value, str(house.store))
    assert (before, after, last) == (1, 0, value[-1])


@pytest.mark.integration
def test_a_copy_that_bears_another_key_is_not_believed(ray_house: House) -> None:
    found = ray_house.outputs(passing.claimed_by_another, str(ray_house.store))
    assert found == [True, True]


@pytest.mark.integration
def test_a_run_that_has_ended_leaves_nothing_in_the_object_store(ray_house: House) -> None:
    for warm in (False, True):
        ray_house.outputs(passing.without_the_store, "nested", warm, str(ray_house.store))
    address = ray.get_runtime_context().gcs_address
    give_up_at = time.monotonic() + 30
    while "usage 0 MiB" not in (told := memory_summary(address, stats_only=True)):
        assert time.monotonic() < give_up_at, told
        time.sleep(0.2)
