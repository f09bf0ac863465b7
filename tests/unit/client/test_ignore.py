"""Ignore files: git's rules, as far as a code bundle meets them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from flyte_ray.client.bundle import all_files
from flyte_ray.client.ignore import is_left_out, parsed_rules

CASES = [
    ("*.log", ["a.log", "deep/b.log"], ["a.logs", "log"]),
    ("/top.txt", ["top.txt"], ["deep/top.txt"]),
    ("build/", ["build/", "deep/build/"], ["build"]),
    ("a/b.txt", ["a/b.txt"], ["c/a/b.txt"]),
    ("**/x", ["x", "d/x", "d/e/x"], ["xx"]),
    ("a/**", ["a/b", "a/b/c"], ["b/a"]),
    ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["z"]),
    ("?.py", ["a.py"], ["ab.py"]),
    ("[ab].py", ["a.py", "d/b.py"], ["c.py"]),
    ("[!ab].py", ["c.py"], ["a.py"]),
    ("\\#odd", ["#odd"], ["odd"]),
    ("# a remark", [], ["# a remark"]),
    ("*.txt\n!keep.txt", ["a.txt"], ["keep.txt"]),
    ("trailing   ", ["trailing"], []),
]


def left_out(text: str, path: str) -> bool:
    return is_left_out(list(parsed_rules(text)), path.rstrip("/"), is_folder=path.endswith("/"))


@pytest.mark.parametrize(("text", "out", "kept"), CASES, ids=[case[0] for case in CASES])
def test_patterns(text: str, out: list[str], kept: list[str]) -> None:
    assert [path for path in out if not left_out(text, path)] == []
    assert [path for path in kept if left_out(text, path)] == []


def tree(root: Path, files: dict[str, str]) -> list[str]:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return sorted(path.relative_to(root).as_posix() for path in all_files(root))


PROJECT = {
    ".gitignore": "*.csv\n/out/\n!keep.csv\nsecret.*\n",
    "main.py": "",
    "a.csv": "",
    "keep.csv": "",
    "out/made.py": "",
    "pkg/out/made.py": "",
    "pkg/.gitignore": "local.py\n!b.csv\n",
    "pkg/local.py": "",
    "pkg/b.csv": "",
    "pkg/secret.json": "",
    "local.py": "",
}


def test_a_bundle_leaves_out_what_git_leaves_out(tmp_path: Path) -> None:
    found = tree(tmp_path, PROJECT)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert found == sorted(listed.stdout.split())


def test_flyteignore_has_the_last_word(tmp_path: Path) -> None:
    found = tree(tmp_path, {**PROJECT, ".flyteignore": "!a.csv\nmain.py\n.*ignore\n"})
    assert "a.csv" in found
    assert "main.py" not in found
    assert ".gitignore" not in found
