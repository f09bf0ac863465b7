"""An author's options as Ray's: resources, labels, environment; and whether any node could fit.

A plain task asks for 1 CPU unless told. Ray's own retries are off: the lifecycle decides. The
bundle's digest is part of the worker's environment, since a process loads one state of the code;
ids of runs or actions never are (every distinct environment costs a process start).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flyte_ray.core.calls import RunSpec
from flyte_ray.core.image import Image
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.resources import Resources
from flyte_ray.engine.images import INSTALL, resolved
from flyte_ray.runtime.accelerators import model_label, partition_label, ray_model
from flyte_ray.runtime.cluster import has_autoscaler, living_nodes

logger = logging.getLogger(__name__)

CODE_VARIABLE = "FLYTE_RAY_CODE"
NODES_SEEN_FOR_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one attempt asks of a node."""

    cpu: float = 1.0
    gpu: float = 0.0
    memory_bytes: int = 0
    accelerator: str | None = None
    """Ray's name of a model."""
    partition: str | None = None
    """A slice of a GPU (NVIDIA MIG), where the GPUs of a node are such slices."""

    def fits(self, totals: Mapping[str, float]) -> bool:
        """True if a node with these totals, when idle, could carry it."""
        return not self.missing(totals)

    def times_in(self, totals: Mapping[str, float]) -> int:
        """How many such requests a node with these totals can carry at once; 1,000 at most."""
        if not self.fits(totals):
            return 0
        wanted = {"CPU": self.cpu, "GPU": self.gpu, "memory": self.memory_bytes}
        parts = [totals.get(name, 0.0) / part for name, part in wanted.items() if part]
        return int(min([*parts, 1000.0]))

    def missing(self, totals: Mapping[str, float]) -> list[str]:
        """What such a node lacks, in words."""
        lacks = []
        for name, wanted in (("CPU", self.cpu), ("GPU", self.gpu)):
            if wanted > totals.get(name, 0.0):
                lacks.append(f"{wanted:g} {name} (the node has {totals.get(name, 0.0):g})")
        if self.memory_bytes > totals.get("memory", 0.0):
            has = totals.get("memory", 0.0) / 2**30
            lacks.append(f"{self.memory_bytes / 2**30:.1f} GiB memory (the node has {has:.1f})")
        if self.accelerator and not totals.get(model_label(self.accelerator)):
            lacks.append(f"accelerator {self.accelerator}")
        if self.partition and not totals.get(partition_label(self.partition)):
            label = partition_label(self.partition)
            lacks.append(f"GPU slices of {self.partition} (nodes that have them say {label!r})")
        return lacks


def request_of(resources: Resources | None) -> Request:
    """What an author's `Resources` ask of a node."""
    if resources is None:
        return Request()
    cpu, model, device = resources.cpu_request(), resources.accelerator(), resources.get_device()
    gpu = float(resources.gpu_count())
    return Request(
        cpu=1.0 if cpu is None else cpu,
        gpu=gpu,
        memory_bytes=resources.memory_bytes() or 0,
        accelerator=ray_model(model) if model is not None else None,
        # The "partition" of a TPU is its topology.
        partition=device.partition if gpu and device is not None else None,
    )


