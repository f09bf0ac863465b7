"""Interfaces: what a signature says, how calls bind, what is handed back."""

from __future__ import annotations

import collections
import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_ray.core.interface import Interface, NativeInterface
from flyte_ray.errors import WrongCallError

EMPTY = inspect.Parameter.empty


class Scores(NamedTuple):
    precision: float
    recall: float


Untyped = collections.namedtuple("Untyped", ["a", "b"])


def plain(x: int, y: str = "a", *, z: list[int] | None = None) -> float:
    """Says what it does.

    At length.
    """
    return float(x)


def leading(a: int, /, b: int = 2, c: int = 3) -> int:
    return a * 100 + b * 10 + c


def defaulted(a: int = 1, b: int = 2, /) -> int:
    return a * 10 + b


class Callee:
    def __call__(self, x: int) -> str:
        return str(x)


PLAIN = Interface.from_callable(plain, name="env.plain")


def test_signature_is_read() -> None:
    assert PLAIN.inputs == {
        "x": (int, EMPTY),
        "y": (str, "a"),
        "z": (list[int] | None, None),
    }
    assert list(PLAIN.inputs) == ["x", "y", "z"]
    assert PLAIN.outputs == {"o0": float}
    assert PLAIN.output_names == ("o0",)
    assert PLAIN.has_outputs()
    assert PLAIN.doc == "Says what it does.\n\nAt length."
    assert PLAIN.name == "env.plain"
    assert PLAIN.get_input_types() == {"x": int, "y": str, "z": list[int] | None}
    assert PLAIN.required_inputs() == ["x"]
    assert PLAIN.num_required_inputs() == 1


def test_flytes_name_is_the_same_class() -> None:
    assert NativeInterface is Interface


def test_async_functions_return_what_they_are_annotated_with() -> None:
    async def body(x: int) -> tuple[int, str]:
        return x, ""

    assert Interface.from_callable(body).outputs == {"o0": int, "o1": str}


def test_named_tuple_names_the_outputs() -> None:
    def body() -> Scores:
        return Scores(0.1, 0.2)

    interface = Interface.from_callable(body)
    assert interface.outputs == {"precision": float, "recall": float}
    assert interface.is_named_tuple
    assert interface.pack({"recall": 0.2, "precision": 0.1}) == Scores(0.1, 0.2)
    assert type(interface.pack({"recall": 0.2, "precision": 0.1})) is Scores


def test_untyped_named_tuple_takes_any_value() -> None:
    def body() -> Untyped:
        return Untyped(1, 2)

    assert Interface.from_callable(body).outputs == {"a": Any, "b": Any}


def test_outputs_are_packed_as_the_body_returned_them() -> None:
    def nothing() -> None: ...
    def silent(x: int): ...  # type: ignore[no-untyped-def]
    def one() -> int: ...  # type: ignore[empty-body]
    def two() -> tuple[int, str]: ...  # type: ignore[empty-body]

    assert Interface.from_callable(nothing).pack({}) is None
    assert Interface.from_callable(silent).pack({}) is None
    assert Interface.from_callable(one).pack({"o0": 5}) == 5
    assert Interface.from_callable(two).pack({"o1": "b", "o0": 1}) == (1, "b")


def test_literal_tuple_annotation_is_two_outputs() -> None:
    def body():  # type: ignore[no-untyped-def]
        return 1, "a"

    body.__annotations__["return"] = (int, str)
    assert Interface.from_callable(body).outputs == {"o0": int, "o1": str}


def test_parameter_without_annotation_is_any_and_said(caplog: pytest.LogCaptureFixture) -> None:
    def body(x, y: int):  # type: ignore[no-untyped-def]
        return None

    with caplog.at_level(logging.WARNING):
        interface = Interface.from_callable(body, name="env.body")
    assert interface.inputs["x"] == (Any, EMPTY)
    (record,) = caplog.records
    assert "'x'" in record.getMessage()
    assert "'env.body'" in record.getMessage()


