"""Serves `import flyte` from this package, so that unmodified Flyte scripts run.

Opt-in: nothing happens before `install()`. From then on `flyte` and `flyte.x.y` ARE `flyte_ray` and
`flyte_ray.x.y`: the same module objects, so that classes compare equal under both names and pickles
name the real modules. A process has either this alias or the real Flyte, never both.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

ALIAS = "flyte"
REAL = "flyte_ray"


class _SameModule(Loader):
    """Hands out a module that exists already, and leaves it as it was."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._kept = {name: getattr(module, name, None) for name in ("__spec__", "__loader__")}

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        for name, value in self._kept.items():  # the import system has just renamed the module
            setattr(module, name, value)


class _AliasFinder(MetaPathFinder):
    """Finds `flyte…` under `flyte_ray…`.

    It stands before Python's own finders: the alias's `__path__` is that of the real package, where
    they would find every submodule a second time.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module of the same name below `flyte_ray`, or None when there is none."""
        if fullname != ALIAS and not fullname.startswith(f"{ALIAS}."):
            return None
        real_name = REAL + fullname[len(ALIAS) :]
        if importlib.util.find_spec(real_name) is None:
            return None
        module = importlib.import_module(real_name)
        return ModuleSpec(fullname, _SameModule(module), is_package=hasattr(module, "__path__"))


def installed() -> bool:
    """True once `import flyte` gives this package."""
    return any(isinstance(finder, _AliasFinder) for finder in sys.meta_path)


def install() -> None:
    """Serve `flyte` from this package; idempotent.

    Raises:
        ImportError: the real Flyte is in use in this process.
    """
    if installed():
        return
    flyte = sys.modules.get(ALIAS)
    if flyte is not None and flyte is not sys.modules.get(REAL):
        raise ImportError(
            f"the real package {ALIAS!r} is imported already, from "
            f"{getattr(flyte, '__file__', None)!r}; a process can use either it or its stand-in. "
            f"Start without the alias, or in a process that has not imported {ALIAS!r}",
            name=ALIAS,
        )
    sys.meta_path.insert(0, _AliasFinder())
