"""Files of tables: opened as Arrow datasets, written whole, checked page by page.

A table that a run keeps has two guards, so that also a part of it can be trusted: the digest of its
footer (schema, places and statistics of all columns) stands in the record and is compared when the
file is opened, and every page carries a checksum that is compared when it is read.

Source of the layout: Apache Parquet, "File format": ... pages | footer | its length (4) | "PAR1".
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flyte_ray.core.digest import Digest, digest_bytes
from flyte_ray.io.keeping import is_kept, note_kept
from flyte_ray.io.places import (
    MissingFileError,
    arrow,
    base_name,
    corrupt,
    filesystem_of,
    is_remote,
    join,
)
from flyte_ray.io.places import local_path as path_of
from flyte_ray.io.transfer import arriving, upload

PARQUET = "parquet"
CSV = "csv"
GENERIC = ""
FRAMES = "frames"
FIRST_FILE = "00000"
_TAIL = 8
_MAGIC = b"PAR1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFiles:
    """A table in files, and which part of it is asked for."""

    url: str
    format: str = GENERIC
    """Either "parquet", "csv", or empty for what the name says."""
    footer: Digest | None = field(default=None, repr=False)
    """Digest of the footer of a table that a run keeps."""
    columns: tuple[str, ...] | None = None
    filters: Any = None
    """An Arrow expression."""

    def paths(self) -> tuple[Any, list[str]]:
        """The fsspec file system, and the files in order.

        Raises:
            MissingFileError: there is no such table.
        """
        filesystem, path = filesystem_of(self.url)
        if filesystem.isdir(path):
            # Arrow skips names that begin with "_" or ".": so do we, being explicit about the rest.
            names = sorted(filesystem.find(path))
            found = [name for name in names if not base_name(name).startswith(("_", "."))]
        else:
            found = [path] if filesystem.exists(path) else []
        if not found:
            raise MissingFileError(f"there is no table at {self.url}")
        return filesystem, found

    def kind(self) -> str:
        """The format, guessed from the name where nobody said it."""
        kind = self.format or (CSV if ".csv" in base_name(self.url).lower() else PARQUET)
        if kind not in (PARQUET, CSV):
            raise ValueError(f"tables are read as {PARQUET} or {CSV}, not as '{kind}'")
        return kind

    def dataset(self) -> Any:
        """An Arrow dataset, whose columns and rows are pruned while it is read.

        Raises:
            MissingFileError: there is no such table.
            DigestMismatchError: it is not what was stored.
            ValueError: this is no table, or it has no such column.
        """
        kind = self.kind()
        filesystem, paths = self.paths()
        datasets = importlib.import_module("pyarrow.dataset")
        if kind == PARQUET:
            if self.footer is not None and footer_digest(filesystem, paths) != self.footer:
                raise corrupt(self.url)
            pages = datasets.ParquetFragmentScanOptions(page_checksum_verification=True)
            form: Any = datasets.ParquetFileFormat(default_fragment_scan_options=pages)
        else:
            form = kind
        try:
            made = datasets.dataset(paths, format=form, filesystem=filesystem)
        except arrow().pa.ArrowInvalid as error:
            raise ValueError(f"{self.url} cannot be read as {kind}: {error}") from error
        check_columns(made.schema.names, self.columns)
        return made

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """The dataset; what its pages have to say while they are read, in our words."""
        try:
            yield self.dataset()
        except arrow().pa.ArrowInvalid as error:
            raise ValueError(f"{self.url} cannot be read as {self.kind()}: {error}") from error
        except OSError as error:
            if "CRC checksum" in str(error):
                raise corrupt(self.url) from error
            raise

    def table(self) -> Any:
        """The part that is asked for, in memory."""
        with self.reading() as dataset:
            return dataset.to_table(columns=self._names(), filter=self.filters)

    def batches(self, rows: int) -> Iterator[Any]:
        """The same, piece by piece."""
        with self.reading() as dataset:
            yield from dataset.to_batches(
                columns=self._names(), filter=self.filters, batch_size=rows
            )

    def _names(self) -> list[str] | None:
        return None if self.columns is None else list(self.columns)


def check_columns(have: Sequence[str], wanted: Sequence[str] | None) -> None:
    """Refuse columns that a table has not.

    Raises:
        ValueError: there is one.
    """
    if missing := [name for name in wanted or () if name not in have]:
        names = ", ".join(map(repr, missing))
        raise ValueError(f"the table has no column {names}; its columns are {list(have)}")


def footer_digest(filesystem: Any, paths: Sequence[str]) -> Digest | None:
    """The digest of the footers of Parquet files; None where one of them has none."""
    parts = []
    for path in paths:
        size = filesystem.size(path)
        tail = bytes(filesystem.cat_file(path, start=max(0, size - _TAIL), end=size))
        length = int.from_bytes(tail[:4], "little") + _TAIL
        if len(tail) < _TAIL or tail[4:] != _MAGIC or length > size:
            return None
        parts.append(bytes(filesystem.cat_file(path, start=size - length, end=size)))
    return digest_bytes(*parts)


def footer_at(url: str) -> Digest | None:
    """The digest of the footer of one Parquet file."""
    filesystem, path = filesystem_of(url)
    return footer_digest(filesystem, [path])


def write_table(table: Any, url: str) -> None:
    """Write one Parquet file; it appears when it is complete.

    Raises:
        Unserializable: a column has a type that Parquet lacks.
    """
    if not is_remote(url):
        with arriving(path_of(url)) as partial:
            arrow().to_parquet(table, str(partial))
        return
    # Not straight into the store: Parquet's writer ends what an error interrupts with a footer, so
    # half a table would stand there as a whole one of fewer rows.
    with TemporaryDirectory(prefix="flyte_ray_") as folder:
        whole = Path(folder) / FIRST_FILE
        arrow().to_parquet(table, str(whole))
        upload(whole, url)


def keep_table(table: Any, prefix: str, digest: Digest) -> tuple[str, Digest | None]:
    """Store a table in the run's files under its digest, unless it is there.

    Returns:
        Its URL, and the digest of its footer.
    """
    url = join(prefix, FRAMES, digest)
    file = join(url, FIRST_FILE)
    footer = footer_at(file) if is_kept(file) else None
    if footer is None:
        # Nothing is there, or what a power cut left of it.
        write_table(table, file)
        footer = footer_at(file)
    note_kept(file)
    return url, footer
