"""Large values on their way through a process: what is only handed on is known again.

A value that came out of the store and goes into another call is encoded, hashed and stored once, by
whoever made it. It is recognised by the object itself and by its traits (`codec.Shareable.traits`):

* what cannot be changed in place (Arrow tables that were made here) is what it was;
* what can be (arrays, tensors) lies in memory that knows whether it was written to
  (`codec/own_memory`), else it is hashed again;
* all other objects are hashed again. If the digest is known here, they are not encoded again.

Refused: keeping values. This room knows them as long as others do.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flyte_ray.codec.codec import Shareable, Traits
from flyte_ray.codec.own_memory import OwnMemory, memory_at
from flyte_ray.core.digest import Digest
from flyte_ray.core.payload import EncodedValue
from flyte_ray.core.ports import Part

DIGESTS_KNOWN = 1024


@dataclass(frozen=True, slots=True)
class _Known:
    value: weakref.ref[Any]
    encoded: EncodedValue
    traits: Traits
    memory: weakref.ref[OwnMemory] | None


class Handed:
    """The large values that this process has decoded or encoded, as long as they live."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a value may be collected, and forgotten, at any point
        self._known: dict[int, _Known] = {}
        self._digests: OrderedDict[tuple[str, str, Digest], EncodedValue] = OrderedDict()

    def remember(
        self,
        codec: Shareable,
        value: Any,
        encoded: EncodedValue,
        traits: Traits | None,
        parts: Sequence[Part],
    ) -> None:
        """A value that was just decoded, and is handed out.

        Args:
            codec: whose value it is.
            value: the object.
            encoded: as it is stored.
            traits: its traits now.
            parts: what it was made from.
        """
        self.note(encoded)
        if encoded.key is None or traits is None or not encoded.stable:
            return
        memory = None
        if traits.address:
            found = memory_at(parts, traits.address, traits.size_bytes)
            # A digest that an author gave would not be found again once the value was hashed.
            if found is None or encoded.digest not in encoded.key:
                return
            memory = weakref.ref(found)
        place = id(value)

        def forget(gone: weakref.ref[Any]) -> None:
            with self._lock:
                known = self._known.get(place)
                if known is not None and known.value is gone:
                    del self._known[place]

        try:
            reference = weakref.ref(value, forget)
        except TypeError:
            return
        with self._lock:
            self._known[place] = _Known(reference, encoded, traits, memory)

    def recall(self, codec: Shareable, value: Any) -> EncodedValue | None:
        """How this very value is stored; None if it is not known, or may have changed since."""
        known = self._known.get(id(value))
        if known is None or known.value() is not value or known.encoded.codec != codec.name:
            return None
        if codec.traits(value) != known.traits:
            return None
        if known.memory is not None:
            memory = known.memory()
            if memory is None or not memory.is_untouched():
                return None
        return known.encoded

    def note(self, encoded: EncodedValue) -> None:
        """An equal value need not be encoded again."""
        if not encoded.stable or encoded.key is None:
            return
        with self._lock:
            self._digests[_place(encoded.codec, encoded.type, encoded.digest)] = encoded
            if len(self._digests) > DIGESTS_KNOWN:
                self._digests.popitem(last=False)

    def equal(self, codec: str, type_: str, digest: Digest) -> EncodedValue | None:
        """How an equal value is stored, if this process has seen one."""
        return self._digests.get(_place(codec, type_, digest))


def _place(codec: str, type_: str, digest: Digest) -> tuple[str, str, Digest]:
    return codec, type_, digest
