"""Tasks call tasks to any depth; a parent that waits lends its CPU to its children.

    python examples/nested_recursion.py
    flyte-ray run examples/nested_recursion.py tree_size --depth 5 --width 4

It ends on one CPU, although every task asks for one: nobody holds it while waiting.
"""

import asyncio

import flyte_ray as flyte

env = flyte.TaskEnvironment(name="nested_recursion", resources=flyte.Resources(cpu=1))


@env.task
async def tree_size(depth: int = 3, width: int = 3) -> int:
    """Count the nodes of a tree in which every node is a task."""
    if depth == 0:
        return 1
    below = await asyncio.gather(*(tree_size.aio(depth - 1, width) for _ in range(width)))
    return 1 + sum(below)


@env.task
def countdown(n: int) -> list[int]:
    """The same with plain functions: a sync task calls a task and gets its value."""
    return [n] if n == 0 else [n, *countdown(n - 1)]


@env.task
async def main(depth: int = 3, width: int = 3) -> tuple[int, list[int]]:
    nodes, numbers = await asyncio.gather(tree_size.aio(depth, width), countdown.aio(depth))
    return nodes, numbers


if __name__ == "__main__":
    flyte.init()
    run = flyte.run(main, depth=3, width=3)
    run.wait()
    nodes, numbers = run.outputs()
    print(f"{nodes} tasks in the tree, counted down {numbers}")
