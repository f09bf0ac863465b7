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

import json
from hashlib import sha256
from typing import Any

from flyte_ray.codec.codec import Node
from flyte_ray.core.digest import Digest, json_writer

AS = "$as"
PAIRS = "$dict"
BIG_INT = "$int"
VALUE = "$value"

_quote = json.encoder.encode_basestring
_ascii = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))


_stored = json_writer(sort_keys=False)
_sorted = json_writer(sort_keys=True)
_scan = json.JSONDecoder().raw_decode


_SCALAR_TAGS = {int: "int", float: "float", str: "str", bool: "bool", type(None): "None"}
SCALARS = frozenset(_SCALAR_TAGS)
"""Classes whose values are nodes and contain none."""
SHORT_INT = 1 << 62
SHORT_TEXT = 4096
"""Larger scalars take the long way, which looks at their size first."""


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
    if kind is float and node - node == 0.0:
        # Neither infinite nor no number: their JSON names are not Python's.
        return float.__repr__(node)
    return _stored(node)


def node_of(text: str) -> Node:
    """Parse stored text that holds one value and nothing around it.

    Raises:
        ValueError: the text is no JSON.
    """
    node, end = _scan(text)
    if end != len(text):
        raise ValueError(f"something follows at {end}")
    return node


def sign_text(tag: str, canonical: str) -> Digest:
    """The digest of a tag and a canonical text."""
    return sha256(f"{tag}\n{canonical}".encode("utf-8", "surrogatepass")).hexdigest()


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
        return sign_text(tag, _sorted(canonical(node) if marked else node))
    return sign_text(tag, text_of(node))


def scalar_text(node: Node) -> tuple[str, str, Digest, int] | None:
    """Tag, text, digest and size of a small scalar; None for what takes the long way."""
    kind = type(node)
    if kind is int:
        if not -SHORT_INT < node < SHORT_INT:
            return None
    elif kind is str and (len(node) > SHORT_TEXT or not node.isascii()):
        return None
    tag, text = _SCALAR_TAGS[kind], text_of(node)
    return tag, text, sha256(f"{tag}\n{text}".encode()).hexdigest(), len(text)


def encode_node(tag: str, node: Node, marked: bool) -> tuple[Digest, str, bytes]:
    """Digest, text and bytes of a node that is no bare leaf."""
    text = text_of(node)
    # Without an object in it, the stored text is the canonical one.
    if "{" in text and not _is_canonical(node, text, marked):
        digest = sign(tag, node, marked=marked)
    else:
        digest = sign_text(tag, text)
    try:
        return digest, text, text.encode()
    except UnicodeEncodeError:
        # Lone surrogates: escaped, since neither Parquet nor UTF-8 take them.
        text = _ascii.encode(node)
        return digest, text, text.encode()


def _is_canonical(node: Node, text: str, marked: bool) -> bool:
    """True for a single flat object without marks whose keys happen to be sorted."""
    if marked or type(node) is not dict or text.count("{") != 1 or text.startswith('{"$'):
        return False
    keys = list(node)
    return keys == sorted(keys)


def digest_of_text(tag: str, text: str) -> tuple[Digest, Node]:
    """Parse stored text; the digest it should have, and the node.

    Raises:
        ValueError: the text is no JSON.
    """
    node = node_of(text)
    if "{" not in text and "\\u" not in text:
        return sign_text(tag, text), node
    marked = '"$' in text
    if _is_canonical(node, text, marked) and "\\u" not in text:
        return sign_text(tag, text), node
    return sign(tag, node, marked=marked), node


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
    return _sorted(pair[0])


def order_text(node: Node) -> str:
    """A text to sort the elements of a set by."""
    return _sorted(canonical(node))
