"""Which codec a type gets: registered ones first, adapters by name, pickles last."""

from __future__ import annotations

import importlib
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from flyte_ray.codec.builtin import new_registry
from flyte_ray.codec.codec import Encoded
from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.core.digest import digest_bytes
from flyte_ray.errors import TypeTransformerFailedError
from flyte_ray.io import File
from tests.unit.codec.values import CODECS, Color, MemoryValues, Opaque, Point, encode

ROOT = Path(__file__).resolve().parents[3]
BEGIN = f"import sys; sys.path.insert(0, {str(ROOT)!r})"


class OpaqueCodec:
    name = "opaque"

    def accepts(self, type_: Any) -> bool:
        return type_ is Opaque

    def encode(self, value: Any, type_: Any) -> Encoded:
        data = str(value.content).encode()
        return Encoded(digest=digest_bytes(data), type="Opaque", parts=(data,))

    def decode(self, data: bytes, type_: Any) -> Any:
        return Opaque(bytes(data).decode())


def test_a_registered_codec_takes_over_its_types_also_nested_and_unannotated() -> None:
    registry = new_registry()
    codecs = PayloadCodec(registry)
    store = MemoryValues()
    before = codecs.encode({"x": Opaque("a")}, {"x": Opaque}, store, "o").values["x"]
    registry.register(OpaqueCodec())
    for type_, value in ((Opaque, Opaque("a")), (Any, Opaque("a")), (list[Opaque], [Opaque("a")])):
        encoded = codecs.encode({"x": value}, {"x": type_}, store, "o").values["x"]
        assert encoded.stable
        assert codecs.decode_one(encoded, type_, store) == value
    assert before.codec == "pickle"
    assert codecs.decode_one(before, Opaque, store) == Opaque("a")


def test_an_adapter_is_imported_for_the_first_value_of_its_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd_library.py").write_text("class Thing:\n    size = 3\n")
    (tmp_path / "flyte_ray_odd_library.py").write_text(
        "from flyte_ray.codec.builtin import register\n"
        "from flyte_ray.codec.codec import Encoded\n"
        "from flyte_ray.core.digest import digest_bytes\n"
        "class ThingCodec:\n"
        "    name = 'odd-thing'\n"
        "    def accepts(self, type_):\n"
        "        return getattr(type_, '__name__', '') == 'Thing'\n"
        "    def encode(self, value, type_):\n"
        "        return Encoded(digest=digest_bytes(b'thing'), type='odd_library.Thing',"
        " parts=(b'thing',))\n"
        "    def decode(self, data, type_):\n"
        "        return __import__('odd_library').Thing()\n"
        "register(ThingCodec())\n"
    )
    script = (
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "import odd_library\n"
        "from tests.unit.codec.values import encode, round_trip\n"
        "assert 'flyte_ray_odd_library' not in sys.modules\n"
        "print(encode(odd_library.Thing()).codec, type(round_trip([odd_library.Thing()])[0]))\n"
    )
    assert run_script(script).startswith("odd-thing <class 'odd_library.Thing'>")


def test_an_unknown_codec_is_named() -> None:
    encoded = encode(b"x" * 5000, bytes)
    data = {**encoded.to_dict(), "codec": "martian"}
    with pytest.raises(TypeTransformerFailedError, match="no codec named 'martian'"):
        CODECS.decode_one(type(encoded).from_dict(data), bytes, MemoryValues())


def test_pickling_is_warned_of_once_per_class(caplog: pytest.LogCaptureFixture) -> None:
    class Unknown:
        pass

    with caplog.at_level(logging.WARNING):
        encode(Unknown())
        encode([Unknown(), Unknown()])
    told = [record for record in caplog.records if "Unknown" in record.getMessage()]
    assert len(told) == 1
    assert "HashFunction" in told[0].getMessage()


def test_functions_and_classes_are_stored_by_reference_without_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        assert encode(Point).stable
        assert encode(len).stable
    assert not caplog.records


@pytest.fixture
def lesson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """A module of some functions, written anew and imported anew."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path))

    def taught(factor: str) -> Any:
        (tmp_path / "lesson.py").write_text(LESSON.replace("FACTOR", factor))
        sys.modules.pop("lesson", None)
        importlib.invalidate_caches()
        return importlib.import_module("lesson")

    yield taught
    sys.modules.pop("lesson", None)


LESSON = """
import functools

