"""`@env.task(…)` of this package's environments: what it says of a task are options, not code."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from flyte_ray.core.free_names import chain_of


def without_task_decorator(node: ast.AST, names: Mapping[str, Any]) -> ast.AST:
    """A definition without `@env.task(…)`: what it says are options, not code."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node
    kept = [each for each in node.decorator_list if not makes_task(each, names)]
    if len(kept) == len(node.decorator_list):
        return node
    fields = dict(ast.iter_fields(node)) | {"decorator_list": kept}
    return type(node)(**fields)


def makes_task(decorator: ast.expr, names: Mapping[str, Any]) -> bool:
    """True for `@env.task` and `@env.task(…)` of this package's environments."""
    chain = chain_of(decorator.func if isinstance(decorator, ast.Call) else decorator)
    if chain is None or chain[-1] != "task" or len(chain) < 2:
        return False
    environment = names.get(chain[0])
    return environment is None or _is_ours(type(environment)) or isinstance(environment, ModuleType)


def _is_ours(cls: type) -> bool:
    return any(each.__module__.startswith("flyte_ray.") for each in cls.__mro__)
