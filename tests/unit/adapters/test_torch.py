"""Tensors and modules come back equal, and are known by their content."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest

from flyte_ray.errors import TypeTransformerFailedError

torch = pytest.importorskip("torch")

from flyte_ray.codec.payload import PayloadCodec  # noqa: E402
from tests.unit.codec.values import (  # noqa: E402
    MemoryValues,
    SharingValues,
    encode,
    round_trip,
)

ROOT = Path(__file__).resolve().parents[3]


class Net(torch.nn.Module):  # type: ignore[misc,name-defined]
    def __init__(self, width: int = 3, rate: float = 0.5) -> None:
        super().__init__()
        self.rate = rate
        self.inner = torch.nn.Sequential(torch.nn.Linear(2, width), torch.nn.Dropout(rate))
        self.register_buffer("seen", torch.zeros(1), persistent=False)


def net(seed: int = 0, **changes: Any) -> Net:
    torch.manual_seed(seed)
    return Net(**changes)


TENSORS = [
    torch.arange(6).reshape(2, 3),
    torch.arange(6.0).reshape(2, 3).t(),
    torch.tensor(3.0),
    torch.zeros(0, 4),
    torch.tensor([True, False]),
    torch.tensor([1.5, -2], dtype=torch.bfloat16),
    torch.tensor([1 + 2j]),
    torch.arange(100_000),
    torch.nn.Parameter(torch.ones(2)),
    torch.ones(2, requires_grad=True),
]


@pytest.mark.parametrize("tensor", TENSORS, ids=lambda each: f"{each.dtype}{tuple(each.shape)}")
@pytest.mark.parametrize("annotated", [True, False])
def test_tensors_come_back(tensor: Any, annotated: bool) -> None:
    back = round_trip(tensor, torch.Tensor) if annotated else round_trip(tensor)
    assert type(back) is type(tensor)
    assert (back.dtype, back.requires_grad) == (tensor.dtype, tensor.requires_grad)
    assert torch.equal(back, tensor)
    assert encode(tensor).stable


def test_a_tensor_is_a_copy_that_can_be_written_to() -> None:
    tensor = torch.zeros(3)
    back = round_trip(tensor, torch.Tensor)
    back += 1
    assert tensor.sum() == 0


def test_the_layout_in_memory_does_not_count() -> None:
    tensor = torch.arange(6).reshape(2, 3)
    same = tensor.t().contiguous().t()
    assert encode(tensor).digest == encode(same).digest
    assert encode(tensor).digest != encode(tensor.reshape(3, 2)).digest
    assert encode(tensor).digest != encode(tensor.to(torch.int32)).digest
    assert encode(tensor).digest != encode(torch.nn.Parameter(tensor.float())).digest


def test_sparse_tensors_come_back_and_are_marked() -> None:
    sparse = torch.eye(3).to_sparse()
    back = round_trip(sparse, torch.Tensor)
    assert torch.equal(back.to_dense(), torch.eye(3))
    assert not encode(sparse).stable


def test_tensors_nest_and_large_ones_become_objects() -> None:
    store = MemoryValues()
    state = {"weights": [torch.arange(10_000)], "step": 3}
    assert encode(state, dict, store).inline is not None
    assert [key.rpartition(".")[2] for key in store.puts] == ["torch-tensor"]
    back = round_trip(state, dict[str, Any])
    assert torch.equal(back["weights"][0], state["weights"][0])


def test_a_string_is_no_tensor() -> None:
    with pytest.raises(TypeError, match=r"expects Tensor, got str"):
        encode("x", torch.Tensor)


@pytest.mark.parametrize("type_", [Net, torch.nn.Module, Any])
def test_modules_come_back(type_: Any) -> None:
    module = net()
    back = round_trip(module, type_)
    assert type(back) is Net
    module.eval(), back.eval()
    data = torch.ones(1, 2)
    assert torch.equal(back.inner(data), module.inner(data))
    assert back.rate == module.rate


def test_a_module_is_known_by_its_weights_and_its_settings() -> None:
    first = encode(net()).digest
    assert encode(net()).digest == first
    assert encode(net()).stable
    others = [net(seed=1), net(width=4), net(rate=0.1), net().eval(), net()]
    others[4].seen += 1
    frozen = net()
    frozen.inner[0].weight.requires_grad = False
    digests = {encode(each).digest for each in [*others, frozen]}
    assert len(digests) == 6
    assert first not in digests


def test_a_module_with_a_hook_is_marked() -> None:
    module = net()
    module.register_forward_hook(print)
    assert not encode(module).stable


DEVICES = ["meta", pytest.param("cuda", marks=pytest.mark.gpu)]
"""The device "meta" has no memory, but is none that a value comes back on by itself."""


@pytest.mark.parametrize("device", DEVICES)
def test_an_annotation_names_the_device_that_a_value_arrives_on(device: str) -> None:
    there = torch.device(device)
    for value in (torch.ones(2), torch.nn.Parameter(torch.ones(2)), torch.eye(2).to_sparse()):
        back = round_trip(value, Annotated[torch.Tensor, there])
        assert (type(back), back.device.type) == (type(value), device)
        assert back.requires_grad == value.requires_grad
    back = round_trip(net(), Annotated[torch.nn.Module, there])
    assert {each.device.type for each in back.parameters()} == {device}
    back = round_trip({"w": [torch.ones(2)]}, dict[str, list[Annotated[torch.Tensor, there]]])
    assert back["w"][0].device.type == device


def test_the_annotated_device_counts_also_for_the_first_tensor_of_a_process() -> None:
    script = """
