"""Large files and many files through tasks: seconds, and memory above the worker's own.

A file of `--gigabytes` goes into a run, is read and written again in a stream by one task, and is
downloaded by another one; then a directory of `--files` files of 1 KiB goes in and comes out. The
memory is the peak of the worker's resident set (`VmHWM`, set back when the body begins) above what
it held when the body began. Beside it: the same bytes copied by the standard library.

    python -m benchmarks.io [--gigabytes 5] [--files 10000] [--mode local] [--folder DIR]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import flyte_ray as flyte
from flyte_ray.io import Dir, File

BLOCK = 16 * 1024 * 1024
MIB = 1024 * 1024
env = flyte.TaskEnvironment(name="io_bench")


class Peak:
    """Peak of the resident set of this process above what it was, in MiB."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")
        self._before = self._kib("VmRSS")

    def mib(self) -> float:
        return (self._kib("VmHWM") - self._before) / 1024

    @staticmethod
    def _kib(name: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name))


@env.task
async def through(file: File) -> tuple[File, float, float]:
    peak, began = Peak(), time.perf_counter()
    made: File = File.new_remote("copy.bin")
    async with file.open("rb") as source, made.open("wb") as sink:
        while block := await source.read(BLOCK):
            await sink.write(block)
    return made, peak.mib(), time.perf_counter() - began


@env.task
async def fetched(file: File) -> tuple[float, float]:
    peak, began = Peak(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(await file.download(folder))
        assert target.stat().st_size > 0
        return peak.mib(), time.perf_counter() - began


@env.task
async def folder_through(folder: Dir) -> tuple[Dir, float, float, float]:
    peak, began = Peak(), time.perf_counter()
    with tempfile.TemporaryDirectory() as target:
        place = Path(await folder.download(Path(target) / "d"))
        down = time.perf_counter() - began
        (place / "one_more.txt").write_text("one more")
        began = time.perf_counter()
        made: Dir = await Dir.from_local(place)
        return made, down, time.perf_counter() - began, peak.mib()


@contextmanager
def clocked(what: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    print(f"  {what:<58} {time.perf_counter() - began:8.1f} s", flush=True)


def large_file(place: Path, size: int) -> Path:
    """A file whose blocks all differ, so that no file system saves any of them."""
    block = bytearray(range(256)) * (BLOCK // 256)
    with place.open("wb") as sink:
        for number in range(-(-size // BLOCK)):
            block[:8] = number.to_bytes(8, "little")
            sink.write(block)
    return place


def file_part(folder: Path, size: int, mode: str | None) -> None:
    source = large_file(folder / "large.bin", size)
    print(f"a file of {size / MIB:.0f} MiB")
    with clocked("copied by shutil.copyfile"):
        shutil.copyfile(source, folder / "copied.bin")
    (folder / "copied.bin").unlink()
    with clocked("into the run, and read and written by a task"):
        run = flyte.with_runcontext(mode=mode).run(through, File(path=str(source)))
        run.wait()
        made, peak, took = run.outputs()
    print(f"  {'of this the body':<58} {took:8.1f} s, {peak:.0f} MiB above the baseline")
    again = folder / "again.bin"
    source.rename(again)
    with clocked("the same bytes under another name, downloaded by a task"):
        run = flyte.with_runcontext(mode=mode).run(fetched, made)
        run.wait()
        peak, took = run.outputs()
    print(f"  {'of this the body':<58} {took:8.1f} s, {peak:.0f} MiB above the baseline")
    again.unlink()


def folder_part(folder: Path, count: int, mode: str | None) -> None:
    source = folder / "many"
    for number in range(count):
        place = source / f"{number % 100:02}" / f"{number}.bin"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(number.to_bytes(4, "little") * 256)
    print(f"a directory of {count} files of 1 KiB")
    with clocked("copied by shutil.copytree"):
        shutil.copytree(source, folder / "copied")
    shutil.rmtree(folder / "copied")
    with clocked("into the run, down in a task, and up again with one more"):
        run = flyte.with_runcontext(mode=mode).run(folder_through, Dir(path=str(source)))
        run.wait()
        made, down, up, peak = run.outputs()
    print(f"  {'of this the download':<58} {down:8.1f} s")
    print(f"  {'of this the upload':<58} {up:8.1f} s, {peak:.0f} MiB above the baseline")
    assert sum(1 for _ in made.walk_sync()) == count + 1


def main() -> None:
    """Run both parts in a folder that is deleted at the end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, default=5)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--mode", default=None, help="local: in this process, without Ray")
    parser.add_argument("--folder", default=None, help="where to work; has room for four copies")
    parser.add_argument("--store", default=None, help="URL of the store; in the folder by default")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as work:
        flyte.init(store=given.store or f"{work}/store")
        file_part(Path(work), int(given.gigabytes * 1024 * MIB), given.mode)
        folder_part(Path(work), given.files, given.mode)


if __name__ == "__main__":
    main()
