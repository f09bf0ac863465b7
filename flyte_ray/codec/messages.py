"""The codec of protobuf messages: their own deterministic serialisation.

Loaded when a class comes from `google`.
"""

from __future__ import annotations

from typing import Any

from flyte_ray.codec.classes import LeafForm
from flyte_ray.codec.codec import Encoded, Form, Forms
from flyte_ray.codec.labels import named_class
from flyte_ray.core.digest import digest_bytes


class MessageCodec:
    """Serialised protobuf messages."""

    name = "protobuf"

    def accepts(self, type_: Any) -> bool:
        return (
            isinstance(type_, type)
            and hasattr(type_, "DESCRIPTOR")
            and hasattr(type_, "SerializeToString")
        )

    def encode(self, value: Any, type_: Any) -> Encoded:
        cls = type(value)
        label = f"{cls.__module__}:{cls.__qualname__}"
        data = label.encode() + b"\n" + value.SerializeToString(deterministic=True)
        name = str(cls.DESCRIPTOR.full_name)
        content = digest_bytes(data)
        return Encoded(digest=content, content=content, type=name, parts=(data,))

    def decode(self, data: bytes, type_: Any) -> Any:
        label, _, body = bytes(data).partition(b"\n")
        cls: Any = type_ if self.accepts(type_) else named_class(label.decode())
        message = cls()
        message.ParseFromString(body)
        return message


CODECS = (MessageCodec(),)


def form_of(type_: Any, forms: Forms) -> Form | None:
    """The form of a message class; None for all others."""
    codec = CODECS[0]
    return LeafForm(codec, type_, type_) if codec.accepts(type_) else None
