"""The command line against real engines: exit codes, records, recovery, unmodified Flyte files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.heads import Head

pytestmark = pytest.mark.integration

SHOP = '''
import asyncio
from pathlib import Path

import flyte_ray as flyte

env = flyte.TaskEnvironment("shop")


@env.task
async def price(item: str, closed: str) -> int:
    """What one item costs."""
    print(f"asking for {item}")
    if item == "pear" and Path(closed).exists():
        raise LookupError(f"nobody sells a {item}")
    return len(item)


@env.task
async def total(items: list[str], closed: str = "/nowhere") -> int:
    """What all items cost."""
    return sum(await asyncio.gather(*[price(item, closed) for item in items]))


@env.task
async def wait_for_ever() -> None:
    await asyncio.sleep(600)
'''

UNMODIFIED = """
import flyte
import flyte.errors
from flyte.io import File

env = flyte.TaskEnvironment(name="unmodified", resources=flyte.Resources(cpu=1))


@env.task
async def write(text: str) -> File:
    file = File.new_remote()
    async with file.open("wb") as handle:
        await handle.write(text.encode())
    return file


@env.task
def fails() -> int:
    raise ValueError("as asked")


@env.task
async def main(text: str) -> str:
    file = await write(text)
    async with file.open("rb") as handle:
        read = bytes(await handle.read()).decode()
    try:
        await fails.aio()
    except flyte.errors.RuntimeUserError as error:
        return f"{read} {error.code}"
    return "nothing failed"
"""


class Shell:
    """A user's shell in a project folder."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder = folder
        self._environment = os.environ | {"FLYTE_RAY_STORE": str(folder / "store")} | variables
        (folder / "shop.py").write_text(SHOP)
        (folder / "unmodified.py").write_text(UNMODIFIED)

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `flyte-ray …`."""
        return subprocess.run(
            [Path(sys.executable).with_name("flyte-ray"), *arguments],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """What a command prints for programs."""
        ended = self(*arguments, "-o", "json")
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)


@pytest.fixture
def embedded(tmp_path: Path) -> Shell:
    """No cluster anywhere."""
    return Shell(tmp_path, {})


@pytest.fixture
def attached(head: Head, tmp_path: Path) -> Shell:
    """A cluster named by RAY_ADDRESS."""
    return Shell(tmp_path, head.variables)


def test_a_run_on_an_embedded_ray_is_followed_and_recorded(embedded: Shell) -> None:
    ended = embedded("run", "--name", "buy", "shop.py", "total", "--items", '["fig", "plum"]')
    assert ended.returncode == 0, ended.stderr
    assert "7" in ended.stdout
    (run,) = embedded.json("get", "runs")
    assert (run["name"], run["phase"]) == ("buy", "succeeded")
    assert len(embedded.json("get", "actions", "buy")) == 3
    assert embedded.json("get", "io", "buy")["outputs"] == {"o0": 7}


def test_failure_and_wrong_calls_have_exit_codes_of_their_own(attached: Shell) -> None:
    closed = attached.folder / "closed"
    closed.touch()
    arguments = ("shop.py", "total", "--items", '["fig", "pear"]', "--closed", str(closed))

    failed = attached("run", "-f", "--name", "shut", *arguments)

    assert failed.returncode == 1
    assert "nobody sells a pear" in failed.stderr
    assert attached("run", "shop.py", "total", "--itms", "x").returncode == 2
    assert attached("run", "nothing.py", "total").returncode == 2
    assert attached("rerun", "no-such-run").returncode == 2

    closed.unlink()
    again = attached("rerun", "shut", "--recover", "-f", "--name", "open")

    assert again.returncode == 0, again.stderr
    actions = attached.json("get", "actions", "open")
    assert sorted((action["task"], action["phase"]) for action in actions) == [
        ("shop.price", "recovered"),
        ("shop.price", "succeeded"),
        ("shop.total", "succeeded"),
    ]


def test_what_a_worker_printed_is_told(attached: Shell) -> None:
    assert attached("run", "-f", "--name", "buy", "shop.py", "price", "--item", "fig",
                    "--closed", "/nowhere").returncode == 0  # fmt: skip
    told = attached("get", "logs", "buy")
    assert "asking for fig" in told.stdout


def test_abort_ends_a_run_that_nobody_waits_for(attached: Shell) -> None:
    assert attached("run", "--name", "endless", "shop.py", "wait_for_ever").returncode == 0
    assert attached("abort", "endless", "--reason", "closing time").returncode == 0
    followed = attached("get", "run", "endless", "--follow")
    assert followed.returncode == 1
    assert "closing time" in followed.stderr
    assert attached.json("get", "run", "endless")["phase"] == "aborted"


def test_without_follow_an_attached_cluster_carries_the_run(attached: Shell) -> None:
    started = attached("run", "--name", "let-go", "shop.py", "total", "--items", '["fig"]')
    assert started.returncode == 0, started.stderr
    assert "let-go" in started.stdout.splitlines(), "what a script reads from stdout"
    followed = attached("get", "run", "let-go", "--follow")
    assert followed.returncode == 0, followed.stderr
    assert attached("abort", "let-go").returncode == 0
    assert attached.json("get", "io", "let-go")["outputs"] == {"o0": 3}, (
        "an ended run stays as it is"
    )


@pytest.mark.parametrize("engine", ["local", "cluster"])
def test_an_unmodified_flyte_file_runs_under_the_alias(engine: str, attached: Shell) -> None:
    where = ["--local"] if engine == "local" else ["--follow"]
    call = ("--name", "theirs", "unmodified.py", "main", "--text", "as it was")
    ended = attached("run", *where, "--flyte-alias", *call)
    assert ended.returncode == 0, ended.stderr
    assert attached.json("get", "io", "theirs")["outputs"] == {"o0": "as it was ValueError"}
    again = attached("rerun", "theirs", *where)
    assert again.returncode == 0, again.stderr
