"""What is computed once: cache settings, keys, misses (item 6, §9)."""

from __future__ import annotations

import pytest

from flyte_ray.core.model import ActionPhase
from tests.integration.contract.house import House, children, ended, only
from tests.integration.contract.tasks import caching
from tests.integration.contract.tasks.marks import count, total
from tests.watching import seen


def test_a_second_run_computes_only_what_is_not_cached(house: House, marks: str) -> None:
    first = house.result(caching.calls_all, marks, 1, noise=1)
    assert {name: count(marks, name) for name in caching.CACHED} == dict.fromkeys(caching.CACHED, 1)
    run = house.finish(caching.calls_all, marks, 1, noise=2)
    assert run.outputs()[0] == first == [1] * 8 + [None] + [1] * 4 + [-1]
    assert {name: count(marks, name) for name in caching.CACHED} == dict.fromkeys(caching.CACHED, 1)
    assert {name: count(marks, name) for name in caching.NOT_CACHED} == dict.fromkeys(
        caching.NOT_CACHED, 2
    )
    hits = [a for a in children(run) if a.cached]
    assert sorted(a.name for a in hits) == sorted(caching.CACHED)
    assert {a.phase for a in hits} == {ActionPhase.SUCCEEDED}
    assert all(a.attempts == () and a.attrs["cached_from"] for a in hits)
    assert house.catalog().run(run.name).counts["cached"] == len(hits)
    house.finish(caching.calls_all, marks, 2, noise=2)
    assert count(marks, "with_true") == 2, "another input is another key"
    assert count(marks, "gives_none") == 1


def test_the_root_is_cached_too(house: House, marks: str) -> None:
    assert house.result(caching.cached_root, marks, 7) == [7]
    again = house.finish(caching.cached_root, marks, 7)
    assert again.outputs()[0] == [7]
    assert again.phase is ActionPhase.SUCCEEDED
    assert only(again, "cached_root").cached
    assert children(again) == []
    assert total(marks) == 2


def test_overwrite_ignores_what_is_there_and_replaces_it(house: House, marks: str) -> None:
    house.result(caching.cached_root, marks, 1)
    ended(house.runner(overwrite_cache=True).run(caching.cached_root, marks, 1))
    assert total(marks) == 4
    house.result(caching.cached_root, marks, 1)
    assert total(marks) == 4


def test_disable_run_cache_neither_reads_nor_writes(house: House, marks: str) -> None:
    for expected in (2, 4):
        ended(house.runner(disable_run_cache=True).run(caching.cached_root, marks, 1))
        assert total(marks) == expected
    house.result(caching.cached_root, marks, 1)
    assert total(marks) == 6


def test_version_and_salt_enter_the_key(house: House, marks: str) -> None:
    for version, salt, expected in [
        ("", "", 1),
        ("v1", "", 2),
        ("v2", "", 3),
        ("v1", "", 3),
        ("", "salt", 4),
        ("", "salt", 4),
        ("", "", 4),
    ]:
        house.result(caching.calls_with_options, marks, version, salt)
        assert count(marks, "with_true") == expected, (version, salt)


def test_an_entry_that_is_too_old_is_none(house: House, marks: str) -> None:
    house.result(caching.calls_aged, marks, 3600)
    house.result(caching.calls_aged, marks, 3600)
    assert count(marks, "with_true") == 1
    _age_cache(house, marks)


def _age_cache(house: House, marks: str) -> None:
    """Entries older than a second do not count for whoever wants at most a second."""

    def computes_again() -> bool:
        house.result(caching.calls_aged, marks, 1)
        return count(marks, "with_true") == 2

    assert seen(computes_again, every_s=0.05)


def test_a_hit_whose_value_is_gone_is_a_miss(house: House, marks: str) -> None:
    run = house.finish(caching.makes_a_large_value, marks)
    (value,) = run.actions()[-1].outputs.values.values()
    (house.store / value.key).unlink()
    house.result(caching.makes_a_large_value, marks)
    assert count(marks, "large") == 2
    house.result(caching.makes_a_large_value, marks)
    assert count(marks, "large") == 2, "the new one has taken its place"


def test_bad_cache_settings_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="cache"):
        caching.env.task(cache="sometimes")(lambda: None)
