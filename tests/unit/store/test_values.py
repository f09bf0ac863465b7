from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from flyte_ray.core.digest import digest_bytes
from flyte_ray.core.ids import RunName
from flyte_ray.core.payload import EncodedValue
from flyte_ray.core.ports import Part
from flyte_ray.errors import StoreError
from flyte_ray.store.values import WORTH_A_COPY_LOCALLY_BYTES, RunValues
from tests.unit.store.stores import DictBlobs

DATA = b"large"
DIGEST = digest_bytes(DATA)


def test_a_value_is_found_under_its_key() -> None:
    blobs = DictBlobs()
    key = RunValues(blobs, RunName("r1")).put(DIGEST, "npy", b"lar", memoryview(b"ge"))
    assert key == f"runs/r1/values/{DIGEST}.npy"
    assert RunValues(blobs, RunName("another")).get(key) == DATA


def test_equal_values_are_stored_once() -> None:
    blobs = DictBlobs()
    values = RunValues(blobs, RunName("r1"))
    assert values.put(DIGEST, "npy", DATA) == values.put(DIGEST, "npy", DATA)
    assert blobs.calls["put"] == 1


def test_a_value_that_could_not_be_stored_is_stored_the_next_time() -> None:
    def fail(operation: str, key: str) -> None:
        raise StoreError("away")

    blobs = DictBlobs()
    values = RunValues(blobs, RunName("r1"))
    blobs.before = fail
    with pytest.raises(StoreError):
        values.put(DIGEST, "npy", DATA)
    blobs.before = lambda operation, key: None
    assert values.get(values.put(DIGEST, "npy", DATA)) == DATA


def test_a_value_that_is_gone_is_file_not_found() -> None:
    with pytest.raises(FileNotFoundError):
        RunValues(DictBlobs(), RunName("r1")).get("runs/r0/values/x.npy")


# ---- fast copies

LARGE = b"large" * WORTH_A_COPY_LOCALLY_BYTES
LARGE_DIGEST = digest_bytes(LARGE)


class Copies:
    """`FastCopies` in a dict, which say in which order things happened."""

    def __init__(self, blobs: DictBlobs) -> None:
        self.laid: dict[str, list[bytes]] = {}
        self.story: list[str] = []
        blobs.after = lambda operation, key: self.story.append(operation)

    def offer(self, key: str, parts: Sequence[Part]) -> Callable[[], None]:
        self.story.append("offer")
        self.laid[key] = [bytes(part) for part in parts]
        return lambda: self.story.append("waited")

    def take(self, key: str) -> Sequence[memoryview] | None:
        parts = self.laid.get(key)
        return None if parts is None else [memoryview(part) for part in parts]


def shared(blobs: DictBlobs, run: str = "r1") -> tuple[RunValues, Copies]:
    copies = Copies(blobs)
    return RunValues(blobs, RunName(run), copies=copies), copies


def encoded(key: str, size: int = len(LARGE)) -> EncodedValue:
    return EncodedValue(codec="npy", type="t", digest=LARGE_DIGEST, size_bytes=size, key=key)


def test_a_copy_is_laid_down_while_the_value_is_written_and_waited_for() -> None:
    values, copies = shared(DictBlobs())
    key = values.put(LARGE_DIGEST, "npy", LARGE[:7], LARGE[7:])
    assert copies.story == ["offer", "put", "waited"]
    assert copies.laid == {key: [LARGE[:7], LARGE[7:]]}
    assert [bytes(part) for part in values.take(key, len(LARGE)) or ()] == [LARGE[:7], LARGE[7:]]


def test_a_copy_may_have_a_form_of_its_own_or_be_forbidden() -> None:
    values, copies = shared(DictBlobs())
    key = values.put_shared(LARGE_DIGEST, "npy", [LARGE], lambda: [b"quick"])
    values.put_shared(DIGEST, "npy", [LARGE, b"!"], lambda: None)
    assert copies.laid == {key: [b"quick"]}


