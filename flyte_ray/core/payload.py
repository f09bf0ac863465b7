"""Nouns of data in flight: one encoded value, and all encoded inputs or outputs of a call.

This room states what an encoded value *is*; `codec/` makes and reads them, `store/` keeps their
bytes. A value is its digest. Small ones carry their text inline; large ones name an object in the
store that is there before anybody is told of the value.

The JSON form (`to_json`) is what stands in the `inputs` and `outputs` columns of the record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from flyte_ray.core.digest import Digest, digest_json, digest_of_digests, json_writer
from flyte_ray.core.noun import noun

_text_of = json_writer(sort_keys=False)
_quote = json.encoder.encode_basestring

INLINE_LIMIT_BYTES = 16 * 1024
"""Encoded values up to this size stand in the book itself; larger ones become an object."""


@noun(frozen=True, slots=True, kw_only=True)
class EncodedValue:
    """One value as it is stored and sent."""

    codec: str
    """Name of the codec that reads it back: "json", "pickle", "npy", "parquet", …"""
    type: str
    """Readable name of the value's type, for people and for SQL."""
    digest: Digest
    """Digest of the logical content (not of the encoding)."""
    size_bytes: int
    """Length of the encoding."""
    inline: str | None = None
    """The encoding as JSON text (or base64 of bytes, as the codec says); None when in the store."""
    key: str | None = None
    """Key of the object below the store's root; None when inline."""
    elements: tuple[Digest, ...] = ()
    """Digests of the elements of a container of files, arrays or other values with codecs of their
    own; those of other containers are worked out by who asks (`codec/elements`)."""
    stable: bool = True
    """False where equal values may have different digests (pickled last resorts)."""
    passed: bool = field(default=False, compare=False)
    """It (or a scalar in it) is the very object that this process got out of another payload: then
    also a small scalar tells where it came from. Says nothing of the content."""
    code: tuple[tuple[str, Digest], ...] = ()
    """The author's code that it names and that no annotation leads to (`core/named_code`)."""

    @property
    def identity(self) -> Digest:
        """What it counts as among the inputs of a call: its content, and the code it names.

        Names do not count: the content says them, and a script has another one in each process.
        """
        if not self.code:
            return self.digest
        return digest_json([self.digest, *sorted({digest for _, digest in self.code})])

    def to_json(self) -> str:
        """The text of `to_dict`."""
        is_plain = self.key is None and not self.elements and not self.code and self.stable
        if self.inline is None or not is_plain:
            return _text_of(self.to_dict())
        # What most values are: put together by hand, which takes a quarter of the time.
        names = f'{{"codec":{_quote(self.codec)},"type":{_quote(self.type)}'
        content = f'"digest":{_quote(self.digest)},"size":{self.size_bytes}'
        tail = ',"passed":true}' if self.passed else "}"
        return f'{names},{content},"inline":{_quote(self.inline)}{tail}'

    def to_dict(self) -> dict[str, Any]:
        """Plain form; fields at their default are left out."""
        out: dict[str, Any] = {
            "codec": self.codec,
            "type": self.type,
            "digest": self.digest,
            "size": self.size_bytes,
        }
        if self.inline is not None:
            out["inline"] = self.inline
        if self.key is not None:
            out["key"] = self.key
        if self.elements:
            out["elements"] = list(self.elements)
        if not self.stable:
            out["stable"] = False
        if self.passed:
            out["passed"] = True
        if self.code:
            out["code"] = [list(each) for each in self.code]
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EncodedValue:
        """The inverse of `to_dict`; unknown fields of later versions are ignored."""
        return cls(
            codec=data["codec"],
            type=data["type"],
            digest=data["digest"],
            size_bytes=data["size"],
            inline=data.get("inline"),
            key=data.get("key"),
            elements=tuple(data.get("elements", ())),
            stable=data.get("stable", True),
            passed=data.get("passed", False),
            code=tuple((name, digest) for name, digest in data.get("code", ())),
        )


@noun(frozen=True, slots=True, kw_only=True)
class Payload:
    """All inputs, or all outputs, of a call by parameter name."""

    values: Mapping[str, EncodedValue] = field(default_factory=dict)
    text: str | None = field(default=None, compare=False, repr=False)
    """What it was read from, so that it can be handed on as it is."""

    @property
    def digest(self) -> Digest:
        """Digest over names and the identities of values; independent of the order of the names."""
        return self.digest_without(())

    def digest_without(self, ignored: tuple[str, ...]) -> Digest:
        """The digest, leaving out the named inputs."""
        return digest_of_digests(
            {
                n: v.identity if v.code else v.digest
                for n, v in self.values.items()
                if n not in ignored
            }
        )

    def to_json(self) -> str:
        """The text of the record's `inputs` and `outputs` columns."""
        if self.text is not None:
            return self.text
        values = [f"{_quote(name)}:{value.to_json()}" for name, value in self.values.items()]
        return "{" + ",".join(values) + "}"

    @classmethod
    def from_json(cls, text: str) -> Payload:
        """The inverse of `to_json`."""
        data = json.loads(text)
        return cls(values={name: EncodedValue.from_dict(v) for name, v in data.items()}, text=text)


EMPTY = Payload()
