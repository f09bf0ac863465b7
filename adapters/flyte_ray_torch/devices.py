"""Where a value of torch arrives: on the CPU, or where the annotation says.

A process without a GPU must be able to read what one with a GPU has made, so the record knows no
devices. `Annotated[torch.Tensor, torch.device("cuda")]` asks for another place; the same value has
the same digest there, and the annotation counts in no interface.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar, get_args, get_origin

import torch

Placed = TypeVar("Placed", torch.Tensor, torch.nn.Module)


def bare(type_: Any) -> Any:
    """An annotation less its notes."""
    return get_args(type_)[0] if get_origin(type_) is Annotated else type_


def placed(made: Placed, type_: Any) -> Placed:
    """The value on the device that the annotation names; as it is where it names none.

    Raises:
        ValueError: this process sees no such device.
    """
    wanted = [each for each in get_args(type_)[1:] if isinstance(each, torch.device)]
    if get_origin(type_) is not Annotated or not wanted:
        return made
    device = wanted[0]
    try:
        if isinstance(made, torch.nn.Module):
            return made.to(device)
        moved = made.detach().to(device)
        if isinstance(made, torch.nn.Parameter):  # `to` makes a plain tensor of it
            return torch.nn.Parameter(moved, made.requires_grad)
        return moved.requires_grad_(made.requires_grad)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"it is asked for on device '{device}', which this process does not have ({error}). "
            "Give the task a GPU, Resources(gpu=1), or leave the device out of the annotation"
        ) from error
