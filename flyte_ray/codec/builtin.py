"""What this floor knows without being told, in the order in which it is asked.

The one registry of a process is made here on first use; `register` is public through `extend`.
"""

from __future__ import annotations

import collections.abc as abc
import inspect
import types
import typing
from functools import cache
from typing import Any, Literal, NewType, TypeVar, Union, get_args, get_origin

from flyte_ray.codec import hashed
from flyte_ray.codec.choices import LiteralForm, choice_form
from flyte_ray.codec.classes import CallableForm, KindForm
from flyte_ray.codec.codec import Codec, Form, Forms
from flyte_ray.codec.containers import DictForm, FixedTupleForm, ListForm, SetForm, TupleForm
from flyte_ray.codec.pickled import PickleCodec
from flyte_ray.codec.records import record_form
from flyte_ray.codec.registry import Registry
from flyte_ray.codec.scalars import BytesCodec, scalar_form
from flyte_ray.codec.union import UnionForm

ROOMS = {
    "pydantic": "flyte_ray.codec.models",
    "numpy": "flyte_ray.codec.arrays",
    "pyarrow": "flyte_ray.codec.arrow",
    "pandas": "flyte_ray.codec.arrow",
    "polars": "flyte_ray.codec.arrow",
    "google": "flyte_ray.codec.messages",
}
"""Rooms that are loaded with the library they are for."""

CODEC_ROOMS = {
    "npy": "flyte_ray.codec.arrays",
    "npy-scalar": "flyte_ray.codec.arrays",
    "parquet": "flyte_ray.codec.arrow",
    "protobuf": "flyte_ray.codec.messages",
}
"""Where the codecs of these rooms are found by name."""

_ANYTHING = (Any, object, inspect.Parameter.empty, abc.Hashable)
_SETS: dict[Any, type] = {
    set: set,
    frozenset: frozenset,
    abc.Set: frozenset,
    abc.MutableSet: set,
}
_SEQUENCES = (abc.Sequence, abc.Iterable, abc.Collection, abc.MutableSequence)
_MAPPINGS = (dict, abc.Mapping, abc.MutableMapping)


def _any(type_: Any, forms: Forms) -> Form | None:
    if isinstance(type_, TypeVar) and type_.__bound__ is not None:
        return forms.form_of(type_.__bound__)
    # A name that could not be resolved says nothing; the check is then the function's own.
    unresolved = isinstance(type_, str | typing.ForwardRef | TypeVar)
    known = any(type_ is each for each in _ANYTHING)
    return forms.anything if unresolved or known else None


def _wrapper(type_: Any, forms: Forms) -> Form | None:
    """Annotations that only wrap another one."""
    if isinstance(type_, NewType):
        return forms.form_of(type_.__supertype__)
    if type(type_).__name__ == "TypeAliasType":
        return forms.form_of(type_.__value__)
    if get_origin(type_) in (typing.Final, typing.ClassVar):
        return forms.form_of(get_args(type_)[0])
    return None


def _union(type_: Any, forms: Forms) -> Form | None:
    if get_origin(type_) not in (Union, types.UnionType):
        return None
    return UnionForm([forms.form_of(each) for each in get_args(type_)], forms.anything)


def _scalar(type_: Any, forms: Forms) -> Form | None:
    if get_origin(type_) is Literal:
        return LiteralForm(get_args(type_))
    return scalar_form(type_) or choice_form(type_)


def _container(type_: Any, forms: Forms) -> Form | None:
    cls = get_origin(type_) or type_
    if not isinstance(cls, type):
        return None
    arguments = get_args(type_)
    if cls is tuple:
        return _tuple(arguments, forms)
    first = arguments[0] if arguments else Any
    if cls is list:
        return ListForm(forms.form_of(first))
    if cls in _SETS:
        return SetForm(_SETS[cls], forms.form_of(first))
    if cls in _MAPPINGS:
        return DictForm(forms.form_of(first), forms.form_of(arguments[1] if arguments else Any))
    if cls in _SEQUENCES:
        item = forms.form_of(first)
        return UnionForm([ListForm(item), TupleForm(item)], forms.anything)
    return None


def _tuple(arguments: tuple[Any, ...], forms: Forms) -> Form:
    if not arguments:
        return TupleForm(forms.anything)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return TupleForm(forms.form_of(arguments[0]))
    if arguments == ((),):
        return FixedTupleForm(())
    return FixedTupleForm(tuple(forms.form_of(each) for each in arguments))


def _literal_tuple(type_: Any, forms: Forms) -> Form | None:
    """The annotation `(int, str)`, which Flyte takes for `tuple[int, str]`."""
    return _tuple(type_, forms) if isinstance(type_, tuple) and type_ else None


def _callable(type_: Any, forms: Forms) -> Form | None:
    cls = get_origin(type_) or type_
    if cls is type:
        base = next(iter(get_args(type_)), object)
        return KindForm(forms.anything, base if isinstance(base, type) else object)
    known = cls in (abc.Callable, types.FunctionType) if isinstance(cls, type) else False
    return CallableForm(forms.anything) if known else None


def new_registry() -> Registry:
    """A registry that knows what this floor knows."""
    return Registry(
        [
            _any,
            _scalar,
            _union,
            _literal_tuple,
            _wrapper,
            hashed.form_of,
            _container,
            _callable,
            record_form,
        ],
        rooms=ROOMS,
        codecs=[BytesCodec(), PickleCodec()],
        codec_rooms=CODEC_ROOMS,
    )


@cache
def default_registry() -> Registry:
    """The registry of this process."""
    return new_registry()


def register(codec: Codec) -> None:
    """Store the types that a codec accepts by it, in this process.

    Libraries call it when they are imported: a package named `flyte_ray_<library>` is imported for
    the first value of that library.

    Example:
        >>> register(MyCodec())  # doctest: +SKIP
    """
    default_registry().register(codec)
