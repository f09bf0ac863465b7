"""Results on their way into the cache: nobody who adds one waits for the store."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from flyte_ray.engine import publishing
from flyte_ray.engine.publishing import Publisher
from flyte_ray.store.cache_index import Entry
from tests.watching import seen


class SlowCache:
    """A cache whose store does not answer before it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.asked = threading.Event()
        self.taken: list[str] = []

    def publish(self, entries: Sequence[Entry]) -> None:
        self.asked.set()
        assert self.let.wait(30)
        self.taken += [each.key for each in entries]


def entry(key: str) -> Entry:
    return Entry(key=key, created_us=1, run="r1", action_id="a1", task="env.step", outputs="{}")


def test_who_adds_a_result_does_not_wait_while_others_are_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publishing, "TOGETHER", 2)
    cache = SlowCache()
    publisher = Publisher(cache, "r1")  # type: ignore[arg-type]
    publisher.add(entry("k1"))
    assert not cache.asked.is_set()
    publisher.add(entry("k2"))
    assert cache.asked.wait(30)
    publisher.add(entry("k3"))  # returns although the cache has not answered
    assert cache.taken == []
    cache.let.set()
    assert seen(lambda: cache.taken == ["k1", "k2"], every_s=0.01)
    publisher.publish()
    assert cache.taken == ["k1", "k2", "k3"]
