"""Task <-> address: where a worker finds a task again, and how a task travels without one.

Three roads. A task of an importable module is named by module and full name. A task of the script
that runs as `__main__` is named by the script's file: another process executes that file once,
under the name `MAIN_ALIAS`, as multiprocessing's spawn does, and `__main__` then means that module,
so that pickles of `__main__.X` resolve. Everything else (notebooks, closures) travels by value.

Paths in addresses are absolute here; who knows the code's root makes them relative to it.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from flyte_ray.author import registry
from flyte_ray.core.address import TaskAddress
from flyte_ray.core.callee import Callee
from flyte_ray.errors import ModuleLoadError

MAIN = "__main__"
MAIN_ALIAS = "__flyte_ray_main__"
"""The name under which a worker executes the author's script; never equal to `__main__`."""

_scripts: dict[tuple[Path, str], ModuleType] = {}
_scripts_lock = threading.RLock()
"""Two attempts that begin at once must not execute the script twice."""
_by_value: ContextVar[bool] = ContextVar("flyte_ray_by_value", default=False)

# A worker's pickles name classes of the script by MAIN_ALIAS; here they are those of `__main__`.
sys.modules.setdefault(MAIN_ALIAS, sys.modules[MAIN])


# ---------------------------------------------------------------------------------- finding out


def address_of(task: Callee) -> TaskAddress:
    """The address of a task; without module and file it must travel by value.

    Only a task that its module holds under some name counts as importable: a worker that imports
    the module is then sure to make the same task.
    """
    for name in _candidate_modules(task.func):
        module = sys.modules.get(name)
        if module is None or not _holds(module, task):
            continue
        if name not in (MAIN, MAIN_ALIAS) and not _is_script(module):
            return TaskAddress(name=task.name, module=name)
        file = _script_file(module)
        if file is not None and _is_defined_in(task.func, file, module):
            spec = getattr(module, "__spec__", None)
            spelled = spec.name if spec is not None and spec.name != MAIN_ALIAS else MAIN
            return TaskAddress(name=task.name, module=spelled, file=str(file))
    return TaskAddress(name=task.name)


def is_importable(address: TaskAddress) -> bool:
    """True when any process with the same import path finds the task by module and name."""
    return address.module is not None and address.file is None


def _candidate_modules(func: Callable[..., Any]) -> list[str]:
    """Where a task may be held: the function's module, then those that made environments."""
    own = getattr(func, "__module__", None)
    others = [getattr(each, "module", None) for each in registry.environments()]
    return [name for name in dict.fromkeys([own, *others]) if isinstance(name, str)]


def _holds(module: ModuleType, task: Callee) -> bool:
    """True when importing the module makes this very task: as a global or in a class body."""
    found: Any = module
    for part in getattr(task.func, "__qualname__", "").split("."):
        found = getattr(found, part, None)
    if found is task:
        return True
    return any(value is task for value in list(vars(module).values()))


def _is_script(module: ModuleType) -> bool:
    """True for a module that is the process's `__main__` under its own name (`python -m`)."""
    return module is sys.modules.get(MAIN)