def helper(x):
    return x * FACTOR

def plain(x):
    return helper(x)

def power(x, n):
    return helper(x) ** n

class Kind:
    def method(self, x):
        return helper(x)

square = functools.partial(power, n=2)
short = lambda x: helper(x)

def made(n):
    return lambda x: helper(x) + n
"""


@pytest.mark.parametrize("name", ["plain", "Kind", "square", "short", "made"])
def test_a_function_is_known_by_the_code_that_it_reaches(
    name: str, lesson: Callable[[str], Any], caplog: pytest.LogCaptureFixture
) -> None:
    def digest(factor: str) -> str:
        value = getattr(lesson(factor), name)
        encoded = encode(value(3) if name == "made" else value)
        assert encoded.stable
        return encoded.digest

    first = digest("2")
    assert digest("2  # a remark") == first
    assert digest("3") != first
    assert not caplog.records


def test_a_function_that_closes_over_an_object_is_known_by_its_bytes_too() -> None:
    def made(model: Any) -> Any:
        return lambda x: model.weight * x

    one, two = made(Point(1, 2)), made(Point(1, 3))
    assert encode(one).digest != encode(two).digest
    assert not encode(one).stable


def test_a_function_of_a_package_is_known_by_its_version() -> None:
    import click

    assert encode(click.echo).stable
    assert encode(click.echo).digest != encode(click.style).digest


def test_a_task_object_is_known_by_its_identity() -> None:
    class Task:
        interface = address = None

        def __init__(self, identity: str) -> None:
            self._identity = identity
            self.noise = object()

        @property
        def identity(self) -> str:
            return self._identity

        def __reduce__(self) -> Any:
            return str, ("task",)

    assert encode(Task("a")).digest == encode(Task("a")).digest
    assert encode(Task("a")).digest != encode(Task("b")).digest
    assert encode(Task("a")).stable


def test_no_library_is_imported_for_plain_values() -> None:
    script = (
        "from flyte_ray.codec.payload import PayloadCodec\n"
        "PayloadCodec().encode({'x': 1, 'y': [{'a': 2.0}]}, {'x': int}, None, 'o')\n"
        "print(*(m for m in ('pydantic', 'numpy', 'pandas', 'pyarrow', 'torch', 'ray')"
        " if m in sys.modules))\n"
    )
    assert run_script(script).split() == []


def run_script(script: str, *arguments: str) -> str:
    """What a script prints, run as `__main__` of a process of its own."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{script}",
            *arguments,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_dataclass_of_a_script_keeps_its_fields_when_it_travels_by_value(tmp_path: Path) -> None:
    file = str(tmp_path / "class.pickle")
    run_script(
        "import dataclasses, cloudpickle, flyte_ray.codec.pickled\n"
        "@dataclasses.dataclass\n"
        "class P:\n"
        "    x: int\n"
        "    y: list = dataclasses.field(default_factory=list)\n"
        "open(sys.argv[1], 'wb').write(cloudpickle.dumps(P))\n",
        file,
    )
    printed = run_script(
        "import dataclasses, pickle\n"
        "fields = dataclasses.fields(pickle.load(open(sys.argv[1], 'rb')))\n"
        "print([field.default is dataclasses.MISSING for field in fields])\n",
        file,
    )
    assert printed.strip() == "[True, True]"


@pytest.mark.parametrize(
    ("node", "type_", "value"),
    [
        ({"x": 1}, Point, Point(1)),
        ("RED", Color, Color.RED),
        ("2024-01-01", date, date(2024, 1, 1)),
        ([1, "a"], tuple[int, str], (1, "a")),
        ({"a": ["2024-01-01"]}, dict[str, list[date]], {"a": [date(2024, 1, 1)]}),
        ("a/b", Path, Path("a/b")),
        ("gs://b/f.csv", File, File(path="gs://b/f.csv")),
    ],
)
def test_plain_json_becomes_typed_values(node: Any, type_: Any, value: Any) -> None:
    assert CODECS.from_json(node, type_) == value


def test_plain_json_that_does_not_fit_is_refused() -> None:
    with pytest.raises(TypeTransformerFailedError, match="cannot be read as date"):
        CODECS.from_json("yesterday", date)
