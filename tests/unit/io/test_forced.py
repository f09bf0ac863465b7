"""Where a store forces its writes to the disk, what the record names is there before the record."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.core.ids import RunName
from flyte_ray.core.payload import Payload
from flyte_ray.io import DataFrame, Dir, File, keeping
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.store.values import RunValues

Synced = Callable[[], list[Path]]


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Synced]:
    """The paths that were forced to the disk."""
    paths: list[Path] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        paths.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    keeping.forget()
    yield lambda: list(paths)
    keeping.forget()


def made(tmp_path: Path, kind: type) -> Any:
    if kind is DataFrame:
        return DataFrame.from_df(pa.table({"a": [1, 2]}))
    folder = tmp_path / "made"
    (folder / "deep").mkdir(parents=True)
    for name in ("a", "deep/b"):
        (folder / name).write_text(name)
    return kind(path=str(folder / "a" if kind is File else folder))


def again(value: Any) -> Any:
    """The same, of which nothing is known yet."""
    if isinstance(value, DataFrame):
        return DataFrame.from_df(value.val)
    return type(value)(path=value.path)


def recorded(value: Any, values: RunValues) -> Any:
    kind = type(value)
    payload = PayloadCodec().encode({"x": value}, {"x": kind}, values, "o")
    payload = Payload.from_json(payload.to_json())
    return PayloadCodec().decode(payload, {"x": kind}, values)["x"]


pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="asks Linux for names")


@pytest.mark.parametrize("raw_data", [False, True])
@pytest.mark.parametrize("kind", [File, Dir, DataFrame])
def test_what_a_record_names_is_on_the_disk_before(
    tmp_path: Path, synced: Synced, kind: type, raw_data: bool
) -> None:
    blobs = LocalBlobs(tmp_path / "store", fsync=True)
    elsewhere = str(tmp_path / "raw") if raw_data else None
    values = RunValues(blobs, RunName("r"), raw_data_path=elsewhere)
    arrived = recorded(made(tmp_path, kind), values)
    place = tmp_path / ("raw" if raw_data else "store")
    stored = {path for path in place.rglob("*") if path.name != "_tmp"}
    assert any(path.is_file() for path in stored)
    assert stored | {place, tmp_path} <= set(synced())
    once = len(synced())
    recorded(arrived, values)
    assert len(synced()) == once


@pytest.mark.parametrize("kind", [File, Dir, DataFrame])
def test_nothing_is_forced_where_nobody_asked_for_it(
    tmp_path: Path, synced: Synced, kind: type
) -> None:
    recorded(made(tmp_path, kind), RunValues(LocalBlobs(tmp_path / "store"), RunName("r")))
    assert synced() == []


@pytest.mark.parametrize("kind", [File, Dir, DataFrame])
def test_what_a_power_cut_left_empty_is_stored_again(tmp_path: Path, kind: type) -> None:
    values = RunValues(LocalBlobs(tmp_path / "store"), RunName("r"))
    value = made(tmp_path, kind)
    recorded(value, values)
    stored = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    content = {path: path.read_bytes() for path in stored}
    for path in stored:
        path.chmod(0o644)
        path.write_bytes(b"")
        keeping.forget()
        recorded(again(value), values)
        assert {each: each.read_bytes() for each in stored} == content
