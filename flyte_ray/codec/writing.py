"""One value on its way into a payload: leaves, their guards, and where their bytes go.

What is large goes into the value store at once, *before* anyone is told of it. The bytes of every
leaf are guarded by a digest of their own, which stands in front of inline bytes and in the key of
an object; the leaf's digest is that of the logical content.
"""

from __future__ import annotations

import base64
from typing import Any

from flyte_ray.codec.codec import Codec, Encoded, Node, Part
from flyte_ray.codec.pickled import PickleCodec
from flyte_ray.codec.plain import VALUE, leaf_of, text_of
from flyte_ray.core.digest import Digest, digest_bytes
from flyte_ray.core.payload import INLINE_LIMIT_BYTES, EncodedValue
from flyte_ray.core.ports import ValueStore

JSON = "json"
HASHED_JSON = "hashed-json"
"""JSON under a digest that the author's hash function gave."""
_PICKLE = PickleCodec()


class ValueWriter:
    """One value on its way into a payload; see `codec/codec.Writer`."""

    __slots__ = ("_store", "marked", "stable")

    def __init__(self, store: ValueStore) -> None:
        self._store = store
        self.marked = False
        self.stable = True

    @property
    def files_url(self) -> str | None:
        return getattr(self._store, "files_url", None)

    def mark(self) -> None:
        self.marked = True

    def leaf(self, codec: Codec, value: Any, type_: Any) -> Node:
        return self.embed(codec.name, codec.encode(value, type_))

    def pickle(self, value: Any, type_: Any, digest: Digest | None = None) -> Node:
        encoded = _PICKLE.encode(value, type_, warn=digest is None)
        stable = encoded.stable or digest is not None
        return self._embed(_PICKLE.name, encoded, digest or encoded.digest, stable)

    def embed(self, codec: str, encoded: Encoded) -> Node:
        return self._embed(codec, encoded, encoded.digest, encoded.stable)

    def _embed(self, codec: str, encoded: Encoded, digest: Digest, stable: bool) -> Node:
        self.marked = True
        self.stable = self.stable and stable
        inline, key = encoded.text, None
        if encoded.text is not None:
            size = len(encoded.text.encode())
        else:
            size = sum(map(_size, encoded.parts))
            content = encoded.content or digest_bytes(*encoded.parts)
            if size > INLINE_LIMIT_BYTES:
                key = self._store.put(content, codec, *encoded.parts)
            else:
                data = b"".join(bytes(part) for part in encoded.parts)
                inline = f"{content}:{base64.b64encode(data).decode('ascii')}"
        value = EncodedValue(
            codec=codec,
            type=encoded.type,
            digest=digest,
            size_bytes=size,
            inline=inline,
            key=key,
            stable=stable,
        )
        return {VALUE: value.to_dict()}

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


def _size(part: Part) -> int:
    return part.nbytes if isinstance(part, memoryview) else len(part)
