"""Forms of classes: unknown ones, callables, those with a codec, and those that store themselves.

A value of an unknown class is laid out by its own class, not by its annotation, so that a subclass
arrives as what it was.
"""

from __future__ import annotations

from typing import Any

from flyte_ray.codec.codec import (
    Codec,
    Form,
    Mismatch,
    Node,
    Reader,
    Unserializable,
    Writer,
    is_instance,
    is_namesake,
    type_name,
)


class ClassForm:
    """A class that no other form knows: instances are checked, then told by their own class."""

    plain = False

    def __init__(self, cls: type, anything: Form) -> None:
        self.cls = cls
        self.name = type_name(cls)
        self._anything = anything

    def dump(self, value: Any, writer: Writer) -> Node:
        if type(value) is self.cls:
            return writer.pickle(value, self.cls)
        if not self.fits(value):
            raise Mismatch(self.name, value)
        return self._anything.dump(value, writer)

    def load(self, node: Node, reader: Reader) -> Any:
        return self._anything.load(node, reader)

    def fits(self, value: Any) -> bool:
        return is_instance(value, self.cls)

    def tag(self, value: Any) -> str:
        kind = type(value)
        return self.name if kind is self.cls else self._anything.tag(value)


class CallableForm:
    """`Callable[...]`: functions, tasks and whatever else can be called."""

    name = "Callable"
    plain = False

    def __init__(self, anything: Form) -> None:
        self._anything = anything

    def dump(self, value: Any, writer: Writer) -> Node:
        if not self.fits(value):
            raise Mismatch(self.name, value)
        return self._anything.dump(value, writer)

    def load(self, node: Node, reader: Reader) -> Any:
        return self._anything.load(node, reader)

    def fits(self, value: Any) -> bool:
        return callable(value)

    def tag(self, value: Any) -> str:
        return type_name(type(value))


class KindForm(CallableForm):
    """`type[Base]`: classes, those of one base if it is named."""

    def __init__(self, anything: Form, base: type) -> None:
        super().__init__(anything)
        self._base = base
        self.name = "type" if base is object else f"type[{type_name(base)}]"

    def fits(self, value: Any) -> bool:
        if not isinstance(value, type):
            return False
        namesakes = any(is_namesake(each, self._base) for each in value.__mro__)
        return namesakes or issubclass(value, self._base)


class LateForm:
    """Stands for an annotation while it is being compiled: types may contain themselves."""

    plain = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.target: Form | None = None

    def _form(self) -> Form:
        if self.target is None:
            raise RuntimeError(f"the form of {self.name} is used before it is complete")
        return self.target

    def dump(self, value: Any, writer: Writer) -> Node:
        return self._form().dump(value, writer)

    def load(self, node: Node, reader: Reader) -> Any:
        return self._form().load(node, reader)

    def fits(self, value: Any) -> bool:
        return self._form().fits(value)

    def tag(self, value: Any) -> str:
        return self._form().tag(value)


class LeafForm:
    """Values of a codec: a leaf of bytes."""

    plain = False

    def __init__(self, codec: Codec, type_: Any, cls: type) -> None:
        self.codec = codec
        self.type_ = type_
        self.cls = cls
        self.name = type_name(cls)

    def dump(self, value: Any, writer: Writer) -> Node:
        if not isinstance(value, self.cls):
            raise Mismatch(self.name, value)
        if type(value) is not self.cls:
            writer.tell(type(value))
        return writer.leaf(self.codec, value, self.type_)

    def load(self, node: Node, reader: Reader) -> Any:
        return reader.leaf(node, self.type_)

    def fits(self, value: Any) -> bool:
        return isinstance(value, self.cls)

    def tag(self, value: Any) -> str:
        return self.name


class HookedForm:
    """A class that stores itself, such as `io.File`: see `Hooked`."""

    plain = False

    def __init__(self, cls: Any) -> None:
        self.cls = cls
        self.name = type_name(cls)

    def dump(self, value: Any, writer: Writer) -> Node:
        if not isinstance(value, self.cls):
            accepted = self.cls.__flyte_accept__(value)
            if accepted is NotImplemented:
                raise Mismatch(self.name, value)
            value = accepted
        elif type(value) is not self.cls:
            writer.tell(type(value))
        try:
            encoded = value.__flyte_encode__(writer)
        except (ValueError, FileNotFoundError) as error:
            raise Unserializable(value, str(error)) from error
        return writer.embed(self.cls.__flyte_codec__, encoded)

    def load(self, node: Node, reader: Reader) -> Any:
        return reader.leaf(node, self.cls)

    def fits(self, value: Any) -> bool:
        return isinstance(value, self.cls)

    def tag(self, value: Any) -> str:
        return self.name
