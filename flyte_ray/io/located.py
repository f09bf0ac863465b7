"""What `File` and `Dir` have in common: a place, a name, and a memory of the content behind it.

Holds no bytes and decides nothing about them; how each kind settles in a run is its own affair. A
`DataFrame` shares the lower half only, for it may lie nowhere yet.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator

from flyte_ray.core.payload import EncodedValue
from flyte_ray.io import transfer
from flyte_ray.io.places import base_name
from flyte_ray.io.reference import Reference, read_reference

T = TypeVar("T")


class Referring(BaseModel):
    """A value that stands in the record as a reference (`codec/codec.Hooked`)."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    __flyte_codec__: ClassVar[str]
    _reference: Reference = PrivateAttr(default_factory=Reference)

    def __eq__(self, other: object) -> bool:
        """Equal fields; what is remembered of the content does not count."""
        if not isinstance(other, Referring) or other.__flyte_codec__ != self.__flyte_codec__:
            return NotImplemented
        return self.model_dump() == other.model_dump()

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def __flyte_decode__(cls, value: EncodedValue, reader: Any) -> Any:
        fields, reference = read_reference(value)
        made = cls(**fields)
        made._reference = reference
        return made

    @classmethod
    def __flyte_schema__(cls) -> dict[str, Any]:
        return {"type": "string", "format": "uri", "title": cls.__name__}


class Located(Referring, Generic[T]):
    """A file or a directory, by reference."""

    path: str
    """URL, or a local path."""
    name: str | None = None
    """The last part of the path by default."""
    format: str = ""
    """What it holds, as far as its author says: "csv", "png", …"""
    hash: str | None = None
    """What it is known by in cache keys, where an author said so; else its content counts."""
    hash_method: Any = Field(default=None, exclude=True, repr=False)
    """Computes `hash` while a file is written."""

    if not TYPE_CHECKING:

        def __class_getitem__(cls, item: Any) -> Any:
            """`File[T]` is `File`: the content's type is nothing that can be checked."""
            return cls

    @field_validator("path", mode="before")
    @classmethod
    def _as_text(cls, path: Any) -> Any:
        return os.fspath(path) if isinstance(path, os.PathLike) else path

    def model_post_init(self, context: Any, /) -> None:
        """Fill in the name."""
        if self.name is None:
            self.name = base_name(self.path) or None

    @classmethod
    def _at(cls, path: str, reference: Reference, **fields: Any) -> Self:
        made = cls(path=path, **fields)
        made._reference = reference
        return made

    def _fresh_target(self, kind: str) -> Path:
        """A place for a download that nobody else uses."""
        return Path(tempfile.mkdtemp(prefix="flyte_ray_")) / (self.name or kind)

    def download_sync(self, local_path: str | Path | None = None) -> str:
        """A local copy, checked where the digest of the content is known; its path.

        Without a target, what is local is its own copy.

        Raises:
            ValueError: (also a `FileNotFoundError`) nothing is there.
            DigestMismatchError: the content is not what was stored.
        """
        raise NotImplementedError

    async def download(self, local_path: str | Path | None = None) -> str:
        """`download_sync`, awaited."""
        return await asyncio.to_thread(self.download_sync, local_path)

    def exists_sync(self) -> bool:
        """True when it is there."""
        return transfer.exists(self.path)

    async def exists(self) -> bool:
        """`exists_sync`, awaited."""
        return await asyncio.to_thread(self.exists_sync)

    @classmethod
    def __flyte_accept__(cls, value: Any) -> Any:
        return cls.model_validate(value) if isinstance(value, dict) else NotImplemented

    @classmethod
    def __flyte_parse__(cls, node: Any) -> Any:
        return cls(path=node) if isinstance(node, str) else cls.model_validate(node)
