"""An author's options as Ray's. No Ray is started: nodes are plain dicts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ray.util.accelerators import accelerators

from flyte_ray.core.calls import CodeSpec
from flyte_ray.core.devices import GPU, TPU
from flyte_ray.core.image import Image
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.resources import Resources
from flyte_ray.runtime.cluster import has_groups
from flyte_ray.runtime.options import (
    CODE_VARIABLE,
    Nodes,
    Request,
    is_clamping,
    node_label,
    ray_options,
    request_of,
    worker_variables,
)
from tests.unit.engine.scenes import run_spec

GIB = 2**30
SMALL = {"CPU": 4.0, "memory": 8.0 * GIB}
LARGE = {"CPU": 16.0, "memory": 64.0 * GIB, "GPU": 2.0, "accelerator_type:A100": 1.0}


class FixedNodes(Nodes):
    """The cluster as the test says it is."""

    def __init__(self, *nodes: dict[str, float], grows: bool = False) -> None:
        super().__init__()
        self.grows = grows
        self._nodes = [dict(node) for node in nodes]

    def totals(self) -> list[dict[str, float]]:
        return self._nodes

    def may_grow(self) -> bool:
        return self.grows


def test_a_plain_task_asks_for_one_cpu() -> None:
    assert request_of(None) == Request() == Request(cpu=1.0)
    assert request_of(Resources(memory="1Gi")) == Request(cpu=1.0, memory_bytes=GIB)


def test_requests_are_what_the_author_said() -> None:
    asked = request_of(Resources(cpu="500m", memory="2Gi", gpu="A100:2"))
    assert asked == Request(cpu=0.5, gpu=2.0, memory_bytes=2 * GIB, accelerator="A100")


@pytest.mark.parametrize(
    ("model", "label"),
    [
        ("H100:1", "H100"),
        ("A100_80G:1", "A100-80G"),
        ("L40s:2", "L40S"),
        ("RTX_PRO_6000:1", "RTX-PRO-6000"),
        ("MI300X:1", "AMD-Instinct-MI300X-OAM"),
        ("MI250:1", "AMD-Instinct-MI250X-MI250"),
    ],
)
def test_models_are_asked_for_by_rays_names(model: str, label: str) -> None:
    assert request_of(Resources(gpu=model)).accelerator == label
    known = {name for key, name in vars(accelerators).items() if key[0].isupper()}
    assert label in known


def test_a_shared_gpu_is_one_of_its_model() -> None:
    assert request_of(Resources(gpu=GPU("T4 shared"))) == Request(gpu=1.0, accelerator="T4")


def test_a_share_of_a_gpu_is_asked_for_as_such() -> None:
    asked = request_of(Resources(gpu=0.25))
    assert ray_options(TaskOptions(), run_spec(), asked, "f")["num_gpus"] == 0.25
    assert asked.times_in(LARGE) == 8


def test_slices_are_a_label_of_their_nodes() -> None:
    asked = request_of(Resources(gpu=GPU("A100", 2, "1g.5gb")))
    assert (asked.gpu, asked.partition) == (2.0, "1g.5gb")
    options = ray_options(TaskOptions(), run_spec(), asked, "f")
    assert options["resources"] == {"gpu_partition:1g.5gb": 0.001}
    why = FixedNodes(LARGE).why_never(asked)
    assert why is not None
    assert "slices of 1g.5gb (nodes that have them say 'gpu_partition:1g.5gb')" in why
    sliced = LARGE | {"gpu_partition:1g.5gb": 1.0}
    assert FixedNodes(sliced).why_never(asked) is None
    assert FixedNodes(LARGE).clamped(asked).partition is None


def test_the_topology_of_a_tpu_is_no_slice_of_a_gpu() -> None:
    assert request_of(Resources(gpu=TPU("V5E", "2x4"))).partition is None


def test_of_a_range_the_lower_end_is_requested() -> None:
    assert request_of(Resources(cpu=(2, 8))).cpu == 2.0


def test_a_request_that_some_node_could_carry_is_no_matter() -> None:
    nodes = FixedNodes(SMALL, LARGE)
    assert nodes.why_never(Request(cpu=4)) is None
    assert nodes.why_never(Request(cpu=10, gpu=1, accelerator="A100")) is None


def test_what_no_node_can_carry_is_named_with_the_remedies() -> None:
    why = FixedNodes(SMALL, LARGE).why_never(Request(cpu=32, memory_bytes=GIB))
    assert why is not None
    assert "32 CPU" in why
    assert "task.override(resources=" in why
    assert "FLYTE_RAY_CLAMP_RESOURCES=1" in why


def test_the_closest_node_is_the_one_that_is_spoken_of() -> None:
    why = FixedNodes(SMALL, LARGE).why_never(Request(cpu=10, gpu=4))
    assert why is not None
    assert "4 GPU (the node has 2)" in why
    assert "CPU (the node" not in why


def test_an_accelerator_must_be_there_by_name() -> None:
    why = FixedNodes(LARGE).why_never(Request(gpu=1, accelerator="H100"))
    assert why is not None
    assert "accelerator H100" in why


def test_nothing_is_refused_while_no_node_is_known() -> None:
    assert FixedNodes().why_never(Request(cpu=1000)) is None


def test_a_gpu_that_the_caller_keeps_is_not_there_for_what_it_calls() -> None:
    one = {"CPU": 8.0, "GPU": 1.0, node_label("here"): 1.0}
    two = {"CPU": 8.0, "GPU": 1.0, node_label("there"): 1.0}
    why = FixedNodes(one).why_starved(Request(gpu=1), "here", 1.0)
    assert why is not None
    assert "keeps 1 of the node's 1 while it waits" in why
    assert FixedNodes(one, two).why_starved(Request(gpu=1), "here", 1.0) is None
    assert FixedNodes(one).why_starved(Request(gpu=0.5), "here", 0.5) is None
    assert FixedNodes(one).why_starved(Request(gpu=1), "here", 0.0) is None
    assert FixedNodes(one).why_starved(Request(), "here", 1.0) is None
    small = {"CPU": 1.0, "GPU": 1.0, node_label("there"): 1.0}
    assert FixedNodes(one, small).why_starved(Request(cpu=4, gpu=1), "here", 1.0) is not None


def test_clamping_cuts_a_request_down_to_the_largest_node() -> None:
    nodes = FixedNodes(SMALL)
    wished = Request(cpu=32, gpu=8, memory_bytes=100 * GIB, accelerator="A100")
    assert nodes.clamped(wished) == Request(cpu=4, gpu=0, memory_bytes=8 * GIB)
    assert nodes.why_never(nodes.clamped(wished)) is None


def test_clamping_is_a_choice_of_the_run() -> None:
    assert not is_clamping(run_spec())
    assert is_clamping(replace(run_spec(), options={"clamp_resources": True}))


def test_ray_itself_retries_nothing() -> None:
    options = ray_options(TaskOptions(), run_spec(), Request(), "env.step")
    assert options["max_retries"] == 0
    assert options["retry_exceptions"] is False
    assert (options["name"], options["num_cpus"]) == ("env.step", 1.0)
    assert not {"num_gpus", "memory", "accelerator_type"} & set(options)


def test_what_was_requested_stands_in_rays_words() -> None:
    request = Request(cpu=2, gpu=1, memory_bytes=GIB, accelerator="A100")
    options = ray_options(TaskOptions(), run_spec(), request, "env.step")
    assert options["num_cpus"] == 2
    assert options["num_gpus"] == 1
    assert options["memory"] == GIB
    assert options["accelerator_type"] == "A100"


def test_variables_of_the_run_win_over_the_tasks_and_these_over_the_images() -> None:
    image = Image.from_debian_base().with_env_vars({"A": "image", "B": "image", "C": "image"})
    options = TaskOptions(image=image, env_vars={"B": "task", "C": "task"})
    run = run_spec(env_vars={"C": "run"}, code=CodeSpec(digest="d" * 64))
    variables = worker_variables(options, run)
    assert (variables["A"], variables["B"], variables["C"]) == ("image", "task", "run")
    assert variables[CODE_VARIABLE] == f"{'d' * 64} stored"


def test_two_code_states_never_share_a_process() -> None:
    one = worker_variables(TaskOptions(), run_spec(code=CodeSpec(digest="1")))
    other = worker_variables(TaskOptions(), run_spec(code=CodeSpec(digest="2")))
    assert one != other


def test_an_image_becomes_an_environment_where_the_run_installs_images() -> None:
    image = Image.from_debian_base().with_pip_packages("numpy").with_env_vars({"A": "1"})
    options, run = TaskOptions(image=image), run_spec()
    plain = ray_options(options, run, Request(), "f")["runtime_env"]
    assert set(plain) == {"env_vars"}
    installing = replace(run, options={"images": "install"})
    made = ray_options(options, installing, Request(), "f")["runtime_env"]
    assert made["uv"] == {"packages": ["numpy"]}
    assert made["env_vars"]["A"] == "1"
    inside = ray_options(TaskOptions(image="repo/x:1"), installing, Request(), "f")["runtime_env"]
    assert inside["image_uri"] == "repo/x:1"


def test_stored_code_and_code_at_hand_do_not_share_a_process() -> None:
    stored = replace(run_spec(), code=CodeSpec(digest="d" * 64))
    at_hand = replace(stored, code=CodeSpec(digest="d" * 64, root="/project"))
    first, second = (worker_variables(TaskOptions(), run) for run in (stored, at_hand))
    assert first[CODE_VARIABLE] != second[CODE_VARIABLE] == "d" * 64


def test_where_nodes_may_still_come_nothing_is_impossible_and_it_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    nodes = FixedNodes({"memory": 8.0 * GIB}, grows=True)  # a head that takes no tasks
    assert [nodes.why_never(Request()) for _ in range(3)] == [None] * 3
    (said,) = caplog.messages
    assert "1 CPU" in said


@pytest.mark.parametrize(
    ("types", "configured"),
    [([], False), (["node_3f2a"], False), (["", ""], False), (["node_3f2a", "gpu-group"], True)],
)
def test_a_group_of_nodes_that_somebody_configured_means_an_autoscaler(
    types: list[str], configured: bool
) -> None:
    assert has_groups(types) is configured
