"""Who gets in through a door, and by which way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from queue import Queue

import pytest

from flyte_ray.runtime.doors import CANNOT_REACH, Door, knock, new_path

PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    # Short: the path of a Unix socket is limited to some hundred characters.
    folder = str(tmp_path_factory.getbasetemp())
    monkeypatch.setattr("flyte_ray.runtime.doors.tempfile.gettempdir", lambda: folder)


class Guests:
    def __init__(self) -> None:
        self.came: Queue[Connection] = Queue()
        self.door = Door(node="here", ip="127.0.0.1", welcome=self.came.put)

    def hear(self) -> bytes:
        return self.came.get(timeout=PATIENCE_S).recv_bytes()


@pytest.fixture
def guests() -> Iterator[Guests]:
    yield Guests()


def test_a_neighbour_comes_by_the_unix_socket(guests: Guests) -> None:
    address = guests.door.address(to_other_nodes=False)
    assert address.inet is None
    knock(address, "here").send_bytes(b"hello")
    assert guests.hear() == b"hello"


def test_another_node_comes_by_tcp(guests: Guests) -> None:
    address = guests.door.address(to_other_nodes=True)
    knock(address, "elsewhere").send_bytes(b"hello")
    assert guests.hear() == b"hello"
    assert guests.door.address(to_other_nodes=True) == address, "one listener is enough"


def test_who_does_not_know_the_key_is_not_let_in(guests: Guests) -> None:
    address = guests.door.address(to_other_nodes=True)
    with pytest.raises(CANNOT_REACH):
        knock(replace(address, key=b"guessed"), "elsewhere")
    knock(address, "elsewhere").send_bytes(b"the next one is")
    assert guests.hear() == b"the next one is"
    assert guests.came.empty()


def test_a_door_for_neighbours_only_refuses_others(guests: Guests) -> None:
    with pytest.raises(CANNOT_REACH):
        knock(guests.door.address(to_other_nodes=False), "elsewhere")


def test_the_folder_of_sockets_is_private_and_cleared_of_the_dead() -> None:
    path = new_path()
    assert path.parent.stat().st_mode & 0o077 == 0
    dead, ours = path.parent / "999999999-00.sock", path.parent / f"{os.getpid()}-00.sock"
    for path in (dead, ours):
        path.touch()
    new_path()
    assert ours.exists() and not dead.exists()


def test_a_folder_that_others_can_enter_is_refused() -> None:
    folder = new_path().parent
    folder.chmod(0o755)
    try:
        with pytest.raises(PermissionError, match="open to others"):
            new_path()
    finally:
        folder.chmod(0o700)
