"""The codec of tensors: a line of JSON, then the bytes, without a copy where memory allows.

Layouts that have no such bytes (sparse, quantized, subclasses of others) are stored as `torch.save`
writes them, which is no stable content address: they are marked as unstable.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from typing import Any

import torch

from flyte_ray.extend import Encoded
from flyte_ray_torch.devices import bare, placed

KINDS = {"tensor": torch.Tensor, "parameter": torch.nn.Parameter}
SAVED = "saved"


class TensorCodec:
    """Dense tensors and parameters."""

    name = "torch-tensor"

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

    def decode(self, data: bytes, type_: Any) -> Any:
        return placed(_read(data), type_)


def _read(data: bytes) -> torch.Tensor:
    end = bytes(memoryview(data)[:4096]).index(b"\n") + 1
    header = json.loads(bytes(memoryview(data)[:end]))
    # A copy: a bytes object cannot be written to, but whoever gets a tensor expects to.
    body = bytearray(memoryview(data)[end:])
    if header["kind"] == SAVED:
        # They were checked when they were made, and the bytes have their digest.
        with torch.sparse.check_sparse_tensor_invariants(enable=False):
            return torch.load(io.BytesIO(body), map_location="cpu", weights_only=False)
    dtype = getattr(torch, header["dtype"])
    flat = torch.frombuffer(body, dtype=dtype) if body else torch.empty(0, dtype=dtype)
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
