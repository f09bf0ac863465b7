from __future__ import annotations

from flyte_ray.core.ids import RunName
from flyte_ray.errors import StoreError
from flyte_ray.store import layout
from flyte_ray.store.mailbox import Mailbox
from flyte_ray.store.remote_blobs import FsspecBlobs
from tests.unit.store.stores import DictBlobs, FakeFileSystem

RUN = RunName("r1")


def test_letters_are_found_by_another_process_in_order() -> None:
    blobs = DictBlobs()
    sender = Mailbox(blobs, RUN)
    assert sender.post("signal", "approval/1", {"value": "yes"})
    assert sender.post("abort", "abort", {"reason": "enough"})
    letters = Mailbox(blobs, RUN).letters()
    assert [(x.kind, x.name, x.body) for x in letters] == [
        ("abort", "abort", {"reason": "enough"}),
        ("signal", "approval/1", {"value": "yes"}),
    ]


def test_the_first_of_two_letters_counts() -> None:
    blobs = DictBlobs()
    assert Mailbox(blobs, RUN).post("signal", "approval", {"value": "yes"})
    assert not Mailbox(blobs, RUN).post("signal", "approval", {"value": "no"})
    [letter] = Mailbox(blobs, RUN).letters()
    assert letter.body == {"value": "yes"}


def test_posting_the_same_twice_is_told_apart_from_a_lost_reply() -> None:
    assert Mailbox(blobs := DictBlobs(), RUN).post("signal", "approval", {"value": "yes"})
    assert not Mailbox(blobs, RUN).post("signal", "approval", {"value": "yes"})
    filesystem = FakeFileSystem()
    remote = FsspecBlobs(filesystem, "b", url="fake://b", first_pause_s=0)
    filesystem.faults = [("after", ConnectionResetError())]
    assert Mailbox(remote, RUN).post("signal", "approval", {"value": "yes"})


def test_letters_are_read_once_and_new_ones_are_seen() -> None:
    blobs = DictBlobs()
    mailbox = Mailbox(blobs, RUN)
    mailbox.post("abort", "abort", {})
    mailbox.letters()
    mailbox.post("signal", "x", {})
    assert len(mailbox.letters()) == 2
    assert blobs.calls["get"] == 2


def test_letters_of_one_kind_are_read_alone() -> None:
    blobs = DictBlobs()
    mailbox = Mailbox(blobs, RUN)
    mailbox.post("abort", "abort", {})
    mailbox.post("outcome", "a1-1", {"n": 1})
    assert [x.name for x in mailbox.letters("outcome")] == ["a1-1"]
    assert blobs.calls["get"] == 1


def test_a_file_that_is_no_letter_is_left_out() -> None:
    blobs = DictBlobs()
    Mailbox(blobs, RUN).post("abort", "abort", {})
    blobs.put(f"{layout.mail(RUN)}/abort~broken.json", b"{")
    assert [x.name for x in Mailbox(blobs, RUN).letters()] == ["abort"]


def test_an_empty_mailbox_costs_one_list() -> None:
    blobs = DictBlobs()
    assert Mailbox(blobs, RUN).letters() == []
    assert sum(blobs.calls.values()) == blobs.calls["list"] == 1


def test_a_store_that_is_away_is_an_error_not_an_empty_mailbox() -> None:
    def fail(operation: str, key: str) -> None:
        raise StoreError("away")

    blobs = DictBlobs()
    blobs.before = fail
    try:
        Mailbox(blobs, RUN).letters()
    except StoreError as error:
        assert str(error) == "away"
    else:
        raise AssertionError("the failure was swallowed")
