"""Look at one file: its size, its tokens, its syntax tree. One task, and one cache entry, per file.

A file that cannot be read, decoded or parsed is a finding (`status`), not a failure.
"""

import ast
import hashlib
import io
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import flyte_ray as flyte
from source_miner.discover import Source, locate
from source_miner.environment import env
from source_miner.fault import fail_if_asked

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.IfExp, ast.comprehension)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one file looks like. Counts are 0 where the file could not be parsed."""

    status: str = "ok"
    """ok, unreadable, undecodable or syntax_error."""
    detail: str = ""
    size_bytes: int = 0
    lines: int = 0
    blank_lines: int = 0
    longest_line: int = 0
    tokens: int = 0
    names: int = 0
    operators: int = 0
    numbers: int = 0
    strings: int = 0
    double_quoted: int = 0
    comments: int = 0
    header_comments: int = 0
    """Comment lines before anything else: licences, mostly."""
    functions: int = 0
    async_functions: int = 0
    classes: int = 0
    decorators: int = 0
    depth: int = 0
    """Levels of the syntax tree."""
    branches: int = 0
    calls: int = 0
    annotated_arguments: int = 0
    private_names: int = 0
    """Functions and classes whose name begins with an underscore."""
    imports: int = 0
    relative_imports: int = 0
    docstring_share: float = 0.0
    """Modules, classes and functions with a docstring, out of all of them: 0 to 1."""


@env.task(cache=flyte.Cache("auto", ignored_inputs=("item",)))
def analyse(source: Source, item: int) -> Figures:
    """Measure one file.

    Args:
        source: The file and the digest of its content, which is what the result is cached on.
        item: Its place in the list, for messages; ignored by the cache and by the action's id, so
            that a file added in front changes nothing for those behind it.
    """
    fail_if_asked(item)
    if not source.digest:
        return Figures(status="unreadable", detail="the file could not be opened")
    content = (locate(source.package) / source.path).read_bytes()
    if hashlib.sha256(content).hexdigest() != source.digest:
        raise ValueError(
            f"item {item}, {source.path} of {source.package}, has changed since it was listed; "
            "start a new run"
        )
    return measure(content)


def measure(content: bytes) -> Figures:
    """Compute the figures of a file's content; pure."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        text = content.decode(encoding)
    except (SyntaxError, UnicodeDecodeError) as error:
        return Figures(status="undecodable", detail=str(error)[:200], size_bytes=len(content))
    lines = text.splitlines()
    layout = {
        "size_bytes": len(content),
        "lines": len(lines),
        "blank_lines": sum(not line.strip() for line in lines),
        "longest_line": max(map(len, lines), default=0),
        "header_comments": sum(1 for _ in takewhile(lambda line: line.startswith("#"), lines)),
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # Their escapes are not our business.
            warnings.simplefilter("ignore", DeprecationWarning)
            tree = ast.parse(text)
        return Figures(**layout, **_token_figures(text), **_tree_figures(tree))
    # ValueError: a null byte. RecursionError, MemoryError: nested too deeply for the parser.
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError) as error:
        return Figures(status="syntax_error", detail=str(error)[:200], **layout)


def _token_figures(text: str) -> dict[str, int]:
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    found = Counter(token.type for token in tokens)
    strings = [token.string for token in tokens if token.type == tokenize.STRING]
    return {
        "tokens": len(tokens),
        "names": found[tokenize.NAME],
        "operators": found[tokenize.OP],
        "numbers": found[tokenize.NUMBER],
        "strings": len(strings),
        "double_quoted": sum(string.endswith('"') for string in strings),
        "comments": found[tokenize.COMMENT],
    }


def _tree_figures(tree: ast.Module) -> dict[str, float]:
    by_type: dict[type[ast.AST], list[Any]] = {}
    depth = 0
    for level in _levels(tree):
        depth += 1
        for node in level:
            by_type.setdefault(type(node), []).append(node)

    def all_of(*types: type[ast.AST]) -> list[Any]:
        return [node for each in types for node in by_type.get(each, ())]

    functions, classes = all_of(*FUNCTIONS), all_of(ast.ClassDef)
    documentable = [tree, *functions, *classes]
    documented = sum(ast.get_docstring(node, clean=False) is not None for node in documentable)
    return {
        "functions": len(functions),
        "async_functions": len(all_of(ast.AsyncFunctionDef)),
        "classes": len(classes),
        "decorators": sum(len(node.decorator_list) for node in functions + classes),
        "private_names": sum(node.name.startswith("_") for node in functions + classes),
        "depth": depth,
        "branches": len(all_of(*BRANCHES)),
        "calls": len(all_of(ast.Call)),
        "annotated_arguments": sum(node.annotation is not None for node in all_of(ast.arg)),
        "imports": len(all_of(ast.Import, ast.ImportFrom)),
        "relative_imports": sum(node.level > 0 for node in all_of(ast.ImportFrom)),
        "docstring_share": documented / len(documentable),
    }


def _levels(tree: ast.AST) -> Iterator[list[ast.AST]]:
    # Level by level and not by recursion: a deep file must not end the worker.
    level = [tree]
    while level:
        yield level
        level = [child for node in level for child in ast.iter_child_nodes(node)]
