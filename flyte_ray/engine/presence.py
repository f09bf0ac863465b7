"""Are the values there that an answer points to? Asked of the store for many at once.

An answer whose values are gone is none. On a bucket one LIST per folder takes the place of many
questions; what was seen a moment ago is not asked for again.
"""

from __future__ import annotations

import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

from flyte_ray.core.payload import Payload
from flyte_ray.core.ports import Blobs
from flyte_ray.store import layout
from flyte_ray.store.blobs import is_local
from flyte_ray.store.parallel import in_parallel

WORTH_A_LIST = 16
SEEN_FOR_S = 60.0


class Presence:
    """Looks for objects of one store. Thread-safe."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._is_local = is_local(blobs)
        self._lock = threading.Lock()
        self._seen: dict[str, float] = {}
        url = re.escape(blobs.url)
        self._files = re.compile(rf'{url}/({layout.RUNS}/[^"\\/]+/files/[^"\\]+)')

    def keys_of(self, outputs: Payload) -> list[str]:
        """What the outputs point to in this store: large values, and files that a run keeps."""
        keys = []
        for value in outputs.values.values():
            if value.key is not None:
                keys.append(value.key)
            elif value.inline is not None and "/files/" in value.inline:
                keys += self._files.findall(value.inline)
        return keys

    def gone(self, keys: Iterable[str]) -> set[str]:
        """Those of the keys that the store does not hold."""
        asked = set(keys)
        if not asked:
            return asked
        if self._is_local:
            return {key for key in asked if not self._is_there(key)}
        now = time.monotonic()
        with self._lock:
            unknown = [key for key in asked if now - self._seen.get(key, -SEEN_FOR_S) >= SEEN_FOR_S]
        present = self._present(unknown)
        with self._lock:
            self._seen.update(dict.fromkeys(present, now))
        return set(unknown) - present

    def _is_there(self, key: str) -> bool:
        # A directory is a folder of objects: it is there as long as there is anything in it.
        return self._blobs.exists(key) or ("/files/" in key and bool(self._blobs.list(key)))

    def _present(self, keys: Sequence[str]) -> set[str]:
        folders: dict[str, list[str]] = defaultdict(list)
        for key in keys:
            folders[key.rpartition("/")[0]].append(key)
        whole = [folder for folder, names in folders.items() if len(names) >= WORTH_A_LIST]
        single = [key for key in keys if key.rpartition("/")[0] not in set(whole)]
        found: set[str] = set()
        for folder, names in zip(
            whole, in_parallel(self._blobs, self._blobs.list, whole), strict=True
        ):
            found.update(f"{folder}/{name}" for name in names)
        answers = in_parallel(self._blobs, self._is_there, single)
        found.update(key for key, is_there in zip(single, answers, strict=True) if is_there)
        return found & set(keys)
