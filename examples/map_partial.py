"""Map a task over inputs: in order, bounded, with some arguments fixed; failures are values.

python examples/map_partial.py
"""

from functools import partial

import flyte_ray as flyte

env = flyte.TaskEnvironment(name="map_partial")


@env.task
def divide(number: int, by: int) -> float:
    return number / by


@env.task
def power(base: int, exponent: int) -> int:
    return base**exponent


@env.task
async def main() -> dict[str, list[str]]:
    # Two iterables go in step; at most three children are in flight.
    squares = [n async for n in flyte.map.aio(power, range(6), [2] * 6, concurrency=3)]
    # A partial leaves exactly one parameter open.
    halves = [n async for n in flyte.map.aio(partial(divide, by=2), range(4), group_name="halves")]
    # By default a failure is yielded in its place, and raises when it is used.
    mixed = [n async for n in flyte.map.aio(partial(divide, 12), [1, 0, 3])]
    return {
        "squares": [str(n) for n in squares],
        "halves": [str(n) for n in halves],
        "mixed": [type(n).__name__ if isinstance(n, Exception) else str(n) for n in mixed],
    }


@env.task
def main_sync() -> int:
    """The same from a sync task, and stopping at the first failure."""
    return sum(flyte.map(power, [1, 2, 3], [3, 3, 3], return_exceptions=False))


if __name__ == "__main__":
    flyte.init()
    for task in (main, main_sync):
        run = flyte.run(task)
        run.wait()
        print(run.outputs()[0])
