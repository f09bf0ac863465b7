"""What `@env.task` accepts, and what a task says of itself (§3, §4)."""

import copy
import inspect
from datetime import timedelta

import flyte
from said import attempt, say

env = flyte.TaskEnvironment(name="decorating")
warm = flyte.TaskEnvironment(name="warm", reusable=flyte.ReusePolicy(replicas=1, concurrency=2))


def made(environment=env, **options):
    @environment.task(**options)
    async def task(x: int, y: str = "a") -> int:
        """Do it.

        Longer.

        Args:
            x: the x
            y: the y
        """
        return x

    return task


def variadic():
    @env.task
    def task(*args: int) -> int:
        return 1


def keywords():
    @env.task
    def task(**kwargs: int) -> int:
        return 1


def forward():
    @env.task
    def task(x: "Nowhere") -> int:  # noqa: F821
        return 1


def plain_on_concurrent():
    @warm.task
    def task() -> int:
        return 1


if __name__ == "__main__":
    for case in (variadic, keywords, forward, plain_on_concurrent):
        attempt(case.__name__, case)
    for retries in ("3", -1, 1.5, None, 3, flyte.RetryStrategy(count=2)):
        attempt(f"retries={retries!r}", lambda r=retries: made(retries=r).retries.count)
    for timeout in ("5", 5, timedelta(seconds=5)):
        attempt(f"timeout={timeout!r}", lambda t=timeout: made(timeout=t) and "made")
    attempt("unknown option", lambda: made(nonsense=1))
    attempt("pooled with a pod template", lambda: made(warm, pod_template="x") and "made")
    attempt("pooled with an account", lambda: made(warm, service_account="x") and "made")
    task = made(short_name="short", report=True, queue="q", interruptible=True)
    say("names", (task.name, task.short_name, task.task_type, task.parent_env_name))
    say("options", (task.report, task.queue, task.interruptible, task.docs))
    say("parent", task.parent_env() is env)
    say("copy keeps the parent", copy.copy(task).parent_env() is env)
    say("is a template", isinstance(task, flyte.TaskTemplate))
    say("no coroutine function", inspect.iscoroutinefunction(task))
    say("no __name__", hasattr(task, "__name__"))
    say("interface", (list(task.native_interface.inputs), task.native_interface.outputs))
    say("required", task.native_interface.num_required_inputs())
    doc = task.native_interface.docstring
    say("docstring", (doc.short_description, doc.long_description, doc.input_descriptions))
    say("schema", (task.json_schema["type"], task.json_schema["required"]))
    inherits = flyte.TaskEnvironment(name="inherits", cache="auto")
    for cache in (None, False, True, "disable", "auto"):
        attempt(f"cache={cache!r}", lambda c=cache: made(inherits, cache=c).cache.behavior)
