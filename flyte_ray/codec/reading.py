"""One value on its way out of a payload: every byte is checked before it is looked at.

JSON is checked against its digest, the bytes of a codec against the digest that guards them, so
corrupt or truncated data is never handed over (and no tampered pickle is ever loaded). A fast copy
beside the store is as good as memory of this process: it was laid there by a process of the same
cluster, under the key that its digest is part of, and is not hashed again.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from typing import Any

from flyte_ray.codec.codec import Node, Shareable, is_instance, shareable, sharing, shorten
from flyte_ray.codec.handed import Handed
from flyte_ray.codec.own_memory import copied_in
from flyte_ray.codec.plain import digest_of_text, leaf_of
from flyte_ray.codec.registry import Registry
from flyte_ray.codec.writing import HASHED_JSON
from flyte_ray.core.annotation import union_members
from flyte_ray.core.digest import digest_bytes
from flyte_ray.core.payload import EncodedValue
from flyte_ray.core.ports import ValueStore
from flyte_ray.errors import DigestMismatchError, StoreError, TypeTransformerFailedError

_SHA = re.compile(r"[0-9a-f]{64}")


class ValueReader:
    """One value on its way out of a payload; see `codec/codec.Reader`."""

    __slots__ = ("_forms", "_handed", "_store")

    def __init__(
        self, store: ValueStore | None, forms: Registry, handed: Handed | None = None
    ) -> None:
        self._store = store
        self._forms = forms
        self._handed = handed

    def leaf(self, node: Node, type_: Any) -> Any:
        leaf = leaf_of(node)
        if leaf is not None:
            return self.read(EncodedValue.from_dict(leaf), type_)
        # A class that stores itself may also be told in plain JSON (`PayloadCodec.from_json`).
        parse = getattr(type_, "__flyte_parse__", None)
        if parse is None:
            raise TypeError(f"{shorten(node)} stands for no value of this type")
        return parse(node)

    def without_digest(self, node: Node) -> Node:
        leaf = leaf_of(node)
        if leaf is None or leaf["codec"] != HASHED_JSON:
            return node
        return self.hashed_json(EncodedValue.from_dict(leaf))

    def read(self, value: EncodedValue, type_: Any) -> Any:
        """The value behind anything but plain JSON, as `type_` wants it."""
        if value.codec == HASHED_JSON:
            return self._forms.form_of(type_).load(self.hashed_json(value), self)
        type_ = self._wanted(value, type_)
        if getattr(type_, "__flyte_codec__", None) == value.codec:
            return type_.__flyte_decode__(value, self)
        owner = self._forms.class_named(value.type)
        if getattr(owner, "__flyte_codec__", None) == value.codec:
            return self._converted(owner.__flyte_decode__(value, self), type_)
        return self._converted(self._decode(value, type_, owner), type_)

    def _wanted(self, value: EncodedValue, type_: Any) -> Any:
        """The class that is wanted: of a union, the member that the value is one of, or becomes."""
        if type_ is Any:
            return self._forms.class_named(value.type)
        members = union_members(type_)
        if not members:
            return type_
        own = self._forms.class_named(value.type)
        if own in members:
            return own
        if hasattr(own, "__flyte_codec__"):
            return members[0]  # it converts itself
        codec = self._forms.codec(value.codec, value.type)
        return next((each for each in members if codec.accepts(each)), type_)

    def _decode(self, value: EncodedValue, type_: Any, own: Any) -> Any:
        target = own if hasattr(type_, "__flyte_accept__") else type_
        try:
            codec = self._forms.codec(value.codec, value.type)
            shared = shareable(codec) if value.key is not None else None
            if shared is not None:
                return self._large(shared, value, target, own)
            return codec.decode(self.data(value), target)
        except (LookupError, ValueError, TypeError) as error:
            raise TypeTransformerFailedError(
                f"a stored {value.type} cannot be read: {error}"
            ) from error

    def _large(self, codec: Shareable, value: EncodedValue, target: Any, own: Any) -> Any:
        """A value that lies beside the store, or is read into memory of its own."""
        parts, data = self._beside(value), None
        if parts is not None:
            made = codec.adopt(parts, target)
        else:
            read = self._checked(value)
            data = copied_in(read) if codec.lies_in_place else read
            del read
            parts = [memoryview(data)]
            made = codec.decode(data, target)
        if self._handed is not None:
            # As another class than the one stored (if that is a known one), it is another value.
            is_it = own is Any or type(made) is own
            traits = codec.traits(made, target, data) if is_it else None
            self._handed.remember(codec, made, value, traits, parts)
        return made

    def _beside(self, value: EncodedValue) -> Sequence[memoryview] | None:
        store = sharing(self._store) if value.key is not None else None
        return store.take(value.key or "", value.size_bytes) if store is not None else None

    def _converted(self, made: Any, type_: Any) -> Any:
        """A value that is passed on to a parameter of another class, as that class."""
        if type_ is Any or not isinstance(type_, type) or is_instance(made, type_):
            return made
        if hasattr(made, "__flyte_give__"):
            given = made.__flyte_give__(type_)
            return made if given is NotImplemented else given
        if hasattr(type_, "__flyte_accept__"):
            accepted = type_.__flyte_accept__(made)
            return made if accepted is NotImplemented else accepted
        return made

    def json(self, value: EncodedValue) -> Node:
        """The node of a JSON value, checked.

        Raises:
            DigestMismatchError: it is not what was stored.
        """
        try:
            if value.inline is None:
                return json.loads(self.data(value))
            digest, node = digest_of_text(value.type, value.inline)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise _corrupt(value, f"it is no JSON ({error})") from error
        if digest != value.digest:
            raise _corrupt(value, "its digest differs")
        return node

    def hashed_json(self, value: EncodedValue) -> Node:
        """The node of JSON under an author's digest, checked by its guard."""
        guard, _, text = (value.inline or "").partition(":")
        if digest_bytes(text.encode("utf-8", "surrogatepass")) != guard:
            raise _corrupt(value, "its digest differs")
        return json.loads(text)

    def data(self, value: EncodedValue) -> bytes:
        """The bytes of a value, checked.

        Raises:
            DigestMismatchError: they are not what was stored.
            StoreError: they are gone.
        """
        parts = self._beside(value)
        return self._checked(value) if parts is None else b"".join(parts)

    def _checked(self, value: EncodedValue) -> bytes:
        if value.inline is not None:
            guard, _, text = value.inline.partition(":")
            try:
                data = base64.b64decode(text, validate=True)
            except binascii.Error as error:
                raise _corrupt(value, "it is no base64") from error
        else:
            guard, data = self._fetch(value)
        if len(data) != value.size_bytes:
            raise _corrupt(value, f"it has {len(data)} bytes instead of {value.size_bytes}")
        if guard and digest_bytes(data) != guard:
            raise _corrupt(value, "its digest differs")
        store = sharing(self._store) if guard and value.key is not None else None
        if store is not None:
            store.confirm(value.key or "")
        return data

    def _fetch(self, value: EncodedValue) -> tuple[str, bytes]:
        key = value.key or ""
        if self._store is None or not key:
            raise StoreError(f"a value of type {value.type} is nowhere stored")
        try:
            data = self._store.get(key)
        except FileNotFoundError as error:
            raise StoreError(
                f"a value of type {value.type} is gone from the store: there is no object '{key}'"
            ) from error
        found = _SHA.search(key.rpartition("/")[2])
        return found.group() if found else "", data


def _corrupt(value: EncodedValue, why: str) -> DigestMismatchError:
    place = f" in '{value.key}'" if value.key else ""
    return DigestMismatchError(
        f"the stored value of type {value.type}{place} is corrupt: {why}. It is not handed over; "
        f"rerun the action that made it."
    )
