"""The public modules: all there, each name explained, and saying clearly what they cannot do."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import pickle
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest

import flyte_ray
from flyte_ray import app, artifacts, clustered, config, extend, models, notify, syncify
from flyte_ray.app.extras import FastAPIAppEnvironment
from flyte_ray.client import session
from flyte_ray.core.model import ActionPhase
from flyte_ray.errors import UsageError
from flyte_ray.testing import harness
from flyte_ray.testing.harness import LocalHarness, flyte_local

__all__ = ["flyte_local"]

DOORS = sorted(flyte_ray._DOORS)
EXPORTED = [
    (door, name) for door in DOORS for name in importlib.import_module(f"flyte_ray.{door}").__all__
]


@pytest.mark.parametrize("door", DOORS)
def test_every_door_can_be_opened_both_ways(door: str) -> None:
    module = importlib.import_module(f"flyte_ray.{door}")
    assert getattr(flyte_ray, door) is module
    assert (module.__doc__ or "").startswith(("PUBLIC", "Every exception"))


@pytest.mark.parametrize(("door", "name"), EXPORTED, ids=".".join)
def test_every_exported_name_resolves_and_is_explained(door: str, name: str) -> None:
    value = getattr(importlib.import_module(f"flyte_ray.{door}"), name)
    if isinstance(value, ModuleType) or callable(value):
        assert inspect.getdoc(value), f"flyte_ray.{door}.{name} has no docstring"


@pytest.mark.parametrize(
    "statement",
    [
        "from flyte_ray.models import ActionPhase, ActionID, NativeInterface",
        "from flyte_ray.remote import Run, Action, ActionDetails, Task, TimeFilter, upload_file",
        "from flyte_ray.extras import DynamicBatcher, TokenBatcher, Prompt, Sleep, shell",
        "from flyte_ray.app.extras import FastAPIAppEnvironment",
        "from flyte_ray.storage import S3, GCS, ABFS, get, put, exists",
        "from flyte_ray.types import TypeEngine, TypeTransformer, TypeTransformerFailedError",
        "from flyte_ray.notify import Slack, Email, Teams, Webhook",
        "from flyte_ray.clustered import ClusteredTaskEnvironment, TorchRun",
        "from flyte_ray.extend import TaskTemplate, AsyncFunctionTaskTemplate, is_initialized",
        "from flyte_ray.config import Config, auto",
        "from flyte_ray.syncify import syncify, Syncify",
        "from flyte_ray import serve, with_servecontext, AppHandle",
    ],
)
def test_what_flyte_scripts_import_is_there(statement: str) -> None:
    exec(statement, {})


# --------------------------------------------------------------------------- models, config


def test_the_models_are_the_houses_own() -> None:
    assert models.ActionPhase is ActionPhase
    assert models.ActionPhase.TIMED_OUT == "timed_out"
    assert models.NativeInterface.from_callable(lambda: None).outputs == {}


def test_settings_say_where_they_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_RAY_MODE", "local")
    settings = config.auto()
    assert isinstance(settings, config.Config)
    assert settings.mode == "local"
    assert settings.origins["mode"] == "environment FLYTE_RAY_MODE"


def test_syncify_makes_a_blocking_form() -> None:
    @syncify.syncify
    async def double(x: int) -> int:
        return 2 * x

    assert double(2) == 4


# -------------------------------------------------------------------------------- extend


class SparkConfig:
    pass


class SparkTask(extend.TaskTemplate):  # type: ignore[type-arg]
    """Made for environments with a `SparkConfig`."""


def test_a_registered_plugin_makes_the_tasks_of_its_environments() -> None:
    extend.TaskPluginRegistry.register(SparkConfig, SparkTask)
    env = flyte_ray.TaskEnvironment("spark", plugin_config=SparkConfig())

    @env.task
    def job(x: int) -> int:
        return x

    assert type(job) is SparkTask
    assert type(job.override(retries=2)) is SparkTask
    assert job(1) == 1


def test_a_config_that_nobody_registered_is_refused() -> None:
    env = flyte_ray.TaskEnvironment("other", plugin_config={"any": 1})
    with pytest.raises(ValueError, match=r"other\.job.*plugin_config=dict"):

        @env.task
        def job() -> None: ...


def test_an_override_with_a_plugin_changes_the_class() -> None:
    extend.TaskPluginRegistry.register(SparkConfig, SparkTask)
    env = flyte_ray.TaskEnvironment("plain")

    @env.task
    def job(x: int) -> int:
        return x

    assert type(job.override(plugin_config=SparkConfig())) is SparkTask
    with pytest.raises(ValueError, match="no plugin"):
        job.override(plugin_config=object())


class Prepared:
    pass


class PreparedTask(extend.TaskTemplate):  # type: ignore[type-arg]
    """Prepares before each call."""

    prepared = 0

    def __init__(self, definition: Any, **rest: Any) -> None:
        inner = definition.func

        @functools.wraps(inner)
        def run(*args: Any, **kwargs: Any) -> Any:
            PreparedTask.prepared += 1
            return inner(*args, **kwargs)

        super().__init__(dataclasses.replace(definition, func=run), **rest)


extend.TaskPluginRegistry.register(Prepared, PreparedTask)
_prepared_env = flyte_ray.TaskEnvironment("prepared", plugin_config=Prepared())
_plain_env = flyte_ray.TaskEnvironment("unprepared")


@_prepared_env.task
def prepared_job(x: int) -> int:
    return x


@_plain_env.task
def plain_job(x: int) -> int:
    return x


@pytest.mark.parametrize(
    "task",
    [
        prepared_job,
        prepared_job.override(retries=2),
        prepared_job.override(retries=2).override(retries=3),
        prepared_job.override(plugin_config=Prepared()),
        plain_job.override(plugin_config=Prepared()).override(retries=1),
        pickle.loads(pickle.dumps(prepared_job.override(retries=2))),
        pickle.loads(pickle.dumps(plain_job.override(plugin_config=Prepared()))),
    ],
)
def test_what_a_plugin_wraps_around_a_function_runs_once(
    task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PreparedTask, "prepared", 0)
    assert type(task) is PreparedTask
    assert task(1) == 1
    assert PreparedTask.prepared == 1
    assert task.identity in (prepared_job.identity, plain_job.identity)


def test_a_plugins_task_that_travels_by_value_wraps_once_too() -> None:
    @_prepared_env.task
    def local(x: int) -> int:
        return x

    there = pickle.loads(pickle.dumps(local.override(retries=2)))
    assert there(1) == 1
    before = PreparedTask.prepared
    assert there.override(retries=3)(1) == 1
    assert PreparedTask.prepared == before + 1


def test_a_plugin_must_be_a_task() -> None:
    with pytest.raises(TypeError, match="TaskTemplate"):
        extend.TaskPluginRegistry.register(SparkConfig, dict)  # type: ignore[arg-type]


def test_flytes_images_are_not_taken_for_our_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_session", session._session)
    flyte_ray.init(images={"mine": "registry/mine:1"})
    assert session.current_session().settings.images is None
    flyte_ray.init(images="record")
    assert session.current_session().settings.images == "record"


def test_a_session_makes_the_process_initialized(flyte_local: LocalHarness) -> None:
    assert isinstance(flyte_local, harness.LocalHarness)
    assert extend.is_initialized()


# -------------------------------------------------------------------------------- notify


@pytest.mark.parametrize("phase", ["FAILED", "failed", ActionPhase.FAILED])
def test_a_notification_knows_its_phases_however_they_are_written(phase: Any) -> None:
    slack = notify.Slack(on_phase=phase, webhook_url="https://hooks.example.com/x")
    assert slack.on_phase == (ActionPhase.FAILED,)


@pytest.mark.parametrize("phase", ["running", "never", (), ("failed", "queued")])
def test_only_ends_can_be_notified_of(phase: Any) -> None:
    with pytest.raises(ValueError, match="SUCCEEDED, FAILED, ABORTED, TIMED_OUT"):
        notify.Webhook(on_phase=phase, url="https://example.com")


def test_notifications_are_checked_where_they_are_written() -> None:
    with pytest.raises(ValueError, match="recipients"):
        notify.Email(on_phase="failed", recipients=[])
    with pytest.raises(ValueError, match=r"http\(s\) URL"):
        notify.Teams(on_phase="failed", webhook_url="hooks.example.com")
    with pytest.raises(ValueError, match="method"):
        notify.Webhook(on_phase="failed", url="https://example.com", method="SHOUT")


def test_notifications_are_accepted_by_runs() -> None:
    slack = notify.Slack(on_phase="failed", webhook_url="https://hooks.example.com/x")
    flyte_ray.with_runcontext("local", notifications=[slack])


# ----------------------------------------------------------------------------- artifacts


def test_an_artifact_is_its_value() -> None:
    value = [1, 2]
    assert artifacts.new(value, artifacts.Metadata("numbers", version="1")) is value


def test_artifacts_are_checked() -> None:
    with pytest.raises(TypeError, match="plain int"):
        artifacts.new(1, artifacts.Metadata("number"))
    with pytest.raises(TypeError, match="Metadata"):
        artifacts.new([1], "number")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="name"):
        artifacts.Metadata("")
    with pytest.raises(ValueError, match="not both"):
        artifacts.Metadata("n", version="1", version_from_content=True)
    with pytest.raises(TypeError, match="'o0'"), artifacts.produces(o0="n"):  # type: ignore[arg-type]
        pass


def test_a_model_is_described_by_whatever_is_known_of_it() -> None:
    described = artifacts.Metadata.create_model_metadata("m", framework="torch", task=None)
    assert (described.kind, described.attrs) == ("model", {"framework": "torch"})


def test_a_card_comes_from_a_text_or_a_file(tmp_path: Any) -> None:
    file = tmp_path / "card.md"
    file.write_text("# Model")
    assert artifacts.Card.create_from(local_path=file, format="md").content == "# Model"
    with pytest.raises(ValueError, match="either"):
        artifacts.Card.create_from()


# ------------------------------------------------------------------- what is refused for now


def test_an_app_can_be_described_and_says_that_it_is_not_served() -> None:
    env = FastAPIAppEnvironment(
        name="web",
        app=object(),
        scaling=app.Scaling(replicas=(0, 2), metric=app.Scaling.Concurrency(5)),
        parameters=[app.Parameter(name="model", value="m")],
    )

    @env.on_startup
    def begin() -> None: ...

    assert env.startup_function is begin
    for served in (
        lambda: env.endpoint,
        lambda: flyte_ray.serve(env),
        lambda: flyte_ray.with_servecontext(mode="local").serve(env),
    ):
        with pytest.raises(UsageError, match=r"app 'web'.*Ray Serve"):
            served()


def test_impossible_apps_are_refused() -> None:
    with pytest.raises(ValueError, match="port 9090"):
        app.AppEnvironment(name="web", port=9090)
    with pytest.raises(ValueError, match="replicas"):
        app.Scaling(replicas=(3, 1))
    with pytest.raises(ValueError, match="hour"):
        app.Timeouts(request=timedelta(hours=2))
    with pytest.raises(ValueError, match="app=FastAPI"):
        FastAPIAppEnvironment(name="web")


def test_a_cluster_of_one_rank_is_an_ordinary_task(flyte_local: LocalHarness) -> None:
    env = clustered.ClusteredTaskEnvironment(name="ranks", replicas=1, nproc_per_node=1)

    @env.task
    async def train() -> tuple[int, int]:
        here = flyte_ray.ctx()
        return here.rank, here.world_size

    assert tuple(flyte_local.run(train).outputs()) == (0, 1)


def test_several_ranks_are_refused_when_they_are_to_run(flyte_local: LocalHarness) -> None:
    env = clustered.ClusteredTaskEnvironment(name="ranks", replicas=2, nproc_per_node=4)

    @env.task
    async def train(x: int) -> int:
        return x

    assert list(train.native_interface.inputs) == ["x"]
    run = flyte_local.run(train, x=1)
    assert run.phase is ActionPhase.FAILED
    failure = run.first_failure()
    assert failure is not None
    assert "2 x 4 ranks" in str(failure.error_message)
    assert "Ray Train" in str(failure.error_message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"replicas": 0}, "replicas"),
        ({"nproc_per_node": 2, "runtime": clustered.JaxRun()}, "JaxRun"),
        ({"interconnect": "pigeon"}, "interconnect"),
        ({"reusable": flyte_ray.ReusePolicy()}, "reusable"),
        ({"nproc_per_node": 4, "resources": flyte_ray.Resources(gpu=2)}, "GPUs"),
    ],
)
def test_impossible_clusters_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        clustered.ClusteredTaskEnvironment(name="ranks", **changes)
