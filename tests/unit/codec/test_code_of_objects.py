"""What an object's class does counts where no annotation leads to it: an edit is another input."""

from __future__ import annotations

import linecache
import pickle
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
from packaging.version import Version

from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.core.payload import Payload
from flyte_ray.io import File, HashFunction
from flyte_ray.types import FlytePickle
from tests.unit.codec.values import MemoryValues

PROJECT = {
    "plans.py": """
        from dataclasses import dataclass
        from pydantic import BaseModel
        class Plan:
            def score(self): return 0
        @dataclass
        class Record:
            size: int = 1
            def score(self): return 0
        class Model(BaseModel):
            size: int = 1
            def score(self): return 0
        @dataclass
        class Holder:
            plan: Plan | Record | Model
        """,
    "fast.py": """
        import enum
        from dataclasses import dataclass
        from typing import NamedTuple
        import flyte_ray
        import plans
        from helpers import scale
        class FastPlan(plans.Plan):
            def __init__(self): self.size = 1
            def score(self): return scale(2)
        @dataclass
        class FastRecord(plans.Record):
            def score(self): return scale(2)
        class FastModel(plans.Model):
            def score(self): return scale(2)
        class Speed(enum.Enum):
            HIGH = 2
            def score(self): return scale(2)
        class Pair(NamedTuple):
            size: int
            def score(self): return scale(2)
        class Group:
            def __init__(self, *members): self.members = list(members)
        def step(x): return scale(2)
        class Outer:
            class FastPlan(plans.Plan):
                def score(self): return scale(2)
        env = flyte_ray.TaskEnvironment(name="fast")
        @env.task
        def job(x: int) -> int: return scale(2)
        """,
    "helpers.py": "def scale(x): return x * 10\ndef other(): return 1\n",
}
TOPS = [name.removesuffix(".py") for name in PROJECT]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Writes and imports the project with an edit, as the next process would see it."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    count = 0

    def load(file: str = "fast.py", old: str = "", new: str = "") -> Any:
        nonlocal count
        count += 1
        root = tmp_path / str(count)
        root.mkdir()
        for name, text in PROJECT.items():
            assert name != file or old in text
            (root / name).write_text(
                textwrap.dedent(text.replace(old, new) if name == file else text)
            )
        for name in TOPS:
            sys.modules.pop(name, None)
        monkeypatch.syspath_prepend(str(root))
        return SimpleNamespace(**{name: __import__(name) for name in TOPS})

    yield load
    for name in TOPS:
        sys.modules.pop(name, None)


def encoded(value: Any, type_: Any = Any) -> Payload:
    return PayloadCodec().encode({"x": value}, {"x": type_}, MemoryValues(), "t")


VALUES: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "a pickled object": lambda p: (p.fast.FastPlan(), p.plans.Plan),
    "a dataclass": lambda p: (p.fast.FastRecord(), p.plans.Record),
    "a model": lambda p: (p.fast.FastModel(), p.plans.Model),
    "an enum": lambda p: (p.fast.Speed.HIGH, Any),
    "a named tuple": lambda p: (p.fast.Pair(1), Any),
    "an object without annotation": lambda p: (p.fast.FastPlan(), Any),
    "an element of a list": lambda p: ([p.fast.FastRecord()], list[p.plans.Record]),
    "a value of a dict": lambda p: ({"a": [p.fast.FastModel()]}, dict[str, Any]),
    "a key of a dict": lambda p: ({p.fast.Speed.HIGH: 1}, dict[Any, int]),
    "a part of a tuple": lambda p: ((1, p.fast.FastPlan()), Any),
    "a field of a dataclass": lambda p: (p.plans.Holder(p.fast.FastRecord()), p.plans.Holder),
    "a field that is pickled": lambda p: (p.plans.Holder(p.fast.FastPlan()), p.plans.Holder),
    "one of a union": lambda p: (p.fast.FastRecord(), p.plans.Record | int),
    "an attribute of a pickled object": lambda p: (p.fast.Group(p.fast.FastPlan()), p.fast.Group),
    "a class in a pickled object": lambda p: (p.fast.Group(p.fast.FastRecord), p.fast.Group),
    "a function in a pickled object": lambda p: (p.fast.Group(p.fast.step), p.fast.Group),
    "a task in a pickled object": lambda p: (p.fast.Group(p.fast.job), p.fast.Group),
    "an object that is always pickled": lambda p: (
        p.fast.FastRecord(),
        FlytePickle[p.plans.Record],
    ),
    "an object in an array": lambda p: (np.array([p.fast.FastPlan()], dtype=object), np.ndarray),
    "a class within a class": lambda p: (p.fast.Outer.FastPlan(), p.plans.Plan),
}


@pytest.mark.parametrize("make", VALUES.values(), ids=VALUES)
def test_an_edit_of_the_class_of_an_object_is_another_input(
    make: Callable[[Any], tuple[Any, Any]], project: Callable[..., Any]
) -> None:
    before = encoded(*make(project()))
    edits = [("fast.py", "scale(2)", "scale(3)"), ("helpers.py", "x * 10", "x * 11")]
    for edit in edits:
        after = encoded(*make(project(*edit)))
        assert after.digest != before.digest, edit
        assert after.values["x"].digest == before.values["x"].digest, "the content is the same"


