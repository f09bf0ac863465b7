"""The quick line to the host is taken whenever there is one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from flyte_ray.runtime.lines import BestLine, open_door


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
