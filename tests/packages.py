"""Packages of source files for the source miner, few and small."""

from __future__ import annotations

from pathlib import Path

FILES = 20


def two_packages(folder: Path) -> str:
    """Two packages of 10 files each, as the miner's `--packages`."""
    for name, line in [("quoted", "V{n} = '{n}'\n"), ("typed", "def f{n}(x: int) -> int: ...\n")]:
        (folder / name).mkdir()
        for n in range(10):
            text = "".join(line.format(n=k) for k in range(n + 2))
            (folder / name / f"m{n}.py").write_text(text)
    return ",".join(str(folder / name) for name in ("quoted", "typed"))
