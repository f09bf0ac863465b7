"""Source is parsed even where Python 3.11 stumbles over its own threads."""

import ast

import pytest

from flyte_ray.core import syntax


def test_a_parse_that_another_thread_disturbed_is_done_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, calls = ast.parse, []

    def disturbed(source: str) -> ast.Module:
        calls.append(source)
        if len(calls) < 3:
            raise SystemError("AST constructor recursion depth mismatch (before=81, after=129)")
        return whole(source)

    monkeypatch.setattr(ast, "parse", disturbed)
    assert isinstance(syntax.parsed("x = 1").body[0], ast.Assign)
    assert len(calls) == 3


def test_what_is_no_python_stays_a_syntax_error() -> None:
    with pytest.raises(SyntaxError):
        syntax.parsed("def")
