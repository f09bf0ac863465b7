"""A pytest plugin: runs in this process, in a store of the test's own.

Switch it on in a `conftest.py` with `pytest_plugins = ["flyte_ray.testing.harness"]`. What a run
writes is gone with pytest's temporary folders; the session that was there before is there again
after the test. No Ray is started.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flyte_ray.client.launch import with_runcontext
from flyte_ray.client.run import Run
from flyte_ray.client.session import temporary_session


class LocalHarness:
    """Runs tasks in this process; made by the fixture `flyte_local`."""

    def __init__(self, store: Path) -> None:
        self.store = store
        """The root of the store."""

    def run(self, task: Any, *args: Any, **inputs: Any) -> Run:
        """Run a task to its end, and hand its run back, also if it failed."""
        return self.run_with({}, task, *args, **inputs)

    def run_with(self, options: dict[str, Any], task: Any, *args: Any, **inputs: Any) -> Run:
        """`run` with options of `with_runcontext`."""
        started = with_runcontext("local", background=True, **options).run(task, *args, **inputs)
        started.wait(quiet=True)
        return started

    def rerun(self, run: Run | str, **options: Any) -> Run:
        """Rerun an earlier run to its end; takes what `flyte_ray.rerun` takes."""
        name = run if isinstance(run, str) else run.name
        started = with_runcontext("local", background=True).rerun(name, **options)
        started.wait(quiet=True)
        return started


@pytest.fixture
def flyte_local(tmp_path: Path) -> Iterator[LocalHarness]:
    """Runs in this process, in a store of this test's own.

    Example:
        >>> def test_it(flyte_local):  # doctest: +SKIP
        ...     assert flyte_local.run(task, x=1).outputs()[0] == 2
    """
    store = tmp_path / "flyte_ray-store"
    with temporary_session(store=str(store), mode="local"):
        yield LocalHarness(store)
