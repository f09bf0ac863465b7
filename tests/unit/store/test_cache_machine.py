"""The cache as a state machine: publish, compact, sweep, crash and look up in any order.

Two readers of different age look on. Neither ever sees an entry that was not published, nor misses
one that was there when it last listed; at the end everything is found, once, wherever it lies.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flyte_ray.store.cache_compaction import all_entries, compact_cache, sweep_cache
from flyte_ray.store.cache_entries import Entry, take_in
from flyte_ray.store.cache_index import StoredCache
from tests.unit.store.stores import DictBlobs
from tests.unit.store.test_cache_compaction import HOUR_US, entry, key

NUMBERS = st.integers(0, 30)


class Crash(Exception):
    """The process died at a storage call."""


class CacheMachine(RuleBasedStateMachine):
    """One store; time passes only when a rule says so."""

    @initialize()
    def begin(self) -> None:
        self.blobs = DictBlobs()
        self.now_us = 0
        self.stamp = 0
        self.truth: dict[str, Entry] = {}
        self.eager = StoredCache(self.blobs, refresh_s=0)
        self.lazy = StoredCache(self.blobs, refresh_s=3600)
        self.lazy_knows: dict[str, Entry] = {}

    @rule(numbers=st.lists(NUMBERS, max_size=8), overwrites=st.booleans(), backwards=st.booleans())
    def publish(self, numbers: list[int], overwrites: bool, backwards: bool) -> None:
        self.stamp += 1
        at = -self.stamp if backwards else self.stamp
        new = [entry(n, at, run=f"r{self.stamp}", overwrites=overwrites) for n in set(numbers)]
        StoredCache(self.blobs).publish(new)
        take_in(self.truth, new)

    @rule(hours=st.integers(0, 3))
    def time_passes(self, hours: int) -> None:
        self.now_us += hours * HOUR_US

    @rule()
    def compact(self) -> None:
        compact_cache(self.blobs, now_us=self.now_us, shard_rows=4)

    @rule()
    def sweep(self) -> None:
        sweep_cache(self.blobs, now_us=self.now_us)

    @rule(calls=st.integers(0, 12), lost_reply=st.booleans(), sweeping=st.booleans())
    def crash(self, calls: int, lost_reply: bool, sweeping: bool) -> None:
        left = calls

        def die(operation: str, what: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Crash

        setattr(self.blobs, "after" if lost_reply else "before", die)
        try:
            if sweeping:
                sweep_cache(self.blobs, now_us=self.now_us)
            else:
                compact_cache(self.blobs, now_us=self.now_us, shard_rows=4)
        except Crash:
            pass
        self.blobs.before = self.blobs.after = lambda operation, what: None

    @rule()
    def somebody_is_quicker(self) -> None:
        """Another compactor, and a sweep, come in between reading and writing a manifest."""
        raced: list[str] = []

        def rival(operation: str, what: str) -> None:
            if operation == "put_new" and not raced:
                raced.append(what)
                compact_cache(self.blobs, now_us=self.now_us, shard_rows=4)
                sweep_cache(self.blobs, now_us=self.now_us)

        self.blobs.before = rival
        compact_cache(self.blobs, now_us=self.now_us, shard_rows=4)
        self.blobs.before = lambda operation, what: None

    @rule()
    def lazy_reader_lists(self) -> None:
        self.lazy.refresh()
        self.lazy_knows = dict(self.truth)

    @rule(numbers=st.lists(NUMBERS, min_size=1, max_size=5, unique=True))
    def lazy_reader_asks(self, numbers: list[int]) -> None:
        """Twice: the first time it may find that its files were swept away."""
        keys = [key(number) for number in numbers]
        self.lazy.look_up(keys)
        found = self.lazy.look_up(keys)
        for each in keys:
            assert each not in found or each in self.truth
            assert each not in self.lazy_knows or each in found

    @invariant()
    def an_eager_reader_finds_the_truth(self) -> None:
        keys = [key(number) for number in range(31)]
        self.eager.refresh()
        self.eager.look_up(keys)
        assert plain(self.eager.look_up(keys)) == plain(self.truth)

    def teardown(self) -> None:
        if hasattr(self, "blobs"):
            assert plain(all_entries(self.blobs)) == plain(self.truth)
            assert plain(StoredCache(self.blobs).look_up(list(self.truth))) == plain(self.truth)


def plain(entries: Any) -> dict[str, tuple[int, str]]:
    return {each: (found.created_us, found.run) for each, found in entries.items()}


CacheMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestCacheMachine = CacheMachine.TestCase
