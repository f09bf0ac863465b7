"""PUBLIC: how values are stored, for those who bring types of their own.

`TypeEngine.register` takes a codec (`extend.Codec`), or a `TypeTransformer`: bytes out, bytes in.
Flyte's literals are protobufs of its backend and have no counterpart; what stands in their place
here is the record's own form (`core/payload`), which `TypeEngine.to_literal` shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin

from flyte_ray.codec.builtin import default_registry, register
from flyte_ray.codec.codec import Codec, Encoded, shorten, type_name
from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.codec.pickled import PickleCodec
from flyte_ray.core.digest import digest_bytes, digest_json
from flyte_ray.core.payload import EncodedValue
from flyte_ray.errors import TypeTransformerFailedError
from flyte_ray.report import abbreviate

__all__ = [
    "FlytePickle",
    "TypeEngine",
    "TypeTransformer",
    "TypeTransformerFailedError",
    "literal_string_repr",
]

T = TypeVar("T")

_AS_PICKLE = "flyte_ray: stored as a pickle"


class TypeTransformer(Generic[T]):
    """Stores the values of one class: subclass it, give both directions, register an instance.

    Example:
        >>> class Celsius:
        ...     def __init__(self, degrees: float) -> None:
        ...         self.degrees = degrees
        >>> class CelsiusTransformer(TypeTransformer[Celsius]):
        ...     def to_bytes(self, value: Celsius) -> bytes:
        ...         return repr(value.degrees).encode()
        ...
        ...     def from_bytes(self, data: bytes) -> Celsius:
        ...         return Celsius(float(data))
        >>> TypeEngine.register(CelsiusTransformer("celsius", Celsius))
    """

    def __init__(self, name: str, t: type[T], enable_type_assertions: bool = True) -> None:
        """Make one.

        Args:
            name: stands in the record; never reused for another format.
            t: the class whose values it stores.
            enable_type_assertions: accepted; values are always checked.
        """
        self.name = name
        self.python_type = t

    def to_bytes(self, value: T) -> bytes:
        """The value's encoding; equal values should give equal bytes, for the cache's sake."""
        raise NotImplementedError(f"{type(self).__name__}.to_bytes")

    def from_bytes(self, data: bytes) -> T:
        """The inverse of `to_bytes`."""
        raise NotImplementedError(f"{type(self).__name__}.from_bytes")

    def to_html(self, value: T) -> str:
        """How a report shows it."""
        return abbreviate(value)

    def assert_type(self, t: type[T], v: object) -> None:
        """Refuse what is no such value.

        Raises:
            TypeTransformerFailedError: it is none.
        """
        if not isinstance(v, t):
            raise TypeTransformerFailedError(f"expected {type_name(t)}, got {shorten(v)}")


class _Transformed:
    """The codec around a transformer."""

    def __init__(self, transformer: TypeTransformer[Any], kinds: tuple[type, ...]) -> None:
        self.name = f"transformer-{transformer.name}"
        self.transformer = transformer
        self.kinds = kinds

    def accepts(self, type_: Any) -> bool:
        return (get_origin(type_) or type_) in self.kinds

    def encode(self, value: Any, type_: Any) -> Encoded:
        data = self.transformer.to_bytes(value)
        return Encoded(
            digest=digest_json([self.name, digest_bytes(data)]),
            type=type_name(type(value)),
            parts=(data,),
        )

    def decode(self, data: bytes, type_: Any) -> Any:
        return self.transformer.from_bytes(data)


class _AlwaysPickled(PickleCodec):
    """The pickles of `FlytePickle`: asked for, so nobody is warned."""

    def accepts(self, type_: Any) -> bool:
        return get_origin(type_) is Annotated and _AS_PICKLE in get_args(type_)[1:]

    def encode(self, value: Any, type_: Any, *, warn: bool = False) -> Encoded:
        return super().encode(value, type_, warn=warn)


register(_AlwaysPickled())


class FlytePickle:
    """`FlytePickle[T]`: a T that is stored as a pickle, whatever else knows its type.

    Example:
        >>> FlytePickle[dict].__origin__
        <class 'dict'>
    """

    def __class_getitem__(cls, item: Any) -> Any:
        return Annotated[item, _AS_PICKLE]


class _NoStore:
    """Values are shown whole, so none is put away."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def put(self, digest: str, codec: str, *parts: bytes | bytearray | memoryview) -> str:
        self._kept[f"{digest}.{codec}"] = b"".join(parts)
        return f"{digest}.{codec}"

    def get(self, key: str) -> bytes:
        return self._kept[key]


