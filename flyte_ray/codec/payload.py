"""All inputs, or all outputs, of a call: to payloads and back.

Puts what is large into the value store *before* anyone is told of it, and checks every byte on the
way back: JSON against its digest, all else against a digest of its own (in front of inline bytes,
in the key of an object), so that corrupt or truncated data is never handed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flyte_ray.codec.builtin import default_registry
from flyte_ray.codec.codec import (
    Form,
    Mismatch,
    Node,
    Unserializable,
    exact_class,
    shorten,
    type_name,
)
from flyte_ray.codec.elements import leaf_digests
from flyte_ray.codec.handed import Handed
from flyte_ray.codec.passing import Passing
from flyte_ray.codec.plain import SCALARS, encode_node, leaf_of, scalar_text
from flyte_ray.codec.reading import ValueReader
from flyte_ray.codec.registry import Registry
from flyte_ray.codec.writing import JSON, ValueWriter
from flyte_ray.core.digest import digest_bytes
from flyte_ray.core.payload import INLINE_LIMIT_BYTES, EncodedValue, Payload
from flyte_ray.core.ports import Part, ValueStore
from flyte_ray.errors import TypeTransformerFailedError, UnserializableInputError, WrongCallError


class PayloadCodec:
    """The `Codecs` port, over a registry of forms and codecs."""

    def __init__(self, registry: Registry | None = None) -> None:
        self._forms = registry or default_registry()
        self._passing = Passing()
        self._handed = Handed()

    def encode(
        self,
        values: Mapping[str, Any],
        types: Mapping[str, Any],
        store: ValueStore,
        owner: str,
        *,
        are_inputs: bool = True,
    ) -> Payload:
        """Encode every value by its annotation; one without is taken as it is.

        Inputs name a call, so what the classes of their objects do counts (`EncodedValue.code`).

        Raises:
            WrongCallError: (a `TypeError`) a value does not fit; nothing about it was stored.
            UnserializableInputError: a value cannot be stored.
        """
        encoded = {}
        for name, value in values.items():
            form = self._forms.form_of(types.get(name, Any))
            try:
                encoded[name] = _encode(form, value, store, self._passing, self._handed, are_inputs)
            except Mismatch as mismatch:
                raise WrongCallError(
                    f"{owner} '{name}'{mismatch.describe()}", task=owner, parameter=name
                ) from mismatch.__cause__
            except (Unserializable, RecursionError) as error:
                raise UnserializableInputError(
                    _why_not_stored(f"{owner} '{name}'", error), task=owner, parameter=name
                ) from error
        return Payload(values=encoded)

    def renewed(
        self, payload: Payload, types: Mapping[str, Any], store: ValueStore, owner: str
    ) -> Payload:
        """A payload of the record, with the code that its values name as it is in this process.

        Only values that name code are read. Raises as `decode` does.
        """
        naming = Payload(values={name: each for name, each in payload.values.items() if each.code})
        if not naming.values:
            return payload
        objects = self.decode(naming, types, store)
        now = self.encode(objects, types, _Unkept(), owner).values
        return Payload(
            values={
                name: replace(each, code=now[name].code) if name in now else each
                for name, each in payload.values.items()
            }
        )

    def decode(
        self, payload: Payload, types: Mapping[str, Any], store: ValueStore
    ) -> dict[str, Any]:
        """Fresh Python values by name.

        Raises:
            DigestMismatchError: stored data is not what was stored.
            StoreError: stored data is gone.
        """
        return {
            name: self.decode_one(value, types.get(name, Any), store)
            for name, value in payload.values.items()
        }

    def decode_one(self, value: EncodedValue, type_: Any, store: ValueStore) -> Any:
        """One fresh Python value. Raises as `decode` does."""
        found = self._decoded(value, type_, store)
        self._passing.remember(found)
        return found

    def _decoded(self, value: EncodedValue, type_: Any, store: ValueStore) -> Any:
        reader = ValueReader(store, self._forms, self._handed)
        if value.codec != JSON:
            return reader.read(value, type_)
        node = reader.json(value)
        form = self._forms.form_of(type_)
        if exact_class(form) is type(node):
            return node
        if form is self._forms.anything:
            form = self._form_by_name(value.type, form, node)
        try:
            return form.load(node, reader)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise TypeTransformerFailedError(
                f"a stored {value.type} cannot be read as {form.name}: {error}"
            ) from error

    def from_json(self, node: Any, type_: Any) -> Any:
        """The value that plain JSON data (of a form, a request, a command line) stands for.

        Dates are ISO texts, enums are member names, bytes are base64, records are objects.

        Raises:
            TypeTransformerFailedError: the data does not fit the annotation.
        """
        form = self._forms.form_of(type_)
        try:
            return form.load(node, ValueReader(None, self._forms))
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise TypeTransformerFailedError(
                f"{shorten(node)} cannot be read as {form.name}: {error}"
            ) from error

    def _form_by_name(self, name: str, anything: Form, node: Node) -> Form:
        """For readers without annotation: the form of a scalar class that the record names."""
        bare = name not in ("str", "list") and "." not in name and "[" not in name
        if bare and type(node) in (str, list):
            return self._forms.form_of(self._forms.class_named(name))
        return anything


class _Unkept:
    """A value store for what is encoded to be looked at only."""

    def put(self, digest: str, codec: str, *parts: Part) -> str:
        return f"{digest}.{codec}"

    def get(self, key: str) -> bytes:
        raise FileNotFoundError(key)


def _encode(
    form: Form,
    value: Any,
    store: ValueStore,
    passing: Passing,
    handed: Handed,
    names_code: bool,
) -> EncodedValue:
    exact = exact_class(form)
    if exact is not None and (exact is type(value) or exact is object):
        short = _encode_scalar(value, passing)
        if short is not None:
            return short
    writer = ValueWriter(store, handed)
    node = form.dump(value, writer)
    code = writer.code if names_code else ()
    leaf = leaf_of(node) if writer.marked else None
    if leaf is not None:
        stored = EncodedValue.from_dict(leaf)
        return replace(stored, code=code) if code else stored
    tag = form.tag(value)
    digest, text, data = encode_node(tag, node, writer.marked)
    inline: str | None = text
    key = None
    if len(data) > INLINE_LIMIT_BYTES:
        inline, key = None, store.put(digest_bytes(data), JSON, data)
    return EncodedValue(
        codec=JSON,
        type=tag,
        digest=digest,
        size_bytes=len(data),
        inline=inline,
        key=key,
        elements=leaf_digests(node) if writer.marked else (),
        stable=writer.stable,
        passed=passing.has_seen(value),
        code=code,
    )


def _encode_scalar(value: Any, passing: Passing) -> EncodedValue | None:
    """The short way of what most calls pass: a number or a short text is its own node."""
    made = scalar_text(value) if type(value) in SCALARS else None
    if made is None:
        return None
    tag, text, digest, size = made
    return EncodedValue(
        codec=JSON,
        type=tag,
        digest=digest,
        size_bytes=size,
        inline=text,
        passed=passing.has_seen(value),
    )


def _why_not_stored(what: str, error: BaseException) -> str:
    if isinstance(error, Unserializable):
        place = f" at {error.path}" if error.path else ""
        cls = type_name(type(error.value))
        return f"{what}{place} cannot be stored: {cls} ({shorten(error.value)}): {error.why}"
    return f"{what} cannot be stored: it contains itself, or is nested too deeply"
