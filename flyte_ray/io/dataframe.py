"""`DataFrame`: a table by reference, Parquet until someone opens it.

It wraps a frame of any library, or refers to files of one. Passed on it moves nothing; opened as
pandas, Arrow, polars or DuckDB it reads only the columns and row groups that are asked for. The
same table has the same digest whichever library it comes from.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from pydantic import PrivateAttr, field_validator

from flyte_ray.codec.codec import Encoded
from flyte_ray.core.digest import digest_json
from flyte_ray.core.payload import EncodedValue
from flyte_ray.io.frames import (
    as_frame_type,
    files_of,
    is_frame,
    library_of,
    open_files,
    open_table,
    part_of,
    pieces_of,
    table_of,
)
from flyte_ray.io.hashing import HashMethod, as_hash_method
from flyte_ray.io.located import Referring
from flyte_ray.io.patience import answering, patiently
from flyte_ray.io.places import arrow, files_url
from flyte_ray.io.reference import Reference, digest_of, force_to_disk, write_reference
from flyte_ray.io.tables import (
    GENERIC,
    PARQUET,
    TableFiles,
    footer_at,
    keep_table,
    write_table,
)
from flyte_ray.io.tree import seen_at


class DataFrame(Referring):
    """A table, by reference or wrapped.

    Example:
        >>> DataFrame.from_existing_remote("gs://bucket/table.parquet").uri
        'gs://bucket/table.parquet'
    """

    uri: str | None = None
    """URL of a file, or of a directory of files; None for a frame that is only wrapped."""
    format: str = GENERIC
    """Either "parquet", "csv", or empty for what the name of the file says."""
    hash: str | None = None
    """What the table is known by in cache keys, where an author said so; else its content."""

    __flyte_codec__: ClassVar[str] = "dataframe"
    _value: Any = PrivateAttr(default=None)
    _opened: Any = PrivateAttr(default=None)
    _columns: list[str] | None = PrivateAttr(default=None)
    _filters: Any = PrivateAttr(default=None)
    _kept: dict[str, tuple[str, Reference]] = PrivateAttr(default_factory=dict)

    @field_validator("uri", mode="before")
    @classmethod
    def _as_text(cls, uri: Any) -> Any:
        return os.fspath(uri) if isinstance(uri, os.PathLike) else uri

    def __eq__(self, other: object) -> bool:
        """The same reference, or the same wrapped frame."""
        return self._value is getattr(other, "_value", None) and super().__eq__(other)

    __hash__ = None

    # ------------------------------------------------------------- making one

    @classmethod
    def wrap_df(cls, val: Any, uri: str | None = None) -> DataFrame:
        """A table of a frame in memory.

        Args:
            val: a pandas or polars DataFrame, an Arrow table or record batch.
            uri: where to store it, instead of the run's own files.

        Raises:
            TypeError: it is no frame.
        """
        if not is_frame(val):
            raise TypeError(
                f"DataFrame.wrap_df takes a pandas or polars DataFrame or an Arrow table, not "
                f"{type(val).__name__}"
            )
        made = cls(uri=uri)
        made._value = val
        return made

    @classmethod
    def from_df(cls, val: Any, uri: str | None = None) -> DataFrame:
        """The same as `wrap_df`."""
        return cls.wrap_df(val, uri)

    @classmethod
    def from_local_sync(
        cls,
        df: Any,
        columns: Sequence[str] | Mapping[str, Any] | None = None,
        remote_destination: str | None = None,
        hash_method: HashMethod | str | None = None,
    ) -> DataFrame:
        """A frame (or a local table file), stored at once in a task and lazily in a script.

        Args:
            df: a frame of any library, or the path of a Parquet or CSV file.
            columns: keep only these.
            remote_destination: URL to store it at, instead of the run's own files.
            hash_method: what it is known by in cache keys, instead of its content.
        """
        if isinstance(df, str | Path):
            names = list(columns) if columns is not None else None
            df = files_of(str(df), GENERIC, None, names, None).table()
        elif columns is not None:
            df = table_of(df).select(list(columns))
        made = cls.wrap_df(df)
        if (method := as_hash_method(hash_method)) is not None:
            if (reset := getattr(method, "reset", None)) is not None:
                reset()
            method.update(df)
            made.hash = method.result()
        if remote_destination is not None:
            made.uri, made.format = remote_destination, PARQUET
            made._reference = patiently(
                remote_destination, lambda: _stored_at(table_of(df), remote_destination)
            )
        elif (prefix := files_url()) is not None:
            made.uri, made._reference = patiently(prefix, lambda: made._keep(prefix))
            made.format = PARQUET
        return made

    @classmethod
    async def from_local(
        cls,
        df: Any,
        columns: Sequence[str] | Mapping[str, Any] | None = None,
        remote_destination: str | None = None,
        hash_method: HashMethod | str | None = None,
    ) -> DataFrame:
        """`from_local_sync`, awaited."""
        return await asyncio.to_thread(
            cls.from_local_sync, df, columns, remote_destination, hash_method
        )

    @classmethod
    def from_existing_remote(cls, remote_path: str, format: str | None = None) -> DataFrame:
        """A reference to a table that stays where it is."""
        made = cls(uri=remote_path, format=format or GENERIC)
        made._reference = Reference(stays=True)
        return made

    # ------------------------------------------------------------- using one

    @property
    def val(self) -> Any:
        """The wrapped frame; None for a reference."""
        return self._value

    @property
    def metadata(self) -> dict[str, Any]:
        """Format, and the names and types of the columns."""
        return {"format": self.format or PARQUET, "columns": self.columns()}

    def columns(self) -> dict[str, str]:
        """Name of each column to its Arrow type, without reading rows."""
        known = table_of(self._value) if self._value is not None else self._files().dataset()
        schema = known.schema
        return {field.name: str(field.type) for field in schema}

    def column_names(self) -> list[str]:
        """Names of the columns, in order."""
        return list(self.columns())

    def open(
        self,
        dataframe_type: Any,
        *,
        columns: Sequence[str] | None = None,
        filters: Any = None,
    ) -> DataFrame:
        """Say how to read it; then call `all()`, `all_sync()` or `iter()`.

        Args:
            dataframe_type: `pd.DataFrame`, `pa.Table`, `pl.DataFrame`, `pl.LazyFrame`,
                `duckdb.DuckDBPyRelation`; an `Annotated` one selects columns.
            columns: read only these.
            filters: an Arrow expression, or `[("column", ">", 3)]`: row groups that cannot match
                are not read.
        """
        made = self.model_copy()
        cls, selected = as_frame_type(dataframe_type)
        made._opened = cls
        made._columns = list(columns) if columns is not None else selected
        made._filters = filters
        return made

    def all_sync(self) -> Any:
        """The whole table, as the opened type.

        Raises:
            ValueError: it was not opened, or there is no such table or column.
        """
        self._check_opened()
        if self._value is None:
            return open_files(self._opened, self._files())
        if (
            isinstance(self._value, self._opened)
            and self._columns is None
            and self._filters is None
        ):
            return self._value
        return open_table(self._opened, part_of(self._value, self._columns, self._filters))

    async def all(self) -> Any:
        """`all_sync`, awaited."""
        return await asyncio.to_thread(self.all_sync)

    def iter_sync(self) -> Iterator[Any]:
        """The table piece by piece, each as the opened type."""
        self._check_opened()
        source = (
            self._files()
            if self._value is None
            else part_of(self._value, self._columns, self._filters)
        )
        for piece in pieces_of(source):
            yield open_table(self._opened, piece)

    async def iter(self) -> AsyncIterator[Any]:
        """The table piece by piece, each as the opened type."""
        pieces = self.iter_sync()
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield piece

    def _files(self) -> TableFiles:
        footer = self._reference.footer
        return files_of(self.uri, self.format, footer, self._columns, self._filters)

    def _check_opened(self) -> None:
        if self._opened is None:
            raise ValueError("say how to read the table first: df.open(pd.DataFrame).all()")

    # ------------------------------------------------------------- passed on (codec/codec.Hooked)

    def __flyte_encode__(self, writer: Any) -> Encoded:
        if self._value is None or self._reference.known_by is not None:
            return self._encode_reference(writer)
        prefix = files_url(writer.files_url)
        if prefix is None and self.uri is None:
            # Nowhere to put a file of its own: its bytes travel as those of any other value.
            encoded: Encoded = arrow().TABLES.encode(table_of(self._value), None)
            digest = encoded.digest if self.hash is None else digest_json(["hash", self.hash])
            return replace(encoded, type="flyte_ray.io.DataFrame", digest=digest)
        with answering(self.uri or prefix or ""):
            url, reference = self._keep(prefix or "")
        return self._record(writer, url, reference)

    def _keep(self, prefix: str) -> tuple[str, Reference]:
        """Store the wrapped frame, once."""
        place = self.uri or prefix
        if place not in self._kept:
            table = table_of(self._value)
            if self.uri is not None:
                self._kept[place] = self.uri, _stored_at(table, self.uri)
            else:
                digest = arrow().table_digest(table)
                url, footer = keep_table(table, prefix, digest)
                self._kept[place] = url, Reference(sha256=digest, footer=footer, kept=True)
        return self._kept[place]

    def _encode_reference(self, writer: Any) -> Encoded:
        if self.uri is None:
            raise ValueError("the DataFrame holds neither a frame nor a uri; use wrap_df")
        known = self._reference
        if known.known_by is None and self.hash is None:
            known = self._reference = Reference(seen_as=seen_at(self.uri), stays=known.stays)
        return self._record(writer, self.uri, known)

    def _record(self, writer: Any, url: str, reference: Reference) -> Encoded:
        force_to_disk(writer, url, reference)
        fields = {**self.model_dump(mode="json"), "uri": url}
        if reference.kept:
            fields["format"] = PARQUET
        if self.hash is not None:
            digest = digest_json(["hash", self.hash])
        elif reference.sha256 is not None:
            digest = reference.sha256
        else:
            digest = digest_of("dataframe", reference.known_by or url, self.format)
        return write_reference("DataFrame", fields, reference, digest)

    @classmethod
    def __flyte_decode__(cls, value: EncodedValue, reader: Any) -> Any:
        if not (value.inline or "").startswith("{"):
            return cls.wrap_df(arrow().TABLES.decode(reader.data(value), None))
        return super().__flyte_decode__(value, reader)

    @classmethod
    def __flyte_accept__(cls, value: Any) -> Any:
        return cls.wrap_df(value) if is_frame(value) else NotImplemented

    def __flyte_give__(self, type_: Any) -> Any:
        return self.open(type_).all_sync() if library_of(type_) else NotImplemented

    @classmethod
    def __flyte_parse__(cls, node: Any) -> Any:
        return cls(uri=node) if isinstance(node, str) else cls.model_validate(node)


def _stored_at(table: Any, url: str) -> Reference:
    """Write a table to a place of its author's choice."""
    write_table(table, url)
    return Reference(sha256=arrow().table_digest(table), footer=footer_at(url), stays=True)
