"""Accelerators a task may ask for: the closed lists of models, partitions and counts.

Names are Flyte's ("A100_80G"); what Ray calls them is the runtime's business. A misspelt model is
refused here, where it is written, and not when a cluster fails to find it.
"""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class DeviceClass(StrEnum):
    """The family of an accelerator."""

    GPU = "GPU"
    TPU = "TPU"
    NEURON = "NEURON"
    AMD_GPU = "AMD_GPU"
    HABANA_GAUDI = "HABANA_GAUDI"
    APPLE_SILICON = "APPLE_SILICON"


_UP_TO_8 = range(1, 9)
_TRAINIUM = (1, 4, 8, 16)

_NVIDIA_COUNTS: dict[str, Iterable[int]] = {
    "A2": (1,),
    "GB10": (1,),
    **dict.fromkeys(("A10", "A10G", "A100", "A100_80G", "B200", "H100", "H200"), _UP_TO_8),
    **dict.fromkeys(("L4", "L40s", "T4", "V100"), _UP_TO_8),
    **dict.fromkeys(("RTX_PRO_4500", "RTX_PRO_6000"), _UP_TO_8),
}
_NEURON_COUNTS: dict[str, Iterable[int]] = {
    **dict.fromkeys(("Trn1", "Trn1n", "Trn2", "Trn2u"), _TRAINIUM),
    "Inf1": range(1, 17),
    "Inf2": range(1, 13),
}
_AMD_MODELS = (
    *("MI100", "MI210", "MI250", "MI250X"),
    *("MI300A", "MI300X", "MI325X", "MI350X", "MI355X"),
)
_SHARED_MODELS = ("T4 shared", "L4 shared", "A10G shared", "A10 shared", "L40S shared")
_TPU_MODELS = ("V5E", "V5P", "V6E")
_FLAT_TOPOLOGIES = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_OLD_SPELLINGS = {"A100 80G": "A100_80G", "RTX PRO 6000": "RTX_PRO_6000"}

_PARTITIONS: dict[str, tuple[str, ...]] = {
    "A100": ("1g.5gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"),
    "A100_80G": ("1g.10gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"),
    "H100": ("1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"),
    "H200": ("1g.18gb", "1g.35gb", "2g.35gb", "3g.71gb", "4g.71gb", "7g.141gb"),
    "RTX_PRO_6000": ("1g.24gb", "2g.48gb", "4g.96gb"),
    **dict.fromkeys(_SHARED_MODELS, ()),
}

_ACCELERATORS: dict[DeviceClass, dict[str, Iterable[int]]] = {
    DeviceClass.GPU: _NVIDIA_COUNTS,
    DeviceClass.NEURON: _NEURON_COUNTS,
    DeviceClass.AMD_GPU: dict.fromkeys(_AMD_MODELS, (1,)),
    DeviceClass.HABANA_GAUDI: {"Gaudi1": (1,)},
    DeviceClass.APPLE_SILICON: {"AppleSilicon": (1,)},
}


@dataclass(frozen=True, slots=True)
class Device:
    """A number of accelerators of one model. Prefer `GPU(...)`, `TPU(...)` and so on.

    Example:
        >>> Device(quantity=2, device_class="GPU", device="A100").device
        'A100'
    """

    quantity: int
    device_class: DeviceClass
    device: str | None = None
    """None: any model of the class."""
    partition: str | None = None
    """A slice of one device (NVIDIA MIG), or the topology of a TPU slice."""

    def __post_init__(self) -> None:
        if isinstance(self.quantity, bool) or not isinstance(self.quantity, int):
            raise ValueError(f"Device quantity must be a whole number, not {self.quantity!r}")
        if self.quantity < 1:
            raise ValueError(f"Device quantity must be at least 1, not {self.quantity}")
        object.__setattr__(self, "device_class", DeviceClass(self.device_class))

    def __str__(self) -> str:
        model = self.device or self.device_class.value
        slice_ = f" ({self.partition})" if self.partition else ""
        return f"{model}:{self.quantity}{slice_}"


