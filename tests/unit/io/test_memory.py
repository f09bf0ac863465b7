"""A large file passes in bounded memory: into a run, out of it, and through an open handle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SIZE = 160 * 1024 * 1024
SCRIPT = """
import sys
from pathlib import Path
from flyte_ray.io import File
from tests.unit.io.places import pass_on, running_task

def kib(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))

folder = Path(sys.argv[1])
(folder / "small").write_bytes(b"x")
pass_on(File(path=str(folder / "small")), File, f"{folder}/store")
before = kib("VmRSS")
arrived = pass_on(File(path=str(folder / "large")), File, f"{folder}/store")
arrived.download_sync(folder / "got")
with running_task(f"{folder}/store"):
    made = File.new_remote("copy")
    with arrived.open_sync() as source, made.open_sync("wb") as sink:
        while block := source.read(8 * 1024 * 1024):
            sink.write(block)
    assert pass_on(made, File)._reference.sha256 == arrived._reference.sha256
print((kib("VmHWM") - before) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the peak")
def test_a_large_file_passes_in_bounded_memory(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(SIZE)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 60
