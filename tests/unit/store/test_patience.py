"""Waiting for a store that is away: for so long after the first error, no longer."""

from __future__ import annotations

import pytest

from flyte_ray.errors import StoreError
from flyte_ray.store import patience
from flyte_ray.store.patience import Patience


class Clock:
    """Time that passes only in requests and pauses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        monkeypatch.setattr(patience.time, "monotonic", lambda: self.now_s)
        monkeypatch.setattr(patience.threading, "Event", lambda: self)

    def wait(self, timeout_s: float) -> None:
        self.now_s += timeout_s


def test_a_request_that_takes_long_is_repeated_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, tries = Clock(monkeypatch), []

    def upload() -> str:
        clock.now_s += 300.0
        tries.append(clock.now_s)
        if len(tries) == 1:
            raise StoreError("reset by peer")
        return "there"

    assert Patience("r", 60.0).ask(upload) == "there"
    assert len(tries) == 2


def test_a_store_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    def request() -> None:
        raise StoreError("away")

    with pytest.raises(StoreError, match="away"):
        Patience("r", 60.0).ask(request)
    assert clock.now_s == pytest.approx(60.0)
