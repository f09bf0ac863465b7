"""`ctx()`, `group`, custom context (§15, §18, §19)."""

import flyte
from said import say

env = flyte.TaskEnvironment(name="context")


@env.task
async def leaf() -> str:
    return f"{flyte.ctx().group_data} {sorted(flyte.get_custom_context().items())}"


@env.task
async def parent() -> dict[str, str]:
    here = flyte.ctx()
    found = {
        "present": str(bool(here)),
        "mode": str(here.mode),
        "in cluster": str(here.is_in_cluster()),
        "attempt": str(here.attempt_number),
        "start time": str(here.run_start_time.tzinfo),
        "missing key": str(here["none"]),
        "data": str(dict(here.data)),
        "raw data": str(bool(here.raw_data_path.path)),
    }
    with flyte.group("outer"):
        with flyte.group("inner"):
            found["group"] = flyte.ctx().group_data.name
            found["group in a child"] = await leaf()
        found["group restored"] = flyte.ctx().group_data.name
    with flyte.custom_context(a="1", k="in"):
        found["custom"] = await leaf()
        with flyte.custom_context(a="2"):
            found["custom inside"] = await leaf()
    found["custom restored"] = await leaf()
    try:
        here.mode = "x"  # type: ignore[misc]
    except Exception as error:
        found["frozen"] = type(error).__name__
    found["replaced"] = str(here.replace(mode="remote").mode)
    return found


if __name__ == "__main__":
    nobody = flyte.ctx()
    say("outside", (bool(nobody), nobody.action, nobody.mode))
    made = flyte.with_runcontext("local", custom_context={"k": "v"}).run(parent)
    for case, what in made.outputs()[0].items():
        say(case, what)
