"""Frames go out whole and in order, and nobody waits for a reader."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from flyte_ray.runtime.outlet import Outlet
from tests.watching import seen

LARGE = 4 << 20
"""More than a socket takes before somebody reads."""


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def read(end: socket.socket, size: int) -> bytes:
    with end.makefile("rb") as stream:
        return stream.read(size)


def test_large_frames_do_not_make_the_writer_wait(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    here, there = ends
    outlet = Outlet(here)
    frames = [bytes([n]) * LARGE for n in range(3)]
    for frame in frames:
        outlet.put(b"head", frame)  # nobody reads yet
    assert read(there, 3 * (4 + LARGE)) == b"".join(b"head" + frame for frame in frames)


def test_two_sides_that_answer_while_they_read_do_not_block_each_other(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    heard: list[int] = []

    def side(end: socket.socket) -> None:
        outlet = Outlet(end)
        outlet.put(b"a" * LARGE)
        with end.makefile("rb") as stream:
            for _ in range(3):
                heard.append(len(stream.read(LARGE)))
                outlet.put(b"a" * LARGE)

    threads = [threading.Thread(target=side, args=(end,), daemon=True) for end in ends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert heard == [LARGE] * 6


def test_threads_do_not_mix_their_frames(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends
    outlet = Outlet(here)
    size, each = 100_000, 8

    def write(mark: int) -> None:
        for _ in range(each):
            outlet.put(bytes([mark]) * size)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    data = read(there, 4 * each * size)
    for thread in threads:
        thread.join()
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    assert all(len(set(piece)) == 1 for piece in pieces)
    assert len(pieces) == 4 * each


def test_a_broken_connection_is_told_to_the_next_writer(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    here, there = ends
    outlet = Outlet(here)
    outlet.put(b"a" * LARGE)
    there.close()

    def refuses() -> bool:
        try:
            outlet.put(b"b" * LARGE)
        except OSError:
            return True
        return False

    assert seen(refuses, every_s=0.01)


class Busy:
    """A connection that takes nothing at once, and notes what it is made to take."""

    def __init__(self) -> None:
        self.took: list[bytes] = []
        self._together = threading.Barrier(2)

    def send(self, _: memoryview, __: int) -> int:
        raise BlockingIOError

    def sendall(self, data: memoryview) -> None:
        self.took.append(bytes(data))
        with contextlib.suppress(threading.BrokenBarrierError):
            self._together.wait(0.1)  # for another thread that sends as well, if there is one


class Crowded:
    """A lock that another writer waits for: it comes whenever the draining thread lets go of it."""

    def __init__(self, lock: threading.Lock, come: Callable[[], None]) -> None:
        self._lock = lock
        self._come = come

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        if threading.current_thread().name == "flyte_ray-outlet":
            self._come()


def test_who_writes_while_the_last_frame_has_just_gone_out_does_not_send_it_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = Busy()
    outlet = Outlet(cast("socket.socket", connection))
    frames = [b"%d" % number for number in range(8)]
    written: list[bytes] = []

    def write() -> None:
        if len(connection.took) == len(written) < len(frames):
            written.append(frames[len(written)])
            outlet.put(written[-1])

    monkeypatch.setattr(outlet, "_lock", Crowded(threading.Lock(), write))
    write()
    assert seen(lambda: len(connection.took) >= len(frames), every_s=0.01)
    assert connection.took == frames
