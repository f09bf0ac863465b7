"""Memory that this process's parent holds the file of is mapped once more, privately."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/pagemap").exists(), reason="only on Linux")

CHILD = """
import json, mmap, os, sys
from flyte_ray.codec.own_memory import OwnMemory
from flyte_ray.runtime.mapping import own_views
descriptor, size = int(sys.argv[1]), int(sys.argv[2])
shared = mmap.mmap(descriptor, size)  # as Ray's client does it: shared, then closed
os.close(descriptor)
whole = memoryview(shared).toreadonly()
parts = [whole[64:164], whole[192:192], whole[256:]]
own = own_views(parts, source="pin")
said = {"same": [bytes(a) == bytes(b) for a, b in zip(own, parts)],
        "writable": [not view.readonly for view in own],
        "pinned": getattr(own[0].obj, "source", None)}
said["open"] = sum("store" in os.readlink(f"/proc/self/fd/{n}")
                   for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}"))
if said["writable"][2]:
    own[2][5] = 99
    said["theirs"] = whole[261]
    said["touched"] = not own[2].obj.is_untouched()
apart = [whole[:2000000], whole[2600000:]]
said["apart"] = [view.readonly for view in own_views(apart, source=None)]
said["small"] = [view.readonly for view in own_views([whole[:100]], source=None)]
json.dump(said, sys.stdout)
"""
SIZE = 3 * 1024 * 1024


def told(*, kept_open: bool) -> dict[str, Any]:
    """What a child finds that maps a file which its parent has open (or has not)."""
    descriptor = os.memfd_create("store", 0)
    os.write(descriptor, bytes(range(256)) * (SIZE // 256))
    try:
        child = [sys.executable, "-c", CHILD, str(descriptor), str(SIZE)]
        if not kept_open:
            # A parent that has no such file open: the shell's own descriptor is closed.
            script = f'"$@" & exec {descriptor}>&-; wait $!'
            child = ["bash", "-c", script, "bash", *child]
        done = subprocess.run(
            child, pass_fds=[descriptor], capture_output=True, text=True, check=True
        )
    finally:
        os.close(descriptor)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_the_parts_are_the_same_and_may_be_written_to_without_others_noticing() -> None:
    said = told(kept_open=True)
    assert said["same"] == [True, True, True]
    assert said["writable"][0]
    assert said["writable"][2]
    assert said["pinned"] == "pin"
    assert said["theirs"] == 5, "of 0, 1, 2, …: the fifth byte, as it was"
    assert said["touched"]
    # One is Python's own, for its shared mapping.
    assert said["open"] == 1, "no file is held: it would stay after Ray is done with it"


def test_parts_that_lie_far_apart_and_small_ones_stay_as_they_are() -> None:
    said = told(kept_open=True)
    assert said["apart"] == [True, True]
    assert said["small"] == [True]


def test_without_access_to_the_file_the_parts_stay_read_only() -> None:
    said = told(kept_open=False)
    assert said["same"] == [True, True, True]
    assert said["writable"] == [False, False, False]
