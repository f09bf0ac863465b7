"""A script that comes to its last line while its run in the background goes on.

    python leaving.py ends|fails|forks NAME

The body begins its last step after the last line, on a thread of a pool.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import threading

import flyte_ray as flyte

env = flyte.TaskEnvironment("leaving")
last_line = threading.Event()


@env.task
async def work(how: str) -> str:
    await asyncio.to_thread(last_line.wait)
    done = await asyncio.to_thread(str.upper, how)
    if how == "fails":
        raise ValueError("too late")
    return done


def fork() -> None:
    """A child of this process ends although a run of its parent goes on."""
    child = multiprocessing.get_context("fork").Process(target=print, args=("child",))
    child.start()
    child.join(60)
    assert child.exitcode == 0, child.exitcode


if __name__ == "__main__":
    how, name = sys.argv[1:]
    flyte.with_runcontext("local", name=name, background=True).run(work, how)
    if how == "forks":
        fork()
    # Python calls these before the pools of threads are shut down, the last one first.
    threading._register_atexit(last_line.set)  # type: ignore[attr-defined]
