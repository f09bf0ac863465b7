"""Text from the command line -> the value that a parameter's annotation asks for.

Simple types read the text itself; structured ones take JSON, or the path of a JSON or YAML file;
files, folders and tables are named by their path (`cli/paths`). What pydantic can check it checks
here, so that a wrong value is reported with its parameter; what it does not know goes on as plain
data, and the codecs judge it at the border of the task.

Every function raises `ValueError` with words for people; who asked adds the parameter's name.
"""

from __future__ import annotations

import importlib
import inspect
import json
import types
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, is_typeddict

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from flyte_ray.cli.moments import parse_day, parse_duration, parse_moment
from flyte_ray.cli.paths import is_named_by_path, read_path
from flyte_ray.core.annotation import accepts_none, describe_type, is_named_tuple

EMPTY = inspect.Parameter.empty
_UNIONS = (Union, types.UnionType)
_CONTAINERS = (list, dict, tuple, set, frozenset)
_NULLS = ("null", "none")
_TRUE = ("true", "t", "yes", "y", "on", "1")
_FALSE = ("false", "f", "no", "n", "off", "0")
_FILES = (".json", ".yaml", ".yml")


def read_value(annotation: Any, text: str, default: Any = EMPTY) -> Any:
    """The value that `text` stands for.

    Args:
        annotation: the parameter's type, resolved.
        text: as typed.
        default: the parameter's default; a dict is updated by the one given.

    Raises:
        ValueError: the text stands for no such value.
    """
    annotation = bare(annotation)
    if accepts_none(annotation) and annotation is not Any and text.strip().lower() in _NULLS:
        return None
    if get_origin(annotation) in _UNIONS:
        return _first_member(annotation, text)
    if get_origin(annotation) is Literal:
        return _choice({str(option): option for option in get_args(annotation)}, text)
    if isinstance(annotation, type) and annotation in _SIMPLE:
        return _SIMPLE[annotation](text)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _choice(dict(annotation.__members__), text)
    if is_named_by_path(annotation):
        return read_path(annotation, text)
    if is_structured(annotation):
        return _structured(annotation, text, default)
    if annotation in (Any, object, EMPTY):
        return _json_or_text(text)
    return _other(annotation, text)


