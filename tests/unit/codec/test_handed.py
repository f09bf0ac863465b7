"""Large values that are only handed on: not encoded, hashed or stored again, and never mistaken."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from flyte_ray.codec.arrays import ArrayCodec
from flyte_ray.codec.arrow import TableCodec
from flyte_ray.codec.builtin import new_registry
from flyte_ray.codec.codec import Encoded
from flyte_ray.codec.own_memory import WORTH_MAPPING_BYTES
from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.core.payload import EncodedValue
from flyte_ray.io import HashFunction
from tests.unit.codec.values import SharingValues

ROWS = 2 * WORTH_MAPPING_BYTES // 8
pytestmark = pytest.mark.skipif(not Path("/proc/self/pagemap").exists(), reason="only on Linux")


class CountedArrays(ArrayCodec):
    encoded = 0

    def encode(self, value: Any, type_: Any) -> Encoded:
        type(self).encoded += 1
        return super().encode(value, type_)


class CountedTables(TableCodec):
    hashed = written = 0

    def encode(self, value: Any, type_: Any) -> Encoded:
        type(self).hashed += 1
        encoded = super().encode(value, type_)
        make = encoded.later
        assert make is not None

        def counted() -> Encoded:
            type(self).written += 1
            return make()

        return Encoded(digest=encoded.digest, type=encoded.type, later=counted)


class Process:
    """A process of a run, as far as values pass through it."""

    def __init__(self, store: SharingValues) -> None:
        class Arrays(CountedArrays):
            pass

        class Tables(CountedTables):
            pass

        self.arrays, self.tables = Arrays, Tables
        registry = new_registry()
        registry.register(Arrays())
        registry.register(Tables())
        self.codecs = PayloadCodec(registry)
        self.store = store

    def send(self, value: Any, type_: Any = Any) -> EncodedValue:
        return self.codecs.encode({"x": value}, {"x": type_}, self.store, "t").values["x"]

    def get(self, value: EncodedValue, type_: Any = Any) -> Any:
        return self.codecs.decode_one(value, type_, self.store)


@pytest.fixture
def store() -> SharingValues:
    return SharingValues()


@pytest.fixture
def made(store: SharingValues) -> EncodedValue:
    return Process(store).send(np.arange(ROWS))


@pytest.fixture
def made_table(store: SharingValues) -> EncodedValue:
    return Process(store).send(table())


def table(start: int = 0) -> pa.Table:
    return pa.table({"a": np.arange(start, start + ROWS), "b": [f"text {n}" for n in range(ROWS)]})


@pytest.fixture
def process(store: SharingValues) -> Process:
    return Process(store)


@pytest.fixture(params=["beside", "read"])
def way(request: pytest.FixtureRequest, store: SharingValues) -> None:
    """A value comes from its fast copy, or from the store."""
    if request.param == "read":
        original = store.put_shared
        store.put_shared = (  # type: ignore[method-assign]  # a fake's, to have no copies
            lambda digest, codec, parts, share: original(digest, codec, parts, lambda: None)
        )


# ---- arrays


@pytest.mark.usefixtures("way")
def test_an_array_that_is_handed_on_is_neither_encoded_nor_stored_again(
    process: Process, made: EncodedValue, store: SharingValues
) -> None:
    array = process.get(made)
    assert (process.send(array), process.send(array, np.ndarray)) == (made, made)
    assert process.arrays.encoded == 0
    assert store.puts == [made.key]


@pytest.mark.usefixtures("way")
def test_an_array_that_was_written_to_is_another_value(
    process: Process, made: EncodedValue
) -> None:
    array = process.get(made)
    array[17] = -1
    changed = process.send(array)
    assert changed.digest == process.send(array.copy()).digest != made.digest
    assert process.get(changed)[17] == -1
    assert process.get(made)[17] == 17


def test_every_reader_may_write_to_an_array_of_its_own(
    process: Process, made: EncodedValue
) -> None:
    mine, yours = process.get(made), process.get(made)
    mine += 1
    assert (mine[0], yours[0]) == (1, 0)
    assert process.send(yours) == made


@pytest.mark.parametrize(
    "change",
    [
        lambda array: setattr(array, "shape", (2, ROWS // 2)),
        lambda array: setattr(array, "dtype", np.uint64),
    ],
)
def test_a_change_of_how_its_bytes_are_read_is_noticed(
    change: Any, process: Process, made: EncodedValue
) -> None:
    array = process.get(made)
    change(array)
    assert process.send(array).digest != made.digest


def test_an_array_that_an_author_made_is_hashed_each_time(process: Process) -> None:
    array = np.arange(ROWS)
    first = process.send(array)
    array[0] = 5
    assert process.send(array).digest != first.digest
    assert process.arrays.encoded == 2


def test_arrays_inside_of_a_container_are_known_again(process: Process) -> None:
    sent = process.send({"left": np.arange(ROWS), "right": [np.ones(ROWS)]})
    received = process.get(sent)
    process.arrays.encoded = 0
    assert process.send(received).digest == sent.digest
    assert process.arrays.encoded == 0
    received["right"][0][3] = 0
    assert process.send(received).digest != sent.digest
    assert process.arrays.encoded == 1


def test_a_value_of_another_run_is_stored_in_this_one(
    made: EncodedValue, store: SharingValues
) -> None:
    other = SharingValues(run="other")
    other.objects = dict(store.objects)
    process = Process(other)
    process.send(process.get(made))
    assert process.arrays.encoded == 1
    assert len(other.puts) == 1


def test_the_hash_of_an_author_stays_with_the_annotation(process: Process) -> None:
    hashed = Annotated[NDArray[Any], HashFunction.from_fn(lambda array: "always")]
    sent = process.send(np.arange(ROWS), hashed)
    array = process.get(sent)
    assert process.send(array).digest == process.send(np.arange(ROWS)).digest != sent.digest
    assert process.send(process.get(sent, hashed), hashed).digest == sent.digest


# ---- tables


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("as_batch", [False, True])
def test_a_table_that_is_handed_on_is_neither_hashed_nor_written_again(
    as_batch: bool, process: Process, store: SharingValues
) -> None:
    value = table().combine_chunks().to_batches()[0] if as_batch else table()
    sent = Process(store).send(value)
    received = process.get(sent)
    assert received.equals(value)
    assert process.send(received) == sent
    assert process.tables.hashed == 0


def test_a_table_that_an_author_made_is_written_once_but_hashed_each_time(
    process: Process,
) -> None:
    column = np.arange(ROWS)
    mine = pa.table({"a": column})
    first = process.send(mine)
    assert process.send(mine) == first
    assert (process.tables.hashed, process.tables.written) == (2, 1)
    column[0] = 99  # its table shares this memory
    assert process.send(mine).digest != first.digest
    assert process.get(first)["a"][0].as_py() == 0


@pytest.mark.usefixtures("way")
def test_a_frame_is_hashed_again_but_written_only_if_it_was_changed(
    process: Process, store: SharingValues
) -> None:
    sent = Process(store).send(pd.DataFrame({"a": np.arange(ROWS)}))
    frame = process.get(sent)
    assert process.send(frame) == sent
    assert (process.tables.hashed, process.tables.written) == (1, 0)
    frame.loc[3, "a"] = -3
    changed = process.send(frame)
    assert changed.digest != sent.digest
    assert process.tables.written == 1
    assert process.get(changed).equals(frame)


@pytest.mark.usefixtures("way")
def test_some_columns_of_a_table_are_not_taken_for_the_table(
    process: Process, made_table: EncodedValue
) -> None:
    part = process.get(made_table, Annotated[pa.Table, {"a": int}])
    assert part.column_names == ["a"]
    assert process.send(part).digest != made_table.digest


@pytest.mark.usefixtures("way")
def test_a_table_as_a_frame_of_another_library_is_known_by_its_digest(
    process: Process, made_table: EncodedValue
) -> None:
    frame = process.get(made_table, pd.DataFrame)
    assert isinstance(frame, pd.DataFrame)
    assert process.send(frame).type == "pandas.DataFrame"
    assert process.get(made_table).equals(table())


def test_a_table_that_parquet_would_change_is_read_from_there_always(
    process: Process, store: SharingValues
) -> None:
    seconds = pa.table({"t": pa.array(range(ROWS), pa.timestamp("s"))})
    sent = process.send(seconds)
    assert store.beside == {}
    assert process.send(seconds).digest == sent.digest
    received = process.get(sent)
    assert received.schema.field("t").type == pa.timestamp("ms")
    again = process.send(received)
    assert again.digest == Process(store).send(process.get(again)).digest != sent.digest


def test_a_slice_takes_along_its_own_rows_only(process: Process, store: SharingValues) -> None:
    wide = pa.table({"a": np.arange(50 * ROWS)})
    few = wide.slice(7, ROWS)
    sent = process.send(few)
    assert sum(map(len, store.beside[sent.key or ""])) < 2 * few.nbytes
    assert process.get(sent).equals(few)
