"""Which names of a module are our tasks: its source says so, and the module, where it is loaded.

Only a loaded module can tell `@app.task` of another library from ours; nothing is imported to ask.
"""

from __future__ import annotations

import sys
from types import ModuleType

from flyte_ray.core.components import is_task
from flyte_ray.core.module_source import ModuleSource


def is_task_of(source: ModuleSource, name: str) -> bool:
    """Whether a name of a module is one of our tasks."""
    if not source.task_decorators(name):
        return False
    module = sys.modules.get(source.origin.name)
    if module is None or getattr(module, "__file__", None) != source.origin.file:
        module = _loaded_from(source)
    return module is None or name not in vars(module) or is_task(vars(module)[name])


def _loaded_from(source: ModuleSource) -> ModuleType | None:
    """The script, under whichever name this process runs it."""
    for name in ("__main__", "__flyte_ray_main__"):
        module = sys.modules.get(name)
        if module is not None and getattr(module, "__file__", None) == source.origin.file:
            return module
    return None
