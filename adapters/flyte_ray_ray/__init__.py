"""Datasets of Ray Data: `DataFrame.open(ray.data.Dataset)` and `DataFrame.wrap_df(dataset)`.

Loaded when a class of Ray is first asked for. A table is read by tasks of Ray's, a row group each,
from the files where they lie, and only the columns and rows that are asked for. Wrapping a dataset
brings all of it into this process: write it with `dataset.write_parquet` and refer to that where
it is large.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import ray
import ray.data

from flyte_ray.io import PARQUET, TableFiles, register_frame

__all__: list[str] = []


def _from_files(files: TableFiles) -> ray.data.Dataset:
    # By our own reader and not by `read_parquet`: that one prunes row groups by filters of its own
    # kind only, refuses names without an ending, and compares no checksums.
    if files.kind() != PARQUET:
        return ray.data.from_arrow(files.table())
    parts = [
        {"path": part.path, "group": group.id}
        for fragment in files.dataset().get_fragments(filter=files.filters)
        for part in fragment.split_by_row_group(filter=files.filters)
        for group in part.row_groups
    ]
    if not parts:
        return ray.data.from_arrow(files.table())
    return ray.data.from_items(parts).map_batches(_read, fn_args=(files,), batch_size=1)


def _read(places: dict[str, Any], files: TableFiles) -> pa.Table:
    """The rows of one row group, in a task of Ray's."""
    names = list(files.columns) if files.columns is not None else None
    with files.reading() as dataset:
        fragments = {each.path: each for each in dataset.get_fragments()}
        wanted = zip(places["path"], places["group"], strict=True)
        return pa.concat_tables(
            fragments[str(path)]
            .subset(row_group_ids=[int(group)])
            .to_table(schema=dataset.schema, columns=names, filter=files.filters)
            for path, group in wanted
        )


def _to_table(dataset: ray.data.Dataset) -> pa.Table:
    blocks = ray.get(dataset.to_arrow_refs())
    return pa.concat_tables(blocks, promote_options="default")


register_frame(ray.data.Dataset, ray.data.from_arrow, _to_table, _from_files)