def test_default_none_makes_the_type_optional() -> None:
    def body(x: int = None, y: int | None = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013

    interface = Interface.from_callable(body)
    assert interface.get_input_types() == {"x": int | None, "y": int | None}
    assert interface.required_inputs() == []


def variadic(*args: int) -> None: ...
def keywords(**kwargs: int) -> None: ...


@pytest.mark.parametrize(("func", "says"), [(variadic, r"\*args"), (keywords, r"\*\*kwargs")])
def test_variadic_parameters_are_refused(func: Callable[..., Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Interface.from_callable(func)


def test_unresolvable_annotation_is_refused() -> None:
    def body(x: NoSuchType) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(NameError, match="NoSuchType"):
        Interface.from_callable(body)


def test_wrapped_partial_and_callable_objects_have_interfaces() -> None:
    @functools.wraps(plain)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return plain(*args, **kwargs)

    assert Interface.from_callable(wrapper).inputs == PLAIN.inputs
    assert Interface.from_callable(functools.partial(plain, y="b")).inputs["y"] == (str, "b")
    assert Interface.from_callable(Callee()).inputs == {"x": (int, EMPTY)}


@pytest.mark.parametrize(
    ("args", "kwargs", "bound"),
    [
        ((1,), {}, {"x": 1, "y": "a", "z": None}),
        ((1, "b"), {"z": [1]}, {"x": 1, "y": "b", "z": [1]}),
        ((), {"z": None, "x": 1}, {"x": 1, "y": "a", "z": None}),
    ],
)
def test_arguments_bind_in_signature_order_with_defaults(
    args: tuple[Any, ...], kwargs: dict[str, Any], bound: dict[str, Any]
) -> None:
    result = PLAIN.bind(*args, **kwargs)
    assert result == bound
    assert list(result) == ["x", "y", "z"]
    assert PLAIN.convert_to_kwargs(*args, **kwargs) == bound


@pytest.mark.parametrize(
    ("args", "kwargs", "parameter", "says"),
    [
        ((), {}, "x", "misses a value for 'x'"),
        ((1, "b", [1]), {}, "", "takes 2 positional arguments, but 3"),
        ((1,), {"w": 1}, "w", "no parameter 'w'"),
        ((1,), {"x": 2}, "x", "'x' twice"),
        ((1,), {"xx": 2}, "xx", "did you mean 'x'"),
    ],
)
def test_wrong_calls_are_type_errors_that_name_task_and_parameter(
    args: tuple[Any, ...], kwargs: dict[str, Any], parameter: str, says: str
) -> None:
    with pytest.raises(TypeError, match=says) as caught:
        PLAIN.bind(*args, **kwargs)
    assert isinstance(caught.value, WrongCallError)
    assert (caught.value.task, caught.value.parameter) == ("env.plain", parameter)
    assert "'env.plain'" in str(caught.value)


def test_parameters_may_have_the_names_that_methods_use() -> None:
    def body(self: int, args: int, kwargs: int) -> None: ...

    bound = Interface.from_callable(body).bind(self=1, args=2, kwargs=3)
    assert bound == {"self": 1, "args": 2, "kwargs": 3}


def test_positional_only_parameters_are_handed_over_by_position() -> None:
    interface = Interface.from_callable(leading)
    for bound in (interface.bind(1, 2), interface.bind(1, b=2), interface.bind(b=2, a=1)):
        assert interface.call(leading, bound) == 123
    assert interface.call(leading, {"c": 3, "b": 2, "a": 1}) == 123


def test_positional_only_defaults_are_filled_in() -> None:
    interface = Interface.from_callable(defaulted)
    assert interface.call(defaulted, interface.bind(b=5)) == 15


def test_signature_ignores_order_defaults_and_home() -> None:
    def one(a: int, b: Scores | None = None) -> Scores: ...  # type: ignore[empty-body]
    def other(b: Scores | None, a: int = 3) -> Scores: ...  # type: ignore[empty-body]

    first = Interface.from_callable(one).signature()
    assert first == Interface.from_callable(other).signature()
    assert first == [
        ["in", "a", "int"],
        ["in", "b", "None | Scores"],
        ["out", "precision", "float"],
        ["out", "recall", "float"],
    ]


def test_signature_changes_with_names_and_types() -> None:
    def one(a: int) -> int: ...  # type: ignore[empty-body]
    def renamed(b: int) -> int: ...  # type: ignore[empty-body]
    def retyped(a: float) -> int: ...  # type: ignore[empty-body]
    def returning(a: int) -> float: ...  # type: ignore[empty-body]

    rows = [
        Interface.from_callable(each).signature() for each in (one, renamed, retyped, returning)
    ]
    assert all(rows[0] != other for other in rows[1:])


def python_binds(args: tuple[int, ...], kwargs: dict[str, int]) -> dict[str, Any] | None:
    try:
        bound = inspect.signature(plain).bind(*args, **kwargs)
    except TypeError:
        return None
    bound.apply_defaults()
    return dict(bound.arguments)


@given(
    st.lists(st.integers(), max_size=4).map(tuple),
    st.dictionaries(st.sampled_from(["x", "y", "z", "w"]), st.integers(), max_size=4),
)
def test_binding_accepts_exactly_what_python_accepts(
    args: tuple[int, ...], kwargs: dict[str, int]
) -> None:
    expected = python_binds(args, kwargs)
    if expected is None:
        with pytest.raises(TypeError, match=r"env\.plain"):
            PLAIN.bind(*args, **kwargs)
    else:
        assert PLAIN.bind(*args, **kwargs) == expected
