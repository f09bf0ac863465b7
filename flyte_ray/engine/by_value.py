"""Tasks that no other process can import (notebooks, closures): pickled, and put into the store.

An object of its digest under `code/`, written before a row or a worker names it. Whoever sends one
says so on the action's first row (`blob_key`): by that its run takes it along into an archive, and
a removal finds out who still needs it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from flyte_ray.author import reference
from flyte_ray.core.callee import Callee
from flyte_ray.core.facts import joined, text_of_facts
from flyte_ray.core.ports import Blobs
from flyte_ray.engine.action import Action
from flyte_ray.store import layout
from flyte_ray.store.unused_code import unmark_code


class ByValue:
    """What one process sends by value for one run. Thread-safe: single steps on a dict."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._sent: dict[int, tuple[Callee, str]] = {}
        """The task is kept, so that its id stays its own."""

    def key_of(self, task: Callee) -> str:
        """Where the task lies; stored when it is first asked for, which blocks.

        Raises:
            StoreError: the store is away.
        """
        known = self._sent.get(id(task))
        if known is None:
            data = reference.dump_by_value(task)
            key = layout.code_by_value(hashlib.sha256(data).hexdigest())
            unmark_code(self._blobs, key)
            self._blobs.put(key, data)
            known = self._sent[id(task)] = (task, key)
        return known[1]

    def sent_along(self, action: Action, task: Callee) -> Action:
        """The action with the address at which workers find its task, which its row names."""
        key = self.key_of(task)
        spec = replace(action.spec, address=replace(action.spec.address, blob_key=key))
        attrs = joined(text_of_facts(action.attrs), json.dumps({"blob_key": key}))
        return replace(action, spec=spec, attrs=attrs)
