"""One value on its way into a payload: leaves, their guards, and where their bytes go.

What is large goes into the value store at once, *before* anyone is told of it. The bytes of every
leaf are guarded by a digest of their own, which stands in front of inline bytes and in the key of
an object; the leaf's digest is that of the logical content.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from flyte_ray.codec.codec import (
    Codec,
    Encoded,
    Node,
    Shareable,
    shareable,
    sharing,
)
from flyte_ray.codec.handed import Handed
from flyte_ray.codec.pickled import PickleCodec
from flyte_ray.codec.plain import VALUE, leaf_of, text_of
from flyte_ray.core.digest import Digest, digest_bytes
from flyte_ray.core.named_code import Named, code_named
from flyte_ray.core.payload import INLINE_LIMIT_BYTES, EncodedValue
from flyte_ray.core.ports import Part, ValueStore

JSON = "json"
HASHED_JSON = "hashed-json"
"""JSON under a digest that the author's hash function gave."""
_PICKLE = PickleCodec()


class ValueWriter:
    """One value on its way into a payload; see `codec/codec.Writer`."""

    __slots__ = ("_handed", "_named", "_store", "marked", "stable")

    def __init__(self, store: ValueStore, handed: Handed) -> None:
        self._store = store
        self._handed = handed
        self._named: dict[int, Any] | None = None
        self.marked = False
        self.stable = True

    @property
    def code(self) -> tuple[Named, ...]:
        """The author's code that the value names and that no annotation leads to."""
        return code_named(self._named.values()) if self._named else ()

    @property
    def files_url(self) -> str | None:
        return getattr(self._store, "files_url", None)

    def force(self, path: Path) -> None:
        force = getattr(self._store, "force", None)
        if force is not None:
            force(path)

    def tell(self, cls: type) -> None:
        if self._named is None:
            self._named = {}
        self._named[id(cls)] = cls

    def mark(self) -> None:
        self.marked = True

    def leaf(self, codec: Codec, value: Any, type_: Any) -> Node:
        shared = shareable(codec)
        known = self._handed.recall(shared, value) if shared is not None else None
        if known is not None and not self._is_kept(known, shared, value):
            known = None
        if known is not None:
            return self._stand_for(known)
        encoded = codec.encode(value, type_)
        if encoded.later is not None:
            equal = self._handed.equal(codec.name, encoded.type, encoded.digest)
            if equal is not None and self._is_kept(equal, shared, value):
                return self._stand_for(equal)
            encoded = encoded.later()
        self._tell_all(encoded, type(value))  # its own class was told if no annotation names it
        stored = self._stored(codec.name, encoded, encoded.digest, encoded.stable)
        # By its digest only: what an author made may share its memory with what they change.
        self._handed.note(stored)
        return self._stand_for(stored)

    def _is_kept(self, known: EncodedValue, codec: Shareable | None, value: Any) -> bool:
        """True if the run has the value in its own store (and then, a fast copy too)."""
        store = sharing(self._store)
        share = partial(codec.share, value) if codec is not None else _unshared
        return store is not None and store.hand_on(known, share)

    def pickle(self, value: Any, type_: Any, digest: Digest | None = None) -> Node:
        encoded = _PICKLE.encode(value, type_, warn=digest is None)
        if digest is None:  # else it was laid out as well, and all in it was told
            self._tell_all(encoded, type_)
        stable = encoded.stable or digest is not None
        return self._embed(_PICKLE.name, encoded, digest or encoded.digest, stable)

    def _tell_all(self, encoded: Encoded, known: Any) -> None:
        for each in encoded.names:
            if each is not known:
                self.tell(each)

    def embed(self, codec: str, encoded: Encoded) -> Node:
        return self._embed(codec, encoded, encoded.digest, encoded.stable)

    def _embed(self, codec: str, encoded: Encoded, digest: Digest, stable: bool) -> Node:
        if encoded.later is not None:
            encoded = replace(encoded.later(), type=encoded.type)
        # Whoever embeds it reads its bytes, not the form that a codec adopts.
        bare = replace(encoded, share=None) if encoded.share is not None else encoded
        return self._stand_for(self._stored(codec, bare, digest, stable))

    def _stand_for(self, value: EncodedValue) -> Node:
        self.marked = True
        self.stable = self.stable and value.stable
        return {VALUE: value.to_dict()}

    def _stored(self, codec: str, encoded: Encoded, digest: Digest, stable: bool) -> EncodedValue:
        inline, key = encoded.text, None
        if encoded.text is not None:
            size = len(encoded.text.encode())
        else:
            size = sum(map(_size, encoded.parts))
            content = encoded.content or digest_bytes(*encoded.parts)
            if size > INLINE_LIMIT_BYTES:
                key = self._put(content, codec, encoded)
            else:
                data = b"".join(bytes(part) for part in encoded.parts)
                inline = f"{content}:{base64.b64encode(data).decode('ascii')}"
        return EncodedValue(
            codec=codec,
            type=encoded.type,
            digest=digest,
            size_bytes=size,
            inline=inline,
            key=key,
            stable=stable,
        )

    def _put(self, content: Digest, codec: str, encoded: Encoded) -> str:
        store = sharing(self._store)
        if store is None or encoded.share is None:
            return self._store.put(content, codec, *encoded.parts)
        return store.put_shared(content, codec, encoded.parts, encoded.share)

    def with_digest(self, node: Node, tag: str, digest: Digest) -> Node:
        self.marked = True
        self.stable = True
        leaf = leaf_of(node)
        if leaf is not None:
            leaf.pop("stable", None)
            return {VALUE: {**leaf, "digest": digest}}
        text = text_of(node)
        guarded = f"{digest_bytes(text.encode('utf-8', 'surrogatepass'))}:{text}"
        return self.embed(HASHED_JSON, Encoded(digest=digest, type=tag, text=guarded))


def _unshared() -> None:
    """Of a codec whose values are not shared."""


def _size(part: Part) -> int:
    return part.nbytes if isinstance(part, memoryview) else len(part)
