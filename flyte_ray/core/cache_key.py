"""The key under which a result may be reused by another run.

    key = H(format, task name, cache version, interface, inputs less the ignored)

The salt is part of the cache version (`core/cache`). The key is built from our own canonical
encoding, so that no upgrade of a library changes it; golden values stand in the tests. The
components are recorded beside the key, so that a miss can be explained later.
"""

from __future__ import annotations

from dataclasses import dataclass

from flyte_ray.core.digest import Digest, digest_json
from flyte_ray.core.payload import Payload

FORMAT = "cache-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheComponents:
    """What a cache key is made of."""

    task: str
    version: str
    interface: Digest
    inputs: Digest

    @property
    def key(self) -> Digest:
        """The key itself, 64 hex characters."""
        return digest_json([FORMAT, self.task, self.version, self.interface, self.inputs])


def components_of(
    *, task: str, version: str, interface: Digest, inputs: Payload, ignored: tuple[str, ...]
) -> CacheComponents:
    """The components for a call with these inputs."""
    return CacheComponents(
        task=task,
        version=version,
        interface=interface,
        inputs=inputs.digest_without(ignored),
    )
