"""A run fails half-way; you mend the cause; the next run does only what is missing.

    python examples/resume_after_fix.py

From the command line the last step is `flyte-ray rerun RUN --recover`.
"""

import asyncio
import secrets
import tempfile
from pathlib import Path

import flyte_ray as flyte

env = flyte.TaskEnvironment(name="resume_after_fix")


@env.task
def load(folder: str, part: int) -> int:
    """Read one part; leave a mark, so that we can count how often it was read."""
    with (Path(folder) / f"read-{part}").open("a") as marks:
        marks.write("x")
    return int((Path(folder) / f"part-{part}").read_text())


@env.task
async def total(folder: str, parts: int) -> int:
    found = await asyncio.gather(
        *(load.aio(folder, part) for part in range(parts)), return_exceptions=True
    )
    for each in found:  # All parts are tried before the first failure is passed on.
        if isinstance(each, BaseException):
            raise each
    return sum(found)


if __name__ == "__main__":
    flyte.init()
    folder = Path(tempfile.mkdtemp())
    for part in (0, 1, 2, 4):  # Part 3 is missing.
        (folder / f"part-{part}").write_text(str(10 * part))

    name = f"resume-{secrets.token_hex(3)}"
    try:
        run = flyte.with_runcontext(name=name).run(total, folder=str(folder), parts=5)
        run.wait()
        run.raise_for_status()
    except flyte.errors.RuntimeUserError as error:
        print(f"{name} failed: {error}")

    (folder / "part-3").write_text("30")  # The repair.
    run = flyte.rerun(name, recover=True)
    run.wait()
    print("total", run.outputs()[0])
    reads = {part: len((folder / f"read-{part}").read_text()) for part in range(5)}
    print("reads per part:", reads)  # Only part 3 was read twice.
