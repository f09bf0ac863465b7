"""Python source as a syntax tree, from any thread.

Up to Python 3.11.7 the depth of `ast.parse` is counted once for all threads (gh-106905): it fails
when another thread parses at the same time, and formatting a traceback parses too. Nothing is
wrong with the source then, so it is parsed again.
"""

from __future__ import annotations

import ast

TIMES = 20


def parsed(source: str) -> ast.Module:
    """The tree of some source.

    Raises:
        SyntaxError: it is no Python.
    """
    for _ in range(TIMES):
        try:
            return ast.parse(source)
        except SystemError:
            continue
    return ast.parse(source)
