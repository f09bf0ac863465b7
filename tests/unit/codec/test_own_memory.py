"""Memory of a value's own: writing to it is seen here only, and is noticed."""

from __future__ import annotations

import gc
import os
import weakref
from pathlib import Path

import numpy as np
import pytest

from flyte_ray.codec.own_memory import (
    PAGE,
    WORTH_MAPPING_BYTES,
    OwnMemory,
    address_of,
    copied_in,
    memory_at,
)

DATA = bytes(range(256)) * (2 * WORTH_MAPPING_BYTES // 256)
pytestmark = pytest.mark.skipif(not Path("/proc/self/pagemap").exists(), reason="only on Linux")


@pytest.fixture
def view() -> memoryview:
    made = copied_in(DATA)
    assert isinstance(made, memoryview)
    return made


def test_it_holds_what_was_copied_in(view: memoryview) -> None:
    assert view == DATA
    assert not view.readonly


def test_reading_leaves_it_untouched_and_one_byte_written_does_not(view: memoryview) -> None:
    memory = view.obj
    assert isinstance(memory, OwnMemory)
    assert memory.is_untouched()
    assert sum(np.frombuffer(view, np.uint8)[::PAGE]) == 0
    assert memory.is_untouched()
    view[WORTH_MAPPING_BYTES + 5] = 77
    assert not memory.is_untouched()


def test_what_is_written_is_seen_by_nobody_else() -> None:
    descriptor = os.memfd_create("shared")
    os.write(descriptor, DATA)
    mine, yours = (OwnMemory.of_file(descriptor, 3, len(DATA) - 3) for _ in range(2))
    mine[0] = 200
    assert yours[0] == DATA[3]
    assert os.pread(descriptor, 1, 3) == DATA[3:4]
    os.close(descriptor)
    assert mine[1:] == DATA[4:], "it outlives the descriptor"


def test_it_lives_as_long_as_an_array_in_it() -> None:
    array = np.frombuffer(copied_in(DATA), np.uint8)
    memory = weakref.ref(array.base.obj)  # type: ignore[union-attr]  # a memoryview
    gc.collect()
    assert memory() is not None
    assert bytes(array[:256]) == DATA[:256]
    del array
    gc.collect()
    assert memory() is None


def test_a_mapping_is_given_back() -> None:
    def mappings() -> int:
        return Path("/proc/self/maps").read_text().count("flyte_ray-value")

    before = mappings()
    made = [copied_in(DATA) for _ in range(3)]
    assert mappings() == before + 3
    del made
    gc.collect()
    assert mappings() == before


def test_bytes_lie_in_the_memory_that_covers_all_of_them(view: memoryview) -> None:
    start = address_of(view)
    assert memory_at([b"other", view], start, len(view)) is view.obj
    assert memory_at([view], start + 1, len(view) + PAGE) is None
    assert memory_at([memoryview(DATA)], address_of(DATA), len(DATA)) is None


def test_small_values_are_left_as_they_are() -> None:
    assert copied_in(b"small") == b"small"
    assert isinstance(copied_in(b"small"), bytes)


def test_a_file_that_cannot_be_mapped_is_an_error() -> None:
    with pytest.raises(OSError, match="descriptor"):
        OwnMemory.of_file(-1, 0, PAGE)
