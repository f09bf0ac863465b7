from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyte_ray.core.ids import ActionId
from flyte_ray.core.model import ActionPhase, Event, EventKind
from flyte_ray.errors import ConfigurationError, StoreError
from flyte_ray.store.schemas import LOG
from flyte_ray.store.segments import decode, decode_segment, encode
from flyte_ray.store.tables import to_parquet
from tests.unit.store.books import ONE, row

GOLDEN = Path(__file__).parent / "golden"
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
events = st.builds(
    Event,
    kind=st.sampled_from(EventKind),
    at_us=st.integers(0, 2**52),
    action_id=texts.map(ActionId),
    parent_id=st.none() | texts.map(ActionId),
    attempt=st.integers(0, 1000),
    task=texts,
    phase=st.none() | st.sampled_from(ActionPhase),
    cache_key=st.none() | texts,
    inputs=st.none() | texts,
    outputs=st.none() | texts,
    error=st.none() | texts,
    attrs=st.dictionaries(texts, st.none() | st.integers() | texts | st.lists(texts), max_size=3),
)

WRITTEN = [
    row(EventKind.SUBMITTED, "a0", inputs=ONE.to_json(), attrs={"identity": "i", "scope": "a0"}),
    row(EventKind.STARTED, "a0", at_us=2, attempt=1, phase=ActionPhase.RUNNING),
    row(EventKind.FAILED, "a0", at_us=3, attempt=1, error='{"code":"ValueError"}',
        phase=ActionPhase.FAILED, cache_key="c" * 64, attrs={"node": "n1", "pid": 7}),
]  # fmt: skip


@settings(max_examples=30)
@given(st.lists(events, min_size=1, max_size=70), st.integers(0, 10**9), st.integers(1, 1000))
def test_what_is_written_is_read(written: list[Event], slot: int, epoch: int) -> None:
    segment = decode_segment(encode(written, slot, epoch))
    assert (segment.slot, segment.epoch) == (slot, epoch)
    assert list(segment.events) == written


def test_equal_events_are_equal_bytes() -> None:
    assert encode(WRITTEN, 1, 2) == encode(list(WRITTEN), 1, 2)
    assert encode(WRITTEN, 1, 2) != encode(WRITTEN, 1, 3)


def test_version_1_stays_readable() -> None:
    segment = decode_segment((GOLDEN / "log-1.parquet").read_bytes())
    assert (segment.slot, segment.epoch) == (7, 3)
    assert list(segment.events) == WRITTEN


def test_the_columns_of_version_1_keep_their_names_and_types() -> None:
    written = pq.read_schema(GOLDEN / "log-1.parquet")
    assert written.field("happened_at").type == pa.timestamp("us", tz="UTC")
    for field in written:
        assert LOG.field(field.name).type == field.type


def test_a_plain_reader_reads_a_segment(tmp_path: Path) -> None:
    (tmp_path / "1.parquet").write_bytes(encode(WRITTEN, 7, 3))
    table = pl.read_parquet(f"{tmp_path}/*.parquet").sort("happened_at")
    assert table.select("slot", "kind", "attempt", "status").rows() == [
        (7, "submitted", 0, None),
        (7, "started", 1, "running"),
        (7, "failed", 1, "failed"),
    ]


@pytest.mark.parametrize("keep", [0, 1, 50, -5])
def test_a_segment_that_was_cut_off_is_an_error(keep: int) -> None:
    with pytest.raises(StoreError, match="not a whole Parquet file"):
        decode(encode(WRITTEN, 1, 1)[:keep])


def test_kinds_and_columns_of_a_later_release_are_passed_over() -> None:
    columns = {name: [None, None] for name in LOG.names}
    columns |= {"slot": [1, 1], "epoch": [1, 1], "kind": ["teleported", "started"]}
    columns |= {"action_id": ["a1", "a1"], "status": [None, "beaming"], "colour": ["red", "blue"]}
    later = LOG.append(pa.field("colour", pa.string()))
    [event] = decode(to_parquet(columns, later, 1))
    assert event.kind is EventKind.STARTED
    assert event.phase is None


def test_columns_that_an_earlier_release_did_not_write_are_empty() -> None:
    earlier = pa.schema([field for field in LOG if field.name not in ("attrs", "error")])
    columns = {
        name: [1] if name in ("slot", "epoch", "happened_at") else [None] for name in LOG.names
    }
    [event] = decode(to_parquet({**columns, "kind": ["started"]}, earlier, 1))
    assert event.error is None
    assert event.attrs == {}


def test_a_segment_of_an_incompatible_release_asks_for_an_upgrade() -> None:
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, LOG) as writer:
        writer.add_key_value_metadata({"flyte_ray.schema": "99"})
    with pytest.raises(ConfigurationError, match="upgrade flyte-ray"):
        decode(sink.getvalue())


def test_text_that_is_no_unicode_does_not_stop_the_record() -> None:
    [event] = decode(encode([row(EventKind.FAILED, error='{"message":"\udc80"}')], 0, 1))
    assert event.error == '{"message":"\\udc80"}'


def test_an_attribute_that_is_no_json_is_written_as_text() -> None:
    [event] = decode(encode([row(EventKind.STARTED, attrs={"path": Path("/x")})], 0, 1))
    assert event.attrs == {"path": "/x"}
