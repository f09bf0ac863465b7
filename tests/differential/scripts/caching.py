"""What the cache answers (§9)."""

import tempfile
from pathlib import Path

import flyte
from said import attempt, run, say

env = flyte.TaskEnvironment(name="caching")


def mark(folder: str) -> None:
    with (Path(folder) / "marks").open("a") as file:
        file.write("x")


@env.task(cache="auto")
async def cached(x: int, folder: str) -> int:
    mark(folder)
    return x


@env.task(cache="auto")
async def cached_none(folder: str) -> None:
    mark(folder)


@env.task(cache="auto")
async def fails(folder: str) -> int:
    mark(folder)
    raise ValueError("x")


@env.task(cache=flyte.Cache("auto", ignored_inputs=("note",)))
async def ignoring(folder: str, note: str) -> str:
    mark(folder)
    return note


@env.task(cache=flyte.Cache("override", version_override="v1"))
async def versioned(folder: str) -> int:
    mark(folder)
    return 1


def ran(*calls) -> int:
    folder = tempfile.mkdtemp()
    for call in calls:
        try:
            call(folder)
        except Exception:
            pass
    marks = Path(folder) / "marks"
    return len(marks.read_text()) if marks.exists() else 0


def again(runner, folder: str) -> None:
    runner.run(cached, 1, folder)


if __name__ == "__main__":
    off = cached.override(cache="disable")
    fresh = flyte.with_runcontext("local", disable_run_cache=True)
    anew = flyte.with_runcontext("local", overwrite_cache=True)
    say("equal calls", ran(lambda f: run(cached, 1, f), lambda f: run(cached, 1, f)))
    say("other inputs", ran(lambda f: run(cached, 1, f), lambda f: run(cached, 2, f)))
    say("None", ran(lambda f: run(cached_none, f), lambda f: run(cached_none, f)))
    say("failures", ran(lambda f: run(fails, f), lambda f: run(fails, f)))
    say("ignored inputs", ran(lambda f: run(ignoring, f, "a"), lambda f: run(ignoring, f, "b")))
    say("override off", ran(lambda f: run(cached, 1, f), lambda f: run(off, 1, f)))
    say("run without cache", ran(lambda f: run(cached, 1, f), lambda f: again(fresh, f)))
    say("overwrite", ran(lambda f: run(cached, 1, f), lambda f: again(anew, f)))
    say("own version", ran(lambda f: run(versioned, f), lambda f: run(versioned, f)))
    attempt("True", lambda: env.task(cache=True)(cached.func).cache.behavior)