class Nodes:
    """The totals of the living nodes, asked for at most every two seconds."""

    def __init__(self) -> None:
        self._seen: list[dict[str, float]] = []
        self._at = -NODES_SEEN_FOR_S
        self._grows = False
        self._told: set[Request] = set()

    def may_grow(self) -> bool:
        """True when more nodes may come than there are."""
        self._grows = self._grows or has_autoscaler()
        return self._grows

    def totals(self) -> list[dict[str, float]]:
        """One mapping of resource name to total per living node."""
        if time.monotonic() - self._at > NODES_SEEN_FOR_S:
            self._seen = [
                {**node["Resources"], node_label(node["NodeID"]): 1.0} for node in living_nodes()
            ]
            self._at = time.monotonic()
        return self._seen

    def why_never(self, request: Request) -> str | None:
        """Why no node could ever carry the request, naming the closest; None if one could.

        Where more nodes may come it is only logged: Ray knows what its autoscaler can start.
        """
        totals = self.totals()
        if not totals or any(request.fits(node) for node in totals):
            return None
        closest = min(totals, key=lambda node: len(request.missing(node)))
        missing = ", ".join(request.missing(closest))
        if self.may_grow():
            if request not in self._told:
                self._told.add(request)
                logger.warning("no node has room yet for %s; waiting for the autoscaler", missing)
            return None
        return (
            f"no node can ever satisfy the request for {missing}. Ask "
            "for less (task.override(resources=…)), add a node, or set "
            "FLYTE_RAY_CLAMP_RESOURCES=1 to run with what there is."
        )

    def why_starved(self, request: Request, here: str, held: float) -> str | None:
        """Why no node can carry a request while this process, on node `here`, keeps its GPUs.

        A parent that waits lends its CPU and no GPU, whose memory is in use: without this word,
        parent and child would wait for each other.
        """
        if not request.gpu or not held:
            return None
        could = [node for node in self.totals() if request.fits(node)]
        free = [node.get("GPU", 0.0) - held * node.get(node_label(here), 0.0) for node in could]
        if not could or max(free) >= request.gpu:
            return None
        most = max(node["GPU"] for node in could)
        return (
            f"it asks for {request.gpu:g} GPU, and the task that calls it keeps {held:g} of the "
            f"node's {most:g} while it waits. Call it from a task without a GPU, or have both ask "
            "for a share (Resources(gpu=0.5))."
        )

    def room_for(self, request: Request) -> int:
        """How many Ray tasks of such a request to have in flight at most.

        Twice what the living nodes can carry at once, and two more: what waits tells an autoscaler
        that more is wanted.
        """
        return 2 * sum(request.times_in(node) for node in self.totals()) + 2

    def clamped(self, request: Request) -> Request:
        """The request cut down to the largest node."""
        totals = self.totals()

        def at_most(wanted: float, name: str) -> float:
            return min(wanted, max((node.get(name, 0.0) for node in totals), default=0.0))

        has = any(node.get(model_label(request.accelerator or "")) for node in totals)
        slices = any(node.get(partition_label(request.partition or "")) for node in totals)
        return Request(
            cpu=at_most(request.cpu, "CPU"),
            gpu=at_most(request.gpu, "GPU"),
            memory_bytes=int(at_most(request.memory_bytes, "memory")),
            accelerator=request.accelerator if has else None,
            partition=request.partition if slices else None,
        )


def node_label(node: str) -> str:
    """The name under which a node's totals say which node it is."""
    return f"node_id:{node}"


def is_clamping(run: RunSpec) -> bool:
    """True when the run's impossible requests are cut down instead of refused."""
    return bool(run.options.get("clamp_resources"))


def ray_options(options: TaskOptions, run: RunSpec, request: Request, name: str) -> dict[str, Any]:
    """Keyword arguments for `RemoteFunction.options`, the same for every call of one task."""
    out: dict[str, Any] = {
        "name": name,
        "num_cpus": request.cpu,
        "max_retries": 0,
        "retry_exceptions": False,
        "runtime_env": {
            **image_environment(options, run),
            "env_vars": worker_variables(options, run),
        },
    }
    if request.gpu:
        out["num_gpus"] = request.gpu
    if request.memory_bytes:
        out["memory"] = request.memory_bytes
    if request.accelerator:
        out["accelerator_type"] = request.accelerator
    if request.partition:
        # As Ray does for models: a label of the node, of which there is always enough.
        out["resources"] = {partition_label(request.partition): 0.001}
    return out


def image_environment(options: TaskOptions, run: RunSpec) -> dict[str, Any]:
    """What the task's image adds to its workers, where the run has images installed."""
    if options.image is None or run.options.get("images") != INSTALL:
        return {}
    return resolved(options.image).environment()


def worker_variables(options: TaskOptions, run: RunSpec) -> dict[str, str]:
    """Environment variables that a worker is started with."""
    image = options.image
    variables = dict(image.env_vars) if isinstance(image, Image) else {}
    variables.update(options.env_vars)
    variables.update(run.env_vars)
    # Modules of the author's own files and those of the stored bundle go to different processes.
    place = "" if run.code.root else " stored"
    variables[CODE_VARIABLE] = f"{run.code.digest or 'none'}{place}"
    return variables
