"""Content addresses: how bytes and plain values become a digest.

This room hashes; it does not know codecs, files or the store. Every identity in the house (values,
actions, cache keys, bundles) is built from these two functions, so that a change of encoding is a
change in one place, guarded by golden values in `tests/unit/core/test_digest.py`.

Rule: sha256 (1.7 GB/s with SHA-NI, no dependency) over *canonical* JSON: keys sorted, no spaces,
UTF-8, `NaN`/`Infinity` as Python writes them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping

Digest = str
"""Lower-case hex sha256, 64 characters."""


def digest_bytes(*parts: bytes | bytearray | memoryview) -> Digest:
    """The digest of the concatenated parts, without copying them together."""
    h = hashlib.sha256()
    for part in parts:
        h.update(part)
    return h.hexdigest()


def json_writer(*, sort_keys: bool) -> Callable[[object], str]:
    """A function from a plain value to its JSON text, without spaces.

    The encoder behind it is made once: `json.dumps` makes one for each call, which costs more than
    the values of most calls do.
    """
    slow = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys)
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return slow.encode
    quote = json.encoder.encode_basestring
    encode = make(None, slow.default, quote, None, ":", ",", sort_keys, False, True)
    return lambda value: "".join(encode(value, 0))


_canonical = json_writer(sort_keys=True)


def canonical_json(value: object) -> str:
    """JSON text that is equal for equal plain values, whatever the order of their keys."""
    return _canonical(value)


def digest_json(value: object) -> Digest:
    """The digest of a plain value (None, bool, int, float, str, list, dict with str keys)."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()


def digest_of_digests(named: Mapping[str, Digest]) -> Digest:
    """`digest_json` of digests by name, in half the time for the usual single one."""
    if len(named) == 1:
        [(name, digest)] = named.items()
        if name.isascii() and name.isidentifier() and digest.isalnum():  # nothing to escape
            return hashlib.sha256(f'{{"{name}":"{digest}"}}'.encode()).hexdigest()
    return digest_json(named)


def digest_lines(lines: Iterable[str]) -> Digest:
    """The digest of a sequence of strings; ("ab","c") and ("a","bc") differ."""
    return digest_json(list(lines))
