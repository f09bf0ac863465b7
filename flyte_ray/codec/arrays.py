"""The codec of numpy arrays and scalars: the `.npy` format, without a copy where memory allows.

Loaded when numpy is. The digest is that of the file (header with dtype and shape, then the bytes
in C order), so equal arrays have equal digests whatever their layout in memory. Arrays of Python
objects have no such bytes: they are pickled.

Source of the format: NEP 1, `numpy.lib.format`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, get_origin

import numpy as np

from flyte_ray.codec.classes import LeafForm
from flyte_ray.codec.codec import (
    Encoded,
    Form,
    Forms,
    Mismatch,
    Node,
    Reader,
    Traits,
    Writer,
)
from flyte_ray.core.digest import digest_bytes
from flyte_ray.core.ports import Part

_END_OF_LENGTH = 10
"""Of magic, version, and the length of the header that follows."""


class ArrayCodec:
    """`.npy` files."""

    name = "npy"
    lies_in_place = True

    def accepts(self, type_: Any) -> bool:
        return _class_of(type_) is not None

    def encode(self, value: Any, type_: Any) -> Encoded:
        parts = self.encode_parts(value)
        if isinstance(value, np.generic):
            # A scalar is no array of no dimensions, though their bytes are the same.
            name = f"numpy.{type(value).__name__}"
            return Encoded(digest=digest_bytes(b"scalar\n", *parts), type=name, parts=parts)
        digest = digest_bytes(*parts)
        return Encoded(digest=digest, type="numpy.ndarray", parts=parts, content=digest)

    def encode_parts(self, value: Any) -> tuple[Part, ...]:
        """Header and bytes; the latter a view of the array's memory where they lie in order."""
        array = np.asarray(value, order="C")
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": _descr(array), "fortran_order": False, "shape": array.shape}
        )
        body = array.reshape(-1).view(np.uint8).data if array.nbytes else b""
        return header.getvalue(), body

    def decode(self, data: bytes | memoryview, type_: Any) -> Any:
        start = _END_OF_LENGTH + int.from_bytes(data[_END_OF_LENGTH - 2 : _END_OF_LENGTH], "little")
        whole = memoryview(data)
        return _array(bytes(whole[:start]), whole[start:])

    def share(self, value: Any) -> tuple[Part, ...] | None:
        return None if isinstance(value, np.generic) else self.encode_parts(value)

    def adopt(self, parts: Sequence[memoryview], type_: Any) -> Any:
        header, body = parts
        return _array(bytes(header), body)

    def traits(self, value: Any, type_: Any = None, data: Part | None = None) -> Traits | None:
        if type(value) is not np.ndarray or not value.flags.c_contiguous or not value.nbytes:
            return None
        # As text: the names in a dtype can be changed in place.
        shown = f"{value.shape} {value.strides} {value.dtype!r}"
        return Traits(shown, value.ctypes.data, value.nbytes)


class ScalarCodec(ArrayCodec):
    """`.npy` files of one number."""

    name = "npy-scalar"

    def decode(self, data: bytes | memoryview, type_: Any) -> Any:
        return super().decode(data, type_)[()]


def _array(header: bytes, body: Any) -> Any:
    stream = io.BytesIO(header)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"unknown version {version} of a stored array")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    flat = np.frombuffer(body, dtype=dtype)
    # Whoever gets an array expects to write to it.
    return (flat if flat.flags.writeable else flat.copy()).reshape(shape)


def _descr(array: Any) -> Any:
    return np.lib.format.dtype_to_descr(array.dtype)


def _class_of(type_: Any) -> type | None:
    cls = get_origin(type_) or type_
    if not isinstance(cls, type) or not issubclass(cls, np.ndarray | np.generic):
        return None
    # Masked arrays, matrices and records have more to them than their bytes.
    return cls if cls in (np.ndarray, np.memmap) or issubclass(cls, np.generic) else None


class ArrayForm(LeafForm):
    """`np.ndarray`, `NDArray[T]` and numpy's scalar classes."""

    def dump(self, value: Any, writer: Writer) -> Node:
        if not isinstance(value, self.cls):
            raise Mismatch(self.name, value)
        array: Any = value
        odd = isinstance(value, np.ndarray) and type(value) not in (np.ndarray, np.memmap)
        # Kind T are numpy's strings of variable length: their bytes lie elsewhere.
        if odd or array.dtype.hasobject or array.dtype.kind == "T":
            return writer.pickle(value, self.cls)
        return super().dump(value, writer)

    def load(self, node: Node, reader: Reader) -> Any:
        return reader.leaf(node, self.type_)


ARRAYS = ArrayCodec()
SCALARS = ScalarCodec()
CODECS = (ARRAYS, SCALARS)


def form_of(type_: Any, forms: Forms) -> Form | None:
    """The form of a numpy type; None for all others."""
    cls = _class_of(type_)
    if cls is None:
        return None
    return ArrayForm(SCALARS if issubclass(cls, np.generic) else ARRAYS, type_, cls)
