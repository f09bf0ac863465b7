"""`task.override` (§5)."""

import flyte
from said import attempt, say

env = flyte.TaskEnvironment(name="overriding")
warm = flyte.TaskEnvironment(name="warm", reusable=flyte.ReusePolicy(replicas=1, concurrency=2))
MORE = flyte.Resources(cpu=4)


@env.task(retries=3, timeout=5)
async def task(x: int) -> int:
    return x


@warm.task
async def pooled(x: int) -> int:
    return x


if __name__ == "__main__":
    other = task.override(resources=MORE, short_name="other", env_vars={"A": "1"}, report=True)
    say("changed", (other.name, other.short_name, other.resources.cpu, other.report))
    say("original", (task.short_name, task.resources, task.report))
    say("same environment", other.parent_env() is env and env.tasks["overriding.task"] is task)
    say(
        "false keeps",
        (task.override(retries=0).retries.count, task.override(retries=1).retries.count),
    )
    for name in ("name", "image", "docs", "interface"):
        attempt(f"override {name}", lambda name=name: task.override(**{name: "x"}))
    attempt("unknown", lambda: task.override(nonsense=1))
    attempt("unregistered plugin", lambda: task.override(plugin_config=object()))
    for name, value in {"resources": MORE, "env_vars": {"A": "1"}, "service_account": "x"}.items():
        attempt(f"pooled, {name}", lambda n=name, v=value: pooled.override(**{n: v}))
        off = pooled.override(reusable="off", **{name: value})
        say(f"pooled off, {name}", off.reusable is None)
