"""Environments: validation, merging, cloning."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import flyte_ray as flyte
from flyte_ray.author import registry
from flyte_ray.author.attributes import Definition
from flyte_ray.author.task import Task
from flyte_ray.core.image import Image
from flyte_ray.core.interface import Interface
from flyte_ray.core.options import TaskOptions


@pytest.mark.parametrize("name", ["a", "my-env", "my_env", "2fast", "a1-b2_c3"])
def test_allowed_names(name: str) -> None:
    assert flyte.TaskEnvironment(name).name == name


@pytest.mark.parametrize(
    "name", ["", "Upper", "a.b", "a b", "a--b", "-a", "a-", "_a", "a_", "ä", "a\n"]
)
def test_refused_names(name: str) -> None:
    with pytest.raises(ValueError, match="environment name"):
        flyte.TaskEnvironment(name)


@pytest.mark.parametrize(
    "wrong",
    [
        {"image": 3},
        {"secrets": 3},
        {"secrets": [3]},
        {"resources": {"cpu": 1}},
        {"env_vars": ["A=1"]},
        {"env_vars": {"A": 1}},
        {"pod_template": 3},
        {"service_account": 3},
        {"reusable": 2},
        {"depends_on": ["other"]},
        {"cache": 3},
        {"include": "file.txt"},
        {"include": [3]},
    ],
    ids=lambda wrong: "-".join(wrong),
)
def test_wrong_types_are_refused_where_they_are_written(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        flyte.TaskEnvironment("wrong", **wrong)


def test_a_long_description_is_cut() -> None:
    assert len(flyte.TaskEnvironment("a", description="x" * 300).description or "") == 255


def test_include_becomes_a_tuple() -> None:
    assert flyte.TaskEnvironment("a", include=["b.txt"]).include == ("b.txt",)  # type: ignore[arg-type]


def test_reusable_does_not_go_with_a_plugin_unless_it_says_so() -> None:
    class Plugin:
        supports_reuse_policy = False

    policy = flyte.ReusePolicy(replicas=1)
    with pytest.raises(ValueError, match="Plugin"):
        flyte.TaskEnvironment("a", reusable=policy, plugin_config=Plugin())
    Plugin.supports_reuse_policy = True
    assert flyte.TaskEnvironment("a", reusable=policy, plugin_config=Plugin()).reusable is policy


def test_environments_are_remembered_in_the_order_of_loading() -> None:
    first, second = flyte.TaskEnvironment("first"), flyte.Environment("second")
    assert registry.environments()[-2:] == (first, second)


def test_a_task_of_this_process_comes_before_one_of_stored_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "import flyte_ray as flyte\nenv = flyte.TaskEnvironment('stated')\n"
    text += "@env.task\ndef step() -> int:\n    return 1\n"
    made = []
    for state in ("current", "stored"):
        (tmp_path / state).mkdir()
        (tmp_path / state / "stated.py").write_text(text)
        with monkeypatch.context() as context:
            context.syspath_prepend(str(tmp_path / state))
            sys.modules.pop("stated", None)
            made.append(importlib.import_module("stated"))
    current, stored = made
    monkeypatch.setitem(sys.modules, "stated", current)
    assert list(registry.tasks_named("stated.step")) == [current.step, stored.step]
    monkeypatch.setitem(sys.modules, "stated", stored)
    assert list(registry.tasks_named("stated.step")) == [stored.step, current.step]


def test_an_environment_knows_who_made_it() -> None:
    made = flyte.TaskEnvironment("made")
    assert (made.module, made.source_file) == (__name__, __file__)


def test_dependencies_are_checked_and_not_doubled() -> None:
    below = flyte.TaskEnvironment("below")
    above = flyte.TaskEnvironment("above", depends_on=[below])
    above.add_dependency(below)
    assert above.depends_on == [below]
    with pytest.raises(ValueError, match="own name"):
        above.add_dependency(flyte.TaskEnvironment("above"))
    with pytest.raises(TypeError):
        above.add_dependency("below")  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------- decorating


def test_decorator_is_used_bare_and_called() -> None:
    env = flyte.TaskEnvironment("shop")

    @env.task
    def a() -> int:
        return 1

    @env.task()
    async def b() -> int:
        return 2

    assert list(env.tasks) == ["shop.a", "shop.b"]
    assert env.tasks["shop.a"] is a
    assert not a.is_async
    assert b.is_async


def test_the_same_name_again_replaces_the_task() -> None:
    env = flyte.TaskEnvironment("again")
    for number in (1, 2):

        @env.task
        def f(n: int = number) -> int:
            return n

    assert env.tasks["again.f"]() == 2


def test_decorator_wins_over_environment() -> None:
    env = flyte.TaskEnvironment(
        "levels", cache="auto", interruptible=True, queue="slow", env_vars={"A": "1"}
    )

    @env.task(cache=False, interruptible=False, queue="fast", retries=3, timeout=9)
    def own() -> None: ...

    @env.task
    def inherits() -> None: ...

    assert not own.cache.is_enabled()
    assert (own.interruptible, own.queue, own.retries.count) == (False, "fast", 3)
    assert own.timeout.max_runtime == timedelta(seconds=9)
    assert own.env_vars == {"A": "1"}
    assert inherits.cache.behavior == "auto"
    assert (inherits.interruptible, inherits.queue) == (True, "slow")


def test_cache_may_be_a_bool_on_both_levels() -> None:
    env = flyte.TaskEnvironment("bools", cache=True)

    @env.task
    def f() -> None: ...

    @env.task(cache=True)
    def g() -> None: ...

    assert f.cache.behavior == g.cache.behavior == "auto"


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"retries": -1}, ValueError),
        ({"retries": "2"}, ValueError),
        ({"timeout": "5"}, ValueError),
        ({"max_inline_io_bytes": 0}, ValueError),
        ({"cache": "sometimes"}, ValueError),
        ({"cache": 3}, TypeError),
        ({"reusable": None}, TypeError),
        ({"retry": 3}, TypeError),
    ],
    ids=str,
)
def test_wrong_settings_are_refused_at_decoration(
    settings: dict[str, Any], error: type[Exception]
) -> None:
    env = flyte.TaskEnvironment("strict")
    with pytest.raises(error, match=r"strict\.f"):

        @env.task(**settings)
        def f() -> None: ...


def test_variadic_parameters_are_refused() -> None:
    env = flyte.TaskEnvironment("strict")
    with pytest.raises(ValueError, match=r"\*args"):

        @env.task
        def f(*args: int) -> None: ...


def test_generators_are_refused_with_a_remedy() -> None:
    env = flyte.TaskEnvironment("strict")
    with pytest.raises(ValueError, match="return a list"):

        @env.task
        async def f() -> AsyncIterator[int]:
            yield 1


@pytest.mark.parametrize("thing", [3, "f", object()])
def test_only_functions_become_tasks(thing: object) -> None:
    with pytest.raises(TypeError):
        flyte.TaskEnvironment("strict").task(thing)  # type: ignore[call-overload]


def test_a_task_is_not_made_a_task_twice() -> None:
    env = flyte.TaskEnvironment("strict")
    with pytest.raises(TypeError, match="task already"):
        env.task(env.task(lambda: None))


def test_unannotated_parameters_warn(caplog: pytest.LogCaptureFixture) -> None:
    env = flyte.TaskEnvironment("loose")
    with caplog.at_level(logging.WARNING):

        @env.task
        def f(x):  # type: ignore[no-untyped-def]
            return x

    assert "no annotation" in caplog.text


def test_reusable_environments_refuse_what_a_warm_worker_cannot_do() -> None:
    env = flyte.TaskEnvironment(
        "warm", reusable=flyte.ReusePolicy(replicas=1, concurrency=2), service_account="a"
    )
    with pytest.raises(ValueError, match="pod_template"):

        @env.task(pod_template="x")
        async def one() -> None: ...

    with pytest.raises(ValueError, match="service_account"):

        @env.task(service_account="b")
        async def two() -> None: ...

    with pytest.raises(ValueError, match="async def"):

        @env.task
        def three() -> None: ...


# -------------------------------------------------------------------------------------- clones


def test_a_clone_inherits_and_starts_without_tasks() -> None:
    below = flyte.TaskEnvironment("below")
    env = flyte.TaskEnvironment(
        "original",
        cache="auto",
        queue="q",
        env_vars={"A": "1"},
        reusable=flyte.ReusePolicy(replicas=1),
        depends_on=[below],
    )

    @env.task
    async def f() -> None: ...

    clone = env.clone_with("clone", env_vars={"B": "2"})
    assert clone.tasks == {}
    assert clone.env_vars == {"B": "2"}
    assert clone.reusable is env.reusable
    assert (clone.queue, clone.cache) == ("q", env.cache)
    assert clone.depends_on == [below]
    clone.add_dependency(flyte.TaskEnvironment("another"))
    assert env.depends_on == [below]


def test_a_clone_can_drop_reuse() -> None:
    env = flyte.TaskEnvironment("original", reusable=flyte.ReusePolicy(replicas=1))
    assert env.clone_with("clone", reusable=None).reusable is None


@pytest.mark.parametrize("name", ["queue", "plugin_config", "pod_template"])
def test_a_clone_cannot_change_everything(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        flyte.TaskEnvironment("original").clone_with("clone", **{name: None})  # type: ignore[misc]


# ----------------------------------------------------------------------------------- from_task


def test_from_task_refuses_tasks_that_have_an_environment() -> None:
    env = flyte.TaskEnvironment("home")
    with pytest.raises(ValueError, match="home"):
        flyte.TaskEnvironment.from_task("second", env.task(test_allowed_names))


def loose_task(name: str, image: Image | None) -> Task[..., Any]:
    return Task(
        Definition(
            func=test_allowed_names,
            name=name,
            short_name=name,
            interface=Interface(),
            options=TaskOptions(image=image),
        )
    )


def test_from_task_adopts_tasks_under_their_own_names() -> None:
    image = Image.from_debian_base()
    tasks = loose_task("one", image), loose_task("two", image)
    below = flyte.TaskEnvironment("below")
    env = flyte.TaskEnvironment.from_task("around", *tasks, depends_on=[below])
    assert env.tasks == {"one": tasks[0], "two": tasks[1]}
    assert env.image is image
    assert env.depends_on == [below]
    assert tasks[0].parent_env_name == "around"
    assert tasks[0].parent_env is not None
    assert tasks[0].parent_env() is env


def test_from_task_refuses_different_images() -> None:
    with pytest.raises(ValueError, match="one image"):
        flyte.TaskEnvironment.from_task(
            "around", loose_task("one", None), loose_task("two", Image.from_debian_base())
        )
