"""Runs of the sample workflow in a store of the test's own, and the command line over them."""

from __future__ import annotations

import re
from typing import Any

from flyte_ray.cli.backend import Invocation
from flyte_ray.cli.main import answer, open_backend
from flyte_ray.client.session import temporary_session
from flyte_ray.core.ports import Blobs
from flyte_ray.store.blobs import open_blobs
from flyte_ray.testing.harness import LocalHarness
from tests.unit.client.explain import flows

CITIES = ["Oslo-by-the-fjord-in-the-north-of-it", "Lima-by-the-sea-in-the-west-of-peru"]


def run(local: LocalHarness, name: str, task: Any = flows.climate, *inputs: Any) -> Any:
    """A run of that name, to its end."""
    return local.run_with({"name": name}, task, *(inputs or (CITIES,)))


def blobs_of(local: LocalHarness) -> Blobs:
    return open_blobs(str(local.store))


def command(local: LocalHarness, *arguments: str) -> int:
    """Carry out one command line over the store of the test."""
    with temporary_session(store=str(local.store), mode="local"):
        return answer(["--store", str(local.store), *arguments], Invocation(open_backend))


def plain(text: str) -> str:
    """Without ids, digests and times, and without space at the ends of lines."""
    text = re.sub(r"\bcode [0-9a-f]{8}\b", "code CODE", text)
    text = re.sub(r"\b[0-9a-v]{10,24}\b(?=\s|/|$)", _sign, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _sign(match: re.Match[str]) -> str:
    return "ID" if re.search(r"[0-9]", match.group()) else match.group()
