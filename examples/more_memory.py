"""Out of memory is an error like others: catch it, ask for more, try again.

    python examples/more_memory.py

Nothing here really fills the memory: the child says so when its share is too small.
"""

import flyte_ray as flyte

env = flyte.TaskEnvironment(name="more_memory")
NEEDED_MIB = 300


@env.task
def sort_everything(rows: int, memory_mib: int) -> str:
    """Raise what Python raises when memory runs out; Ray's own killer gives `errors.OOMError`."""
    if memory_mib < NEEDED_MIB:
        raise MemoryError(f"{rows} rows do not fit into {memory_mib} MiB")
    return f"sorted {rows} rows in {memory_mib} MiB"


@env.task
async def main(rows: int = 1_000_000) -> list[str]:
    said = []
    for memory_mib in (128, 256, 512):
        # `override` gives the same task with other options: same name, same cache.
        roomy = sort_everything.override(resources=flyte.Resources(memory=f"{memory_mib}Mi"))
        try:
            said.append(await roomy.aio(rows, memory_mib))
            break
        except (MemoryError, flyte.errors.OOMError) as error:
            said.append(f"{error}: once more with twice as much")
    return said


if __name__ == "__main__":
    flyte.init()
    run = flyte.run(main)
    run.wait()
    print(*run.outputs()[0], sep="\n")
