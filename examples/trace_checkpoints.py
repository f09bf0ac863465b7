"""Checkpoints inside a task: what a traced helper returned is not asked for again.

    python examples/trace_checkpoints.py

An agent calls a model step by step and crashes after the third answer. Its retry replays the
answers it has already paid for. The model here is a mock that counts its calls.
"""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import flyte_ray as flyte

env = flyte.TaskEnvironment(name="trace_checkpoints")


@flyte.trace
async def ask_model(prompt: str, ledger: str) -> str:
    """Pretend to call a model that costs money; every call leaves a line in the ledger."""
    with Path(ledger).open("a") as lines:
        lines.write(f"{prompt}\n")
    return f"<{len(prompt)} characters about {prompt.split()[-1]}>"


@flyte.trace
async def stream_words(answer: str) -> AsyncIterator[str]:
    """Traces may also be generators: the complete stream is what is recorded."""
    for word in answer.split():
        yield word


@env.task(retries=1)
async def agent(topics: list[str], ledger: str) -> list[str]:
    answers = []
    for step, topic in enumerate(topics):
        answers.append(await ask_model(f"tell me of {topic}", ledger))
        if step == 2 and flyte.ctx().attempt_number == 0:
            raise ConnectionError("the machine went away")
    words = [word async for word in stream_words(answers[-1])]
    return [*answers, f"{len(words)} words"]


if __name__ == "__main__":
    flyte.init()
    ledger = Path(tempfile.mkdtemp()) / "ledger.txt"
    topics = ["storks", "tides", "copper", "looms"]
    run = flyte.run(agent, topics=topics, ledger=str(ledger))
    run.wait()
    print(*run.outputs()[0], sep="\n")
    print("calls to the model:", len(ledger.read_text().splitlines()))  # 4, not 7.
