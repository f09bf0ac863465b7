"""Code identity: what counts and what does not."""

from __future__ import annotations

import functools
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flyte_ray.core.cache import Cache, VersionParameters
from flyte_ray.core.fingerprint import (
    TAG,
    Code,
    cache_version,
    code_digest,
    code_of,
    task_identity,
)

ORIGINAL = """
def keep(value):
    return value

@keep
def f(x, y=1):
    total = x + y
    return f"{total!r} {[n for n in range(total)]}"
"""


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Makes the function `f` of a source text that lies in a file."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made: list[str] = []

    def make(source: str, name: str = "f") -> Any:
        module = f"fingerprint_{len(made)}"
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
        made.append(module)
        return getattr(__import__(module), name)

    yield make
    for module in made:
        sys.modules.pop(module, None)


def evaluated(source: str, name: str = "f") -> Any:
    """A function whose source nobody can read."""
    names: dict[str, Any] = {}
    exec(compile(textwrap.dedent(source), "<nowhere>", "exec"), names)
    return names[name]


@pytest.mark.parametrize(
    "same",
    [
        ORIGINAL.replace("    total = x + y", "    # a comment\n\n    total  =  (x + y)"),
        ORIGINAL.replace("def f(x, y=1):", 'def f(x, y=1):\n    """A docstring."""'),
        "\n\n\n" + ORIGINAL,
    ],
    ids=["comment and formatting", "docstring", "position"],
)
@pytest.mark.parametrize("readable", [True, False])
def test_what_does_not_count(same: str, readable: bool, compiled: Callable[[str], Any]) -> None:
    make = compiled if readable else evaluated
    assert code_digest(make(same)) == code_digest(make(ORIGINAL))


@pytest.mark.parametrize(
    "other",
    [
        ORIGINAL.replace("x + y", "x - y"),
        ORIGINAL.replace("y=1", "y=2"),
        ORIGINAL.replace("range(total)", "range(total + 1)"),
        ORIGINAL.replace("x", "z"),
    ],
    ids=["body", "default", "inner code", "parameter"],
)
@pytest.mark.parametrize("readable", [True, False])
def test_what_counts(other: str, readable: bool, compiled: Callable[[str], Any]) -> None:
    make = compiled if readable else evaluated
    assert code_digest(make(other)) != code_digest(make(ORIGINAL))


def test_decorators_count(compiled: Callable[[str], Any]) -> None:
    bare = ORIGINAL.replace("@keep\n", "")
    assert code_digest(compiled(bare)) != code_digest(compiled(ORIGINAL))


def test_docstrings_of_inner_functions_and_classes_do_not_count(
    compiled: Callable[[str], Any],
) -> None:
    source = """
        def f():
            class Inner:
                {0}
                x = 1
            def inner():
                {0}
                return 2
            return inner
        """
    plain = source.format("pass")
    documented = source.replace("{0}", '"""What it is."""\n                pass', 2)
    assert code_digest(compiled(documented)) == code_digest(compiled(plain))


def test_indentation_does_not_matter_and_texts_that_begin_further_left_are_read() -> None:
    def at_one_depth() -> str:
        return """
text"""

    first = code_digest(at_one_depth)
    if True:

        def at_one_depth() -> str:  # type: ignore[no-redef]
            return """
text"""

    assert code_digest(at_one_depth) == first


def test_tasks_of_one_factory_differ_by_what_they_close_over() -> None:
    def factory(n: int, *, options: Any = None) -> Callable[[int], int]:
        def made(x: int, scale: int = n) -> int:
            return x * scale + (n if options is None else 0)

        return made

    assert code_digest(factory(1)) == code_digest(factory(1))
    assert code_digest(factory(1)) != code_digest(factory(2))
    assert code_digest(factory(1, options=object())) == code_digest(factory(1, options=object()))


def test_a_wrapped_function_is_known_by_what_it_wraps() -> None:
    def wrapper(func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def inner(*args: Any) -> Any:
            return func(*args)

        return inner

    def one(x: int) -> int:
        return x

    def two(x: int) -> int:
        return x + 1

    assert code_digest(wrapper(one)) == code_digest(one)
    assert code_digest(wrapper(one)) != code_digest(wrapper(two))


def test_lambdas_on_one_line_differ() -> None:
    first, second = (lambda x: x + 1), (lambda x: x + 2)
    assert code_digest(first) != code_digest(second)


def test_a_function_that_refers_to_itself_before_it_is_bound() -> None:
    digests = []

    def decorate(func: Callable[..., Any]) -> Callable[..., Any]:
        digests.append(code_digest(func))
        return func

    def outer() -> Any:
        @decorate
        def inner(n: int) -> Any:
            return inner(n - 1)

        return inner

    outer()
    outer()
    assert digests[0] == digests[1]


def test_callables_without_code_are_known_by_name() -> None:
    assert code_digest(len) == code_digest(len)
    assert code_digest(len) != code_digest(abs)


def test_the_identity_covers_name_interface_code_and_tag() -> None:
    base = task_identity("env.f", "i", "c")
    others = {
        task_identity("env.g", "i", "c"),
        task_identity("env.f", "j", "c"),
        task_identity("env.f", "i", "d"),
        task_identity("env.f", "i", "c", said="v2"),
        task_identity("env.f", "i", "c", tag="next"),
    }
    assert len({base, *others}) == 6


def test_the_identity_is_the_same_in_every_release_and_python(
    compiled: Callable[[str], Any],
) -> None:
    # Changing this value re-runs everybody's recovered work: raise TAG instead.
    assert (
        task_identity("env.f", "i", "c", said="v~s", tag="3")
        == "a5b45f80338fd8d5b6ddc762636743b53b5387726ee93974b1d85ff96aec838c"
    )
    assert code_of(compiled(ORIGINAL)) == Code(
        digest="070df14730da02fadbdda4a5a44656665debb11d3ef0d3476aa00a920947407b",
        own="ec3a00c865b064c0ea8999a35f5387f5038c58a835b210b5f1146df5f9d74634",
    )
    assert TAG == "3"


# ------------------------------------------------------------------------------- cache versions


def test_no_cache_has_no_version() -> None:
    assert cache_version(Cache("disable"), len) == ""


def test_an_explicit_version_is_taken() -> None:
    assert cache_version(Cache("auto", version_override="v7"), len) == "v7"


def test_code_without_source_still_has_a_version() -> None:
    one, two = evaluated("def f(): return 1"), evaluated("def f(): return 2")
    assert cache_version(Cache("auto"), one) == cache_version(Cache("auto"), one)
    assert cache_version(Cache("auto"), one) != cache_version(Cache("auto"), two)
    assert cache_version(Cache("auto", salt="s"), one) != cache_version(Cache("auto"), one)
    assert cache_version(Cache("auto"), one, code="c") == cache_version(
        Cache("auto"), two, code="c"
    )


def test_policies_of_the_author_see_function_and_image_and_may_fail() -> None:
    class Policy:
        def get_version(self, salt: str, params: VersionParameters) -> str:
            if params.image is None:
                raise KeyError("image")
            return f"{params.func.__name__} {params.image}"

    cache = Cache("auto", policies=[Policy()])
    assert cache_version(cache, len, image="a") != cache_version(cache, len, image="b")
    with pytest.raises(ValueError, match="Policy"):
        cache_version(cache, len)
