"""One cluster apart from all drivers, for the tests that attach to one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.heads import Head, started_head


@pytest.fixture(scope="session")
def head() -> Iterator[Head]:
    """A head with a dashboard, so that it takes jobs."""
    with started_head(4, dashboard=True) as head:
        yield head
