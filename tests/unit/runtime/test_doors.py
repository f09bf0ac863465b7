"""Who gets in through a door, and by which way."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Queue

import pytest

from flyte_ray.runtime.doors import CANNOT_REACH, SIGNS_OF_LIFE, Door, knock, new_path

PATIENCE_S = 10.0


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    # Short: the path of a Unix socket is limited to some hundred characters.
    folder = str(tmp_path_factory.getbasetemp())
    monkeypatch.setattr("tempfile.gettempdir", lambda: folder)


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


def test_one_who_says_nothing_keeps_nobody_else_out(guests: Guests) -> None:
    address = guests.door.address(to_other_nodes=True)
    assert address.inet is not None
    with ThreadPoolExecutor(1) as threads, socket.create_connection(address.inet):
        line = threads.submit(knock, address, "elsewhere").result(PATIENCE_S)
        line.send_bytes(b"hello")
        assert guests.hear() == b"hello"


def test_a_door_that_says_nothing_is_given_up(guests: Guests) -> None:
    address = guests.door.address(to_other_nodes=True)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(CANNOT_REACH):
        knock(replace(address, inet=silent.getsockname()), "elsewhere", proof_s=0.1)


def test_a_line_whose_key_is_proved_may_be_silent(guests: Guests) -> None:
    line = knock(guests.door.address(to_other_nodes=True), "elsewhere", proof_s=0.5)
    guest = guests.came.get(timeout=PATIENCE_S)
    with ThreadPoolExecutor(1) as threads:
        heard = threads.submit(line.recv_bytes)
        with pytest.raises(TimeoutError):
            heard.result(0.7)
        guest.send_bytes(b"at last")
        assert heard.result(PATIENCE_S) == b"at last"


def test_both_ends_of_a_line_between_nodes_ask_for_signs_of_life(guests: Guests) -> None:
    line = knock(guests.door.address(to_other_nodes=True), "elsewhere")
    guest = guests.came.get(timeout=PATIENCE_S)
    for end in (line, guest):
        with socket.socket(fileno=os.dup(end.fileno())) as same:
            assert same.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            for name, value in SIGNS_OF_LIFE.items():
                if hasattr(socket, name):
                    assert same.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) == value


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


def test_the_folder_around_is_private_too_whatever_the_umask_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    before = os.umask(0)
    try:
        folder = new_path().parent
    finally:
        os.umask(before)
    assert [at.stat().st_mode & 0o777 for at in (folder, folder.parent)] == [0o700, 0o700]
    folder.parent.chmod(0o777)
    new_path()
    assert folder.parent.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    mine = os.getuid()
    theirs = tmp_path / f"flyte_ray-{mine + 1}"
    (theirs / "doors").mkdir(parents=True)
    monkeypatch.setattr("os.getuid", lambda: mine + 1)
    with pytest.raises(PermissionError, match=f"{theirs} belongs to the user {mine}.*TMPDIR"):
        new_path()


def test_a_link_in_the_place_of_the_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / f"flyte_ray-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="is no folder"):
        new_path()


def test_a_folder_that_others_can_enter_is_refused() -> None:
    folder = new_path().parent
    folder.chmod(0o755)
    try:
        with pytest.raises(PermissionError, match="open to others"):
            new_path()
    finally:
        folder.chmod(0o700)
