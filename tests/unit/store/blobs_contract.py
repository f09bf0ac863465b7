"""What every `Blobs` must do; a test class per store inherits it and gives the fixture `blobs`."""

from __future__ import annotations

import threading

import pytest

from flyte_ray.core.ports import Blobs


class BlobsContract:
    @pytest.fixture
    def blobs(self) -> Blobs:
        raise NotImplementedError

    def test_get_returns_what_was_put(self, blobs: Blobs) -> None:
        blobs.put("a/b/c", b"one", bytearray(b" two"), memoryview(b" three"))
        assert blobs.get("a/b/c") == b"one two three"

    def test_put_without_parts_stores_an_empty_object(self, blobs: Blobs) -> None:
        blobs.put("empty")
        assert blobs.get("empty") == b""
        assert blobs.exists("empty")

    def test_put_replaces_the_whole_object(self, blobs: Blobs) -> None:
        blobs.put("k", b"a long first value")
        blobs.put("k", b"short")
        assert blobs.get("k") == b"short"

    def test_put_takes_parts_of_wider_items(self, blobs: Blobs) -> None:
        numbers = memoryview(bytes(range(16))).cast("q")
        blobs.put("numbers", numbers)
        assert blobs.get("numbers") == bytes(range(16))

    def test_put_new_creates(self, blobs: Blobs) -> None:
        assert blobs.put_new("x/new", b"mine")
        assert blobs.get("x/new") == b"mine"

    def test_put_new_leaves_an_existing_object_alone(self, blobs: Blobs) -> None:
        blobs.put_new("k", b"first")
        assert not blobs.put_new("k", b"second")
        assert blobs.get("k") == b"first"

    def test_put_new_of_the_same_bytes_is_a_success(self, blobs: Blobs) -> None:
        blobs.put_new("k", b"same")
        assert blobs.put_new("k", b"same")

    def test_get_of_a_missing_object_is_file_not_found(self, blobs: Blobs) -> None:
        with pytest.raises(FileNotFoundError):
            blobs.get("no/such/key")

    def test_get_below_an_object_is_file_not_found(self, blobs: Blobs) -> None:
        blobs.put("file", b"x")
        with pytest.raises(FileNotFoundError):
            blobs.get("file/below")

    def test_exists_tells_objects_from_folders_and_nothing(self, blobs: Blobs) -> None:
        blobs.put("folder/file", b"x")
        assert blobs.exists("folder/file")
        assert not blobs.exists("folder")
        assert not blobs.exists("folder/other")

    def test_list_names_objects_and_folders_directly_below_sorted(self, blobs: Blobs) -> None:
        for key in ("p/b", "p/a/1", "p/a/2", "p/c/d/e", "q"):
            blobs.put(key, b"x")
        assert list(blobs.list("p")) == ["a", "b", "c"]
        assert list(blobs.list("p/a")) == ["1", "2"]
        assert list(blobs.list("")) == ["p", "q"]

    def test_list_of_nothing_is_empty(self, blobs: Blobs) -> None:
        assert list(blobs.list("nothing/here")) == []

    def test_list_sees_what_was_just_written(self, blobs: Blobs) -> None:
        assert list(blobs.list("p")) == []
        blobs.put_new("p/1", b"x")
        assert list(blobs.list("p")) == ["1"]
        blobs.put("p/2", b"x")
        assert list(blobs.list("p")) == ["1", "2"]

    def test_delete_removes_and_does_not_mind_missing_objects(self, blobs: Blobs) -> None:
        blobs.put("d/1", b"x")
        blobs.put("d/2", b"x")
        blobs.delete(["d/1", "d/none"])
        assert list(blobs.list("d")) == ["2"]
        blobs.delete(["d/2"])
        assert list(blobs.list("")) == []

    def test_a_deleted_object_can_be_created_again(self, blobs: Blobs) -> None:
        blobs.put_new("d/k", b"first")
        blobs.delete(["d/k"])
        assert blobs.put_new("d/k", b"second")

    def test_of_many_threads_exactly_one_creates(self, blobs: Blobs) -> None:
        wins: list[tuple[int, int]] = []

        def create(me: int) -> None:
            wins.extend((k, me) for k in range(50) if blobs.put_new(f"race/{k}", f"{me}".encode()))

        threads = [threading.Thread(target=create, args=(me,)) for me in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(k for k, _ in wins) == list(range(50))
        assert all(blobs.get(f"race/{k}") == f"{me}".encode() for k, me in wins)

    def test_names_with_odd_characters_are_kept(self, blobs: Blobs) -> None:
        key = "mail/signal~a%2Fb c+d=é.json"
        blobs.put_new(key, b"x")
        assert list(blobs.list("mail")) == [key.partition("/")[2]]
        assert blobs.get(key) == b"x"
