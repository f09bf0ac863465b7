"""Hash methods, and streams that use them."""

from __future__ import annotations

import asyncio
import hashlib
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import flyte_ray.io as doors
from flyte_ray.io import (
    AsyncHashingReader,
    AsyncHashingWriter,
    HashFunction,
    HashingReader,
    HashingWriter,
    HashlibAccumulator,
    HashMethod,
    PrecomputedValue,
)

ROOT = Path(__file__).resolve().parents[3]
SHA = hashlib.sha256(b"abcdef").hexdigest()


def test_all_are_hash_methods() -> None:
    methods = [
        HashFunction(str),
        PrecomputedValue("a"),
        HashlibAccumulator.from_hash_name("sha256"),
    ]
    assert all(isinstance(method, HashMethod) for method in methods)


def test_a_function_hashes_the_last_value_only() -> None:
    method = HashFunction.from_fn(len)
    method.update("four")
    method.update("sixsix")
    assert method.result() == "6"


def test_a_precomputed_value_stays() -> None:
    method = PrecomputedValue("v1")
    method.update(b"anything")
    assert method.result() == "v1"


def test_an_accumulator_goes_on_until_it_is_reset() -> None:
    method = HashlibAccumulator(hashlib.sha256())
    method.update(b"abc")
    method.update(memoryview(b"def"))
    assert method.result() == SHA
    method.reset()
    method.update(b"abcdef")
    assert method.result() == SHA


def test_streams_hash_what_passes() -> None:
    sink = io.BytesIO()
    writer = HashingWriter(sink, HashlibAccumulator.from_hash_name("sha256"))
    writer.write(b"abc")
    writer.write(b"def")
    assert sink.getvalue() == b"abcdef"
    with HashingReader(
        io.BytesIO(b"abcdef"), HashlibAccumulator.from_hash_name("sha256")
    ) as reader:
        assert reader.read(2) + reader.read() == b"abcdef"
    assert writer.result() == reader.result() == SHA


def test_awaited_streams_hash_what_passes() -> None:
    class Slow:
        def __init__(self) -> None:
            self.inner = io.BytesIO()

        async def write(self, data: Any) -> int:
            return self.inner.write(data)

        async def read(self, size: int = -1) -> bytes:
            return self.inner.read(size)

    async def body() -> None:
        slow = Slow()
        writer = AsyncHashingWriter(slow, HashlibAccumulator.from_hash_name("sha256"))
        await writer.write(b"abcdef")
        writer.inner.seek(0)
        reader = AsyncHashingReader(slow, HashlibAccumulator.from_hash_name("sha256"))
        assert await reader.read() == b"abcdef"
        assert writer.result() == reader.result() == SHA

    asyncio.run(body())


def test_importing_the_door_loads_no_table_library() -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import flyte_ray.io\n"
        "print(*(m for m in ('pyarrow', 'pandas', 'numpy', 'ray', 'gcsfs') if m in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_every_name_of_the_door_is_there_and_explained() -> None:
    for name in doors.__all__:
        value = getattr(doors, name)
        assert isinstance(value, str) or value.__doc__
