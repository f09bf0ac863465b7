"""The quick line to the host is taken whenever there is one."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from flyte_ray.runtime.doors import new_path
from flyte_ray.runtime.lines import BestLine, SocketLine, open_door


def test_two_who_look_for_the_door_at_once_both_go_through_it() -> None:
    def echo(data: bytes, reply: Callable[[bytes], None]) -> None:
        reply(data)

    door = open_door("node", echo)
    assert door is not None
    together = threading.Barrier(2)

    def door_of(_: str) -> str:
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(0.2)  # for the other one, if nothing keeps it from looking as well
        return door

    line = BestLine("namespace/host", "node", door_of)
    with ThreadPoolExecutor(2) as threads:
        replies = list(threads.map(lambda data: line.send(data).result(5), [b"one", b"two"]))
    assert replies == [b"one", b"two"]
    assert line.send(b"three").result(5) == b"three"


def test_a_reply_that_nobody_asked_for_ends_the_line_and_with_it_all_waiting() -> None:
    path = str(new_path())
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen()
        line = SocketLine(path)
        reply = line.send(b"question")
        host, _ = listener.accept()
        with host:
            host.sendall(struct.pack(">QQ", 99, 2) + b"no")
            with pytest.raises(ConnectionError, match="nobody asked"):
                reply.result(5)
    assert line.is_broken
    with pytest.raises(ConnectionError):
        line.send(b"another").result(5)


def test_a_host_on_another_node_is_not_asked_for_its_door_by_every_exchange(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def door_of(host: str) -> str:
        asked.append(host)
        return "elsewhere:/no/such/socket"

    class Called:
        def send(self, data: bytes) -> Future[bytes]:
            reply: Future[bytes] = Future()
            reply.set_result(data)
            return reply

    line = BestLine("namespace/host", "node", door_of)
    monkeypatch.setattr(line, "_actor", Called())  # there is no Ray here
    assert [line.send(data).result(5) for data in (b"one", b"two", b"three")] == [
        b"one",
        b"two",
        b"three",
    ]
    assert asked == ["namespace/host"]