def test_what_was_encoded_is_freed_before_another_form_of_it_is_laid_down() -> None:
    values, copies = shared(DictBlobs())
    written = memoryview(LARGE)
    values.put_shared(LARGE_DIGEST, "npy", [written], lambda: [b"quick"])
    assert copies.story == ["put", "offer", "waited"]
    with pytest.raises(ValueError, match="released"):
        written.tobytes()


def test_small_values_have_no_copies_and_nobody_asks_for_them() -> None:
    blobs = DictBlobs()
    values, copies = shared(blobs)
    key = values.put(DIGEST, "npy", DATA)
    copies.laid[key] = [b"never"]
    assert copies.story == ["put"]
    assert values.take(key, len(DATA)) is None


def test_of_a_bucket_smaller_values_have_copies_too() -> None:
    values, copies = shared(DictBlobs("gs://bucket"))
    key = values.put(DIGEST, "npy", bytes(300_000))
    assert list(copies.laid) == [key]


def test_a_value_that_could_not_be_stored_is_not_told_of_though_it_was_copied() -> None:
    blobs = DictBlobs()
    values, copies = shared(blobs)

    def fail(operation: str, key: str) -> None:
        raise StoreError("away")

    blobs.before = fail
    with pytest.raises(StoreError):
        values.put(LARGE_DIGEST, "npy", LARGE)
    blobs.before = lambda operation, key: None
    values.put(LARGE_DIGEST, "npy", LARGE)
    assert copies.story == ["offer", "waited", "offer", "put", "waited"]


def test_a_lost_copy_is_none() -> None:
    values, copies = shared(DictBlobs())
    key = values.put(LARGE_DIGEST, "npy", LARGE)
    copies.laid.clear()
    assert values.take(key, len(LARGE)) is None
    assert values.get(key) == LARGE


def test_a_value_that_was_read_gets_a_copy_when_it_is_handed_on_and_only_then() -> None:
    blobs = DictBlobs()
    key = RunValues(blobs, RunName("r1")).put(LARGE_DIGEST, "npy", LARGE)
    values, copies = shared(blobs)
    assert values.take(key, len(LARGE)) is None
    assert values.get(key) == LARGE
    assert copies.laid == {}
    for _ in range(2):
        assert values.hand_on(encoded(key), lambda: [LARGE])
    assert copies.story == ["offer", "waited"]


def test_a_value_whose_copy_was_found_is_handed_on_as_it_is() -> None:
    blobs = DictBlobs()
    values, copies = shared(blobs)
    copies.laid["runs/r1/values/x.npy"] = [LARGE]
    assert values.take("runs/r1/values/x.npy", len(LARGE)) is not None
    assert values.hand_on(encoded("runs/r1/values/x.npy"), lambda: [LARGE])
    assert copies.story == []


def test_a_value_of_another_run_is_not_handed_on() -> None:
    values, copies = shared(DictBlobs())
    assert not values.hand_on(encoded("runs/r0/values/x.npy"), lambda: [LARGE])
    assert not values.hand_on(encoded("runs/r11/values/x.npy"), lambda: [LARGE])
    assert copies.story == []


def test_without_copies_a_value_of_this_run_is_handed_on_all_the_same() -> None:
    values = RunValues(DictBlobs(), RunName("r1"))
    assert values.hand_on(encoded("runs/r1/values/x.npy"), lambda: [LARGE])
    assert values.take("runs/r1/values/x.npy", len(LARGE)) is None


def test_what_was_read_and_found_sound_or_was_found_beside_is_not_stored_again() -> None:
    blobs = DictBlobs()
    first = RunValues(blobs, RunName("r1"))
    keys = [first.put(LARGE_DIGEST, "npy", LARGE), first.put(DIGEST, "npy", DATA)]
    values, copies = shared(blobs)
    copies.laid[keys[0]] = [LARGE]
    values.take(keys[0], len(LARGE))
    values.confirm(keys[1])
    assert [values.put(LARGE_DIGEST, "npy", LARGE), values.put(DIGEST, "npy", DATA)] == keys
    assert blobs.calls["put"] == 2
