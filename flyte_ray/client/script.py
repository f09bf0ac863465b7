"""`run_python_script`: a script that knows nothing of tasks, run as one on the cluster.

The script and the files that go with it are inputs of the run, so they are in the record and a
rerun has them; what it prints is the attempt's output. It runs in a process of its own, in a folder
that holds its files and nothing else.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from flyte_ray.author.environment import TaskEnvironment
from flyte_ray.author.settings import refuse_unknown
from flyte_ray.author.task import Task
from flyte_ray.client.dual import blocking
from flyte_ray.client.launch import with_runcontext
from flyte_ray.client.run import Run
from flyte_ray.core.image import Image
from flyte_ray.core.resources import Resources
from flyte_ray.errors import RuntimeUserError

LAST_LINES = 5
"""Of what a failed script printed, in the error."""
_NOT_HERE = ("debug", "output_dir", "plugin_config", "clustered")

env = TaskEnvironment(name="python_script")


async def execute(script: str, files: dict[str, bytes], arguments: list[str]) -> int:
    """Run a script among its files; its exit code, which is 0.

    Raises:
        RuntimeUserError: it ended otherwise (code "ScriptFailed"); ends with what it printed last.
    """
    with tempfile.TemporaryDirectory(prefix="flyte_ray-script-") as folder:
        for name, data in files.items():
            place = Path(folder) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-u", script, *arguments),
            cwd=folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said = await _pass_on(process.stdout)
            code = await process.wait()
        finally:
            if process.returncode is None:  # the action was aborted, or ran too long
                process.kill()
                await process.wait()
    if code != 0:
        raise RuntimeUserError(
            "ScriptFailed", "\n".join([f"{script} ended with exit code {code}:", *said])
        )
    return code


async def _pass_on(stream: asyncio.StreamReader | None) -> list[str]:
    """Print lines as they come; the last of them."""
    last: list[str] = []
    assert stream is not None
    async for data in stream:
        line = data.decode("utf-8", "replace").rstrip("\n")
        sys.stdout.write(f"{line}\n")
        last = [*last[1 - LAST_LINES :], line]
    return last


plain = env.task(execute)


class ScriptOptions(TypedDict, total=False):
    """What `run_python_script` may be told."""

    cpu: int
    """CPUs it needs; 4 by default, as in Flyte."""
    memory: str
    """As in `Resources`; "16Gi" by default."""
    gpu: int
    gpu_type: str
    """Which, where `gpu` is not 0; "T4" by default."""
    image: Image | Sequence[str] | None
    """An `Image`, or the packages that the script needs."""
    timeout: int
    """Seconds after which it is ended; an hour by default."""
    extra_args: Sequence[str] | None
    """Its command line."""
    queue: str | None
    wait: bool
    """Wait for the end, showing progress."""
    name: str | None
    """Of the run."""
    include_files: Sequence[str] | None
    """Files, folders or globs that go along; relative to the script's folder."""
    debug: bool
    output_dir: str | None
    plugin_config: Any
    clustered: bool


@blocking
def run_python_script(script: str | Path, **options: Unpack[ScriptOptions]) -> Run:
    """Run a Python script as a task, in a folder that holds it and `include_files`.

    Args:
        script: the script.
        **options: see `ScriptOptions`. The last four are known, and refused: they have no
            counterpart here.

    Raises:
        FileNotFoundError: there is no such script, or a file to include is not there.
        TypeError: an unknown option.
        ValueError: an option that would have no effect.

    Example:
        >>> run = run_python_script("train.py", gpu=1, gpu_type="A100")  # doctest: +SKIP
    """
    asked = [option for option in _NOT_HERE if options.get(option)]
    if asked:
        raise ValueError(f"run_python_script has no {', '.join(asked)} here; leave it out.")
    refuse_unknown(options, frozenset(ScriptOptions.__annotations__), "run_python_script")
    path = Path(script)
    gpu = options.get("gpu", 0)
    resources = Resources(
        cpu=options.get("cpu", 4),
        memory=options.get("memory", "16Gi"),
        gpu=f"{options.get('gpu_type', 'T4')}:{gpu}" if gpu else None,
    )
    task = _task(options.get("image")).override(
        resources=resources, timeout=options.get("timeout", 3600), queue=options.get("queue")
    )
    run = with_runcontext(name=options.get("name")).run(
        task,
        script=path.name,
        files=dict(_files(path, options.get("include_files") or ())),
        arguments=list(options.get("extra_args") or ()),
    )
    if options.get("wait"):
        run.wait()
    return run


def _task(image: Image | Sequence[str] | None) -> Task[..., Any]:
    if image is None:
        return plain
    wanted = image if isinstance(image, Image) else Image.from_debian_base()
    if not isinstance(image, Image):
        wanted = wanted.with_pip_packages(*image)
    return env.clone_with(env.name, image=wanted).task(execute)


def _files(script: Path, include: Iterable[str]) -> Iterable[tuple[str, bytes]]:
    folder = script.parent
    yield script.name, script.read_bytes()
    for pattern in include:
        found = [Path(pattern)] if Path(pattern).is_absolute() else sorted(folder.glob(pattern))
        if not found or not all(each.exists() for each in found):
            raise FileNotFoundError(f"nothing to include is at {pattern!r} in {folder}.")
        for each in found:
            yield from _content(each, folder)


def _content(path: Path, folder: Path) -> Iterable[tuple[str, bytes]]:
    inside = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in inside:
        is_below = file.is_relative_to(folder)
        yield (str(file.relative_to(folder)) if is_below else file.name), file.read_bytes()
