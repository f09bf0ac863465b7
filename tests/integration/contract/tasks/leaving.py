"""Tasks that leave more behind than their result."""

from __future__ import annotations

from typing import Any

import flyte_ray as flyte
from flyte_ray import durable, report
from tests.integration.contract.tasks.marks import leave

env = flyte.TaskEnvironment(name="contract_leaving")


class Tracker:
    name = "tracker"
    icon_uri = None

    def get_link(self, run_name: str, action_name: str, **_: Any) -> str:
        return f"https://tracker.example/{run_name}/{action_name}"


class Broken:
    name = "broken"
    icon_uri = None

    def get_link(self, **_: Any) -> str:
        raise RuntimeError("no link today")


LINKS: Any = (Tracker(), Broken())


@env.task(retries=2)
async def resumes(folder: str) -> list[int]:
    """Goes on where the attempt before it stopped."""
    checkpoint = flyte.ctx().checkpoint
    assert checkpoint is not None
    before = await checkpoint.load()
    done = [int(x) for x in before.read_text().split()] if before is not None else []
    done.append(flyte.ctx().attempt_number)
    await checkpoint.save(" ".join(map(str, done)).encode())
    leave(folder, "attempt")
    if len(done) < 3:
        raise ValueError("not there yet")
    return done


@env.task
async def fails_once_per_run(folder: str, fail: bool = True) -> str:
    checkpoint = flyte.ctx().checkpoint
    assert checkpoint is not None
    before = await checkpoint.load()
    if before is not None:
        return f"found {before.read_text()}"
    await checkpoint.save(b"halfway")
    raise ValueError("stopped halfway")


@env.task(retries=1)
async def keeps_time(folder: str) -> bool:
    seen = [durable.time(), await durable.random.aio(), durable.now().isoformat()]
    durable.sleep(0.01)
    leave(folder, "~".join(map(str, seen)).replace("/", "-"))
    if flyte.ctx().attempt_number == 0:
        raise ValueError("again")
    return True


@env.task(
    report=True,
    links=LINKS,
    docs=flyte.Documentation(description="Shows what it found."),
)
async def shows() -> None:
    await report.log.aio("<h1>Found</h1>")
    report.get_tab("table").log("<table><tr><td>1</td></tr></table>")


@env.task
async def shows_below() -> None:
    await shows()