class TypeEngine:
    """What is known of types in this process."""

    _transformers: Mapping[type, TypeTransformer[Any]] = {}

    @classmethod
    def register(
        cls,
        transformer: TypeTransformer[Any] | Codec,
        additional_types: list[type] | None = None,
    ) -> None:
        """Store the values of a class by a transformer or codec from now on.

        Raises:
            ValueError: a transformer for that class is registered already.
            TypeError: neither a transformer nor a codec.
        """
        if not isinstance(transformer, TypeTransformer):
            if not isinstance(transformer, Codec):
                raise TypeError(f"expected a TypeTransformer or a Codec, not {transformer!r}")
            register(transformer)
            return
        kinds = (transformer.python_type, *(additional_types or ()))
        for kind in kinds:
            if kind in cls._transformers:
                raise ValueError(f"a transformer for {type_name(kind)} is registered already")
        cls._transformers = {**cls._transformers, **dict.fromkeys(kinds, transformer)}
        register(_Transformed(transformer, kinds))

    @classmethod
    def register_additional_type(
        cls, transformer: TypeTransformer[Any], additional_type: type, override: bool = False
    ) -> None:
        """Store a further class by a transformer that is registered."""
        if additional_type in cls._transformers and not override:
            return
        kinds = [kind for kind, each in cls._transformers.items() if each is transformer]
        cls._transformers = {**cls._transformers, additional_type: transformer}
        register(_Transformed(transformer, (*kinds, additional_type)))

    @classmethod
    def get_transformer(cls, python_type: Any) -> Any:
        """The transformer of a class; for all others, what this package stores them by."""
        found = cls._transformers.get(python_type)
        return found if found is not None else default_registry().form_of(python_type)

    @classmethod
    def get_available_transformers(cls) -> list[type]:
        """The classes that transformers were registered for."""
        return list(cls._transformers)

    @staticmethod
    async def to_literal(python_val: Any, python_type: Any, expected: Any = None) -> EncodedValue:
        """The value as the record holds it.

        Raises:
            TypeTransformerFailedError: it does not fit its type.
        """
        try:
            payload = PayloadCodec().encode(
                {"value": python_val}, {"value": python_type}, _NoStore(), "value"
            )
        except TypeError as error:
            raise TypeTransformerFailedError(str(error)) from error
        return payload.values["value"]

    @staticmethod
    async def to_python_value(literal: EncodedValue, expected_python_type: Any) -> Any:
        """The inverse of `to_literal`, for values that lie inline.

        Raises:
            TypeTransformerFailedError: the value lies in a store.
        """
        if literal.key is not None:
            raise TypeTransformerFailedError(
                f"a {literal.type} of {literal.size_bytes} bytes lies in the store; read it by "
                "its run: Run.get(name).outputs()"
            )
        return PayloadCodec().decode_one(literal, expected_python_type, _NoStore())

    @classmethod
    def to_html(cls, python_val: Any, expected_python_type: Any = None) -> str:
        """How a report shows a value."""
        transformer = cls._transformers.get(expected_python_type or type(python_val))
        return transformer.to_html(python_val) if transformer else abbreviate(python_val)


def literal_string_repr(values: Mapping[str, EncodedValue] | None) -> dict[str, str]:
    """What the record holds of inputs or outputs, by name, for people.

    Example:
        >>> literal_string_repr(None)
        {}
    """
    return {
        name: value.inline if value.inline is not None else f"<{value.type} in the store>"
        for name, value in (values or {}).items()
    }
