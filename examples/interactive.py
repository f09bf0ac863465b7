"""Cell by cell, as in a notebook: define, run, look, change, run again.

    python -i examples/interactive.py          # or paste the cells into a notebook

`flyte.init()` attaches to the cluster of RAY_ADDRESS, else it starts one inside. The guards are for
this file, which workers import to find its tasks; in a notebook leave them out.
"""

# %% Define a task where you are: no module, no file that must be deployed.
import flyte_ray as flyte

env = flyte.TaskEnvironment(name="interactive", cache="auto")


@env.task
def collatz(n: int) -> list[int]:
    path = [n]
    while path[-1] != 1:
        path.append(path[-1] // 2 if path[-1] % 2 == 0 else 3 * path[-1] + 1)
    return path


# %% Run it, look at what came out and what went in. The handle is the same in every mode.
if __name__ == "__main__":
    flyte.init()
    run = flyte.run(collatz, n=27)
    run.wait(quiet=True)
    print(run.name, run.phase.value, "after", len(run.outputs()[0]) - 1, "steps")
    print("inputs:", dict(run.inputs()))


# %% Add to it and run again: what is new runs, what you did not touch is in the cache.
@env.task
def highest(n: int) -> int:
    return max(collatz(n))  # A task calls a task: the path of 27 is known already.


if __name__ == "__main__":
    run = flyte.run(highest, n=27)
    run.wait(quiet=True)
    print("the highest point on the way:", run.outputs()[0])
