"""Cache requests, versions, and what counts in a function's body."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from flyte_ray.core.cache import (
    Cache,
    CachePolicy,
    FunctionBodyPolicy,
    VersionParameters,
    normalise_cache,
)


class Named:
    def __init__(self, version: str) -> None:
        self.version = version

    def get_version(self, salt: str, params: VersionParameters) -> str:
        return self.version + salt


class Failing:
    def get_version(self, salt: str, params: VersionParameters) -> str:
        raise LookupError("no git here")


def body_version(func: Callable[..., Any], salt: str = "") -> str:
    return FunctionBodyPolicy().get_version(salt, VersionParameters(func=func))


@pytest.mark.parametrize(
    ("request_", "behavior"),
    [
        (True, "auto"),
        (False, "disable"),
        ("auto", "auto"),
        ("AUTO", "auto"),
        ("enable", "auto"),
        ("enabled", "auto"),
        ("on", "auto"),
        ("True", "auto"),
        ("yes", "auto"),
        ("override", "override"),
        ("disable", "disable"),
        ("off", "disable"),
        ("false", "disable"),
        ("No", "disable"),
        ("none", "disable"),
        (Cache("override", "v1"), "override"),
    ],
)
def test_short_forms_of_cache(request_: Any, behavior: str) -> None:
    cache = normalise_cache(request_)
    assert cache.behavior == behavior
    assert cache.is_enabled() == (behavior != "disable")


@pytest.mark.parametrize(
    ("request_", "error"),
    [("sometimes", ValueError), ("", ValueError), (1, TypeError), (None, TypeError)],
)
def test_other_forms_of_cache_are_refused(request_: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="cache must be"):
        normalise_cache(request_)


@pytest.mark.parametrize(
    ("max_age", "age"), [(None, None), (0, timedelta(0)), (60, timedelta(minutes=1))]
)
def test_max_age_becomes_a_timedelta(max_age: Any, age: timedelta | None) -> None:
    assert Cache("auto", max_age=max_age).max_age == age


@pytest.mark.parametrize(
    ("max_age", "error"), [(True, TypeError), (1.5, TypeError), (-1, ValueError)]
)
def test_wrong_max_age_is_refused(max_age: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="max_age"):
        Cache("auto", max_age=max_age)


def test_ignored_inputs_become_a_tuple() -> None:
    assert Cache("auto", ignored_inputs="a").get_ignored_inputs() == ("a",)
    assert Cache("auto", ignored_inputs=["a", "b"]).get_ignored_inputs() == ("a", "b")


def test_version_override_is_the_version_whatever_the_behavior() -> None:
    params = VersionParameters(func=body_version)
    assert Cache("auto", "v1").get_version(params) == "v1"
    assert Cache("override", "v1").get_version(params) == "v1"


def test_salt_changes_every_version() -> None:
    params = VersionParameters(func=body_version)
    for plain, salted in (
        (Cache("auto"), Cache("auto", salt="s")),
        (Cache("override", "v1"), Cache("override", "v1", salt="s")),
    ):
        assert plain.get_version(params) != salted.get_version(params)


def test_override_without_a_version_falls_back_to_the_policies() -> None:
    params = VersionParameters(func=body_version)
    assert Cache("override").get_version(params) == Cache("auto").get_version(params)


def test_disabled_cache_has_no_version() -> None:
    assert Cache("disable").get_version(VersionParameters(func=len)) == ""


def test_version_depends_on_every_policy() -> None:
    params = VersionParameters(func=len)
    one = Cache("auto", policies=[Named("a"), Named("b")]).get_version(params)
    other = Cache("auto", policies=[Named("a"), Named("c")]).get_version(params)
    assert one != other
    assert one == Cache("auto", policies=(Named("a"), Named("b"))).get_version(params)


def test_no_policy_and_no_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version_override"):
        Cache("auto", policies=[])
    assert Cache("auto", "v1", policies=[]).policies == ()


@pytest.mark.parametrize("policies", [Named, [object()], "body"])
def test_what_is_no_policy_is_refused(policies: Any) -> None:
    with pytest.raises(TypeError, match="get_version"):
        Cache("auto", policies=policies)


def test_failing_policy_is_named_with_the_function() -> None:
    with pytest.raises(ValueError, match=r"body_version.*Failing.*no git here"):
        Cache("auto", policies=Failing()).get_version(VersionParameters(func=body_version))


def test_any_object_with_the_method_is_a_policy() -> None:
    assert isinstance(Named("x"), CachePolicy)
    assert isinstance(FunctionBodyPolicy(), CachePolicy)


def reference(x: int) -> int:
    y = x + 1
    return y * 2


# fmt: off
def with_docstring_and_comments(x: int) -> int:
    """Doubles."""

    # A comment.
    y = (x
         + 1)

    return y*2
# fmt: on


def other_signature(x: float, scale: int = 3) -> float:
    y = x + 1
    return y * 2


@functools.lru_cache
def decorated(x: int) -> int:
    y = x + 1
    return y * 2


async def asynchronous(x: int) -> int:
    y = x + 1
    return y * 2


def other_body(x: int) -> int:
    y = x + 1
    return y * 3


def inner_documented() -> object:
    def inner() -> int:
        """Says nothing."""
        return 1

    return inner


def inner_bare() -> object:
    def inner() -> int:
        return 1

    return inner


@pytest.mark.parametrize(
    "same", [with_docstring_and_comments, other_signature, decorated, asynchronous]
)
def test_formatting_docstrings_decorators_and_signature_do_not_count(same: Any) -> None:
    assert body_version(same) == body_version(reference)


def test_statements_count() -> None:
    assert body_version(other_body) != body_version(reference)


def test_inner_docstrings_do_not_count() -> None:
    assert body_version(inner_documented) == body_version(inner_bare)


def test_salt_counts() -> None:
    assert body_version(reference, "a") != body_version(reference, "b")


def test_functions_inside_functions_and_single_lambdas_have_versions() -> None:
    def local(x: int) -> int:
        y = x + 1
        return y * 2

    double = lambda x: x * 2  # noqa: E731
    assert body_version(local) == body_version(reference)
    assert len(body_version(double)) == 64


@pytest.mark.parametrize("func", [len, eval("lambda: 1"), functools.partial(reference, 1)])
def test_function_without_source_is_refused_with_the_remedy(func: Any) -> None:
    with pytest.raises(ValueError, match="version_override"):
        Cache("auto", policies=FunctionBodyPolicy()).get_version(VersionParameters(func=func))


def test_two_lambdas_on_a_line_are_refused() -> None:
    pair = (lambda: 1), (lambda: 2)
    with pytest.raises(ValueError, match="def"):
        body_version(pair[0])


def test_cache_travels_and_can_be_replaced() -> None:
    cache = Cache("auto", serialize=True, ignored_inputs=("a",), salt="s", max_age=60)
    assert pickle.loads(pickle.dumps(cache)) == cache
    assert replace(cache, behavior="disable").salt == "s"
