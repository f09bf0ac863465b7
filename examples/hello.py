"""Tasks are functions; a run is a call that is written down.

python examples/hello.py
flyte-ray run examples/hello.py hello --names '["Ada", "Grace"]'
FLYTE_RAY_MODE=local python examples/hello.py      # in this process, without Ray
"""

import asyncio

import flyte_ray as flyte

env = flyte.TaskEnvironment(name="hello")


@env.task
def greet(name: str, punctuation: str = "!") -> str:
    return f"Hello, {name}{punctuation}"


@env.task
async def hello(names: list[str]) -> str:
    """Greet everybody at once.

    Args:
        names: Who is there.
    """
    greetings = await asyncio.gather(*(greet.aio(name) for name in names))
    return " ".join(greetings)


if __name__ == "__main__":
    flyte.init()
    # Outside a run a task is an ordinary function, handy in tests.
    assert greet("you") == "Hello, you!"
    run = flyte.run(hello, names=["Ada", "Grace"])
    run.wait()
    print(run.outputs()[0])
