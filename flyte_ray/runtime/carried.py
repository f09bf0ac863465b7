"""Attempts that each have a Ray task of their own, where no runner can reach their caller."""

from __future__ import annotations

from typing import Any

import ray

from flyte_ray.runtime.runner_link import Hirer, Lost, WorkItem, settle


class Carried:
    """The attempts of one shape that Ray tasks carry, each with its outcome home."""

    def __init__(self, hirer: Hirer) -> None:
        self._hirer = hirer
        self._refs: dict[int, Any] = {}

    def add(self, item: WorkItem) -> None:
        """Ask for a Ray task for this attempt, which has its number."""
        number = item.number

        def tell(word: Any) -> None:
            self._refs.pop(number, None)
            settle([(item, word if isinstance(word, Lost) else word[0][1])])

        self._refs[number] = self._hirer.carry(item, tell)

    def stop(self, item: WorkItem) -> None:
        """Cancel the Ray task softly, if it is there: the attempt will end."""
        ref = self._refs.get(item.number)
        if ref is not None:
            ray.cancel(ref, force=False, recursive=False)

    def kill(self, item: WorkItem) -> None:
        """End it by force."""
        ref = self._refs.get(item.number)
        if ref is not None:
            self._hirer.kill_carried(ref)