def _script_file(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if file and Path(file).is_file() else None


def _is_defined_in(func: Callable[..., Any], file: Path, module: ModuleType) -> bool:
    """False for code typed into a notebook or prompt whose `__main__` happens to have a file."""
    code = getattr(inspect.unwrap(func), "__code__", None)
    if code is None or getattr(func, "__module__", None) != module.__name__:
        return True
    return Path(code.co_filename).resolve() == file


# -------------------------------------------------------------------------------------- loading


def load(address: TaskAddress, *, blob: bytes | None = None) -> Callee:
    """The task an address names, imported (once) or unpickled.

    Args:
        address: with an absolute `file`, if it has one.
        blob: what `dump_by_value` made, for tasks that cannot be imported.

    Raises:
        ModuleLoadError: the module, the script or the task in it is not there.
    """
    if blob is not None:
        return load_by_value(blob)
    if address.module is None:
        raise ModuleLoadError(
            f"task {address.name!r} has no module and its pickled form was not handed in; "
            f"the store must hold {address.blob_key!r}"
        )
    if address.file is not None:
        module = load_script(Path(address.file), address.module)
    else:
        module = _import(address.module)
    task = _find(address.name, module)
    if task is None:
        raise ModuleLoadError(
            f"module {address.module!r} was loaded from {getattr(module, '__file__', None)!r} but "
            f"makes no task {address.name!r}; tasks known here: {registry.task_names()}. Define "
            f"the task at the top level of the module, not under `if __name__ == '__main__'`"
        )
    return task


def _find(name: str, module: ModuleType) -> Callee | None:
    own = {module.__name__, *({MAIN, MAIN_ALIAS} if _is_script(module) else ())}
    candidates: list[Callee] = list(registry.tasks_named(name))
    for task in candidates:
        if _holds(module, task):
            return task
    for task in candidates:
        if getattr(task.func, "__module__", None) in own:
            return task
    return None


def _import(name: str) -> ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    with _explained(f"module {name!r}"):
        return importlib.import_module(name)


def load_script(file: Path, name: str = MAIN) -> ModuleType:
    """The author's script as a module; executed once per process, path and content.

    Afterwards `__main__` is that module, as its pickles expect. `name` is the module's dotted name
    when it was started by `python -m`, else `"__main__"`.

    Raises:
        ModuleLoadError: the file is missing, or fails when it is executed.
    """
    with _scripts_lock:
        running = sys.modules[MAIN]
        if running not in _scripts.values() and _script_file(running) == file.resolve():
            return running  # the author's own process: the script has just been started here
        return _loaded_script(file, name)


def _loaded_script(file: Path, name: str) -> ModuleType:
    if not file.is_file():
        raise ModuleLoadError(
            f"the script {str(file)!r} is not on this machine; it must be part of the code bundle, "
            f"or lie on a file system that all machines share"
        )
    source = file.read_bytes()
    key = (file.resolve(), hashlib.sha256(source).hexdigest())
    module = _scripts.get(key)
    if module is None:
        module = _import(name) if name != MAIN else _execute(file, source)
        _scripts[key] = module
    sys.modules[MAIN] = sys.modules[MAIN_ALIAS] = module
    return module


def _execute(file: Path, source: bytes) -> ModuleType:
    spec = importlib.util.spec_from_file_location(MAIN_ALIAS, file)
    if spec is None:
        raise ModuleLoadError(f"the script {str(file)!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules[MAIN], sys.modules[MAIN_ALIAS]
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))  # as Python does for the script it starts
    sys.modules[MAIN] = sys.modules[MAIN_ALIAS] = module
    try:
        with _explained(f"script {str(file)!r}"):
            # Not by the loader: its bytecode cache takes two states of one second for one.
            exec(compile(source, str(file), "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        sys.modules[MAIN], sys.modules[MAIN_ALIAS] = before
        raise
    return module


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn whatever an import raises into a `ModuleLoadError` that names the remedy."""
    try:
        yield
    except ModuleLoadError:
        raise
    except ImportError as error:
        raise ModuleLoadError(
            f"{what} cannot be imported: {error}. sys.path is {sys.path}. Ship the file with the "
            f"code (`include=` of the environment, or start from the project's root), or install "
            f"the package in the environment's image"
        ) from error
    except (Exception, SystemExit) as error:
        raise ModuleLoadError(
            f"{what} raised {type(error).__name__} while it was imported: {error}. Workers import "
            f"it too: put what starts a run under `if __name__ == '__main__':`"
        ) from error


# ------------------------------------------------------------------------------------- by value


def dump_by_value(task: Callee) -> bytes:
    """A task as bytes that need no module of its own; tasks it refers to go along."""
    token = _by_value.set(True)
    try:
        data: bytes = cloudpickle.dumps(task)
        return data
    finally:
        _by_value.reset(token)


def is_dumping_by_value() -> bool:
    """True while `dump_by_value` is at work: tasks then hand out their function itself."""
    return _by_value.get()


def load_by_value(data: bytes) -> Callee:
    """The task that `dump_by_value` wrote.

    Raises:
        ModuleLoadError: something the pickle refers to is missing here.
    """
    with _explained("a task that travels by value"):
        task: Callee = cloudpickle.loads(data)
        return task
