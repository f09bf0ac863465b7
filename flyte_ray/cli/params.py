"""A task's signature -> options of the command line, and back to inputs.

Each parameter becomes `--name` (and `--na-me` for `na_me`), typed by its annotation and described
by the docstring. What is not given is not handed on, so that the task's own default counts. A flag
stands for a bool; left out and without a default it means False.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click
import docstring_parser

from flyte_ray.cli.values import EMPTY, choices, metavar, read_value, without_none
from flyte_ray.core.annotation import accepts_none
from flyte_ray.core.interface import Interface

PREFIX = "input_"
"""Keeps the inputs apart from the options of the command itself."""
LONGEST_DEFAULT = 40


@dataclass(frozen=True, slots=True)
class Given:
    """A value that was typed; tells a typed `null` from an option that is missing."""

    value: Any


class InputType(click.ParamType[Given]):
    """Reads the text of one parameter."""

    def __init__(self, annotation: Any, default: Any) -> None:
        self.annotation = annotation
        self.default = default
        self.name = metavar(annotation)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """How help names the type."""
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value, or an error that click prints with the option's name."""
        if not isinstance(value, str):
            return value
        try:
            return Given(read_value(self.annotation, value, self.default))
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


def input_options(interface: Interface) -> list[click.Option]:
    """One option per parameter, in the order of the signature."""
    described = _descriptions(interface.doc)
    return [
        _option(name, annotation, default, described.get(name, ""))
        for name, (annotation, default) in interface.inputs.items()
    ]


def given_inputs(interface: Interface, params: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs that were given, by parameter name; what the task's default covers is left out."""
    given: dict[str, Any] = {}
    for name, (annotation, default) in interface.inputs.items():
        value = params.get(PREFIX + name)
        if value is not None:
            given[name] = value.value if isinstance(value, Given) else value
        elif default is EMPTY:
            given[name] = False if _is_flag(annotation) and not accepts_none(annotation) else None
    return given


def summary_of(doc: str | None) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join(description_of(doc).partition("\n\n")[0].split())


def description_of(doc: str | None) -> str:
    """A docstring without its sections, for the head of a help page."""
    return docstring_parser.parse(doc or "").description or ""


def _descriptions(doc: str | None) -> dict[str, str]:
    parsed = docstring_parser.parse(doc or "")
    return {each.arg_name: " ".join((each.description or "").split()) for each in parsed.params}


def _option(name: str, annotation: Any, default: Any, description: str) -> click.Option:
    dashed = name.replace("_", "-")
    spellings = [f"--{each}" for each in dict.fromkeys((name, dashed))]
    text = " ".join(part for part in (description, _default_text(annotation, default)) if part)
    if _is_flag(annotation):
        flags = [f"{each}/--no-{each[2:]}" for each in spellings]
        return click.Option([PREFIX + name, *flags], default=None, help=text)
    return click.Option(
        [PREFIX + name, *spellings],
        type=InputType(annotation, default),
        required=default is EMPTY and not accepts_none(annotation),
        help=text,
    )


def _is_flag(annotation: Any) -> bool:
    return without_none(annotation) is bool


def _default_text(annotation: Any, default: Any) -> str:
    if default is EMPTY:
        return "[default: no]" if without_none(annotation) is bool else ""
    if default is None:
        return ""
    if isinstance(default, bool):
        return f"[default: {'yes' if default else 'no'}]"
    shown = default.name if choices(annotation) and hasattr(default, "name") else repr(default)
    cut = shown if len(shown) <= LONGEST_DEFAULT else shown[: LONGEST_DEFAULT - 1] + "…"
    return f"[default: {cut}]"
