"""Every example runs as a user would start it, without Ray, and says what it promises."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packages import two_packages

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))

PROMISED = {
    "hello.py": [r"^Hello, Ada! Hello, Grace!$"],
    "fan_out.py": [r"^pi is about 3\.1\d*$"],
    "errors_and_retries.py": [
        r"^answered on attempt 2$",
        r"^ValueError: invalid literal for int",
        r"^RuntimeUserError with code ValueError$",
        r"^given up at once: the account is closed$",
    ],
    "resume_after_fix.py": [
        r"^resume-[0-9a-f]{6} failed: .*part-3",
        r"^total 100$",
        r"^reads per part: \{0: 1, 1: 1, 2: 1, 3: 2, 4: 1\}$",
    ],
    "trace_checkpoints.py": [r"^4 words$", r"^calls to the model: 4$"],
    "nested_recursion.py": [r"^40 tasks in the tree, counted down \[3, 2, 1, 0\]$"],
    "caching.py": [
        r"^computed: \[\"4 words, longest 'quick'\", \"4 words, longest '\w+'\"\]$",
        r"^all from the cache.*: \[\"4 words",
        r"^one changed: \[.*\"6 words",
        r"^afresh: \[\"4 words, longest 'quick'\"\]$",
    ],
    "map_partial.py": [
        r"'squares': \['0', '1', '4', '9', '16', '25'\]",
        r"'halves': \['0\.0', '0\.5', '1\.0', '1\.5'\]",
        r"'mixed': \['12\.0', '\w*Error', '4\.0'\]",
        r"^36$",
    ],
    "timeouts.py": [r"^awake, the deadline passed, not worth waiting for$"],
    "more_memory.py": [
        r"do not fit into 128 MiB",
        r"do not fit into 256 MiB",
        r"^sorted 1000000 rows in 512 MiB$",
    ],
    "warm_model.py": [r"^\d+ of 200 are positive; batches of up to (?!1$)\d+$"],
    "gpu_batching.py": [r"^256 texts in batches of (?!1 )\d+ on average, on (cpu|cuda)$"],
    "interactive.py": [
        r" succeeded after 111 steps$",
        r"^inputs: \{'n': 27\}$",
        r"^the highest point on the way: 9232$",
    ],
}


NEEDED = {"gpu_batching.py": "torch"}
"""What only some examples need, and a test installation lacks."""


def start(store: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the repository, without Ray, on a store of its own."""
    environment = os.environ | {"FLYTE_RAY_STORE": str(store), "FLYTE_RAY_MODE": "local"}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_every_example_is_promised_something() -> None:
    assert set(SCRIPTS) == set(PROMISED)


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_example_says_what_it_promises(script: str, tmp_path: Path) -> None:
    if script in NEEDED:
        pytest.importorskip(NEEDED[script])
    ended = start(tmp_path, f"examples/{script}")
    assert ended.returncode == 0, ended.stderr
    for promise in PROMISED[script]:
        assert re.search(promise, ended.stdout, re.MULTILINE), ended.stdout + ended.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_example_is_short_and_says_its_command(script: str) -> None:
    text = (EXAMPLES / script).read_text()
    assert len(text.splitlines()) <= 60
    assert f"examples/{script}" in text.split('"""')[1]


def test_the_command_line_runs_a_task_of_an_example(tmp_path: Path) -> None:
    ended = start(
        tmp_path,
        *("-m", "flyte_ray", "run", "--local", "examples/hello.py", "hello"),
        *("--names", json.dumps(["Ada"])),
    )
    assert ended.returncode == 0, ended.stderr
    assert "Hello, Ada!" in ended.stdout


