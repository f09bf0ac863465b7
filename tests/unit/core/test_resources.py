"""Resources: what is accepted, what is refused, and what it comes to."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_ray.core.devices import GPU, TPU, Device, DeviceClass
from flyte_ray.core.resources import Resources


@pytest.mark.parametrize(
    ("cpu", "request_", "limit"),
    [
        (None, None, None),
        (2, 2.0, None),
        (0.5, 0.5, None),
        ("500m", 0.5, None),
        ("2", 2.0, None),
        ((1, 4), 1.0, 4.0),
        (("250m", 1.5), 0.25, 1.5),
        (0, 0.0, None),
    ],
)
def test_cpu_is_read_in_every_form(cpu: Any, request_: float | None, limit: float | None) -> None:
    resources = Resources(cpu=cpu)
    assert (resources.cpu_request(), resources.cpu_limit()) == (request_, limit)


@pytest.mark.parametrize(
    ("memory", "request_", "limit"),
    [
        (None, None, None),
        ("512Mi", 512 * 1024**2, None),
        ("1G", 10**9, None),
        ("100", 100, None),
        ("1500m", 2, None),
        (("1Gi", "2Gi"), 1024**3, 2 * 1024**3),
    ],
)
def test_memory_is_read_in_every_form(memory: Any, request_: int | None, limit: int | None) -> None:
    resources = Resources(memory=memory)
    assert (resources.memory_bytes(), resources.memory_limit_bytes()) == (request_, limit)


@pytest.mark.parametrize(
    ("gpu", "count", "model", "device"),
    [
        (None, 0, None, None),
        (0, 0, None, None),
        (2, 2, None, Device(2, DeviceClass.GPU)),
        (0.25, 0.25, None, Device(1, DeviceClass.GPU)),
        ("T4:1", 1, "T4", Device(1, DeviceClass.GPU, "T4")),
        ("MI300X:1", 1, "MI300X", Device(1, DeviceClass.AMD_GPU, "MI300X")),
        ("Trn1:4", 0, "Trn1", Device(4, DeviceClass.NEURON, "Trn1")),
        (GPU("H100", 4), 4, "H100", GPU("H100", 4)),
        (TPU("V5E", "2x4"), 0, "V5E", TPU("V5E", "2x4")),
    ],
)
def test_gpu_is_read_in_every_form(
    gpu: Any, count: int, model: str | None, device: Device | None
) -> None:
    resources = Resources(gpu=gpu)
    assert resources.gpu_count() == count
    assert resources.accelerator() == model
    assert resources.get_device() == device


@pytest.mark.parametrize(("shm", "expected"), [(None, None), ("auto", ""), ("1Gi", "1Gi")])
def test_shared_memory(shm: str | None, expected: str | None) -> None:
    assert Resources(shm=shm).get_shared_memory() == expected


def test_disk_in_bytes() -> None:
    assert Resources(disk="10Gi").disk_bytes() == 10 * 1024**3
    assert Resources().disk_bytes() is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cpu", -1),
        ("cpu", (1, -1)),
        ("cpu", (None, 1)),
        ("cpu", (1, 2, 3)),
        ("cpu", [1, 2]),
        ("cpu", True),
        ("cpu", "abc"),
        ("cpu", "-500m"),
        ("cpu", float("nan")),
        ("cpu", float("inf")),
        ("cpu", (4, 1)),
        ("memory", 1024),
        ("memory", "4Gb"),
        ("memory", ("1Gi", None)),
        ("memory", ("1Gi",)),
        ("memory", ["1Gi"]),
        ("memory", ("2Gi", "1Gi")),
        ("gpu", -1),
        ("gpu", 1.5),
        ("gpu", -0.5),
        ("gpu", True),
        ("gpu", ("A100:1", "A100:2")),
        ("gpu", "A100"),
        ("gpu", "A100:9"),
        ("gpu", "V5E:1"),
        ("disk", 10),
        ("disk", "much"),
        ("shm", 10),
        ("shm", "some"),
    ],
)
def test_wrong_values_are_refused_by_field(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"Resources.{field}"):
        Resources(**{field: value})  # type: ignore[arg-type]


def test_resources_can_be_a_key_and_travel() -> None:
    resources = Resources(cpu=("1", 2), memory="1Gi", gpu=GPU("T4", 1), shm="auto")
    assert {resources: 1}[pickle.loads(pickle.dumps(resources))] == 1


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_limit_is_never_below_the_request(request_: int, limit: int) -> None:
    if request_ <= limit:
        assert Resources(cpu=(f"{request_}m", f"{limit}m")).cpu_limit() == limit / 1000
    else:
        with pytest.raises(ValueError, match="exceeds"):
            Resources(cpu=(f"{request_}m", f"{limit}m"))
