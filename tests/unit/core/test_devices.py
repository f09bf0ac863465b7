"""Accelerators: closed lists, partitions, spellings."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest

from flyte_ray.core.devices import (
    AMD_GPU,
    APPLE_SILICON,
    GPU,
    HABANA_GAUDI,
    TPU,
    Device,
    DeviceClass,
    Neuron,
    parse_accelerator,
)


@pytest.mark.parametrize(
    ("text", "device_class", "model", "count"),
    [
        ("A100:1", DeviceClass.GPU, "A100", 1),
        ("A100_80G:8", DeviceClass.GPU, "A100_80G", 8),
        ("L40s:4", DeviceClass.GPU, "L40s", 4),
        ("A2:1", DeviceClass.GPU, "A2", 1),
        ("Trn1:16", DeviceClass.NEURON, "Trn1", 16),
        ("Inf2:12", DeviceClass.NEURON, "Inf2", 12),
        ("MI300X:1", DeviceClass.AMD_GPU, "MI300X", 1),
        ("Gaudi1:1", DeviceClass.HABANA_GAUDI, "Gaudi1", 1),
        ("AppleSilicon", DeviceClass.APPLE_SILICON, "AppleSilicon", 1),
        ("AppleSilicon:1", DeviceClass.APPLE_SILICON, "AppleSilicon", 1),
    ],
)
def test_accelerator_text_names_a_device(
    text: str, device_class: DeviceClass, model: str, count: int
) -> None:
    assert parse_accelerator(text) == Device(count, device_class, model)


@pytest.mark.parametrize(
    "text",
    ["A100", "A100:0", "A100:9", "A2:2", "V5E:1", "Trn1:2", "B100:1", "", ":", "T4:x", "T4:1:1"],
)
def test_text_outside_the_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="<model>:<count>"):
        parse_accelerator(text)


def test_refusal_suggests_what_was_meant() -> None:
    with pytest.raises(ValueError, match="'H100:1'"):
        parse_accelerator("h100:1")


def test_old_spelling_is_read_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="A100_80G"):
        assert parse_accelerator("A100 80G:8").device == "A100_80G"


@pytest.mark.parametrize("partition", ["1g.5gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"])
def test_gpu_takes_the_partitions_of_its_model(partition: str) -> None:
    assert GPU("A100", 1, partition).partition == partition


def test_partitions_of_other_models_are_not_checked() -> None:
    assert GPU("L4", 1, "1g.6gb").partition == "1g.6gb"


@pytest.mark.parametrize(
    "make",
    [
        lambda: GPU("A100", 1, "1g.10gb"),
        lambda: GPU("T4 shared", 1, "1g.5gb"),
        lambda: GPU("T4", 0),
        lambda: GPU("T5", 1),
        lambda: TPU("V7", "2x4"),
        lambda: TPU("V5E", "3x3"),
        lambda: TPU("V5P", "2x2"),
        lambda: Neuron("Trn9"),
        lambda: AMD_GPU("MI1"),
        lambda: HABANA_GAUDI("Gaudi9"),
        lambda: Device(0, DeviceClass.GPU),
        lambda: Device(True, DeviceClass.GPU),
        lambda: Device(1, "QUANTUM"),  # type: ignore[arg-type]
    ],
)
def test_unknown_models_partitions_and_counts_are_refused(make: Callable[[], Device]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        make()


@pytest.mark.parametrize(
    ("device", "text"),
    [
        (GPU("A100", 2), "A100:2"),
        (GPU("T4 shared"), "T4 shared:1"),
        (TPU("V5E", "2x4"), "V5E:1 (2x4)"),
        (TPU("V5P", "2x2x4"), "V5P:1 (2x2x4)"),
        (TPU("V6E"), "V6E:1"),
        (Neuron("Inf1"), "Inf1:1"),
        (AMD_GPU("MI250X"), "MI250X:1"),
        (HABANA_GAUDI("Gaudi1"), "Gaudi1:1"),
        (APPLE_SILICON(), "AppleSilicon:1"),
        (Device(3, "GPU"), "GPU:3"),  # type: ignore[arg-type]
    ],
)
def test_devices_are_readable_hashable_and_travel(device: Device, text: str) -> None:
    assert str(device) == text
    assert {device: 1}[pickle.loads(pickle.dumps(device))] == 1
