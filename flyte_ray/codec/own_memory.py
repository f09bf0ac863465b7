"""Memory of a value's own that costs nothing until it is written to, and knows whether it was.

A body may change what it was given, and nobody else may notice. Copying every large value for that
would cost its size in time and memory each time it is handed on. So its bytes are mapped
*privately* from a file in memory (an object of Ray's store, or one of ours): the kernel copies a
page when it is written to, and no page before that.

The rule to know: a page that was written to belongs to no file any more, and the kernel says so
(`/proc/self/pagemap`, bit 61). That tells exactly, and in a fraction of a millisecond, whether a
value is still what came out of the store. Source: Documentation/admin-guide/mm/pagemap.rst.

Where a platform has none of this, values are copied, and hashed when they are handed on.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from flyte_ray.core.ports import Part

PAGE = mmap.PAGESIZE
WORTH_MAPPING_BYTES = 1024 * 1024
"""Smaller values are copied: a process can have but some ten thousand mappings."""
_ENTRY = 8
"""Bytes of `pagemap` that tell of one page; the highest one holds the marks below."""
_IS_THERE = 0xC0
"""The page is in memory, or swapped out."""
_IS_OF_FILE = 0x20
_MOST_BYTES = 1 << 46
"""One class serves all sizes: ctypes never forgets a class. Views are cut to what is mapped."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_longlong,
)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_FAILED = ctypes.c_void_p(-1).value


class _Buffer(ctypes.Structure):
    """`Py_buffer`, as far as its address goes. Source: Include/pybuffer.h."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("rest", ctypes.c_byte * 128),
    )


def address_of(data: Any) -> int:
    """Where the bytes of a contiguous buffer lie, a read-only one too."""
    buffer = _Buffer()
    get, release = ctypes.pythonapi.PyObject_GetBuffer, ctypes.pythonapi.PyBuffer_Release
    get(ctypes.py_object(data), ctypes.byref(buffer), 0)
    try:
        return buffer.buf or 0
    finally:
        release(ctypes.byref(buffer))


class OwnMemory(ctypes.c_char * _MOST_BYTES):  # type: ignore[misc]  # ctypes makes it
    """A private mapping of a part of a file in memory, whose content never changes.

    Not a `mmap.mmap`, which keeps a file descriptor each: a body may hold thousands of values.
    """

    address: int
    size_bytes: int
    source: Any
    """Kept as long as the mapping is: what keeps the file's content as it is."""

    @classmethod
    def of_file(cls, descriptor: int, offset: int, size: int, source: Any = None) -> memoryview:
        """The bytes of a file from an offset on; writing changes only what this view shows.

        Raises:
            OSError: it cannot be mapped.
        """
        lead = offset % PAGE
        protection = mmap.PROT_READ | mmap.PROT_WRITE
        flags = mmap.MAP_PRIVATE | getattr(mmap, "MAP_NORESERVE", 0)
        place = _libc.mmap(None, lead + size, protection, flags, descriptor, offset - lead)
        if place == _FAILED:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        made = cls.from_address(place)
        made.address, made.size_bytes, made.source = place, lead + size, source
        weakref.finalize(made, _libc.munmap, place, lead + size).atexit = False
        return memoryview(made).cast("B")[lead : lead + size]

    def covers(self, address: int, size: int) -> bool:
        """True if these bytes lie in here."""
        return self.address <= address and address + size <= self.address + self.size_bytes

    def is_untouched(self) -> bool:
        """True if nothing was written since it was mapped; False if that cannot be told."""
        pages = -(-self.size_bytes // PAGE)
        try:
            with _opened("/proc/self/pagemap") as descriptor:
                told = os.pread(descriptor, pages * _ENTRY, self.address // PAGE * _ENTRY)
        except OSError:
            return False
        if len(told) != pages * _ENTRY:
            return False
        marks = set(told[_ENTRY - 1 :: _ENTRY])
        return all(mark & _IS_OF_FILE or not mark & _IS_THERE for mark in marks)


def copied_in(data: bytes) -> memoryview | bytes:
    """The same bytes in memory of their own; as they were where that cannot be had."""
    if len(data) < WORTH_MAPPING_BYTES:
        return data
    try:
        descriptor = memory_file([data])
    except OSError:
        return data
    try:
        return OwnMemory.of_file(descriptor, 0, len(data))
    except OSError:
        return data
    finally:
        os.close(descriptor)


def memory_file(parts: Sequence[Part]) -> int:
    """The descriptor of a new file in memory that holds these parts, one after the other.

    Raises:
        OSError: there are none on this platform, or no memory.
    """
    if not hasattr(os, "memfd_create"):
        raise OSError("this platform has no files in memory")
    descriptor = os.memfd_create("flyte_ray-value", os.MFD_CLOEXEC)
    try:
        for part in parts:
            rest = memoryview(part).cast("B")
            while rest:
                rest = rest[os.write(descriptor, rest) :]
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def memory_at(parts: Any, address: int, size: int) -> OwnMemory | None:
    """The memory of their own, among that of these views, in which the bytes lie."""
    for part in parts:
        memory = part.obj if isinstance(part, memoryview) else None
        if isinstance(memory, OwnMemory) and memory.covers(address, size):
            return memory
    return None


@contextmanager
def _opened(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
