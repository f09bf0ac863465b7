"""The codec of modules: `torch.save` for the bytes, and a digest of what the module is.

The digest is over the class of every submodule, its parameters and buffers (dtype, shape, bytes),
and its other attributes. It is stable where these are plain values, as they are in modules of torch
itself; hooks and attributes of other kinds have no canonical bytes, so a module that has some is
marked as unstable. The device does not count; a module arrives on the CPU.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from typing import Any

import cloudpickle
import torch

from flyte_ray.extend import Encoded
from flyte_ray_torch.devices import bare, placed
from flyte_ray_torch.tensors import digest_of, laid_out, line_of

_PLAIN = (str, int, float, bool, type(None), torch.dtype, torch.Size)
_OWN = frozenset(vars(torch.nn.Module()))
"""Attributes of every module: tensors and submodules, which are asked for by name, and hooks."""
_COUNTED = ("_parameters", "_buffers", "_modules", "training")


class ModuleCodec:
    """Modules of any class."""

    name = "torch-module"

    def accepts(self, type_: Any) -> bool:
        cls = bare(type_)
        return isinstance(cls, type) and issubclass(cls, torch.nn.Module)

    def encode(self, value: Any, type_: Any) -> Encoded:
        digest, stable = _identity(value)
        stream = io.BytesIO()
        # Classes of a script travel by value, which only cloudpickle can.
        torch.save(value, stream, pickle_module=cloudpickle)
        # The name begins with the library, so that every process finds this adapter.
        return Encoded(
            digest=digest,
            type=f"torch.nn.Module[{type(value).__qualname__}]",
            parts=(stream.getbuffer(),),
            stable=stable,
        )

    def decode(self, data: bytes, type_: Any) -> Any:
        made = torch.load(io.BytesIO(data), map_location="cpu", weights_only=False)
        return placed(made, type_)


def _identity(module: torch.nn.Module) -> tuple[str, bool]:
    """Digest of what a module is, and whether equal modules certainly have equal ones."""
    sha = hashlib.sha256(b"torch-module\n")
    stable = True
    for name, each in module.named_modules(remove_duplicate=False):
        cls = type(each)
        rest, plain = _attributes(each)
        stable = stable and plain
        said = [name, f"{cls.__module__}:{cls.__qualname__}", each.training, rest]
        sha.update(json.dumps(said).encode() + b"\n")
    for name, tensor in _tensors(module):
        header, body = laid_out(tensor)
        stable = stable and header["kind"] in ("tensor", "parameter")
        sha.update(line_of({**header, "name": name, "bytes": digest_of(body)}))
    return sha.hexdigest(), stable


def _tensors(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)


def _attributes(module: torch.nn.Module) -> tuple[list[Any], bool]:
    """Name and text of the other attributes, and whether all of them have a canonical text."""
    said = []
    stable = True
    for name, value in sorted(vars(module).items()):
        if name in _COUNTED or (name in _OWN and not value):
            continue
        text = _text_of(value)
        if text is None:
            stable = False
            text = digest_of(cloudpickle.dumps(value))
        said.append([name, text])
    return said, stable


def _text_of(value: Any) -> str | None:
    """A canonical text of a plain value; None for all others."""
    if isinstance(value, torch.device):
        return "torch.device"  # whichever: the device does not count
    if isinstance(value, _PLAIN):
        return f"{type(value).__name__}:{value!r}"
    if type(value) in (list, tuple):
        parts = [_text_of(each) for each in value]
    elif type(value) in (set, frozenset):
        parts = sorted(_text_of(each) or "" for each in value)
    elif isinstance(value, dict):
        pairs = [(_text_of(key) or "", _text_of(each) or "") for key, each in value.items()]
        parts = [text for pair in sorted(pairs) for text in pair]
    else:
        return None
    return None if any(not each for each in parts) else f"{type(value).__name__}:{parts}"
