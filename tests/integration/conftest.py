"""One cluster apart from all drivers, for the tests that attach to one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import ray

from tests.heads import Head, started_head


@pytest.fixture(scope="session")
def head() -> Iterator[Head]:
    """A head with a dashboard, so that it takes jobs.

    The driver of a job takes any cluster of the machine for its own, so the contract suite's must
    be gone by then. (For the same reason these tests cannot run twice at once on one machine.)
    """
    ray.shutdown()
    with started_head(4, dashboard=True) as head:
        yield head
