"""Forms of values chosen from a list: enums and literals.

An enum member is told by its name, so its value may change; the member's name as a plain str is
accepted for it, its value is not.
"""

from __future__ import annotations

import base64
import enum
from collections.abc import Sequence
from typing import Any

from flyte_ray.codec.codec import Form, Mismatch, Node, Reader, Writer, is_namesake, type_name


class EnumForm:
    """An enum travels by member name; flags, whose combinations have none, by value."""

    plain = False

    def __init__(self, cls: type[enum.Enum]) -> None:
        self.cls = cls
        self.name = type_name(cls)
        self.by_value = issubclass(cls, enum.Flag)

    def dump(self, value: Any, writer: Writer) -> Node:
        if type(value) is str and value in self.cls.__members__:
            value = self.cls[value]
        if not isinstance(value, self.cls) and not is_namesake(type(value), self.cls):
            names = ", ".join(list(self.cls.__members__)[:10])
            raise Mismatch(self.name, value, why=f"its member names are {names}")
        return value.value if self.by_value else value.name

    def load(self, node: Node, reader: Reader) -> Any:
        return self.cls(node) if self.by_value else self.cls[node]

    def fits(self, value: Any) -> bool:
        return isinstance(value, self.cls)

    def tag(self, value: Any) -> str:
        return self.name


class LiteralForm:
    """`Literal[...]`: exactly one of the listed values, its class included."""

    def __init__(self, choices: Sequence[Any]) -> None:
        self.choices = tuple(choices)
        names = list(map(_choice_name, self.choices))
        self.plain = not any(isinstance(each, enum.Enum | bytes) for each in self.choices)
        # The name of others enters digests, for which the order must count for nothing.
        self.name = f"Literal[{', '.join(names if self.plain else sorted(names))}]"

    def _place(self, value: Any) -> int:
        for place, choice in enumerate(self.choices):
            if type(value) is type(choice) and value == choice:
                return place
        # A member's name stands for it, as it does for a whole enum.
        for place, choice in enumerate(self.choices):
            if isinstance(choice, enum.Enum) and value == choice.name:
                return place
        return -1

    def dump(self, value: Any, writer: Writer) -> Node:
        place = self._place(value)
        if place < 0:
            raise Mismatch(self.name, value)
        return self._node(self.choices[place])

    @staticmethod
    def _node(choice: Any) -> Node:
        if isinstance(choice, enum.Enum):
            return f"{type(choice).__qualname__}.{choice.name}"
        return base64.b64encode(choice).decode("ascii") if isinstance(choice, bytes) else choice

    def load(self, node: Node, reader: Reader) -> Any:
        for choice in self.choices:
            made = self._node(choice)
            if type(made) is type(node) and made == node:
                return choice
        raise Mismatch(self.name, node)

    def fits(self, value: Any) -> bool:
        return self._place(value) >= 0

    def tag(self, value: Any) -> str:
        choice = self.choices[max(self._place(value), 0)]
        return type_name(type(choice)) if self.plain else "Literal"


def _choice_name(choice: Any) -> str:
    return str(choice) if isinstance(choice, enum.Enum) else repr(choice)


def choice_form(type_: Any) -> Form | None:
    """The form of an enum class."""
    if isinstance(type_, type) and issubclass(type_, enum.Enum):
        return EnumForm(type_)
    return None
