"""The codec of tensors: a line of JSON, then the bytes, without a copy where memory allows.

Layouts that have no such bytes (sparse, quantized, subclasses of others) are stored as `torch.save`
writes them, which is no stable content address: they are marked as unstable.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Sequence
from typing import Any

import torch

from flyte_ray.extend import Encoded, Traits
from flyte_ray_torch.devices import bare, placed

KINDS = {"tensor": torch.Tensor, "parameter": torch.nn.Parameter}
SAVED = "saved"


class TensorCodec:
    """Dense tensors and parameters."""

    name = "torch-tensor"
    lies_in_place = True

    def accepts(self, type_: Any) -> bool:
        cls = bare(type_)
        return isinstance(cls, type) and issubclass(cls, torch.Tensor)

    def encode(self, value: Any, type_: Any) -> Encoded:
        header, body = laid_out(value)
        kind = header["kind"]
        parts = (line_of(header), body)
        digest = digest_of(*parts)
        return Encoded(
            digest=digest,
            content=digest,
            type="torch.nn.Parameter" if kind == "parameter" else "torch.Tensor",
            parts=parts,
            stable=kind != SAVED,
        )

    def decode(self, data: bytes | memoryview, type_: Any) -> Any:
        whole = memoryview(data)
        end = bytes(whole[:4096]).index(b"\n") + 1
        return self.adopt((whole[:end], whole[end:]), type_)

    def share(self, value: torch.Tensor) -> tuple[Any, ...] | None:
        header, body = laid_out(value)
        return line_of(header), body

    def adopt(self, parts: Sequence[memoryview], type_: Any) -> Any:
        line, body = parts
        # A copy where others have it too: whoever gets a tensor expects to write to it.
        own = memoryview(bytearray(body)) if body.readonly else body
        return placed(_read(json.loads(bytes(line)), own), type_)

    def traits(self, value: torch.Tensor, type_: Any = None, data: Any = None) -> Traits | None:
        plain = value.layout is torch.strided and value.device.type == "cpu"
        if not plain or not value.is_contiguous() or value.is_conj() or value.is_neg():
            return None
        shown = f"{type(value)} {value.dtype} {value.shape} {value.requires_grad}"
        return Traits(shown, value.data_ptr(), value.nbytes)


def _read(header: dict[str, Any], body: memoryview) -> torch.Tensor:
    if header["kind"] == SAVED:
        # They were checked when they were made, and the bytes have their digest.
        with torch.sparse.check_sparse_tensor_invariants(enable=False):
            return torch.load(io.BytesIO(body), map_location="cpu", weights_only=False)
    dtype = getattr(torch, header["dtype"])
    flat = torch.frombuffer(body, dtype=dtype) if body.nbytes else torch.empty(0, dtype=dtype)
    made = flat.reshape(header["shape"])
    if header["kind"] == "parameter":
        return torch.nn.Parameter(made, requires_grad=header["grad"])
    return made.requires_grad_(header["grad"])


def laid_out(value: torch.Tensor) -> tuple[dict[str, Any], Any]:
    """What a tensor is, and its bytes (a view of its memory where it is on the CPU, in order)."""
    kind = next((name for name, cls in KINDS.items() if type(value) is cls), SAVED)
    if kind == SAVED or value.layout is not torch.strided or value.is_quantized:
        stream = io.BytesIO()
        torch.save(value.cpu(), stream)
        return {"kind": SAVED}, stream.getvalue()
    header = {
        "kind": kind,
        "dtype": str(value.dtype).removeprefix("torch."),
        "shape": list(value.shape),
        "grad": bool(value.requires_grad),
    }
    return header, bytes_of(value)


def bytes_of(value: torch.Tensor) -> Any:
    """The bytes of a dense tensor in C order."""
    if sys.byteorder != "little":
        raise NotImplementedError("tensors are stored on little-endian machines only")
    plain = value.detach().resolve_conj().resolve_neg().cpu().contiguous()
    return plain.reshape(-1).view(torch.uint8).numpy().data if plain.numel() else b""


def line_of(header: dict[str, Any]) -> bytes:
    """Canonical JSON and a line feed."""
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def digest_of(*parts: Any) -> str:
    """sha256 of the concatenated parts."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part)
    return sha.hexdigest()
