"""Hashes of an author's own choosing, and streams that hash what passes through them.

A hash method has `update(data)` and `result() -> str`; `reset()` is optional. It decides what a
file, a directory or a frame is known by in cache keys, instead of its content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable


@runtime_checkable
class HashMethod(Protocol):
    """What is asked of a hash: take data, then say the result."""

    def update(self, data: Any) -> None:
        """Take (more) data."""
        ...

    def result(self) -> str:
        """The hash of what was taken."""
        ...


class HashFunction:
    """A function from a value to its hash.

    Example:
        >>> length = HashFunction.from_fn(lambda text: str(len(text)))
        >>> length.update("four")
        >>> length.result()
        '4'
    """

    def __init__(self, fn: Callable[[Any], Any]) -> None:
        self._fn = fn
        self._value = ""

    @classmethod
    def from_fn(cls, fn: Callable[[Any], Any]) -> HashFunction:
        """The same as the constructor."""
        return cls(fn)

    def update(self, data: Any) -> None:
        """Hash `data`, forgetting what came before."""
        self._value = str(self._fn(data))

    def result(self) -> str:
        """The hash of the last value."""
        return self._value

    def reset(self) -> None:
        """Forget the last value."""
        self._value = ""


class PrecomputedValue:
    """A hash that is known already.

    Example:
        >>> PrecomputedValue("v7").result()
        'v7'
    """

    def __init__(self, value: str) -> None:
        self._value = str(value)

    def update(self, data: Any) -> None:
        """Nothing is computed."""

    def result(self) -> str:
        """The value."""
        return self._value

    def reset(self) -> None:
        """Nothing is kept."""


class HashlibAccumulator:
    """Any hash of `hashlib` over all the bytes that pass.

    Example:
        >>> sha = HashlibAccumulator.from_hash_name("sha256")
        >>> sha.update(b"abc")
        >>> sha.result()[:8]
        'ba7816bf'
    """

    def __init__(self, h: Any) -> None:
        self._fresh = h.copy()
        self._h = h

    @classmethod
    def from_hash_name(cls, name: str) -> HashlibAccumulator:
        """By the name that `hashlib.new` knows."""
        return cls(hashlib.new(name))

    def update(self, data: Any) -> None:
        """Take more bytes."""
        self._h.update(data if isinstance(data, bytes | bytearray | memoryview) else bytes(data))

    def result(self) -> str:
        """The hash so far, in hexadecimal."""
        return str(self._h.hexdigest())

    def reset(self) -> None:
        """Begin anew."""
        self._h = self._fresh.copy()


def as_hash_method(method: HashMethod | str | None) -> HashMethod | None:
    """A hash method of what an author may give: a method, or a known hash."""
    return PrecomputedValue(method) if isinstance(method, str) else method


def hash_stream(method: HashMethod, source: Any, block_bytes: int = 16 * 1024 * 1024) -> str:
    """The hash of a binary stream. A plain function sees the whole content, once."""
    if (reset := getattr(method, "reset", None)) is not None:
        reset()
    if isinstance(method, HashFunction):
        method.update(source.read())
        return method.result()
    while block := source.read(block_bytes):
        method.update(block)
    return method.result()


def hash_files(
    method: HashMethod, files: Iterable[tuple[str, Path]], block_bytes: int = 16 * 1024 * 1024
) -> str:
    """The hash of named files, each with its name and size before its bytes.

    Raises:
        TypeError: the method is a function of one value.
    """
    if isinstance(method, PrecomputedValue):
        return method.result()
    if isinstance(method, HashFunction):
        raise TypeError(
            "a HashFunction hashes one value, and a directory is many files: give its hash as text,"
            " or a method that takes bytes, such as HashlibAccumulator"
        )
    if (reset := getattr(method, "reset", None)) is not None:
        reset()
    for name, path in files:
        with path.open("rb") as source:
            method.update(f"{name}\0{path.stat().st_size}\0".encode())
            while block := source.read(block_bytes):
                method.update(block)
    return method.result()


class _Hashing:
    """An open file, and the hash of what passes through it."""

    def __init__(self, fh: Any, accumulator: HashMethod) -> None:
        self._fh = fh
        self._accumulator = accumulator

    def result(self) -> str:
        """The hash of what has passed so far."""
        return self._accumulator.result()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fh, name)


class _BlockingHashing(_Hashing):
    """One that closes its file at the end of a `with` block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._fh.close()


class HashingWriter(_BlockingHashing):
    """A binary file that hashes what is written to it."""

    def write(self, data: Any) -> Any:
        """Hash, then write."""
        self._accumulator.update(data)
        return self._fh.write(data)


class HashingReader(_BlockingHashing):
    """A binary file that hashes what is read from it."""

    def read(self, size: int = -1) -> Any:
        """Read, then hash."""
        data = self._fh.read(size)
        self._accumulator.update(data)
        return data


class AsyncHashingWriter(_Hashing):
    """`HashingWriter` over an asynchronous file."""

    async def write(self, data: Any) -> Any:
        """Hash, then write."""
        self._accumulator.update(data)
        return await self._fh.write(data)


class AsyncHashingReader(_Hashing):
    """`HashingReader` over an asynchronous file."""

    async def read(self, size: int = -1) -> Any:
        """Read, then hash."""
        data = await self._fh.read(size)
        self._accumulator.update(data)
        return data
