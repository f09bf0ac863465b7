"""Compiled code and plain values as something to hash: the stand-in where no source can be read.

Stable within one version of Python only. Docstrings do not count.
"""

from __future__ import annotations

import sys
from types import CodeType
from typing import Any

_HAS_DOCSTRING = 0x4000000  # inspect.CO_HAS_DOCSTRING, Python 3.13 and later
_SCALARS = (type(None), bool, int, float, complex, str, bytes, type(...))
_DEEPEST = 20


def plain_code(code: CodeType) -> list[Any]:
    """Instructions, constants, names and inner code."""
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


def names_in(code: CodeType) -> set[str]:
    """Names that the code, or code within it, looks up: globals and attributes alike."""
    inner = [each for each in code.co_consts if isinstance(each, CodeType)]
    return set(code.co_names).union(*(names_in(each) for each in inner))


def plain_value(value: Any, depth: int = 0) -> Any:
    """A value made of texts, numbers and containers of these as something to hash.

    Raises:
        ValueError: it holds something else.
    """
    if type(value) in _SCALARS:
        return [type(value).__name__, repr(value)]
    if depth > _DEEPEST:
        raise ValueError("nested too deep, or into itself")
    if type(value) in (tuple, list):
        return [type(value).__name__, *(plain_value(item, depth + 1) for item in value)]
    if type(value) in (set, frozenset):
        items = [plain_value(item, depth + 1) for item in value]
        return [type(value).__name__, *sorted(items, key=repr)]
    if type(value) is dict:
        pairs = [[plain_value(k, depth + 1), plain_value(v, depth + 1)] for k, v in value.items()]
        return ["dict", *pairs]
    raise ValueError(f"a {type(value).__qualname__} is no plain value")


def _begins_with_docstring(code: CodeType) -> bool:
    if not code.co_consts:
        return False
    if sys.version_info >= (3, 13):
        return bool(code.co_flags & _HAS_DOCSTRING)
    # Up to 3.12 a `def` keeps its docstring, or None, in the first place; `<lambda>` does not.
    return not code.co_name.startswith("<")


def _plain_constant(constant: Any) -> Any:
    if isinstance(constant, CodeType):
        return plain_code(constant)
    if isinstance(constant, tuple):
        return ["tuple", *(_plain_constant(item) for item in constant)]
    if isinstance(constant, frozenset):
        return ["frozenset", *sorted(repr(_plain_constant(item)) for item in constant)]
    return [type(constant).__name__, repr(constant)]
