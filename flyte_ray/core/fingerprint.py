"""Code identity: which code a task is, so that finished work is adopted only while it still holds.

    task identity = H(tag, task name, interface, code digest)
    code digest   = H(the function's own syntax tree, its plain defaults and closure values)

Comments, formatting, line numbers and docstrings do not count; decorators and defaults do. Where no
source can be read (exec, lambdas, functions that travelled by value) the compiled code stands in,
constants and inner functions included; it is stable within one version of Python only.

The tag enters every identity: raise it when the meaning of "code" changes. Functions that the body
calls are not included yet. Nothing is read here but what `inspect.getsource` reads.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from types import CodeType
from typing import Any

from flyte_ray.core.cache import Cache, FunctionBodyPolicy, VersionParameters
from flyte_ray.core.digest import Digest, digest_json
from flyte_ray.core.syntax import parsed

TAG = "1"
"""Own body and interface. A transitive identity gets the next number."""

_HAS_DOCSTRING = 0x4000000  # inspect.CO_HAS_DOCSTRING, Python 3.13 and later
_DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)
_SCALARS = (type(None), bool, int, float, complex, str, bytes, type(...))


def task_identity(name: str, interface: str, code: Digest, *, tag: str = TAG) -> Digest:
    """The identity of a task or a traced step.

    Args:
        name: the full name.
        interface: the interface's digest or any stable text of it.
        code: `code_digest` of the function.
        tag: version of what "code" means.
    """
    return digest_json([tag, name, interface, code])


def code_digest(func: Callable[..., Any]) -> Digest:
    """The digest of a function's own code, equal in every process that has the same source."""
    inner = inspect.unwrap(func)
    return digest_json([_tree_of(inner) or _compiled(inner), _plain_surroundings(inner)])


def cache_version(
    cache: Cache, func: Callable[..., Any], *, image: Any = None, code: Digest | None = None
) -> str:
    """The version that enters the cache key; empty where caching is off.

    Args:
        cache: the task's policy.
        func: the task's function.
        image: the environment's image, for policies that look at it.
        code: the function's `code_digest` where it is known; used if the source cannot be read.

    Raises:
        ValueError: a policy of the author's could not name a version.
    """
    try:
        return cache.get_version(VersionParameters(func=func, image=image))
    except ValueError:
        if not reads_body_only(cache):
            raise
        return digest_json(["code", cache.salt, code or code_digest(func)])


def reads_body_only(cache: Cache) -> bool:
    """True when no policy of the author's own has a say in the version."""
    return all(isinstance(policy, FunctionBodyPolicy) for policy in cache.policies)


# ------------------------------------------------------------------------------- syntax trees


def _tree_of(func: Callable[..., Any]) -> Any:
    """The function's syntax tree as plain values, or None where the source is not at hand."""
    name = getattr(func, "__name__", "<lambda>")
    if name == "<lambda>":
        return None  # the source is a line with who knows what else on it
    try:
        source = inspect.getsource(func)
        # Not `dedent`: a text literal that begins further left would break it.
        tree = parsed(f"if True:\n{source}" if source[:1].isspace() else source)
    except (OSError, TypeError, SyntaxError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return _plain(node) if node.name == name else None
    return None


def _plain(node: Any) -> Any:
    """A syntax tree as lists; what only some versions of Python write is left out."""
    if isinstance(node, ast.Constant):
        return ["Constant", type(node.value).__name__, repr(node.value)]
    if isinstance(node, ast.AST):
        return [type(node).__name__, *_plain_fields(node)]
    if isinstance(node, list):
        return [_plain(item) for item in node]
    return node if isinstance(node, str | int) else repr(node)


def _plain_fields(node: ast.AST) -> Iterator[list[Any]]:
    for field, value in ast.iter_fields(node):
        if field in ("ctx", "type_comment", "kind") or value is None or value == []:
            continue
        sign = field == "body" and _is_documented(node)
        yield [field, _plain(value[1:] if sign else value)]


def _is_documented(node: ast.AST) -> bool:
    return isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None


# ------------------------------------------------------------------------------ compiled code


def _compiled(func: Callable[..., Any]) -> Any:
    """The compiled code as plain values; a callable without any is known by its name."""
    code = getattr(func, "__code__", None)
    if code is None:
        kind = type(func)
        name = getattr(func, "__qualname__", kind.__qualname__)
        return ["object", getattr(func, "__module__", kind.__module__), name]
    return _plain_code(code)


def _plain_code(code: CodeType) -> list[Any]:
    constants = list(code.co_consts)
    if _begins_with_docstring(code):
        constants[0] = None
    return [
        code.co_code.hex(),
        [_plain_constant(constant) for constant in constants],
        [*code.co_names],
        [*code.co_varnames],
        [*code.co_freevars, "|", *code.co_cellvars],
        [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount],
        code.co_flags & ~_HAS_DOCSTRING,
    ]


def _begins_with_docstring(code: CodeType) -> bool:
    if not code.co_consts:
        return False
    if sys.version_info >= (3, 13):
        return bool(code.co_flags & _HAS_DOCSTRING)
    # Up to 3.12 a `def` keeps its docstring, or None, in the first place; `<lambda>` does not.
    return not code.co_name.startswith("<")


def _plain_constant(constant: Any) -> Any:
    if isinstance(constant, CodeType):
        return _plain_code(constant)
    if isinstance(constant, tuple):
        return ["tuple", *(_plain_constant(item) for item in constant)]
    if isinstance(constant, frozenset):
        return ["frozenset", *sorted(repr(_plain_constant(item)) for item in constant)]
    return [type(constant).__name__, repr(constant)]


# ------------------------------------------------------------------------ defaults and closures


def _plain_surroundings(func: Callable[..., Any]) -> list[Any]:
    """Defaults and closure values that are plain: two tasks from one factory must differ."""
    code = getattr(func, "__code__", None)
    if code is None:
        return []
    cells = getattr(func, "__closure__", None) or ()
    captured = {
        name: cell.cell_contents
        for name, cell in zip(code.co_freevars, cells, strict=False)
        if _is_filled(cell)
    }
    positional = dict(enumerate(getattr(func, "__defaults__", None) or ()))
    return [
        _plain_values(captured),
        _plain_values(positional),
        _plain_values(getattr(func, "__kwdefaults__", None) or {}),
    ]


def _plain_values(values: Mapping[Any, Any]) -> list[Any]:
    return [[str(key), _plain_constant(v)] for key, v in values.items() if _is_plain(v)]


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | frozenset):
        return all(_is_plain(item) for item in value)
    return type(value) in _SCALARS


def _is_filled(cell: Any) -> bool:
    """False for a cell whose variable is not assigned yet (a function that calls itself)."""
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True
