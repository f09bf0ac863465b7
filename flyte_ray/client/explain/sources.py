"""The author's code as a run had it: definitions by name, from the bundle in the store.

Nothing is imported or executed; the archive's files are read as text and cut at their top level.
The rule to know: a definition is known by `module.name`, where the module's name follows from its
place below the import roots of the run; a script goes by its file's name.
"""

from __future__ import annotations

import ast
import difflib
import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from flyte_ray.core.calls import CodeSpec
from flyte_ray.core.ports import Blobs

MOST_LINES = 60
"""Lines shown of one difference."""
_NAME = re.compile(r"[A-Za-z_]\w*")

Definitions = Mapping[str, str]
"""`module.name` -> its statements as written."""


def definitions(blobs: Blobs, code: CodeSpec) -> Definitions:
    """Every top-level definition of a run's code; empty where the run shipped none."""
    if code.bundle_key is None:
        return {}
    try:
        data = blobs.get(code.bundle_key)
    except FileNotFoundError:
        return {}
    found: dict[str, str] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            if not name.endswith(".py"):
                continue
            text = archive.read(name).decode("utf-8", "replace")
            for module in _modules_of(PurePosixPath(name), code.import_roots):
                found.update({f"{module}.{key}": part for key, part in _cut(text)})
    return found


def find(known: Definitions, name: str) -> str | None:
    """The text of a component; of the definition around it where it is an inner one."""
    while name:
        if name in known:
            return known[name]
        name = name.rpartition(".")[0]
    return None


def same_code(before: str, after: str) -> bool:
    """True where only comments, formatting or nothing differs."""
    try:
        return ast.dump(ast.parse(before)) == ast.dump(ast.parse(after))
    except SyntaxError:
        return before == after


def diff_lines(name: str, before: str | None, after: str | None) -> list[str]:
    """The difference as unified diff lines, without the two lines that name files."""
    lines = list(
        difflib.unified_diff(
            (before or "").splitlines(), (after or "").splitlines(), lineterm="", n=2
        )
    )[2:]
    if len(lines) > MOST_LINES:
        more = len(lines) - MOST_LINES
        return [*lines[:MOST_LINES], f"… {more} more lines of {name}"]
    return lines


def changed_from(start: str, before: Definitions, after: Definitions) -> list[str]:
    """Names of what changed of a function and all it mentions, to any depth, by their texts.

    For runs whose record does not list the code of their tasks: names are followed by spelling, so
    this may name more than the identity counts.
    """
    by_last: dict[str, set[str]] = {}
    for name in {*before, *after}:
        by_last.setdefault(name.rpartition(".")[2], set()).add(name)
    waiting, seen = [start], {start}
    while waiting:
        name = waiting.pop()
        words = set(_NAME.findall(before.get(name, "") + " " + after.get(name, "")))
        for word in words:
            fresh = by_last.get(word, set()) - seen
            seen |= fresh
            waiting.extend(fresh)
    return sorted(name for name in seen if not same_code(before.get(name, ""), after.get(name, "")))


def _modules_of(path: PurePosixPath, roots: tuple[str, ...]) -> Iterator[str]:
    """The names under which a file may have been imported."""
    names = set()
    for root in roots or (".",):
        base = PurePosixPath(root)
        if root in (".", "") or path.is_relative_to(base):
            below = path if root in (".", "") else path.relative_to(base)
            names.add(".".join(below.with_suffix("").parts).removesuffix(".__init__"))
    names.add(path.stem)
    yield from names


def _cut(text: str) -> Iterator[tuple[str, str]]:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return
    lines = text.splitlines()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            yield node.name, "\n".join(lines[first - 1 : node.end_lineno])
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    yield target.id, "\n".join(lines[node.lineno - 1 : node.end_lineno])
