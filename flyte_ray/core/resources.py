"""What a task asks of a machine: `Resources`, validated where it is written.

A single value is a request; a pair is (request, limit). Strings are parsed at once, unlike in
Flyte, where a misspelt "4Gb" fails on the cluster. Frozen: environments and tasks share it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from flyte_ray.core.devices import Device, DeviceClass, parse_accelerator
from flyte_ray.core.quantity import parse_quantity

CpuAmount: TypeAlias = int | float | str

_GPU_CLASSES = (DeviceClass.GPU, DeviceClass.AMD_GPU)


@dataclass(frozen=True, slots=True)
class Resources:
    """CPU, memory, accelerators and disk of one attempt; None leaves the choice to the platform.

    Example:
        >>> Resources(cpu="500m", memory=("1Gi", "2Gi"), gpu="T4:1").memory_bytes()
        1073741824
    """

    cpu: CpuAmount | tuple[CpuAmount, CpuAmount] | None = None
    """Cores: `2`, `0.5`, `"500m"`, or a (request, limit) pair."""
    memory: str | tuple[str, str] | None = None
    """Bytes as a Kubernetes quantity: `"512Mi"`, `"4Gi"`, or a (request, limit) pair."""
    gpu: int | float | str | Device | None = None
    """A number of any GPU, `"A100:2"`, or a `Device` from `GPU(...)`, `TPU(...)`, …; a share of one
    GPU (`0.25`) puts several processes on it, which divide its memory among themselves."""
    disk: str | None = None
    shm: str | None = None
    """Shared memory; "auto" is as much as the machine gives."""

    def __post_init__(self) -> None:
        for amount in _pair("cpu", self.cpu):
            _check_cpu(amount)
        for amount in _pair("memory", self.memory):
            _check_bytes("memory", amount)
        for name, limit in (("cpu", self.cpu_limit()), ("memory", self.memory_limit_bytes())):
            request = self.cpu_request() if name == "cpu" else self.memory_bytes()
            if request is not None and limit is not None and request > limit:
                raise ValueError(f"Resources.{name}: the request exceeds the limit")
        _check_gpu(self.gpu)
        if self.disk is not None:
            _check_bytes("disk", self.disk)
        if self.shm is not None and self.shm != "auto":
            _check_bytes("shm", self.shm)

    def cpu_request(self) -> float | None:
        """Cores asked for; None where nothing was said."""
        return _cores(_first(self.cpu))

    def cpu_limit(self) -> float | None:
        """Cores that may be used; None for no limit."""
        return _cores(_second(self.cpu))

    def memory_bytes(self) -> int | None:
        """Bytes of memory asked for, rounded up."""
        return _whole_bytes(_first(self.memory))

    def memory_limit_bytes(self) -> int | None:
        """Bytes of memory above which the attempt may be ended."""
        return _whole_bytes(_second(self.memory))

    def disk_bytes(self) -> int | None:
        """Bytes of scratch disk asked for."""
        return _whole_bytes(self.disk)

    def gpu_count(self) -> int | float:
        """Number of GPUs (NVIDIA or AMD), or share of one; 0 for none and other accelerators."""
        if isinstance(self.gpu, float):
            return self.gpu
        device = self.get_device()
        if device is None or device.device_class not in _GPU_CLASSES:
            return 0
        return device.quantity

    def accelerator(self) -> str | None:
        """Flyte's name of the model asked for ("A100_80G"); None for any or none."""
        device = self.get_device()
        return device.device if device is not None else None

    def get_device(self) -> Device | None:
        """The accelerators asked for, whatever form they were written in."""
        if isinstance(self.gpu, Device):
            return self.gpu
        if isinstance(self.gpu, str):
            return parse_accelerator(self.gpu)
        return Device(math.ceil(self.gpu), DeviceClass.GPU) if self.gpu else None

    def get_shared_memory(self) -> str | None:
        """None for none, "" for "auto", else the quantity as written."""
        return "" if self.shm == "auto" else self.shm


def _first(value: object) -> object:
    return value[0] if isinstance(value, tuple) else value


def _second(value: object) -> object:
    return value[1] if isinstance(value, tuple) else None


def _pair(field: str, value: object) -> tuple[object, ...]:
    """The one or two amounts of a field; nothing for None."""
    if value is None:
        return ()
    if not isinstance(value, tuple):
        return (value,)
    if len(value) != 2:
        raise ValueError(f"Resources.{field}: a pair is (request, limit), not {value!r}")
    return value


def _check_cpu(amount: object) -> None:
    if isinstance(amount, bool) or not isinstance(amount, int | float | str):
        raise ValueError(
            f"Resources.cpu must be a number or a string such as '500m', not {amount!r}"
        )
    if isinstance(amount, str):
        _quantity("cpu", amount)
    elif not (math.isfinite(amount) and amount >= 0):
        raise ValueError(f"Resources.cpu must be finite and not negative, not {amount!r}")


def _check_bytes(field: str, amount: object) -> None:
    if not isinstance(amount, str):
        raise ValueError(f"Resources.{field} must be a string such as '512Mi', not {amount!r}")
    _quantity(field, amount)


def _check_gpu(gpu: object) -> None:
    if gpu is None or isinstance(gpu, Device):
        return
    if isinstance(gpu, str):
        try:
            parse_accelerator(gpu)
        except ValueError as error:
            raise ValueError(f"Resources.gpu: {error}") from None
        return
    if isinstance(gpu, float) and 0 < gpu < 1:
        return
    if isinstance(gpu, bool) or not isinstance(gpu, int):
        raise ValueError(
            f"Resources.gpu must be a whole number, a share of one such as 0.5, a string such as "
            f"'T4:1', or a Device, not {gpu!r}"
        )
    if gpu < 0:
        raise ValueError(f"Resources.gpu must not be negative, not {gpu}")


def _quantity(field: str, text: str) -> Fraction:
    try:
        return parse_quantity(text)
    except ValueError as error:
        raise ValueError(f"Resources.{field}: {error}") from None


def _cores(amount: object) -> float | None:
    if amount is None:
        return None
    return float(parse_quantity(amount) if isinstance(amount, str) else amount)  # type: ignore[arg-type]


def _whole_bytes(amount: object) -> int | None:
    return math.ceil(parse_quantity(amount)) if isinstance(amount, str) else None
