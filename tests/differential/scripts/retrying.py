"""Retries (§11)."""

import tempfile
from datetime import timedelta
from pathlib import Path

import flyte
import flyte.errors
from said import attempt, run, say

env = flyte.TaskEnvironment(name="retrying")
QUICK = flyte.Backoff(timedelta(milliseconds=10))


def tries(folder: str) -> int:
    with (Path(folder) / "tries").open("a") as file:
        file.write("x")
    return len((Path(folder) / "tries").read_text())


@env.task(retries=flyte.RetryStrategy(count=2, backoff=QUICK))
async def flaky(folder: str) -> int:
    if tries(folder) < 3:
        raise ValueError("again")
    return flyte.ctx().attempt_number


@env.task(retries=flyte.RetryStrategy(count=1, backoff=QUICK))
def hopeless(folder: str) -> int:
    tries(folder)
    raise ValueError("always")


@env.task(retries=flyte.RetryStrategy(count=3, backoff=QUICK))
async def final(folder: str) -> int:
    tries(folder)
    raise flyte.errors.NonRecoverableError("stop")


def counted(task) -> int:
    folder = tempfile.mkdtemp()
    try:
        run(task, folder)
    except Exception:
        pass
    return tries(folder) - 1


if __name__ == "__main__":
    say("until it works", counted(flaky))
    say("until they are spent", counted(hopeless))
    say("not after NonRecoverableError", counted(final))
    attempt("attempt number", lambda: run(flaky, tempfile.mkdtemp())[0])
    attempt("the last error", lambda: run(hopeless, tempfile.mkdtemp()))
