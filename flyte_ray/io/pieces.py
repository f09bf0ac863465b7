"""Uploads to stores that take one object in one stream, but can join objects: Google's.

The file goes up in pieces, several at a time, each an object of its own beside the target; the
store then joins them, 32 at a time, and the pieces are deleted. Nothing stands at the target before
the last join. What a crash leaves behind are pieces, in a folder that says so.

Source: Cloud Storage, "Composite objects" (at most 32 sources for one compose request).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flyte_ray.io.parallel import in_parallel

MOST_JOINED = 32
FROM_BYTES = 64 * 1024 * 1024
"""Smaller files are as fast in one stream."""


def wants_pieces(filesystem: Any, size: int) -> bool:
    """True for a large file that the client would send in one stream."""
    if size < FROM_BYTES or not callable(getattr(filesystem, "merge", None)):
        return False
    # s3fs joins objects too, but sends the parts of one at the same time already.
    return "max_concurrency" not in filesystem._put_file.__code__.co_varnames


def upload_in_pieces(
    filesystem: Any, source: Path, path: str, chunk_bytes: int, at_once: int
) -> None:
    """Copy a local file to `path`; memory is `at_once` times `chunk_bytes`."""
    folder = f"{path}.pieces-{uuid.uuid4().hex[:12]}"
    starts = range(0, source.stat().st_size, chunk_bytes)
    made: list[str] = []

    def send(start: int) -> str:
        name = f"{folder}/0-{start // chunk_bytes:06}"
        with source.open("rb") as file:
            file.seek(start)
            filesystem.pipe_file(name, file.read(chunk_bytes))
        made.append(name)
        return name

    def join(job: tuple[str, Sequence[str]]) -> str:
        target, names = job
        filesystem.merge(target, list(names))
        if target != path:
            made.append(target)
        return target

    try:
        names = in_parallel(send, starts, at_once)
        level = 1
        while len(names) > MOST_JOINED:
            groups = [names[i : i + MOST_JOINED] for i in range(0, len(names), MOST_JOINED)]
            jobs = [(f"{folder}/{level}-{i:06}", group) for i, group in enumerate(groups)]
            names = in_parallel(join, jobs, at_once)
            level += 1
        join((path, names))
    finally:
        in_parallel(filesystem.rm_file, made, at_once)
