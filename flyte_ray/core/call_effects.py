"""What the calls in a module's top-level statements change, besides what they are called on.

`fill(TABLE, 3)` may change what it is given; `setup()` and the decorator `@register` change what
the function's body says it changes, if that stands in the same module. What a function of another
module changes of its own is not seen, nor what an argument is that is called within an expression.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from flyte_ray.core.free_names import imports_of, used_by

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_BODIES = ("body", "orelse", "finalbody", "handlers", "cases")
_FIXED = (ast.Constant, ast.UnaryOp, ast.JoinedStr)
"""Values that nobody can change in place."""


def called(node: ast.expr) -> ast.expr:
    """What a decorator names, whether it is called or not."""
    return node.func if isinstance(node, ast.Call) else node


def statements_below(node: ast.AST, *, into_definitions: bool = True) -> Iterator[ast.AST]:
    """All statements below a node; expressions, which are most of a tree, are passed over."""
    for field_name in _BODIES:
        for each in getattr(node, field_name, ()):
            yield each
            if into_definitions or not isinstance(each, (*_FUNCTIONS, ast.ClassDef)):
                yield from statements_below(each, into_definitions=into_definitions)


def root_of(target: ast.expr) -> str | None:
    """The name of the thing of which an attribute or an entry is meant; None for a bare name."""
    inner = target
    while isinstance(inner, ast.Attribute | ast.Subscript):
        inner = inner.value
    return inner.id if isinstance(inner, ast.Name) and inner is not target else None


def changed_by(node: ast.AST) -> Iterator[str]:
    """Names of things that a statement itself changes without binding them."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign | ast.Delete):
        targets = list(node.targets)
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        targets = [node.target]
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        targets = [node.value.func]
    elif isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
        # `@scale.register` adds to scale; `@env.task` makes a task of its own.
        calls = [called(each) for each in node.decorator_list]
        targets = [e for e in calls if not (isinstance(e, ast.Attribute) and e.attr == "task")]
    yield from filter(None, map(root_of, targets))


@dataclass(slots=True)
class CallEffects:
    """The calls of one module."""

    tree: ast.Module
    _functions: dict[str, ast.AST] | None = None
    _changed: dict[str, frozenset[str]] = field(default_factory=dict)
    _values: frozenset[str] | None = None
    _imported: frozenset[str] | None = None

    def of(self, node: ast.AST) -> Iterator[str]:
        """Names of what the calls of a top-level statement change."""
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            for each in node.decorator_list:
                yield from self._by_function(called(each))
            return
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield from self._by_argument(node.value)
        value = getattr(node, "value", None)
        if isinstance(value, ast.expr) and not isinstance(value, ast.Constant):
            for inner in ast.walk(value):
                if isinstance(inner, ast.Call):
                    yield from self._by_function(inner.func)

    def _by_argument(self, call: ast.Call) -> Iterator[str]:
        if isinstance(call.func, ast.Name) and call.func.id == "print":
            return
        given = [each.value if isinstance(each, ast.Starred) else each for each in call.args]
        given += [each.value for each in call.keywords]
        for each in given:
            name = each.id if isinstance(each, ast.Name) else root_of(each)
            if name is not None and name in self._may_change():
                yield name

    def _may_change(self) -> frozenset[str]:
        """Names of values; functions, classes and modules are handed around to be called."""
        if self._values is None:
            found: set[str] = set()
            for node in statements_below(self.tree, into_definitions=False):
                if isinstance(node, ast.Assign | ast.AnnAssign):
                    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                    if not isinstance(node.value, _FIXED):
                        found.update(each.id for each in targets if isinstance(each, ast.Name))
            self._values = frozenset(found)
        return self._values

    def _by_function(self, func: ast.expr) -> frozenset[str]:
        """What a function of this module changes outside of itself, and those that it calls."""
        if not isinstance(func, ast.Name):
            return frozenset()
        if self._functions is None:
            below = statements_below(self.tree, into_definitions=False)
            self._functions = {each.name: each for each in below if isinstance(each, _FUNCTIONS)}
        node = self._functions.get(func.id)
        if node is None:
            return frozenset()
        if func.id not in self._changed:
            self._changed[func.id] = frozenset()  # where it calls itself
            self._changed[func.id] = frozenset(self._of_body(node))
        return self._changed[func.id]

    def _of_body(self, node: ast.AST) -> Iterator[str]:
        outer = {each.chain[0] for each in used_by([node]).references}
        if self._imported is None:
            below = statements_below(self.tree)
            self._imported = frozenset(name for each in below for name in imports_of(each))
        for each in ast.walk(node):
            if isinstance(each, ast.Global):
                yield from each.names
            elif isinstance(each, ast.stmt) and each is not node:
                # `np.save(…)` and `@functools.wraps` change no module; `config.RATE = 2` does.
                is_call = isinstance(each, (ast.Expr, *_FUNCTIONS, ast.ClassDef))
                kept = outer - self._imported if is_call else outer
                yield from (name for name in changed_by(each) if name in kept)
            elif isinstance(each, ast.Call):
                yield from self._by_function(each.func)
