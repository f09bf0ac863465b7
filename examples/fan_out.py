"""Many children at once: gather what you await, take answers as they come, give up on the slow.

python examples/fan_out.py
flyte-ray run examples/fan_out.py estimate --samples 64
"""

import asyncio
import random

import flyte_ray as flyte

env = flyte.TaskEnvironment(name="fan_out")


@env.task
def inside(seed: int, darts: int = 20_000) -> int:
    """Throw darts at a square; count those that hit the circle in it."""
    dice = random.Random(seed)
    return sum(dice.random() ** 2 + dice.random() ** 2 <= 1.0 for _ in range(darts))


@env.task
async def estimate(samples: int = 16) -> float:
    """Estimate pi from `samples` tasks that run side by side."""
    # Nothing is submitted until it is awaited: gather submits them all.
    with flyte.group("all together"):
        hits = await asyncio.gather(*(inside.aio(seed) for seed in range(samples)))
    first_guess = 4 * sum(hits) / (samples * 20_000)

    # Or one by one, as they finish, to stop as soon as it is good enough.
    total, thrown, refined = 0, 0, first_guess
    with flyte.group("as they come"):
        asked = [asyncio.create_task(inside.aio(1_000 + n, 40_000)) for n in range(samples)]
        for done in asyncio.as_completed(asked):
            total, thrown = total + await done, thrown + 40_000
            refined = 4 * total / thrown
            if abs(refined - first_guess) < 0.01:
                break
        for task in asked:
            task.cancel()  # Cancelling an awaited child aborts it, with all its own children.
        await asyncio.gather(*asked, return_exceptions=True)
    return round((first_guess + refined) / 2, 3)


if __name__ == "__main__":
    flyte.init()
    run = flyte.run(estimate, samples=8)
    run.wait()
    print("pi is about", run.outputs()[0])
