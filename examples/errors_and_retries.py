"""Errors arrive as themselves: retry what may pass, catch what you expect, end what cannot work.

python examples/errors_and_retries.py
"""

from datetime import timedelta

import flyte_ray as flyte

env = flyte.TaskEnvironment(name="errors_and_retries")
PATIENT = flyte.RetryStrategy(3, backoff=flyte.Backoff(base=timedelta(milliseconds=50)))


@env.task(retries=PATIENT)
def flaky(fails: int) -> str:
    """Fail on the first attempts, as a busy service would."""
    attempt = flyte.ctx().attempt_number  # 0, 1, …
    if attempt < fails:
        raise ConnectionError(f"attempt {attempt}: the service is busy")
    return f"answered on attempt {attempt}"


@env.task(retries=5)
def hopeless() -> str:
    raise flyte.errors.NonRecoverableError("the account is closed")  # Ends it: no retry.


@env.task
def parse(text: str) -> int:
    return int(text)


@env.task
async def main() -> list[str]:
    said = [await flaky.aio(fails=2)]
    try:
        await parse.aio("eleven")
    except ValueError as error:  # The type that the child raised …
        said.append(f"ValueError: {error}")
    try:
        await parse.aio("twelve")
    except flyte.errors.RuntimeUserError as error:  # … and Flyte's, with the name as its code.
        said.append(f"RuntimeUserError with code {error.code}")
    try:
        await hopeless.aio()
    except flyte.errors.NonRecoverableError as error:
        said.append(f"given up at once: {error}")
    return said


if __name__ == "__main__":
    flyte.init()
    run = flyte.run(main)
    run.wait()
    print(*run.outputs()[0], sep="\n")