import torch
from typing import Annotated
from tests.unit.codec.values import round_trip
print(round_trip(torch.ones(2), Annotated[torch.Tensor, torch.device("meta")]).device)
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.split() == ["meta"], done.stderr


def test_a_device_that_is_not_there_is_named_with_the_remedy() -> None:
    absent = torch.device("xpu", 7)
    with pytest.raises(TypeTransformerFailedError, match=r"'xpu:7'.*Resources\(gpu=1\)"):
        round_trip(torch.ones(2), Annotated[torch.Tensor, absent])


def test_the_device_that_a_module_remembers_does_not_count() -> None:
    first, second = net(), net()
    first.home, second.home = torch.device("cpu"), torch.device("cuda", 1)
    assert encode(first).digest == encode(second).digest
    assert encode(first).stable


@pytest.mark.gpu
def test_on_a_gpu_or_not_a_value_is_the_same_and_arrives_on_the_cpu() -> None:
    for value in [*TENSORS, torch.eye(3).to_sparse(), net()]:
        before = encode(value)
        moved = value.cuda()
        if type(value) is torch.nn.Parameter:
            moved = torch.nn.Parameter(moved)
        assert (encode(moved).digest, encode(moved).stable) == (before.digest, before.stable)
        back = round_trip(moved)
        tensors = back.parameters() if isinstance(back, torch.nn.Module) else [back]
        assert {each.device.type for each in tensors} == {"cpu"}


@pytest.mark.parametrize("is_beside", [True, False])
@pytest.mark.parametrize(
    "tensor",
    [torch.arange(400_000), torch.nn.Parameter(torch.ones(400_000))],
    ids=["tensor", "parameter"],
)
def test_a_tensor_is_known_again_until_it_is_written_to(tensor: Any, is_beside: bool) -> None:
    store, codecs = SharingValues(), PayloadCodec()
    sent = codecs.encode({"x": tensor}, {}, store, "t").values["x"]
    if not is_beside:
        store.beside.clear()
    codecs = PayloadCodec()
    mine, yours = (codecs.decode_one(sent, Any, store) for _ in range(2))
    assert torch.equal(mine, tensor)
    assert codecs.encode({"x": mine}, {}, store, "t").values["x"] == sent
    assert len(store.puts) == 1
    with torch.no_grad():
        mine += 1
    assert codecs.encode({"x": mine}, {}, store, "t").values["x"].digest != sent.digest
    assert torch.equal(yours, tensor)
    yours.requires_grad_(requires_grad=yours.dtype.is_floating_point and not yours.requires_grad)
    known = codecs.encode({"x": yours}, {}, store, "t").values["x"]
    assert (known == sent) == (yours.requires_grad == tensor.requires_grad)
