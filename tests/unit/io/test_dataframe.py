"""Tables by reference: one digest for all libraries, read only as far as asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import duckdb
import fsspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.errors import DigestMismatchError, UnserializableInputError
from flyte_ray.io import PARQUET, DataFrame, HashFunction, keeping, register_frame, tables
from tests.unit.codec.values import MemoryValues
from tests.unit.io.flaky import flaky
from tests.unit.io.places import digest_of, pass_on, running_task

COLUMNS = {"a": [1, 2, 3], "b": ["x", "y", None]}


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    keeping.forget()
    yield str(tmp_path / "store") if request.param == "local" else "memory://store"
    filesystem.store.clear()
    keeping.forget()


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(COLUMNS)


def test_a_wrapped_frame_opens_as_every_library(frame: pd.DataFrame, store: str) -> None:
    arrived = pass_on(DataFrame.wrap_df(frame), DataFrame, f"{store}/files")
    pd.testing.assert_frame_equal(arrived.open(pd.DataFrame).all_sync(), frame)
    assert arrived.open(pa.Table).all_sync().to_pydict() == COLUMNS
    assert arrived.open(pl.DataFrame).all_sync().to_dict(as_series=False) == COLUMNS
    assert arrived.open(pl.LazyFrame).all_sync().collect().height == 3
    assert arrived.open(pa.RecordBatch).all_sync().num_rows == 3
    assert arrived.open(duckdb.DuckDBPyRelation).all_sync().fetchall()[0] == (1, "x")


@pytest.mark.parametrize("value", [pd.DataFrame(COLUMNS), pa.table(COLUMNS), pl.DataFrame(COLUMNS)])
def test_a_raw_frame_is_wrapped_for_a_dataframe_parameter(value: Any, store: str) -> None:
    arrived = pass_on(value, DataFrame, f"{store}/files")
    assert arrived.uri.startswith(store)
    assert arrived.format == PARQUET
    assert arrived.open(pa.Table).all_sync().to_pydict() == COLUMNS


@pytest.mark.parametrize("type_", [pd.DataFrame, pl.DataFrame, pa.Table])
def test_a_reference_is_read_where_a_frame_is_asked_for(
    type_: Any, frame: pd.DataFrame, store: str
) -> None:
    with running_task(store):
        for made in (DataFrame.from_local_sync(frame), DataFrame.wrap_df(frame)):
            assert isinstance(pass_on(made, type_), type_)
            assert isinstance(pass_on(made, type_ | None), type_)
            assert isinstance(pass_on([made], list[type_])[0], type_)  # type: ignore[valid-type]
            assert isinstance(pass_on({"k": made}, dict[str, type_ | None])["k"], type_)  # type: ignore[valid-type]


def test_a_frame_without_a_place_for_files_travels_as_a_value(frame: pd.DataFrame) -> None:
    arrived = pass_on(frame, DataFrame)
    pd.testing.assert_frame_equal(arrived.open(pd.DataFrame).all_sync(), frame)
    again = pass_on(arrived, DataFrame)
    assert again.column_names() == ["a", "b"]


def test_all_roads_lead_to_one_digest(frame: pd.DataFrame, store: str) -> None:
    files = f"{store}/files"
    expected = digest_of(frame, pd.DataFrame)
    assert digest_of(frame, DataFrame, files) == expected
    assert digest_of(frame, DataFrame) == expected
    assert digest_of(DataFrame.wrap_df(frame), DataFrame, files) == expected
    assert digest_of(pass_on(frame, DataFrame, files), DataFrame) == expected
    with running_task(store):
        assert digest_of(DataFrame.from_local_sync(frame), DataFrame) == expected


def test_values_are_converted_when_they_are_passed_on(frame: pd.DataFrame) -> None:
    codecs, values = PayloadCodec(), MemoryValues()
    raw = codecs.encode({"x": frame}, {"x": pd.DataFrame}, values, "o").values["x"]
    wrapped = codecs.encode({"x": frame}, {"x": DataFrame}, values, "o").values["x"]
    reference = codecs.decode_one(raw, DataFrame, values)
    assert isinstance(reference, DataFrame)
    assert reference.column_names() == ["a", "b"]
    pd.testing.assert_frame_equal(codecs.decode_one(wrapped, pd.DataFrame, values), frame)
    assert codecs.decode_one(raw, pa.Table, values).num_rows == 3


def test_a_table_is_stored_once(frame: pd.DataFrame, store: str) -> None:
    for value in (frame, pa.table(COLUMNS), DataFrame.wrap_df(frame)):
        pass_on(value, DataFrame, f"{store}/files")
    filesystem, path = fsspec.core.url_to_fs(store)
    assert [each.rpartition("/")[2] for each in filesystem.find(path)] == ["00000"]


def test_only_the_asked_columns_and_rows_are_read(frame: pd.DataFrame, store: str) -> None:
    arrived = pass_on(frame, DataFrame, f"{store}/files")
    table = arrived.open(pa.Table, columns=["b"], filters=[("a", ">", 1)]).all_sync()
    assert table.to_pydict() == {"b": ["y", None]}
    assert list(arrived.open(Annotated[pd.DataFrame, {"a": int}]).all_sync()) == ["a"]
    wrapped = DataFrame.wrap_df(frame).open(pa.Table, columns=["b"], filters=[("a", "<", 2)])
    assert wrapped.all_sync().to_pydict() == {"b": ["x"]}


def test_unknown_columns_are_named(frame: pd.DataFrame, store: str) -> None:
    for table in (DataFrame.wrap_df(frame), pass_on(frame, DataFrame, f"{store}/files")):
        with pytest.raises(ValueError, match="no column 'z'; its columns are"):
            table.open(pa.Table, columns=["z"]).all_sync()


def test_a_table_comes_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "long.parquet"
    pq.write_table(pa.table({"n": np.arange(200_000)}), path, row_group_size=50_000)

    async def body() -> list[int]:
        table = DataFrame.from_existing_remote(str(path)).open(pd.DataFrame)
        return [len(piece) async for piece in table.iter()]

    sizes = asyncio.run(body())
    assert sum(sizes) == 200_000
    assert max(sizes) <= 65_536


def test_everything_is_awaited_too(frame: pd.DataFrame, store: str) -> None:
    async def body() -> None:
        made = await DataFrame.from_local(frame, columns=["a"])
        assert made.column_names() == ["a"]
        assert len(await made.open(pd.DataFrame).all()) == 3

    with running_task(store):
        asyncio.run(body())


def test_columns_are_told_without_reading_rows(frame: pd.DataFrame) -> None:
    table = DataFrame.wrap_df(frame)
    assert list(table.columns()) == ["a", "b"]
    assert table.metadata["columns"]["a"] == "int64"
    assert table.val is frame


def test_a_destination_is_written_as_told(frame: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "t.parquet"
    made = DataFrame.from_local_sync(frame, remote_destination=str(path))
    assert pq.read_table(path).num_rows == 3
    assert made.uri == str(path)
    uri = str(tmp_path / "own.parquet")
    assert pass_on(DataFrame.wrap_df(frame, uri), DataFrame).uri == uri


def test_files_of_tables_are_read_by_their_format(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,x\n")
    assert DataFrame.from_existing_remote(str(tmp_path / "t.csv")).open(
        pa.Table
    ).all_sync().to_pydict() == {"a": [1], "b": ["x"]}
    (tmp_path / "plain").write_text("a\n1\n")
    plain = DataFrame.from_existing_remote(str(tmp_path / "plain"), format="csv")
    assert plain.column_names() == ["a"]
    taken = DataFrame.from_local_sync(tmp_path / "t.csv")
    assert taken.column_names() == ["a", "b"]


def test_a_directory_of_files_is_one_table(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for part in range(3):
        pq.write_table(pa.table({"a": [part]}), folder / f"{part}.parquet")
    (folder / "_SUCCESS").write_text("")
    table = DataFrame.from_existing_remote(str(folder))
    assert table.open(pa.Table).all_sync().to_pydict() == {"a": [0, 1, 2]}
    assert pass_on(table, DataFrame).uri == str(folder)


def test_a_reference_to_one_file_is_known_by_what_its_store_says(store: str) -> None:
    filesystem, path = fsspec.core.url_to_fs(f"{store}/t.parquet")
    filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
    digests = set()
    for rows in (3, 3, 4):
        if rows == 4 or not filesystem.exists(path):
            filesystem.pipe_file(path, parquet_bytes(numbers(rows)))
        table = DataFrame.from_existing_remote(f"{store}/t.parquet")
        arrived = pass_on(table, DataFrame)
        assert arrived.uri == f"{store}/t.parquet"
        assert arrived.open(pa.Table).all_sync().num_rows == rows
        digests.add(digest_of(DataFrame(uri=f"{store}/t.parquet"), DataFrame))
    assert len(digests) == 2


def test_an_author_hash_decides(frame: pd.DataFrame, store: str) -> None:
    by_length = HashFunction.from_fn(lambda df: str(len(df)))
    one = DataFrame.from_local_sync(frame, hash_method=by_length)
    two = DataFrame.from_local_sync(frame.assign(a=0), hash_method=by_length)
    assert one.hash == "3"
    assert digest_of(one, DataFrame) == digest_of(two, DataFrame, f"{store}/files")
    assert pass_on(one, DataFrame, f"{store}/files").hash == "3"


def test_wrong_uses_are_clear_errors(frame: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="say how to read"):
        DataFrame.wrap_df(frame).all_sync()
    with pytest.raises(TypeError, match="wrap_df takes"):
        DataFrame.wrap_df([1])
    with pytest.raises(TypeError, match="cannot be opened as dict"):
        DataFrame.wrap_df(frame).open(dict)
    with pytest.raises(FileNotFoundError, match="no table at"):
        DataFrame.from_existing_remote(str(tmp_path / "none")).open(pa.Table).all_sync()
    with pytest.raises(UnserializableInputError, match="none"):
        pass_on(DataFrame.from_existing_remote(str(tmp_path / "none")), DataFrame)
    with pytest.raises(UnserializableInputError, match="neither a frame nor a uri"):
        pass_on(DataFrame(), DataFrame)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(ValueError, match="cannot be read as parquet"):
        DataFrame.from_existing_remote(str(tmp_path / "bad.parquet")).open(pa.Table).all_sync()


def test_a_column_type_that_parquet_lacks_is_named(store: str) -> None:
    table = pa.table({"ok": [1], "span": pa.array([pa.MonthDayNano([1, 2, 3])])})
    for _ in range(2):
        with pytest.raises(UnserializableInputError, match="column 'span'"):
            pass_on(table, DataFrame, f"{store}/files")


def kept_file(arrived: DataFrame) -> tuple[Any, str]:
    filesystem, path = fsspec.core.url_to_fs(arrived.uri)
    (file,) = filesystem.find(path)
    return filesystem, file


def numbers(count: int) -> pa.Table:
    rng = np.random.default_rng(0)
    return pa.table({"a": np.arange(count), "b": rng.random(count)})


HARM: dict[str, Any] = {
    "a page": lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
    "the footer": lambda data: data[:-40] + bytes([data[-40] ^ 1]) + data[-39:],
    "cut off": lambda data: data[:-100],
    "empty": lambda data: b"",
    "another table": lambda data: parquet_bytes(numbers(3)),
}


def parquet_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


@pytest.mark.parametrize("harm", list(HARM))
@pytest.mark.parametrize("whole", [True, False])
def test_a_table_that_is_not_what_was_stored_is_not_handed_over(
    store: str, harm: str, whole: bool
) -> None:
    arrived = pass_on(numbers(20_000), DataFrame, f"{store}/files")
    filesystem, path = kept_file(arrived)
    data = filesystem.cat_file(path)
    filesystem.rm_file(path)
    filesystem.pipe_file(path, HARM[harm](data))
    opened = arrived.open(pa.Table, columns=None if whole else ["a"], filters=[("a", ">=", 0)])
    with pytest.raises(DigestMismatchError):
        opened.all_sync()
    with pytest.raises(DigestMismatchError):
        list(opened.iter_sync())


@pytest.mark.parametrize("refuses", [1, 2])
def test_a_table_whose_writing_fails_leaves_nothing_and_is_written_again(refuses: int) -> None:
    table, filesystem = numbers(300_000), flaky(refuses)
    with pytest.raises(OSError, match="503"):
        pass_on(table, DataFrame, "flaky://b/files")
    assert filesystem.objects == {}
    arrived = pass_on(table, DataFrame, "flaky://b/files")
    assert arrived.open(pa.Table).all_sync().equals(table)


def test_a_table_of_which_half_is_there_is_written_again(store: str) -> None:
    table = numbers(20_000)
    filesystem, path = kept_file(pass_on(table, DataFrame, f"{store}/files"))
    data = filesystem.cat_file(path)
    filesystem.rm_file(path)
    filesystem.pipe_file(path, data[:-100])
    keeping.forget()
    arrived = pass_on(table, DataFrame, f"{store}/files")
    assert arrived.open(pa.Table).all_sync().equals(table)


def test_a_table_that_vanished_is_a_clear_error(store: str) -> None:
    arrived = pass_on(numbers(3), DataFrame, f"{store}/files")
    filesystem, path = kept_file(arrived)
    filesystem.rm_file(path)
    with pytest.raises(FileNotFoundError, match="frames"):
        arrived.open(pa.Table).all_sync()


def test_text_that_is_no_table_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b'a,b\n1,2\n3,4,5\n"')
    table = DataFrame.from_existing_remote(str(tmp_path / "t.csv")).open(pa.Table)
    with pytest.raises(ValueError, match=r"t\.csv cannot be read as csv"):
        table.all_sync()


@pytest.mark.parametrize("cls", [pl.LazyFrame, duckdb.DuckDBPyRelation])
def test_lazy_libraries_read_from_the_files_what_they_are_asked_for(
    store: str, cls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived = pass_on(numbers(300_000), DataFrame, f"{store}/files")
    monkeypatch.setattr(tables.TableFiles, "table", None)
    opened = arrived.open(cls, columns=["a"], filters=[("a", ">", 299_990)]).all_sync()
    if cls is pl.LazyFrame:
        assert opened.filter(pl.col("a") < 299_993).collect()["a"].to_list() == [299_991, 299_992]
    else:
        assert opened.filter("a < 299993").fetchall() == [(299_991,), (299_992,)]


def test_row_groups_that_cannot_match_are_not_read(store: str) -> None:
    arrived = pass_on(numbers(300_000), DataFrame, f"{store}/files")
    filesystem, path = kept_file(arrived)
    with filesystem.open(path) as file:
        groups = pq.ParquetFile(file).metadata
        place = groups.row_group(0).column(0).data_page_offset
    assert groups.num_row_groups == 3
    data = bytearray(filesystem.cat_file(path))
    data[place + 1000] ^= 1
    filesystem.rm_file(path)
    filesystem.pipe_file(path, bytes(data))
    last = arrived.open(pa.Table, filters=[("a", ">=", 299_999)]).all_sync()
    assert last["a"].to_pylist() == [299_999]
    with pytest.raises(DigestMismatchError):
        arrived.open(pa.Table, filters=[("a", "<", 1)]).all_sync()


def test_frames_of_other_libraries_join() -> None:
    class Rows(list):  # type: ignore[type-arg]
        pass

    register_frame(Rows, lambda t: Rows(t.to_pylist()), lambda rows: pa.Table.from_pylist(rows))
    table = pass_on(Rows([{"a": 1}]), DataFrame)
    assert table.open(Rows).all_sync() == [{"a": 1}]