@pytest.mark.parametrize("make", VALUES.values(), ids=VALUES)
def test_other_edits_are_not(
    make: Callable[[Any], tuple[Any, Any]], project: Callable[..., Any]
) -> None:
    before = encoded(*make(project()))
    for edit in [
        ("helpers.py", "return 1", "return 2"),
        ("fast.py", "import enum", "import enum  # !"),
    ]:
        assert encoded(*make(project(*edit))).digest == before.digest, edit


@pytest.mark.parametrize("make", VALUES.values(), ids=VALUES)
def test_what_was_read_back_counts_as_what_was_made(
    make: Callable[[Any], tuple[Any, Any]], project: Callable[..., Any]
) -> None:
    codec, store = PayloadCodec(), MemoryValues()
    value, type_ = make(project())
    made = codec.encode({"x": value}, {"x": type_}, store, "t")
    stored = Payload.from_json(made.to_json())
    assert stored.digest == made.digest
    back = codec.decode(stored, {"x": type_}, store)
    assert codec.encode(back, {"x": type_}, store, "t").digest == made.digest


def test_what_an_annotation_names_is_the_tasks_own_code(project: Callable[..., Any]) -> None:
    p = project()
    named = [
        (p.fast.FastPlan(), p.fast.FastPlan),
        (p.fast.FastRecord(), p.fast.FastRecord),
        (p.fast.FastModel(), p.fast.FastModel),
        (p.fast.Speed.HIGH, p.fast.Speed),
        (p.fast.Pair(1), p.fast.Pair),
        ([p.fast.FastRecord()], list[p.fast.FastRecord]),
        (p.fast.FastRecord(), p.fast.FastRecord | None),
        (p.fast.FastRecord(), FlytePickle[p.fast.FastRecord]),
        ({"size": 2}, p.fast.FastRecord),
    ]
    for value, type_ in named:
        assert encoded(value, type_).values["x"].code == (), type_


def test_code_of_others_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    others = [
        *(1, "a", [1.5], {"a": [1]}, {1, 2}, Path("a"), b"x", len, np.arange(3)),
        *(
            pd.DataFrame({"a": [1]}),
            Version("1.2"),
            [Version("1.2")],
            File(path=str(tmp_path / "a")),
        ),
    ]
    for value in others:
        assert encoded(value).values["x"].code == (), value


def test_a_hash_of_the_authors_stands_for_the_content_only(project: Callable[..., Any]) -> None:
    def digest(p: Any) -> str:
        by_size = HashFunction.from_fn(lambda plan: str(plan.size))
        return encoded(p.fast.FastPlan(), Annotated[p.plans.Plan, by_size]).digest

    assert digest(project()) == digest(project())
    assert digest(project()) != digest(project("fast.py", "scale(2)", "scale(3)"))


def test_the_record_names_the_code(project: Callable[..., Any]) -> None:
    p = project()
    [(name, _)] = encoded([p.fast.FastRecord(), p.fast.FastRecord()]).values["x"].code
    assert name == "fast.FastRecord"
    [(name, _)] = encoded(p.fast.Group(p.fast.job), p.fast.Group).values["x"].code
    assert name == "fast.job"


# ------------------------------------------------------------------------------------ live classes

CELL = """
class Base:
    def score(self): return 0
class Fast(Base):
    def score(self): return scale(2)
def scale(x): return x * RATE
RATE = 2
"""


def cell(text: str, names: dict[str, Any] | None = None) -> dict[str, Any]:
    """Executes a notebook's cell; gives the notebook's names."""
    names = {"__name__": "__main__"} if names is None else names
    file = f"<cell {hash(text)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(compile(text, file, "exec"), names)
    return names


def test_a_class_that_stands_in_no_module_is_known_by_its_name() -> None:
    def make() -> type:
        class Fast:
            pass

        return Fast

    by_value: dict[str, Any] = {"__name__": "sent_by_value"}
    exec(compile(CELL, "<no source>", "exec"), by_value)
    sent = pickle.loads(cloudpickle.dumps(by_value["Fast"]()))
    for value in (cell(CELL)["Fast"](), make()(), sent):
        assert code_of(value) == []


def test_typed_code_counts_where_the_main_module_is_an_installed_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a worker of Ray, to which a notebook's functions are sent by value."""
    worker = SimpleNamespace(__file__="/x/site-packages/ray/worker.py", __name__="__main__")
    monkeypatch.setitem(sys.modules, "__main__", worker)
    one, other = cell("def f(x): return x + 1")["f"], cell("def f(x): return x + 2")["f"]
    assert encoded(one).digest != encoded(other).digest


def code_of(value: Any) -> list[str]:
    return [digest for _, digest in encoded(value).values["x"].code]
