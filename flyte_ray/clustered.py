"""PUBLIC: tasks that run on several ranks at once, as distributed training does.

First thickness: environments are checked and tasks are made of them. With one replica and one
process a task runs like any other, with the variables that a launcher would set (`RANK`,
`WORLD_SIZE`, `MASTER_ADDR`, …). With more, running it is an error that names the next step.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from flyte_ray.author.environment import TaskEnvironment
from flyte_ray.author.settings import TaskSettings
from flyte_ray.author.task import Task
from flyte_ray.errors import UsageError

__all__ = ["ClusterFailurePolicy", "ClusteredTaskEnvironment", "JaxRun", "TorchRun"]

INTERCONNECTS = ("tcp", "roce", "infiniband", "efa", "rdma")

_ONE_RANK = {
    "RANK": "0",
    "LOCAL_RANK": "0",
    "WORLD_SIZE": "1",
    "LOCAL_WORLD_SIZE": "1",
    "NODE_RANK": "0",
    "NNODES": "1",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}


@dataclass(frozen=True, slots=True)
class TorchRun:
    """Ranks as torchrun starts them."""

    rdzv_backend: Literal["static", "c10d"] = "static"
    max_restarts: int = 0

    def __post_init__(self) -> None:
        if self.rdzv_backend not in ("static", "c10d"):
            raise ValueError(f"TorchRun: rdzv_backend is static or c10d, not {self.rdzv_backend!r}")


@dataclass(frozen=True, slots=True)
class JaxRun:
    """One process a node, as JAX wants it."""


@dataclass(frozen=True, slots=True)
class ClusterFailurePolicy:
    """What happens when a rank is lost."""

    max_restarts: int = 0
    restart_on_host_maintenance: bool = False


@dataclass(eq=False)
class ClusteredTaskEnvironment(TaskEnvironment):
    """An environment whose tasks run on `replicas` x `nproc_per_node` ranks.

    Example:
        >>> env = ClusteredTaskEnvironment(name="training", replicas=1, nproc_per_node=1)
        >>> env.env_vars["WORLD_SIZE"]
        '1'
    """

    replicas: int = 1
    """Nodes."""
    nproc_per_node: int = 1
    """Processes on each."""
    runtime: TorchRun | JaxRun = field(default_factory=TorchRun)
    interconnect: str = "tcp"
    failure_policy: ClusterFailurePolicy = field(default_factory=ClusterFailurePolicy)
    ttl_seconds_after_finished: int | None = None

    def __post_init__(self) -> None:
        where = f"clustered environment {self.name!r}"
        if self.reusable is not None:
            raise ValueError(f"{where} cannot be reusable")
        for name in ("replicas", "nproc_per_node"):
            if getattr(self, name) < 1:
                raise ValueError(f"{where}: {name} must be at least 1, not {getattr(self, name)}")
        if isinstance(self.runtime, JaxRun) and self.nproc_per_node != 1:
            raise ValueError(f"{where}: JaxRun has one process a node, not {self.nproc_per_node}")
        if self.interconnect not in INTERCONNECTS:
            raise ValueError(
                f"{where}: interconnect is one of {', '.join(INTERCONNECTS)}, "
                f"not {self.interconnect!r}"
            )
        gpus = self.resources.gpu_count() if self.resources is not None else 0
        if 0 < gpus < self.nproc_per_node:
            raise ValueError(
                f"{where} has {self.nproc_per_node} processes a node, but only {gpus} GPUs for them"
            )
        if self.world_size == 1:
            self.env_vars = {**_ONE_RANK, **(self.env_vars or {})}
        super().__post_init__()

    @property
    def world_size(self) -> int:
        """How many ranks there are."""
        return self.replicas * self.nproc_per_node

    def _add(self, func: Callable[..., Any], settings: TaskSettings) -> Task[..., Any]:
        if self.world_size > 1 and inspect.isroutine(func):
            func = _refusing(func, self)
        return super()._add(func, settings)


def _refusing(func: Callable[..., Any], environment: ClusteredTaskEnvironment) -> Any:
    """The function's stand-in: its signature, and an error in place of its body."""

    def refuse() -> NoReturn:
        raise UsageError(
            f"task {environment.name}.{func.__name__} wants {environment.replicas} x "
            f"{environment.nproc_per_node} ranks, which this release cannot start together. Use "
            "replicas=1 and nproc_per_node=1, or call Ray Train in a plain task "
            "(ray.train.torch.TorchTrainer)."
        )

    if inspect.iscoroutinefunction(func):

        @functools.wraps(func)
        async def stand_in(*_: Any, **__: Any) -> Any:
            refuse()
    else:

        @functools.wraps(func)
        def stand_in(*_: Any, **__: Any) -> Any:
            refuse()

    return stand_in
