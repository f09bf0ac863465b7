"""What a file, a directory or a frame remembers of its content, and how it stands in the record.

Beside the public fields the record keeps the digest of the content, so that a consumer can check
what it downloads, and need not read what is only passed on.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyte_ray.codec.codec import Encoded, Writer
from flyte_ray.core.digest import Digest, digest_json
from flyte_ray.core.payload import EncodedValue
from flyte_ray.errors import DigestMismatchError
from flyte_ray.io.places import is_remote, local_path

_SETTLED_NS = 2_000_000_000
"""A file younger than this may change once more without its time showing it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What is known of the content behind a URL."""

    sha256: Digest | None = None
    """Digest of the content."""
    seen_as: str | None = None
    """What the store says of it (see `places.fingerprint`), where the content was not read."""
    footer: Digest | None = None
    """Digest of the footer of a stored table (see `io/tables`)."""
    kept: bool = False
    """True for content-addressed objects of a run: nobody changes them."""
    stays: bool = False
    """True for what is never copied into a run, because its author said where it is."""
    recorded: bool = False
    """True for what was read from a record, which was not written before what it names."""

    @property
    def known_by(self) -> str | None:
        """The best name for the content."""
        return self.sha256 or self.seen_as


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Where a local file went, and what it looked like then: spares reading it again."""

    source: str
    prefix: str | None
    signature: tuple[int, int]
    url: str
    reference: Reference

    def still_holds(self, path: Path, prefix: str | None) -> bool:
        """True when the file is certainly the same."""
        return (str(path), prefix, signature_of(path)) == (
            self.source,
            self.prefix,
            self.signature,
        )


def signature_of(path: Path) -> tuple[int, int]:
    """Size and time of a file."""
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def is_settled(signature: tuple[int, int]) -> bool:
    """True for a file so old that any change to it would show in its time."""
    return time.time_ns() - signature[1] > _SETTLED_NS


def digest_of(kind: str, known_by: str, format_: str) -> Digest:
    """The digest of a reference: of what it refers to, wherever that lies."""
    return digest_json([kind, known_by, format_])


def force_to_disk(writer: Writer, url: str, reference: Reference) -> None:
    """What a record is about to name for the first time is on the disk before, if the record is."""
    if not (reference.recorded or is_remote(url)):
        writer.force(local_path(url))


def write_reference(
    kind: str, fields: dict[str, Any], reference: Reference, digest: Digest
) -> Encoded:
    """The record of a reference.

    Args:
        kind: public name of its class.
        fields: its public fields, as plain JSON; None is left out.
        reference: what it remembers.
        digest: what it is known by.
    """
    node: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    node["known_by"] = reference.known_by
    for name in ("sha256", "footer", "kept", "stays"):
        if value := getattr(reference, name):
            node[name] = value
    # The fields lie inline whatever their number, so they carry a guard of their own.
    text = json.dumps(node, ensure_ascii=True, separators=(",", ":"))
    guarded = {**node, "guard": digest_json(text)[:16]}
    return Encoded(
        digest=digest,
        type=f"flyte_ray.io.{kind}",
        text=json.dumps(guarded, ensure_ascii=True, separators=(",", ":")),
    )


def read_reference(value: EncodedValue) -> tuple[dict[str, Any], Reference]:
    """The public fields of a recorded reference, and what it remembers.

    Raises:
        DigestMismatchError: the record is not what was written.
    """
    try:
        node = json.loads(value.inline or "")
        guard = node.pop("guard")
        text = json.dumps(node, ensure_ascii=True, separators=(",", ":"))
        known_by = node.pop("known_by")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise DigestMismatchError(f"a recorded {value.type} is corrupt: {error}") from error
    if guard != digest_json(text)[:16]:
        raise DigestMismatchError(f"a recorded {value.type} is corrupt: its digest differs")
    sha256 = node.pop("sha256", None)
    reference = Reference(
        sha256=sha256,
        seen_as=None if sha256 else known_by,
        footer=node.pop("footer", None),
        kept=node.pop("kept", False),
        stays=node.pop("stays", False),
        recorded=True,
    )
    return node, reference
