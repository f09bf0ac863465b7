"""The key under which a result may be reused by another run.

    key = H(format, task name, cache version, interface, inputs less the ignored)

The salt is part of the cache version (`core/cache`). The key is built from our own canonical
encoding, so that no upgrade of a library changes it; golden values stand in the tests. The
components are recorded beside the key, so that a miss can be explained later.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

from flyte_ray.core.digest import Digest, canonical_json
from flyte_ray.core.noun import noun

FORMAT = "cache-1"


@noun(frozen=True, slots=True, kw_only=True)
class CacheBasis:
    """What the cache keys of all calls of one task are made of, apart from the inputs.

    Example:
        >>> CacheBasis(task="env.step", version="v1", interface="1f").key("2e")[:8]
        '248e1aef'
    """

    task: str
    version: str
    interface: Digest

    def key(self, inputs: Digest) -> Digest:
        """The key of a call, 64 hex characters.

        Args:
            inputs: `Payload.digest_without` of the ignored inputs.
        """
        head = _head(self.task, self.version, self.interface)
        # The canonical JSON of [format, task, version, interface, inputs].
        return sha256(head + f'"{inputs}"]'.encode()).hexdigest()


@lru_cache(maxsize=256)
def _head(*components: str) -> bytes:
    return f"{canonical_json([FORMAT, *components])[:-1]},".encode("utf-8", "surrogatepass")
