"""An engine with a store, as the contract tests handle it, and short questions about records."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import flyte_ray as flyte
from flyte_ray.client.run import Run
from flyte_ray.core.model import ActionPhase
from flyte_ray.store.blobs import open_blobs
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.fold import ActionRecord


@dataclass(frozen=True)
class House:
    """An engine with a store: starts runs of either mode in one way, and reads their record."""

    mode: str
    store: Path

    def enter(self) -> None:
        """Make this the session of the process."""
        flyte.init(store=str(self.store), mode=self.mode)

    def runner(self, **options: Any) -> Any:
        """A runner whose runs are followed, not raised, in local mode too."""
        if self.mode == "local":
            options.setdefault("background", True)
        return flyte.with_runcontext(self.mode, **options)

    def start(self, task: Any, *args: Any, **kwargs: Any) -> Run:
        """Begin a run."""
        run: Run = self.runner().run(task, *args, **kwargs)
        return run

    def finish(self, task: Any, *args: Any, **kwargs: Any) -> Run:
        """A run that has ended, well or not."""
        return ended(self.start(task, *args, **kwargs))

    def result(self, task: Any, *args: Any, **kwargs: Any) -> Any:
        """The first output of a run that succeeded."""
        run = self.finish(task, *args, **kwargs)
        run.raise_for_status()
        return run.outputs()[0]

    def outputs(self, task: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """All outputs of a run that succeeded."""
        run = self.finish(task, *args, **kwargs)
        run.raise_for_status()
        return list(run.outputs())

    def rerun(self, run: Run, *args: Any, **kwargs: Any) -> Run:
        """A rerun that has ended."""
        return ended(self.runner().rerun(run.name, *args, **kwargs))

    def catalog(self) -> Catalog:
        """The read side of the store, without any engine."""
        return Catalog(open_blobs(str(self.store)))

    def error(self, task: Any, *args: Any, **kwargs: Any) -> BaseException:
        """What the run of a failing task raises."""
        run = self.finish(task, *args, **kwargs)
        with pytest.raises(Exception) as caught:
            run.raise_for_status()
        return caught.value


def ended(run: Run) -> Run:
    """The run, once nothing more happens."""
    run.wait(quiet=True)
    assert run.done(), f"{run.name} did not end"
    return run


def children(run: Run, task: str = "") -> list[ActionRecord]:
    """The actions below the root, of one task if named."""
    return [a for a in run.actions() if a.parent_id and (not task or a.task.endswith(task))]


def only(run: Run, task: str) -> ActionRecord:
    """The one action of that task."""
    (found,) = [a for a in run.actions() if a.task.endswith(f".{task}") or a.task == task]
    return found


def phases(run: Run) -> Counter[ActionPhase]:
    """How many actions stand where, the root included."""
    return Counter(a.phase for a in run.actions())