def parse_accelerator(text: str) -> Device:
    """The device that a string such as "A100:2" names.

    Raises:
        ValueError: not in the closed list; the message names near misses.

    Example:
        >>> parse_accelerator("T4:2").quantity
        2
    """
    model, _, count = text.partition(":")
    model = _current_spelling(model)
    if model == "AppleSilicon" and not count:
        count = "1"
    for device_class, models in _ACCELERATORS.items():
        if model in models and count.isdecimal() and int(count) in models[model]:
            return Device(int(count), device_class, model)
    raise ValueError(
        f"{text!r} is no known accelerator; write '<model>:<count>'"
        + _suggestion(f"{model}:{count or 1}", _accelerator_strings())
    )


def _accelerator_strings() -> list[str]:
    return [
        f"{model}:{count}"
        for models in _ACCELERATORS.values()
        for model, counts in models.items()
        for count in counts
    ]


def _current_spelling(model: str) -> str:
    if model not in _OLD_SPELLINGS:
        return model
    current = _OLD_SPELLINGS[model]
    warnings.warn(f"{model!r} is now spelt {current!r}", DeprecationWarning, stacklevel=2)
    return current


def _suggestion(given: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(given, list(known), n=3)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def _checked_model(kind: str, device: str, known: Iterable[str]) -> str:
    models = list(known)
    if device not in models:
        raise ValueError(
            f"{kind} has no model {device!r}{_suggestion(str(device), models)} "
            f"Known: {', '.join(models)}"
        )
    return device


def GPU(  # noqa: N802 (Flyte's name)
    device: str, quantity: int = 1, partition: str | None = None
) -> Device:
    """NVIDIA GPUs, whole or one MIG slice of each.

    Raises:
        ValueError: unknown model or partition, or fewer than one.

    Example:
        >>> GPU("A100", 1, "1g.5gb").partition
        '1g.5gb'
    """
    model = _checked_model("GPU", _current_spelling(device), (*_NVIDIA_COUNTS, *_SHARED_MODELS))
    allowed = _PARTITIONS.get(model)
    if partition is not None and allowed is not None and partition not in allowed:
        raise ValueError(
            f"GPU {model} cannot be partitioned as {partition!r}; "
            f"known: {', '.join(allowed) or 'none'}"
        )
    return Device(quantity, DeviceClass.GPU, model, partition)


def TPU(device: str, partition: str | None = None) -> Device:  # noqa: N802 (Flyte's name)
    """A TPU slice; `partition` is its topology, such as "2x4".

    Raises:
        ValueError: unknown model or topology.

    Example:
        >>> TPU("V5E", "2x4").device
        'V5E'
    """
    model = _checked_model("TPU", device, _TPU_MODELS)
    if partition is not None and not _is_topology(model, partition):
        shape = "three numbers, such as '2x2x1'" if model == "V5P" else ", ".join(_FLAT_TOPOLOGIES)
        raise ValueError(f"TPU {model} has no topology {partition!r}; known: {shape}")
    return Device(1, DeviceClass.TPU, model, partition)


def _is_topology(model: str, partition: str) -> bool:
    if model == "V5P":
        return re.fullmatch(r"[1-9]\d*x[1-9]\d*x[1-9]\d*", partition) is not None
    return partition in _FLAT_TOPOLOGIES


def Neuron(device: str) -> Device:  # noqa: N802 (Flyte's name)
    """One AWS Trainium or Inferentia device.

    Example:
        >>> Neuron("Trn1").device_class.value
        'NEURON'
    """
    return Device(1, DeviceClass.NEURON, _checked_model("Neuron", device, _NEURON_COUNTS))


def AMD_GPU(device: str) -> Device:  # noqa: N802 (Flyte's name)
    """One AMD Instinct GPU.

    Example:
        >>> AMD_GPU("MI300X").device
        'MI300X'
    """
    return Device(1, DeviceClass.AMD_GPU, _checked_model("AMD_GPU", device, _AMD_MODELS))


def HABANA_GAUDI(device: str) -> Device:  # noqa: N802 (Flyte's name)
    """One Habana Gaudi accelerator.

    Example:
        >>> HABANA_GAUDI("Gaudi1").quantity
        1
    """
    model = _checked_model("HABANA_GAUDI", device, _ACCELERATORS[DeviceClass.HABANA_GAUDI])
    return Device(1, DeviceClass.HABANA_GAUDI, model)


def APPLE_SILICON() -> Device:  # noqa: N802 (Flyte's name)
    """The GPU of an Apple silicon machine.

    Example:
        >>> str(APPLE_SILICON())
        'AppleSilicon:1'
    """
    return Device(1, DeviceClass.APPLE_SILICON, "AppleSilicon")
