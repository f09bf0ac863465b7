"""A file of the user as a module with tasks, loaded the way a worker will load it.

The file is imported under its dotted name, with the folder above its outermost package (or the
root that was given) at the front of the import path; so its siblings import as they do when Python
runs the file, and a task's address, module and name, means the same on a worker. The file is never
run as `__main__`: what stands under that guard is left alone.

Refused: a file whose name belongs to another module that is already imported. Whatever the file
raises is reported with the file and line where it happened.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from flyte_ray.author.environment import Environment
from flyte_ray.author.task import Task
from flyte_ray.errors import ModuleLoadError, UnsupportedValueError

AnyTask = Task[..., Any]

ALIAS = "flyte_ray._alias"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedFile:
    """What a file turned out to hold."""

    path: Path
    module: ModuleType
    tasks: Mapping[str, AnyTask]
    """By variable name, in the order of definition; the file's own before imported ones."""
    environments: Mapping[str, Environment]
    """By variable name."""

    @property
    def own_tasks(self) -> dict[str, AnyTask]:
        """Tasks whose function stands in this file."""
        name = self.module.__name__
        return {key: task for key, task in self.tasks.items() if _module_of(task) == name}

    def find(self, name: str) -> AnyTask | None:
        """The task of that variable name, function name or full name."""
        if name in self.tasks:
            return self.tasks[name]
        matches = [t for t in self.tasks.values() if name in (t.name, t.short_name)]
        return matches[0] if matches else None


def load_file(
    path: str | Path, *, root_dir: str | Path | None = None, flyte_alias: bool = False
) -> LoadedFile:
    """Import a file and list its tasks.

    Args:
        path: the Python file.
        root_dir: the code's root, which the file must lie below; None: found by the file's
            packages.
        flyte_alias: first let `import flyte` mean this package.

    Raises:
        UnsupportedValueError: no such file, no Python file, or outside of `root_dir`.
        ModuleLoadError: importing it failed; says where and why.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise UnsupportedValueError(f"There is no file {str(path)!r}.")
    if file.suffix != ".py":
        raise UnsupportedValueError(f"{str(path)!r} is no Python file (its name must end in .py).")
    if flyte_alias:
        install_alias()
    root = _root_of(file) if root_dir is None else _below(file, Path(root_dir).resolve())
    for folder in (file.parent, root):
        _put_first(folder, only_if_missing=folder != root)
    name = ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    module = _import(name, file)
    return LoadedFile(
        path=file,
        module=module,
        tasks=_tasks_of(module),
        environments={k: v for k, v in vars(module).items() if isinstance(v, Environment)},
    )


def install_alias() -> None:
    """Let `import flyte` mean this package, from now on in this process."""
    # Only files written for Flyte need it; most runs do without the finder.
    importlib.import_module(ALIAS).install()


def _root_of(file: Path) -> Path:
    folder = file.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _below(file: Path, root: Path) -> Path:
    if not file.is_relative_to(root):
        raise UnsupportedValueError(
            f"{str(file)!r} does not lie below --root-dir {str(root)!r}; name a folder above it."
        )
    return root


def _put_first(folder: Path, *, only_if_missing: bool) -> None:
    entry = str(folder)
    if entry in sys.path:
        if only_if_missing or sys.path[0] == entry:
            return
        sys.path.remove(entry)
    sys.path.insert(0, entry)


def _import(name: str, file: Path) -> ModuleType:
    known = sys.modules.get(name)
    if known is not None and not _is_from(known, file):
        raise ModuleLoadError(
            f"{file} would be imported as {name!r}, but that is {_origin(known)} here. "
            "Rename the file, or give --root-dir a folder further up."
        )
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(name)
    except SyntaxError as error:
        where = f"{error.filename or file}:{error.lineno or 0}"
        line = f"\n    {error.text.strip()}" if error.text else ""
        raise ModuleLoadError(f"{where}: {error.msg}{line}") from error
    except (Exception, SystemExit) as error:
        raise ModuleLoadError(_explained(file, error)) from error
    if not _is_from(module, file):
        raise ModuleLoadError(
            f"{file} is hidden by another module of that name, {_origin(module)}. "
            "Rename the file, or give --root-dir a folder further up."
        )
    return module


def _is_from(module: ModuleType, file: Path) -> bool:
    origin = getattr(module, "__file__", None)
    return origin is not None and Path(origin).resolve() == file


def _origin(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or f"the built-in {module.__name__!r}"


def _explained(file: Path, error: BaseException) -> str:
    """Where in the user's code it broke: the innermost line of the file itself."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).resolve() == file]
    where = f"{file}:{own[-1].lineno}" if own else str(file)
    text = f"{where}: {type(error).__name__}: {error}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        top = error.name.partition(".")[0]
        if top == "flyte":
            return f"{text}\nThe file is written for Flyte: try again with --flyte-alias."
        return f"{text}\nInstall {top!r}, or give --root-dir the folder that holds it."
    return text


def _tasks_of(module: ModuleType) -> dict[str, AnyTask]:
    found = {name: value for name, value in vars(module).items() if isinstance(value, Task)}
    distinct: dict[str, AnyTask] = {}
    for name, task in found.items():
        if not any(task is other for other in distinct.values()):
            distinct[name] = task
    own = [name for name, task in distinct.items() if _module_of(task) == module.__name__]
    return {name: distinct[name] for name in [*own, *(n for n in distinct if n not in own)]}


def _module_of(task: AnyTask) -> str:
    return getattr(task.func, "__module__", "")
