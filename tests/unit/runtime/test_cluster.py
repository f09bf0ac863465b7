"""Attaching to a cluster that is not there. No Ray is started."""

from __future__ import annotations

import socket
import time

import pytest

from flyte_ray.errors import InitializationError
from flyte_ray.runtime import cluster


def test_an_address_where_nobody_listens_is_refused_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "KNOCKS_FOR_S", 0.2)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # taken, but it does not listen
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(InitializationError, match=f"no Ray cluster at '{address}'"):
            cluster._attach(address)


def test_a_head_that_is_just_starting_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as head:
        head.bind(("127.0.0.1", 0))
        naps: list[float] = []

        def starts(seconds: float) -> None:
            naps.append(seconds)
            head.listen()

        monkeypatch.setattr(time, "sleep", starts)
        cluster._knock(f"127.0.0.1:{head.getsockname()[1]}")
    assert len(naps) == 1


@pytest.mark.parametrize("address", ["auto", "ray://head:10001", "[::1]:6379"])
def test_other_forms_are_rays_to_understand(address: str) -> None:
    cluster._knock(address)
