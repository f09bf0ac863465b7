"""What an environment accepts (§2)."""

import flyte
from said import attempt, say

make = flyte.TaskEnvironment

if __name__ == "__main__":
    names = ["ok", "1a", "a-b_c", "Abc", "a.b", "a b", "a--b", "-a", "a-", "", "é", "a__b"]
    for name in names:
        attempt(f"name {name!r}", lambda name=name: make(name=name).name)
    wrong = {
        "image": 3,
        "secrets": 3,
        "resources": {},
        "env_vars": [],
        "pod_template": 3,
        "service_account": 3,
        "reusable": 3,
        "depends_on": ["x"],
        "cache": 3,
        "include": "abc",
    }
    for option, value in wrong.items():
        attempt(
            f"{option}={value!r}", lambda o=option, v=value: make(name="x", **{o: v}) and "made"
        )
    attempt("cache=True", lambda: make(name="x", cache=True) and "made")
    attempt("include list", lambda: make(name="x", include=["a"]).include)
    attempt("long description", lambda: len(make(name="x", description="d" * 300).description))
    attempt(
        "reusable and plugin",
        lambda: make(name="x", reusable=flyte.ReusePolicy(), plugin_config=object()) and "made",
    )
    one, two = make("one"), make("two")
    attempt("depend on text", lambda: one.add_dependency("x"))
    attempt("depend on its own name", lambda: one.add_dependency(make("one")))
    one.add_dependency(two)
    say("depends on", [each.name for each in one.depends_on])
    full = make("full", cache="auto", env_vars={"A": "1"}, queue="q", interruptible=True)

    @full.task
    def task() -> int:
        return 1

    clone = full.clone_with("clone", env_vars={"C": "3"})
    say("clone", (clone.env_vars, clone.queue, clone.interruptible, dict(clone.tasks)))
    for option in ("queue", "plugin_config", "pod_template", "foo"):
        attempt(f"clone {option}", lambda o=option: full.clone_with("other", **{o: None}).name)

    @full.task  # type: ignore[no-redef]
    def task() -> int:  # noqa: F811
        return 2

    say("registered once", (list(full.tasks), full.tasks["full.task"] is task))