def bare(annotation: Any) -> Any:
    """The annotation without the metadata of `Annotated`."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def without_none(annotation: Any) -> Any:
    """`T` for `T | None`; anything else as it is."""
    annotation = bare(annotation)
    if get_origin(annotation) in _UNIONS:
        members = [each for each in get_args(annotation) if each is not types.NoneType]
        if len(members) == 1:
            return bare(members[0])
    return annotation


def choices(annotation: Any) -> list[str] | None:
    """What may be typed, where that is a short list."""
    annotation = without_none(annotation)
    if get_origin(annotation) is Literal:
        return [str(option) for option in get_args(annotation)]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return list(annotation.__members__)
    return None


def metavar(annotation: Any) -> str:
    """How help names the kind of text that is expected, such as `INTEGER` or `JSON`."""
    annotation = without_none(annotation)
    options = choices(annotation)
    if options is not None:
        return f"[{'|'.join(options)}]"
    if is_named_by_path(annotation):
        return "PATH"
    if is_structured(annotation):
        return "JSON"
    return _METAVARS.get(annotation) or describe_type(annotation).rpartition(".")[2].upper()


def is_structured(annotation: Any) -> bool:
    """True for what is written as JSON: containers, dataclasses, models, typed dicts."""
    origin = get_origin(annotation) or annotation
    if origin in _CONTAINERS or is_typeddict(origin) or is_named_tuple(origin):
        return True
    return isinstance(origin, type) and (is_dataclass(origin) or issubclass(origin, BaseModel))


def load_plain(text: str) -> Any:
    """Plain data from JSON text, or from the JSON or YAML file of that name.

    Raises:
        ValueError: neither.
    """
    stripped = text.strip()
    if Path(stripped).suffix.lower() in _FILES and not stripped.startswith(("{", "[", '"')):
        return _load_file(Path(stripped).expanduser())
    try:
        return json.loads(stripped)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{text!r} is neither JSON ({error.msg} at character {error.pos + 1}) "
            "nor the path of a .json or .yaml file"
        ) from None


def _load_file(path: Path) -> Any:
    try:
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"the file {str(path)!r} cannot be read: {error.strerror}") from None
    if path.suffix.lower() == ".json":
        try:
            return json.loads(content)
        except json.JSONDecodeError as error:
            raise ValueError(f"the file {str(path)!r} is no valid JSON: {error}") from None
    yaml = importlib.import_module("yaml")
    try:
        return yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise ValueError(f"the file {str(path)!r} is no valid YAML: {error}") from None


def _structured(annotation: Any, text: str, default: Any) -> Any:
    data = load_plain(text)
    origin = get_origin(annotation) or annotation
    expects_list = issubclass(origin, list | set | frozenset | tuple) and not is_named_tuple(origin)
    if expects_list and not isinstance(data, list):
        raise ValueError(f"expected a JSON list, such as [1, 2], but {text!r} is none")
    if not expects_list and not is_named_tuple(origin) and not isinstance(data, dict):
        raise ValueError(f'expected a JSON object, such as {{"a": 1}}, but {text!r} is none')
    if origin is dict and isinstance(default, dict):
        data = {**default, **data}
    return _validated(annotation, data)


def _validated(annotation: Any, data: Any) -> Any:
    """The data as the annotated type; left plain where pydantic does not know a type in it."""
    try:
        return TypeAdapter(annotation).validate_python(data)
    except (PydanticSchemaGenerationError, PydanticUserError):
        return tuple(data) if (get_origin(annotation) or annotation) is tuple else data
    except ValidationError as error:
        if all(problem["type"] == "enum" for problem in error.errors()):
            # Members go by their name here, which pydantic does not know; the codecs do.
            return data
        raise ValueError(_problems(error)) from None


def _problems(error: ValidationError) -> str:
    shown = [
        f"{'.'.join(map(str, problem['loc'])) or 'value'}: {problem['msg']}"
        for problem in error.errors()[:3]
    ]
    more = error.error_count() - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _first_member(annotation: Any, text: str) -> Any:
    """The first member of a union that takes the text; str, which takes everything, comes last."""
    members = [bare(each) for each in get_args(annotation) if each is not types.NoneType]
    problems = []
    for member in sorted(members, key=lambda each: each is str):
        try:
            return read_value(member, text)
        except ValueError as error:
            problems.append(str(error))
    raise ValueError("; ".join(problems))


def _choice(options: Mapping[str, Any], text: str) -> Any:
    if text in options:
        return options[text]
    matches = [value for name, value in options.items() if name.lower() == text.lower()]
    if len(matches) == 1:
        return matches[0]
    raise ValueError(f"{text!r} is not one of {', '.join(options)}")


def _json_or_text(text: str) -> Any:
    try:
        return load_plain(text)
    except ValueError:
        return text


def _other(annotation: Any, text: str) -> Any:
    """Types of which nothing is known: what pydantic reads, or `module:object`."""
    module, colon, name = text.partition(":")
    if colon and module.replace(".", "").isidentifier() and name.replace(".", "").isidentifier():
        return _imported(module, name)
    try:
        return TypeAdapter(annotation).validate_python(text)
    except ValidationError as error:
        raise ValueError(_problems(error)) from None
    except (PydanticSchemaGenerationError, PydanticUserError):
        raise ValueError(
            f"a {describe_type(annotation)} cannot be typed; name one as 'module:object'"
        ) from None


def _imported(module: str, name: str) -> Any:
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"'{module}:{name}' cannot be imported: {error}") from None
    return found


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is no whole number") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number") from None


def _truth(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE + _FALSE:
        raise ValueError(f"{text!r} is neither true nor false")
    return word in _TRUE


def _null(text: str) -> None:
    if text.strip().lower() not in _NULLS:
        raise ValueError(f"{text!r} is not null")


_SIMPLE: Mapping[Any, Callable[[str], Any]] = {
    str: str,
    int: _integer,
    float: _number,
    bool: _truth,
    bytes: lambda text: text.encode(),
    Path: Path,
    datetime: lambda text: parse_moment(text, datetime.now(UTC)),
    date: lambda text: parse_day(text, datetime.now(UTC)),
    timedelta: parse_duration,
    types.NoneType: _null,
}

_METAVARS: Mapping[Any, str] = {
    str: "TEXT",
    int: "INTEGER",
    float: "FLOAT",
    bool: "BOOLEAN",
    bytes: "TEXT",
    Path: "PATH",
    datetime: "TIME",
    date: "DATE",
    timedelta: "DURATION",
    Any: "JSON",
}
