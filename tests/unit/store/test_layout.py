"""Keys are a file format: a change here makes old stores unreadable."""

from __future__ import annotations

import pytest

from flyte_ray.core.ids import ActionId, RunName
from flyte_ray.store import layout

RUN = RunName("r1")


def test_every_key_is_where_it_always_was() -> None:
    digest = "ab" * 32
    assert [
        layout.FORMAT,
        layout.run_file(RUN),
        layout.owner(RUN, 3),
        layout.segment(RUN, 0),
        layout.segment(RUN, 12_345),
        layout.value(RUN, digest, "npy"),
        layout.attempt_log(RUN, ActionId("a0"), 2),
        layout.letter(RUN, "abort", "abort"),
        layout.heartbeat(RUN),
        layout.final(RUN, 3),
        layout.code_bundle(digest),
        layout.code_by_value(digest),
        layout.cache_entries("u"),
    ] == [
        "format.json",
        "runs/r1/run.json",
        "runs/r1/owners/000003.json",
        "runs/r1/log/000000/000000000.parquet",
        "runs/r1/log/000012/000012345.parquet",
        f"runs/r1/values/{digest}.npy",
        "runs/r1/logs/a0/2.log",
        "runs/r1/mail/abort~abort.json",
        "runs/r1/heartbeat.json",
        "runs/r1/final/000003.json",
        f"code/{digest}.zip",
        f"code/{digest}.pkl",
        "cache/l0/u.parquet",
    ]


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a b", "x" * 129, "naïve"])
def test_names_that_could_leave_their_folder_are_no_run_names(name: str) -> None:
    assert not layout.is_run_name(name)


def test_letters_of_any_name_stay_in_their_folder_and_apart() -> None:
    names = ["../../x", "a/b", "a~b", "x" * 5000, "x" * 4999 + "y", "über"]
    files = [layout.letter_name("signal", name) for name in names]
    assert len(set(files)) == len(names)
    assert all("/" not in file and len(file.encode()) < 255 for file in files)
    assert {layout.letter_kind(file) for file in files} == {"signal"}


def test_numbers_of_foreign_files_are_none() -> None:
    assert layout.number("000012.json") == 12
    assert layout.number("000000012.parquet") == 12
    assert layout.number(".DS_Store") is None
    assert layout.number("README") is None
