"""Where a module comes from: the author's own code, an installed package, Python, or this package.

Author's code is what neither an installer nor Python itself put there. A package is known by the
distribution that brings it, and its version. Nothing is imported to find out: modules that are not
loaded yet are looked for along the import path, as the import itself would.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["author", "package", "python", "house", "missing"]

MAIN_NAMES = frozenset({"__main__", "__flyte_ray_main__"})
"""The script under Python's name, and under the one by which workers execute it."""
_INSTALLED = ("site-packages", "dist-packages")
_SOURCE = (".py", ".pyw")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a module comes from."""

    kind: Kind
    name: str
    file: str | None = None
    """Its source; None for namespaces and for code that is not Python."""
    is_package: bool = False
    is_compiled: bool = False
    """An extension module: nobody can read it."""


def origin_of(name: str, near: Origin | None = None) -> Origin:
    """Where the module of that name comes from.

    Args:
        name: its absolute name.
        near: the module that asks. One that lies under the same import root is preferred: of two
            states of a project in one process, both are whole.
    """
    top = name.partition(".")[0]
    if _is_house(name):
        return Origin("house", name)
    if name not in MAIN_NAMES and _is_by_name_pythons(top, near):
        return Origin("python", name)
    beside = _beside(name, near) if near is not None else None
    if beside is not None:
        return beside
    module = sys.modules.get(name)
    if module is not None:
        return _of_module(name, module)
    spec = _found(name)
    if spec is None:
        return Origin("missing", name)
    return _of_file(name, spec.origin, bool(spec.submodule_search_locations))


def origin_of_code(value: Any) -> Origin:
    """Where a live function or class comes from.

    What runs as `__main__` may be an installed program; what was typed into it is not.
    """
    module = getattr(value, "__module__", None) or "builtins"
    return Origin("author", module) if module in MAIN_NAMES else origin_of(module)


def _is_house(name: str) -> bool:
    return name.partition(".")[0] in ("flyte_ray", "flyte") or name.startswith("flyte_ray_")


def _is_by_name_pythons(top: str, near: Origin | None) -> bool:
    """True for names of the standard library, unless a module of the author's stands before it."""
    if top not in sys.stdlib_module_names:
        return top == "_typeshed"
    module = sys.modules.get(top)
    if module is None:
        return near is None or _beside(top, near) is None
    file = getattr(module, "__file__", None)
    return not (isinstance(file, str) and is_authors(top, file))


def _beside(name: str, near: Origin) -> Origin | None:
    root = import_root(near)
    return _below(root, name) if root is not None else None


@lru_cache(maxsize=4096)
def _below(root: Path, name: str) -> Origin | None:
    place = root.joinpath(*name.split("."))
    module, init = place.with_name(f"{place.name}.py"), place / "__init__.py"
    if module.is_file():
        return _of_file(name, str(module), False)
    return _of_file(name, str(init), True) if init.is_file() else None


def import_root(origin: Origin) -> Path | None:
    """The folder on the import path below which the module lies."""
    if origin.file is None or origin.kind != "author":
        return None
    file = Path(origin.file)
    if origin.name in MAIN_NAMES:
        return file.parent
    steps = origin.name.count(".") + int(origin.is_package)
    return file.parents[steps] if steps < len(file.parents) else None


def _of_module(name: str, module: ModuleType) -> Origin:
    file = getattr(module, "__file__", None)
    return _of_file(name, file, hasattr(module, "__path__"))


def _of_file(name: str, file: str | None, is_package: bool) -> Origin:
    if file is None or file in ("built-in", "frozen"):
        kind: Kind = "python" if file else "author"  # a namespace, or typed in by hand
        return Origin(kind, name, None, is_package)
    if is_installed(file):
        return Origin("package", name, file, is_package)
    if _is_pythons(file):
        return Origin("python", name, file, is_package)
    if not file.endswith(_SOURCE):
        return Origin("author", name, None, is_package, is_compiled=True)
    return Origin("author", name, file, is_package)


def is_authors(name: str, file: str) -> bool:
    """True for a module of the author's, by its name and the file from which it was loaded."""
    others = _is_house(name) or _is_pythons(file) or is_installed(file)
    return file.endswith(_SOURCE) and not others


def is_installed(file: str) -> bool:
    """True for files that an installer put there."""
    return any(f"{os.sep}{part}{os.sep}" in file for part in _INSTALLED)


@lru_cache(maxsize=1)
def _pythons_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = {paths["stdlib"], paths["platstdlib"], str(Path(os.__file__).parent)}
    return tuple(folder + os.sep for folder in folders)


def _is_pythons(file: str) -> bool:
    return file.startswith(_pythons_folders())


def _found(name: str) -> ModuleSpec | None:
    """The module's spec without importing its parents."""
    path: Any = None
    spec: ModuleSpec | None = None
    prefix = ""
    for part in name.split("."):
        prefix = f"{prefix}.{part}" if prefix else part
        try:
            spec = PathFinder.find_spec(prefix, path)
        except (ImportError, ValueError, OSError):
            return None
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return spec


@lru_cache(maxsize=512)
def distribution_of(module: str) -> tuple[str, str]:
    """The distribution that brings a module, and its version; "" where nobody says."""
    top = module.partition(".")[0]
    try:
        return top, metadata.version(top)
    except (metadata.PackageNotFoundError, ValueError):
        pass
    owners = sorted((each.name, each.version) for each in _owners(top))
    return owners[0] if owners else (top, "")


def _owners(top: str) -> list[metadata.Distribution]:
    """The distributions that say they bring a top-level module.

    `metadata.packages_distributions` reads the list of files of every distribution there is, for
    0.2 s. Here most are asked for one short file, and only if that helps nobody for the long one.
    """
    places = _places_of_metadata()
    found = [each for each in places if top in _text(each / "top_level.txt").split()]
    if not found:
        starts = (f"\n{top}/", f"\n{top}.")
        records = ((each, f"\n{_text(each / 'RECORD')}") for each in places)
        found = [each for each, record in records if any(start in record for start in starts)]
    return [metadata.PathDistribution(each) for each in found]


@lru_cache(maxsize=1)
def _places_of_metadata() -> list[Path]:
    folders = dict.fromkeys(Path(entry) for entry in sys.path if entry)
    kinds = ("*.dist-info", "*.egg-info")
    return [path for folder in folders for kind in kinds for path in sorted(folder.glob(kind))]


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""
