"""PUBLIC: files, folders and tables that live in the store and travel by reference.

Holds what an author puts into a signature (`File`, `Dir`, `DataFrame`) and the transfer beneath.
Importing it loads pydantic and fsspec, but neither pyarrow nor pandas.
"""

from flyte_ray.io.dataframe import DataFrame
from flyte_ray.io.dir import Dir, EmptyDir
from flyte_ray.io.file import File
from flyte_ray.io.frames import register_frame
from flyte_ray.io.hashing import (
    AsyncHashingReader,
    AsyncHashingWriter,
    HashFunction,
    HashingReader,
    HashingWriter,
    HashlibAccumulator,
    HashMethod,
    PrecomputedValue,
)
from flyte_ray.io.places import MissingFileError
from flyte_ray.io.tables import CSV, GENERIC, PARQUET, TableFiles

__all__ = [
    "CSV",
    "GENERIC",
    "PARQUET",
    "AsyncHashingReader",
    "AsyncHashingWriter",
    "DataFrame",
    "Dir",
    "EmptyDir",
    "File",
    "HashFunction",
    "HashMethod",
    "HashingReader",
    "HashingWriter",
    "HashlibAccumulator",
    "MissingFileError",
    "PrecomputedValue",
    "TableFiles",
    "register_frame",
]
