"""A house of plain values: what the commands asked is remembered, what they get is given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flyte_ray.cli.backend import GlobalOptions, Invocation, RerunRequest, RunRequest
from flyte_ray.cli.main import answer
from flyte_ray.client.config import Settings
from flyte_ray.client.progress import follow
from flyte_ray.core.address import TaskAddress
from flyte_ray.core.calls import RunSpec
from flyte_ray.core.failure import ErrorInfo
from flyte_ray.core.ids import ActionId, RunName
from flyte_ray.core.model import ActionPhase
from flyte_ray.core.payload import EMPTY, EncodedValue, Payload
from flyte_ray.core.progress import Counts, Progress, RecentFailure
from flyte_ray.errors import RunNotFoundError, UsageError
from flyte_ray.store.catalog import RunRecord
from flyte_ray.store.fold import ActionRecord, AttemptRecord


@dataclass
class FakeRun:
    """A run that has ended, or ends when it is waited for."""

    name: str = "brisk-otter"
    url: str = "/store/runs/brisk-otter"
    phase: ActionPhase = ActionPhase.SUCCEEDED
    named_outputs: Mapping[str, Any] = field(default_factory=lambda: {"o0": 42})
    error: Exception | None = None
    interrupted: bool = False
    notice: str = ""
    prints: str = ""
    asked: list[str] = field(default_factory=list)

    def wait(self, quiet: bool = False) -> None:
        self.asked.append(f"wait quiet={quiet}")
        if self.interrupted:
            raise KeyboardInterrupt
        if self.prints:
            print(self.prints)
        follow(self, quiet=quiet, pause=lambda _s: None)

    def progress(self) -> Progress:
        failed = self.error is not None
        failure = RecentFailure(task="env.step", action_id=ActionId("a7x"), message="bad item")
        return Progress(
            run=RunName(self.name),
            phase=self.phase,
            elapsed_s=1.5,
            tasks={"env.main": Counts(failed=1) if failed else Counts(succeeded=1, cached=2)},
            failures=(failure,) if failed else (),
            root_task="env.main",
            notice=self.notice,
        )

    def outputs(self) -> FakeRun:
        return self

    def raise_for_status(self) -> None:
        if self.error is not None:
            raise self.error

    def abort(self, reason: str = "") -> None:
        self.asked.append(f"abort: {reason}")


@dataclass
class FakeHouse:
    """A `Backend` that starts nothing."""

    handle: FakeRun = field(default_factory=FakeRun)
    settings: Settings = field(default_factory=Settings)
    attached: bool = False
    started: list[tuple[str, dict[str, Any], RunRequest]] = field(default_factory=list)
    restarted: list[tuple[RerunRequest, RunRequest]] = field(default_factory=list)
    records: Sequence[RunRecord] = ()
    listed: Sequence[ActionRecord] = ()
    logs: Mapping[tuple[str, int | None], str] = field(default_factory=dict)
    abandoned: Sequence[str] = ()
    warm: list[str] = field(default_factory=list)
    """Environments with a pool."""
    refuses: BaseException | None = None
    opened_with: GlobalOptions | None = None

    def outlives_us(self, run: Any) -> bool:
        return self.attached

    def start(self, task: Any, inputs: Mapping[str, Any], request: RunRequest) -> FakeRun:
        if self.refuses is not None:
            raise self.refuses
        self.started.append((task.name, dict(inputs), request))
        return self.handle

    def start_again(self, rerun: RerunRequest, request: RunRequest) -> FakeRun:
        self.restarted.append((rerun, request))
        return self.handle

    def find(self, name: str) -> FakeRun:
        if name != self.handle.name:
            raise RunNotFoundError(f"there is no run {name!r}", run_name=name)
        return self.handle

    def end_abandoned(self, runs: Sequence[Any], reason: str) -> Sequence[str]:
        return [run.name for run in runs if run.name in self.abandoned]

    def runs(self, limit: int | None) -> Sequence[RunRecord]:
        return self.records[:limit]

    def run(self, name: str) -> RunRecord:
        for record in self.records:
            if record.name == name:
                return record
        raise RunNotFoundError(f"there is no run {name!r}", run_name=name)

    def actions(self, name: str) -> Sequence[ActionRecord]:
        self.run(name)
        return self.listed

    def pools(self) -> Sequence[Mapping[str, Any]]:
        return [
            {
                "name": f"pool-{name}-1234-5678",
                "environment": name,
                "replicas": 2,
                "starting": 0,
                "busy": 1,
                "waiting": 3,
                "idle_s": 0.123,
                "is_replaced": False,
                "limits": (1, 4),
            }
            for name in self.warm
        ]

    def stop_pool(self, name: str) -> Sequence[str]:
        if name not in self.warm:
            raise UsageError(f"there is no pool {name!r} on the cluster.")
        self.warm.remove(name)
        return [f"pool-{name}-1234-5678"]

    def log_text(self, name: str, action_id: str, attempt: int | None) -> str:
        return self.logs.get((action_id, attempt), "")

    def open(self, options: GlobalOptions) -> FakeHouse:
        self.opened_with = options
        return self

    def answer(self, *arguments: str) -> int:
        """Carry out one command line in this house."""
        return answer(arguments, Invocation(self.open))


def run_record(name: str = "brisk-otter", **changes: Any) -> RunRecord:
    """A run that took two seconds."""
    address = TaskAddress(name="env.main", module="flow")
    spec = RunSpec(
        name=RunName(name),
        store_url="/store",
        task=changes.pop("task", "env.main"),
        address=address,
        task_identity="i",
        inputs=EMPTY,
        started_us=1_700_000_000_000_000,
        labels=changes.pop("labels", {}),
    )
    record = RunRecord(
        spec=spec,
        phase=ActionPhase.SUCCEEDED,
        counts={"total": 3, "succeeded": 3, "cached": 1},
        started_us=spec.started_us,
        ended_us=spec.started_us + 2_000_000,
        heartbeat_age_s=None,
    )
    return replace(record, **changes)


def action_record(action_id: str, parent: str | None = "a0", **changes: Any) -> ActionRecord:
    """An action that took one second."""
    record = ActionRecord(
        action_id=ActionId(action_id),
        parent_id=None if parent is None else ActionId(parent),
        task="env.step",
        kind="task",
        phase=ActionPhase.SUCCEEDED,
        cached=False,
        attempts=(attempt_record(1),),
        submitted_us=0,
        started_us=1_000_000,
        ended_us=2_000_000,
        cache_key=None,
        inputs_json=None,
        outputs_json=None,
        error=None,
        attrs={},
    )
    return replace(record, **changes)


def attempt_record(number: int, **changes: Any) -> AttemptRecord:
    """One attempt that succeeded."""
    record = AttemptRecord(
        attempt=number,
        phase=ActionPhase.SUCCEEDED,
        started_us=1,
        ended_us=2,
        error=None,
        will_retry=False,
        node="n1",
        worker="w1",
        pid=7,
        logs="",
        logs_key=None,
    )
    return replace(record, **changes)


def error_json(code: str, message: str) -> str:
    """A recorded failure."""
    return json.dumps(ErrorInfo(code=code, kind="user", message=message).to_dict())


def payload_json(**values: Any) -> str:
    """Recorded values, inline; a str of kind `key:…` stands for an object in the store."""
    encoded = {}
    for name, value in values.items():
        stored = isinstance(value, str) and value.startswith("key:")
        encoded[name] = EncodedValue(
            codec="json",
            type=type(value).__name__,
            digest="d",
            size_bytes=9,
            inline=None if stored else json.dumps(value),
            key=value.removeprefix("key:") if stored else None,
        )
    return Payload(values=encoded).to_json()
