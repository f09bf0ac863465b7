"""Forms of pydantic models, of types that only pydantic knows, and of constraints on a type.

Loaded when a type comes from pydantic. A model is a JSON object of its fields, each by its own
form; a dict is validated by pydantic itself (defaults, aliases, discriminators). Stored models come
back by state, not by validation: a validator must not run on its own results. Private attributes
are not stored.
"""

from __future__ import annotations

import logging
from typing import Annotated, Any, Protocol, get_args, get_origin

import pydantic
from pydantic.fields import FieldInfo

from flyte_ray.codec.codec import (
    REFUSALS,
    Form,
    Forms,
    Mismatch,
    Node,
    Reader,
    Writer,
    is_namesake,
    type_name,
)
from flyte_ray.codec.containers import pairs_of
from flyte_ray.codec.plain import PAIRS

logger = logging.getLogger(__name__)

_UNBUILDABLE = (pydantic.PydanticUserError, pydantic.errors.PydanticSchemaGenerationError)


class ModelForm:
    """A pydantic model."""

    plain = False

    def __init__(self, cls: type[pydantic.BaseModel], forms: Forms) -> None:
        self.cls = cls
        self.name = type_name(cls)
        self._forms = forms
        self._anything = forms.anything
        self._compiled: dict[str, Form] | None = None

    def _fields(self) -> dict[str, Form]:
        if self._compiled is None:
            self._compiled = {
                name: self._forms.form_of(_annotation(field))
                for name, field in self.cls.model_fields.items()
            }
        return self._compiled

    def dump(self, value: Any, writer: Writer) -> Node:
        kind = type(value)
        if kind is not self.cls:
            if isinstance(value, self.cls):
                return self._anything.dump(value, writer)
            if isinstance(value, dict):
                value = self._validate(value)
            elif not is_namesake(kind, self.cls):
                raise Mismatch(self.name, value)
        nodes = {}
        fields = self._fields()
        given = {**value.__dict__, **(value.__pydantic_extra__ or {})}
        for name, each in given.items():
            try:
                nodes[name] = fields.get(name, self._anything).dump(each, writer)
            except REFUSALS as refusal:
                raise refusal.inside(f".{name}") from None
        if any(name.startswith("$") for name in nodes):
            writer.mark()
            return {PAIRS: [[name, node] for name, node in nodes.items()]}
        return nodes

    def _validate(self, value: dict[Any, Any]) -> pydantic.BaseModel:
        try:
            return self.cls.model_validate(value)
        except pydantic.ValidationError as error:
            raise _refusal(self.name, value, error) from error

    def load(self, node: Node, reader: Reader) -> Any:
        if type(node) is dict and len(node) == 1 and next(iter(node)) in ("$as", "$value"):
            return self._anything.load(node, reader)
        fields = self._fields()
        known: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for name, each in pairs_of(node):
            target = known if name in fields else extra
            target[name] = fields.get(name, self._anything).load(each, reader)
        for name, field in self.cls.model_fields.items():
            if name not in known and not field.is_required():
                known[name] = field.get_default(call_default_factory=True, validated_data=known)
        made = self.cls.__new__(self.cls)
        keeps_extra = self.cls.model_config.get("extra") == "allow"
        made.__setstate__(
            {
                "__dict__": known,
                "__pydantic_fields_set__": set(known),
                "__pydantic_extra__": extra if keeps_extra else None,
                "__pydantic_private__": None,
            }
        )
        if self.cls.__private_attributes__:
            made.model_post_init(None)
        return made

    def fits(self, value: Any) -> bool:
        return type(value) is self.cls

    def tag(self, value: Any) -> str:
        return type_name(type(value)) if isinstance(value, self.cls) else self.name


def _annotation(field: FieldInfo) -> Any:
    """A field's type; pydantic has checked its constraints already."""
    return Any if field.annotation is None else field.annotation


def _refusal(name: str, value: Any, error: pydantic.ValidationError) -> Mismatch:
    first = error.errors(include_url=False)[0]
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"])
    expected = f"a valid field of {name}" if path else name
    return Mismatch(expected, first.get("input", value), why=first["msg"], path=path)


class AdaptedForm:
    """A type with pydantic's own schema (a URL, a `date` range, …), by its JSON form.

    Every value is read back before it is trusted: secrets and other one-way forms are pickled.
    """

    plain = False

    def __init__(self, cls: Any, anything: Form) -> None:
        self.cls = cls
        self.name = type_name(cls)
        self._adapter = pydantic.TypeAdapter(cls)
        self._anything = anything

    def dump(self, value: Any, writer: Writer) -> Node:
        if not isinstance(value, self.cls):
            raise Mismatch(self.name, value)
        node = self._adapter.dump_python(value, mode="json")
        try:
            faithful = self._adapter.validate_python(node) == value
        except pydantic.ValidationError:
            faithful = False
        if faithful and not isinstance(node, dict):
            return node
        return writer.pickle(value, self.cls)

    def load(self, node: Node, reader: Reader) -> Any:
        if type(node) is dict:
            return self._anything.load(node, reader)
        return self._adapter.validate_python(node)

    def fits(self, value: Any) -> bool:
        return isinstance(value, self.cls)

    def tag(self, value: Any) -> str:
        return self.name


class _ConstrainedBy(Protocol):
    def validate_python(self, value: Any) -> Any: ...


class ConstrainedForm:
    """`Annotated[T, Field(gt=0)]`: the form of T, and the constraint on what it accepts."""

    def __init__(self, inner: Form, adapter: _ConstrainedBy) -> None:
        self.inner = inner
        self.name = inner.name
        self.plain = inner.plain
        self._adapter = adapter

    def dump(self, value: Any, writer: Writer) -> Node:
        node = self.inner.dump(value, writer)
        try:
            self._adapter.validate_python(value)
        except pydantic.ValidationError as error:
            raise _refusal(self.name, value, error) from error
        return node

    def load(self, node: Node, reader: Reader) -> Any:
        return self.inner.load(node, reader)

    def fits(self, value: Any) -> bool:
        return self.inner.fits(value)

    def tag(self, value: Any) -> str:
        return self.inner.tag(value)


def _is_constraint(note: Any) -> bool:
    return isinstance(note, FieldInfo) or type(note).__module__ == "annotated_types"


def form_of(type_: Any, forms: Forms) -> Form | None:
    """The form of a type that pydantic knows; None for all others."""
    if get_origin(type_) is Annotated:
        inner, *notes = get_args(type_)
        if not any(map(_is_constraint, notes)):
            return None
        try:
            adapter: Any = pydantic.TypeAdapter(type_)
        except _UNBUILDABLE:
            logger.debug("pydantic cannot check %r", type_)
            return None
        return ConstrainedForm(forms.form_of(inner), adapter)
    if not isinstance(type_, type):
        return None
    if issubclass(type_, pydantic.BaseModel):
        return ModelForm(type_, forms)
    if hasattr(type_, "__get_pydantic_core_schema__"):
        try:
            return AdaptedForm(type_, forms.anything)
        except _UNBUILDABLE:
            return None
    return None
