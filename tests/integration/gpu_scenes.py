"""What users do with a GPU: one script, several scenes. `python gpu_scenes.py ANSWERS SCENE...`

On a cluster whose GPU is only declared all of it runs too, on the CPU: what Ray gives out, who
holds it and what is lost with a process does not depend on the hardware. Scenes of torch import it
inside.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import ray

import flyte_ray as flyte
from flyte_ray.clustered import ClusteredTaskEnvironment

plain = flyte.TaskEnvironment(name="gpu_plain", resources=flyte.Resources(cpu=0.5))
whole = flyte.TaskEnvironment(name="gpu_whole", resources=flyte.Resources(cpu=0.5, gpu=1))
part = flyte.TaskEnvironment(name="gpu_part", resources=flyte.Resources(cpu=0.5, gpu=0.5))
warm = flyte.TaskEnvironment(
    name="gpu_warm",
    resources=flyte.Resources(cpu=2, gpu=1),
    reusable=flyte.ReusePolicy(replicas=1, concurrency=16, idle_ttl=300),
)
single = flyte.TaskEnvironment(
    name="gpu_single", reusable=flyte.ReusePolicy(replicas=1, idle_ttl=300)
)
ranks = ClusteredTaskEnvironment(
    name="gpu_ranks", resources=flyte.Resources(cpu=0.5, gpu=1), replicas=1, nproc_per_node=1
)

loads = 0
held: weakref.ref[Any] | None = None


def seen() -> dict[str, Any]:
    """What a body sees of its machine."""
    found: dict[str, Any] = {
        "pid": os.getpid(),
        "devices": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        "threads": os.environ.get("OMP_NUM_THREADS"),
    }
    if "torch" in sys.modules or os.environ.get("WITH_TORCH"):
        import torch

        found["cuda"] = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return found


# ---- what a task gets


@whole.task
def look() -> dict[str, Any]:
    return seen()


@plain.task
async def one_after_the_other() -> list[dict[str, Any]]:
    first = await look.aio()
    second = await look.aio()
    give_up_at = time.monotonic() + 30
    while Path(f"/proc/{first['pid']}").exists() and time.monotonic() < give_up_at:
        await asyncio.sleep(0.1)
    return [first, second, {"first is gone": not Path(f"/proc/{first['pid']}").exists()}]


@whole.task
async def calls_its_like() -> str:
    try:
        await look.aio()
    except flyte.errors.InfeasibleResourcesError as error:
        return str(error)
    return "it had another GPU"


@plain.task
async def starving() -> list[str]:
    return [await calls_its_like()]


@part.task
def meet(folder: str, me: str, other: str) -> dict[str, Any]:
    """Ends only when both are here at once."""
    Path(folder, me).touch()
    give_up_at = time.monotonic() + 60
    while not Path(folder, other).exists():
        if time.monotonic() > give_up_at:
            raise TimeoutError("the other half never came")
        time.sleep(0.01)
    return seen()


@plain.task
async def shared(folder: str) -> list[dict[str, Any]]:
    return list(await asyncio.gather(meet.aio(folder, "a", "b"), meet.aio(folder, "b", "a")))


# ---- a replica that holds its GPU


@warm.task
async def served() -> dict[str, Any]:
    global loads
    loads += 1
    return {**seen(), "served": loads}


@plain.task
async def pool() -> list[dict[str, Any]]:
    first = await served()
    await asyncio.sleep(1.0)  # Ray reports what is free once in a while
    free = ray.available_resources().get("GPU", 0.0)
    return [first, await served(), {"free": free}]


@warm.task(retries=0)
async def square(x: int, folder: str) -> int:
    Path(folder, str(os.getpid())).touch()
    return x * x


@plain.task
async def killed(folder: str, n: int) -> list[int]:
    calls = asyncio.gather(*[square(x, folder) for x in range(n)])
    while not (pids := [int(path.name) for path in Path(folder).iterdir()]):
        await asyncio.sleep(0.001)
    os.kill(pids[0], signal.SIGKILL)
    total = sum(await calls)
    return [total, len(list(Path(folder).iterdir()))]


# ---- failing, and what is left in memory


class Large:
    """Stands for a tensor in a frame."""


def fail() -> None:
    global held
    large = Large()
    held = weakref.ref(large)
    raise MemoryError("too much for this GPU")


@warm.task
async def fails() -> None:
    fail()


@warm.task
async def is_held() -> bool:
    assert held is not None
    return held() is not None


@single.task
def fails_in_a_thread() -> None:
    fail()


@single.task
def is_held_by_a_thread() -> bool:
    assert held is not None
    return held() is not None


@plain.task
async def memory() -> list[bool]:
    left = []
    pairs = [(fails, is_held), (fails_in_a_thread.aio, is_held_by_a_thread.aio)]
    for failing, looking in pairs:
        try:
            await failing()
        except MemoryError:
            left.append(await looking())
    return left


# ---- torch


@warm.task
async def overfill() -> float:
    """Out of memory, as torch says it. On the CPU it is only said."""
    import torch

    if not torch.cuda.is_available():
        raise torch.OutOfMemoryError("CUDA out of memory, or so it seems")
    kept = []
    while True:
        kept.append(torch.empty(2**32, dtype=torch.uint8, device="cuda"))


@warm.task
async def allocated() -> list[float]:
    import torch

    there = torch.cuda.memory_allocated() if torch.cuda.is_available() else 0
    return [os.getpid(), there]


@plain.task
async def out_of_memory() -> list[Any]:
    import torch

    before = await allocated()
    try:
        await overfill()
    except torch.OutOfMemoryError as error:
        kind, is_user = type(error).__name__, isinstance(error, flyte.errors.RuntimeUserError)
    return [before, await allocated(), kind, is_user]


@whole.task
def made_there(n: int) -> dict[str, Any]:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(n)
    model = torch.nn.Linear(4, 2).to(device)
    tensor = torch.arange(n, dtype=torch.float32, device=device)
    return {"tensor": tensor, "model": model, "at": str(tensor.device)}


@plain.task
async def tensors() -> list[Any]:
    """From a GPU to a process without one."""
    made = await made_there.aio(100_000)
    where = {str(made["tensor"].device), str(next(made["model"].parameters()).device)}
    return [made["at"], sorted(where), float(made["tensor"].sum())]


# ---- training that is killed


@whole.task(retries=0)
def train(steps: int, dies_at: int) -> list[float]:
    """Loss after `steps`, the step it began with, and whether a checkpoint was there."""
    import io

    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    data = torch.randn(64, 8, device="cpu").to(device)
    checkpoint = flyte.ctx().checkpoint
    assert checkpoint is not None
    began, loss = 0, torch.zeros(())
    if previous := checkpoint.load_sync():
        state = torch.load(previous, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        began = state["step"]
    for step in range(began, steps):
        optimizer.zero_grad()
        loss = (model(data).squeeze(1) - data.sum(1)).square().mean()
        loss.backward()
        optimizer.step()
        parts = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        file = io.BytesIO()
        torch.save({**parts, "step": step + 1}, file)
        checkpoint.save_sync(file.getvalue())
        if step + 1 == dies_at and not began:
            os.kill(os.getpid(), signal.SIGKILL)
    return [float(loss.detach()), began]


@plain.task
async def training() -> list[list[float]]:
    return [await train.aio(20, 0), await train.aio(20, 8)]


@ranks.task
def rank() -> list[Any]:
    import torch
    from torch import distributed

    on_gpu = torch.cuda.is_available()
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    tensor = torch.ones(2, device="cuda" if on_gpu else "cpu")
    distributed.all_reduce(tensor)
    said = [distributed.get_rank(), distributed.get_world_size(), float(tensor.sum())]
    distributed.destroy_process_group()
    return said


def outcome(run: flyte.Run) -> object:
    run.wait(quiet=True)
    run.raise_for_status()
    return run.outputs()[0]


def main(answers: str, *scenes: str) -> None:
    folder = Path(answers).parent
    said = {}
    for scene in scenes:
        own = folder / f"{scene} marks"
        own.mkdir()
        arguments = {
            "shared": {"folder": str(own)},
            "killed": {"folder": str(own), "n": 2_000},
        }.get(scene, {})
        runner = flyte.with_runcontext(name=f"gpu-{scene.replace('_', '-')}-{folder.name}")
        said[scene] = outcome(runner.run(globals()[scene], **arguments))
    Path(answers).write_text(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
