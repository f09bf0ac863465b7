"""Files and folders made before the run, and inside (§27, §28, §52)."""

import tempfile
from pathlib import Path

import flyte
from flyte.io import Dir, File
from said import attempt, run, say

env = flyte.TaskEnvironment(name="files")


@env.task
async def reads(file: File, folder: Dir) -> str:
    async with file.open("rb") as handle:
        text = bytes(await handle.read())
    return f"{text!r} {sorted([each.name async for each in folder.walk()])}"


@env.task
async def writes(text: str) -> File:
    made = File.new_remote()
    async with made.open("wb") as handle:
        await handle.write(text.encode())
    return made


@env.task
async def parent() -> str:
    made = await writes("hello")
    async with made.open("rb") as handle:
        return bytes(await handle.read()).decode()


@env.task
def sync_reads(file: File) -> str:
    with file.open_sync("rb") as handle:
        return handle.read().decode()


if __name__ == "__main__":
    flyte.init()
    base = Path(tempfile.mkdtemp())
    (base / "folder").mkdir()
    (base / "folder" / "z.txt").write_text("z")
    (base / "f.txt").write_text("hi")
    file = File.from_local_sync(str(base / "f.txt"))
    folder = Dir.from_local_sync(str(base / "folder"))
    attempt("before the run", lambda: run(reads, file, folder)[0])
    attempt("between tasks", lambda: run(parent)[0])
    attempt("from plain tasks", lambda: run(sync_reads, file)[0])
    attempt(
        "a file that is not there",
        lambda: run(sync_reads, File.from_existing_remote("/nowhere/x"))[0],
    )
    say("name", file.name)