def test_the_tour_of_the_readme_runs_as_printed(tmp_path: Path) -> None:
    tour = re.search(r"```python\n(# tour\.py\n.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert tour is not None
    (tmp_path / "tour.py").write_text(tour[1])
    ended = start(tmp_path / "store", str(tmp_path / "tour.py"))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.rstrip().endswith("succeeded 24.0 degrees")


# -------------------------------------------------------------------------- the source miner

MINER = "examples/source_miner/workflow.py"


@pytest.fixture
def sources(tmp_path: Path) -> str:
    """Few and small packages to mine."""
    return two_packages(tmp_path)


def mine(
    store: Path, sources: str, name: str, *more: str, script: str = MINER
) -> subprocess.CompletedProcess[str]:
    return start(store, script, "--local", "--packages", sources, "--name", name, *more)


def phases(store: Path, run: str) -> dict[str, dict[str, int]]:
    """Count a run's actions: task -> what became of them ("ran", "cached", or a phase)."""
    listed = start(store, "-m", "flyte_ray", "get", "actions", run, "--output-format", "json")
    assert listed.returncode == 0, listed.stderr
    counts: dict[str, dict[str, int]] = {}
    for action in json.loads(listed.stdout):
        task = action["task"].rpartition(".")[2]
        fate = "cached" if action["cached"] else action["phase"]
        fates = counts.setdefault(task, {})
        fates[fate] = fates.get(fate, 0) + 1
    return counts


def test_the_miner_walks_through_failure_recovery_cache_and_change(
    tmp_path: Path, sources: str
) -> None:
    store = tmp_path / "store"

    failed = mine(store, sources, "broken", "--fail-at", "7")
    assert failed.returncode == 1
    assert "broken failed" in failed.stdout
    assert "Traceback" not in failed.stderr
    assert "item 7 was told to fail" in failed.stdout + failed.stderr
    before = phases(store, "broken")["analyse"]
    assert before["failed"] == 1
    assert before["succeeded"] >= 6

    recovered = start(
        store, "-m", "flyte_ray", "rerun", "broken", "--recover", "--name", "mended", "--follow"
    )
    assert recovered.returncode == 0, recovered.stderr
    after = phases(store, "mended")
    assert after["discover"] == {"recovered": 1}
    assert after["analyse"] == {
        "recovered": before["succeeded"],
        "succeeded": 20 - before["succeeded"],
    }

    assert mine(store, sources, "first").returncode == 0
    second = mine(store, sources, "second")
    assert second.returncode == 0
    assert "accuracy" in second.stdout
    assert phases(store, "second") == {"mine": {"cached": 1}}  # Nothing ran at all.

    # A copy of the code, edited: first where it does not matter, then where it does.
    shutil.copytree(EXAMPLES / "source_miner", tmp_path / "source_miner")
    script, edited = str(tmp_path / "source_miner" / "workflow.py"), tmp_path / "source_miner"
    (edited / "analyse.py").write_text((edited / "analyse.py").read_text() + "# a remark\n")
    assert mine(store, sources, "remark", script=script).returncode == 0
    assert phases(store, "remark") == {"mine": {"cached": 1}}
    measured = (edited / "analyse.py").read_text().replace("len(content)", "len(content) + 0")
    (edited / "analyse.py").write_text(measured)
    assert mine(store, sources, "edited", script=script).returncode == 0
    after = phases(store, "edited")
    assert after["mine"] == {"succeeded": 1}, "no answer of before the edit below it"
    assert after["analyse"] == {"succeeded": 20}
    assert after["train"] == {"cached": 1}, "the figures came out as before"

    with (tmp_path / "typed" / "m3.py").open("a") as changed:
        changed.write("# one more line\n")
    assert mine(store, sources, "third").returncode == 0
    third = phases(store, "third")
    assert third["analyse"] == {"cached": 19, "succeeded": 1}
    assert third["train"] == {"succeeded": 1}


def test_the_miner_runs_from_the_command_line(tmp_path: Path, sources: str) -> None:
    ended = start(
        tmp_path / "store",
        *("-m", "flyte_ray", "run", "--local", "-o", "json", MINER, "mine"),
        *("--limit", "12", "--packages", sources),
    )
    assert ended.returncode == 0, ended.stderr
    mined = json.loads(ended.stdout)["outputs"]["o0"]
    assert mined["files"] == 12
    assert mined["report"]["name"] == "report.html"
    assert Path(mined["report"]["path"]).is_file()


def test_the_miner_names_a_bad_argument_before_anything_starts(tmp_path: Path) -> None:
    ended = mine(tmp_path / "store", "stdlib,no_such_package", "never")
    assert ended.returncode == 2
    assert "packages: 'no_such_package' is no package installed here" in ended.stderr
    assert not (tmp_path / "store").exists()
