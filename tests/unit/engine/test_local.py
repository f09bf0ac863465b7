"""The in-process executor passes the suite of all executors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.core.calls import AttemptSpec
from flyte_ray.core.ids import RunName
from flyte_ray.engine.attempt import Tools, types_of
from flyte_ray.engine.controller import ActionController
from flyte_ray.engine.loading import Loader
from flyte_ray.engine.local import LocalExecutor, here
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.store.values import RunValues
from flyte_ray.testing import FakeClock
from flyte_ray.testing.contracts import Ask, ExecutorContract
from tests.unit.engine.scenes import MemoryBook, attempt, encoded, surroundings


class TestLocalExecutor(ExecutorContract):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> LocalBlobs:
        return LocalBlobs(tmp_path)

    @pytest.fixture
    def executor(self, blobs: LocalBlobs) -> LocalExecutor:
        book = MemoryBook()

        def controller_for(spec: AttemptSpec) -> ActionController:
            return ActionController(spec, around)

        executor = LocalExecutor(
            tools=Tools(
                codecs=PayloadCodec(),
                values=RunValues(blobs, RunName("r1")),
                blobs=blobs,
                place=here(),
            ),
            book=book,
            controllers=controller_for,
            load=Loader(blobs).task,
        )
        around = surroundings(blobs, book, executor, FakeClock())
        return executor

    @pytest.fixture
    def ask(self, blobs: LocalBlobs) -> Ask:
        def make(task: Any, **inputs: Any) -> AttemptSpec:
            bound = task.interface.bind(**inputs)
            return attempt(
                task=task.name,
                address=task.address,
                options=task.options,
                inputs=encoded(blobs, bound, types_of(task.interface)),
            )

        return make
