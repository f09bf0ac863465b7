r"""Nodes as text: marks, canonical text, digests of nodes, and the check that they still match.

This room knows JSON, not Python types. Four marks carry what JSON lacks (user keys that begin with
`$` are kept apart by `$dict`):

    {"$as": [name, node]}      a value whose class the annotation does not tell
    {"$dict": [[k, v], ...]}   a dict with other keys than plain strings
    {"$int": "0x1f..."}        an int too long for decimal text
    {"$value": {...}}          an `EncodedValue`: bytes of another codec, inline or in the store

Formula: digest = sha256(tag + "\n" + canonical text), where canonical means sorted keys, sorted
`$dict` pairs, `$value` reduced to its digest, and an outermost `$as` dropped (the tag says it).
So a digest depends neither on the order of keys nor on where bytes lie.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from flyte_ray.codec.codec import Node
from flyte_ray.core.digest import Digest

AS = "$as"
PAIRS = "$dict"
BIG_INT = "$int"
VALUE = "$value"

_stored = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_quote = json.encoder.encode_basestring
_ascii = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))
_sorted = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)


_SCALAR_TAGS = {int: "int", float: "float", str: "str", bool: "bool", type(None): "None"}
SCALARS = frozenset(_SCALAR_TAGS)
"""Classes whose values are nodes and contain none."""


def text_of(node: Node) -> str:
    """JSON text that keeps the order of keys."""
    # Most values are single: the encoder costs ten times what they do.
    kind = type(node)
    if kind is int:
        return int.__repr__(node)
    if kind is str:
        return _quote(node)
    if kind is bool:
        return "true" if node else "false"
    return _stored.encode(node)


def sign_text(tag: str, canonical: str) -> Digest:
    """The digest of a tag and a canonical text."""
    return hashlib.sha256(f"{tag}\n{canonical}".encode("utf-8", "surrogatepass")).hexdigest()


def sign(tag: str, node: Node, *, marked: bool = True) -> Digest:
    """The digest of a node under a tag.

    A bare leaf has the digest of its value, so an element of a list has the digest that it had as
    the output of a task.

    Args:
        tag: name of the value's type.
        node: what its form made of it.
        marked: False if the node certainly holds no `$dict` and no `$value`.
    """
    if type(node) is dict and len(node) == 1:
        if AS in node:
            node = node[AS][1]
        if (leaf := leaf_of(node)) is not None:
            return str(leaf["digest"])
    if type(node) is dict or type(node) is list:
        return sign_text(tag, _sorted.encode(canonical(node) if marked else node))
    return sign_text(tag, text_of(node))


def sign_scalar(node: Node) -> Digest:
    """The digest of a scalar node under the name of its own class."""
    text = f"{_SCALAR_TAGS[type(node)]}\n{text_of(node)}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def encode_node(tag: str, node: Node, marked: bool) -> tuple[Digest, str, bytes]:
    """Digest, text and bytes of a node that is no bare leaf."""
    text = text_of(node)
    # Without an object in it, the stored text is the canonical one.
    if "{" in text:
        digest = sign(tag, node, marked=marked)
    else:
        digest = sign_text(tag, text)
    try:
        return digest, text, text.encode()
    except UnicodeEncodeError:
        # Lone surrogates: escaped, since neither Parquet nor UTF-8 take them.
        text = _ascii.encode(node)
        return digest, text, text.encode()


def digest_of_text(tag: str, text: str) -> tuple[Digest, Node]:
    """Parse stored text; the digest it should have, and the node.

    Raises:
        ValueError: the text is no JSON.
    """
    node = json.loads(text)
    if "{" in text or "\\u" in text:
        return sign(tag, node, marked='"$' in text), node
    return sign_text(tag, text), node


def leaf_of(node: Node) -> dict[str, Any] | None:
    """The plain form of the `EncodedValue` that a node is a bare leaf of, or None."""
    if type(node) is dict and len(node) == 1 and VALUE in node:
        return dict(node[VALUE])
    return None


def canonical(node: Node) -> Node:
    """A copy in which `$dict` pairs are sorted and leaves are reduced to their digests."""
    if type(node) is list:
        return [canonical(each) for each in node]
    if type(node) is not dict:
        return node
    if len(node) == 1:
        if VALUE in node:
            return {VALUE: node[VALUE]["digest"]}
        if PAIRS in node:
            pairs = [[canonical(key), canonical(value)] for key, value in node[PAIRS]]
            return {PAIRS: sorted(pairs, key=_key_text)}
    return {key: canonical(value) for key, value in node.items()}


def _key_text(pair: list[Any]) -> str:
    return _sorted.encode(pair[0])


def order_text(node: Node) -> str:
    """A text to sort the elements of a set by."""
    return _sorted.encode(canonical(node))
