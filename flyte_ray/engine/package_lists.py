"""From requirements files, project files and script headers to packages that a worker can install.

Each reader gives the packages and remarks on what it left out. Left out is what the worker does
not have (paths), what the author did not ask for (optional packages), and every package that
comes from elsewhere than the index: by its name alone, the index would give somebody else's.

It reads what files say and resolves nothing: lock files, constraints and hashes have no effect.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Found = tuple[list[str], list[str]]
"""Packages, and remarks."""
_HEADER = re.compile(r"(?m)^# /// script\s*$\n(?P<body>(^#(| .*)$\n)+)^# ///\s*$")
"""Inline script metadata, as PEP 723 gives it."""
_COMMENT = re.compile(r"(^|\s+)#.*$")
_ELSEWHERE = ("path", "file", "git", "url", "workspace")
_VERSION = re.compile(r"(===|==|!=|<=|>=|~=|<|>|\^|~)?\s*v?(\d[\w.+!*-]*)")


def of_requirements(file: Path, seen: frozenset[Path] = frozenset()) -> Found:
    """What a requirements file names, and those that it names. Format: pip's own."""
    packages: list[str] = []
    remarks: list[str] = []
    text = re.sub(r"\\\r?\n", " ", file.read_text("utf-8"))
    for line in (_COMMENT.sub("", line).strip() for line in text.splitlines()):
        included = re.match(r"(?:-r|--requirement)[\s=]*(\S.*)", line)
        if included is not None and "://" not in line:
            found = _included(file.parent / included[1], seen | {file.resolve()})
            packages += found[0]
            remarks += found[1]
            continue
        package, *options = re.split(r"(?:^|\s+)(?=--?[a-zA-Z])", line)
        if package.startswith("."):
            remarks.append(f"{package} of {file}")
        elif package:
            packages.append(package)
        # Never their values: an index's address may hold a password.
        names = [re.split(r"[\s=]", option)[0] for option in options]
        remarks += [f"option {name} of {file}" for name in names]
    return packages, list(dict.fromkeys(remarks))


def _included(file: Path, seen: frozenset[Path]) -> Found:
    if file.resolve() in seen:
        return [], []
    try:
        return of_requirements(file, seen)
    except OSError as error:
        return [], [f"{file} could not be read: {error.strerror or error}"]


def of_project(file: Path) -> Found:
    """The dependencies in a `pyproject.toml`, by the standard and by Poetry."""
    data = tomllib.loads(file.read_text("utf-8"))
    packages, remarks = _from_index(data.get("project", {}), data, file)
    poetry = data.get("tool", {}).get("poetry", {}).get("dependencies", {})
    for name, wishes in poetry.items():
        for wish in wishes if isinstance(wishes, list) else [wishes]:
            if name == "python":
                continue
            try:
                packages.append(_of_poetry(name, wish))
            except ValueError as error:
                remarks.append(f"{name} of {file}: {error}")
    return packages, remarks


def of_script(file: Path) -> Found:
    """The dependencies in a script's header."""
    match = _HEADER.search(file.read_text("utf-8"))
    if match is None:
        return [], []
    data = tomllib.loads("\n".join(line[2:] for line in match["body"].splitlines()))
    return _from_index(data, data, file)


def _from_index(table: Mapping[str, Any], data: Mapping[str, Any], file: Path) -> Found:
    sources = data.get("tool", {}).get("uv", {}).get("sources", {})
    elsewhere = {_plain(name): source for name, source in sources.items()}
    packages: list[str] = []
    remarks: list[str] = []
    for each in table.get("dependencies", []):
        source = elsewhere.get(_plain(re.match(r"[\w.-]*", each)[0]), {})  # type: ignore[index]  # it matches anything
        kinds = [kind for one in _listed(source) for kind in _ELSEWHERE if one.get(kind)]
        if kinds:
            remarks.append(f"{each} of {file}: it comes from a {kinds[0]}")
        else:
            packages.append(str(each))
    return packages, remarks


def _plain(name: str) -> str:
    """A package's name as all spellings of it. Source: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _of_poetry(name: str, wish: Any) -> str:
    """One of Poetry's dependencies, as PEP 508 writes it. Raises `ValueError`, with the reason."""
    wish = {"version": wish} if isinstance(wish, str) else wish
    for kind in _ELSEWHERE:
        if kind in wish:
            raise ValueError(f"it comes from a {kind}")
    if wish.get("optional"):
        raise ValueError("it is optional")
    extras = f"[{','.join(wish['extras'])}]" if wish.get("extras") else ""
    markers = [f"({marker})" for marker in _markers(wish)]
    where = f"; {' and '.join(markers)}" if markers else ""
    return f"{name}{extras}{','.join(_bounds(wish.get('version', '*')))}{where}"


def _markers(wish: Mapping[str, Any]) -> Iterator[str]:
    if wish.get("markers"):
        yield wish["markers"]
    choices = [list(_bounds(each, exact=".*")) for each in wish.get("python", "*").split("||")]
    if all(choices):
        yield " or ".join(" and ".join(_of_python(bound) for bound in each) for each in choices)


def _of_python(bound: str) -> str:
    operator, version = re.split(r"(?=\d)", bound, maxsplit=1)
    return f"python_full_version {operator} '{version}'"


def _bounds(version: str, exact: str = "") -> Iterator[str]:
    """Poetry's `^1.2`, `~1.2`, `1.2` and the common operators, as PEP 440 writes them."""
    if version.strip() == "*":
        return
    for part in version.split(","):
        match = _VERSION.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"the version {version!r} could not be understood")
        operator, number = match.groups()
        if operator in ("^", "~"):
            yield from (f">={number}", f"<{_next(number, operator)}")
        else:
            yield f"{operator}{number}" if operator else f"=={number}{exact}"


def _next(number: str, operator: str) -> str:
    """The first version that `^` or `~` leaves out. Source: Poetry, "Dependency specification"."""
    parts = re.match(r"[\d.]*", number)[0].strip(".").split(".")  # type: ignore[index]  # it matches anything
    at = next((n for n, part in enumerate(parts) if int(part)), len(parts) - 1)
    at = min(at if operator == "^" else 1, len(parts) - 1)
    return ".".join([*parts[:at], str(int(parts[at]) + 1)])
