"""What a function can reach: every edit is seen, and nothing else is.

A sample project is written, edited in one place, and imported anew; its root function's digest
tells whether the edit was noticed.
"""

from __future__ import annotations

import linecache
import runpy
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import flyte_ray
from flyte_ray.core.fingerprint import differences
from flyte_ray.core.reach import Reach, reached

PROJECT = {
    "steps.py": '''
        """The root."""
        from __future__ import annotations

        import functools
        import json
        from dataclasses import dataclass

        import flyte_ray
        import attr
        import shop.prices as prices
        from shop import tax as taxes
        from shop.stock import *
        from shop.stock import Shelf, restock as fill

        env = flyte_ray.TaskEnvironment(name="mutations")

        LIMIT = 10
        TABLE = {"a": 1}
        TABLE["b"] = 2
        TABLE.update(c=3)
        if LIMIT > 5:
            MODE = "large"
        else:
            MODE = "small"
        PRICES = {}
        for kind in ("a", "b"):
            PRICES[kind] = len(kind) * 12
        LEVELS = []
        while len(LEVELS) < 3:
            LEVELS.append(21)
        match len(LEVELS):
            case 3:
                SIZE = "third"
            case _:
                SIZE = "other"
        def put(table, value):
            table.append(value)
        GIVEN = []
        put(GIVEN, 31)
        print(GIVEN, "at hand")
        MODELS = {}
        def register(func):
            MODELS[func.__name__] = func
            return func
        def known_as(name):
            def decorate(func):
                MODELS[name] = func
                return func
            return decorate
        @register
        def resnet(x):
            return x + 41
        @known_as("vit")
        def transformer(x):
            return x + 42
        COUNTER = 1
        def setup():
            global COUNTER
            COUNTER = 51
        def prepare():
            setup()
        prepare()
        if __name__ == "__main__":
            put(GIVEN, 61)

        def loud(times: int = 2):
            def decorate(func):
                @functools.wraps(func)
                def wrapped(*args):
                    return func(*args) * times
                return wrapped
            return decorate

        @loud(times=3)
        def shout(text, mark="!"):
            """Say it."""
            return text + mark

        def even(n):
            return n == 0 or odd(n - 1)

        def odd(n):
            return n != 0 and even(n - 1)

        def unused():
            return 1

        @functools.singledispatch
        def describe(value):
            return "thing"

        @describe.register
        def _(value: int):
            return "number"

        shelved = functools.partial(fill, size=4)
        ordered = sorted([3, 1], key=lambda n: n + 0)

        @dataclass
        class Order(taxes.Taxed):
            """An order."""
            lines: int
            discount: float = 0.1
            kinds = ("plain",)

            @property
            def total(self):
                return self._sum() * prices.RATE

            def _sum(self):
                return self.lines - self.discount

            @classmethod
            def empty(cls):
                return cls(0)

        VERSION = "1"

        @env.task(retries=1)
        def child(n: int) -> int:
            return grandchild(n) + 1 if n else child.forward(1)

        @env.task(cache=flyte_ray.Cache("override", VERSION, serialize=True))
        def grandchild(n: int) -> int:
            return prices.step(n) if n < 9 else ping(n)

        @env.task
        def ping(n: int) -> int:
            return pong(n - 1)

        @env.task
        def pong(n: int) -> int:
            return ping(n - 1) if n else child(n)

        @env.task(retries=2, cache="auto")
        def root(n: int = 1) -> str:
            from shop.later import late
            order = Order(n)
            if even(n) and LIMIT:
                return shout(MODE) + json.dumps(TABLE) + late()
            shelf = Shelf.of(n)
            tables = [PRICES, LEVELS, SIZE, GIVEN, MODELS["resnet"], COUNTER]
            names = [describe(each) for each in ordered]
            made = getattr(prices, "offer")(n)
            return f"{order.total} {shelf} {names} {made} {shelved()} {starred()} {child(n)}{attr}"
        ''',
    "shop/__init__.py": "",
    "shop/prices.py": """
        from . import currency
        RATE = currency.EURO * 2
        OTHER = 1
        def offer(n):
            return n * FACTOR
        FACTOR = 7
        def step(n):
            from shop.below import far as near, other
            return near(n)
        """,
    "shop/currency.py": "EURO = 1.5\nDOLLAR = 1.4\n",
    "shop/tax.py": """
        class Base:
            rate = 19
        class Taxed(Base):
            def tax(self):
                return self.rate + _extra()
        def _extra():
            return 5
        """,
    "shop/stock.py": """
        class Shelf:
            depth = 3
            @staticmethod
            def of(n):
                return Shelf.depth * n
        def restock(size):
            return size
        def starred():
            return 11
        """,
    "shop/place.py": """
        import flyte_ray
        from flyte_ray import Cache
        far_env = flyte_ray.TaskEnvironment("far", cache=Cache("auto", salt="s", max_age=1))
        """,
    "shop/below.py": """
        from . import place
        from .place import far_env as here
        @here.task
        def far(n: int) -> int:
            return n * DEEP
        @place.far_env.task
        def other(n: int) -> int:
            return n + 3
        DEEP = 4
        """,
    "shop/later.py": """
        def late():
            return deeper()
        def deeper():
            # a remark
            return "late"
        """,
}

SEEN = {
    "the body": ("steps.py", 'f"{order.total} ', 'f"{order.total}: '),
    "a default of the root": ("steps.py", "root(n: int = 1)", "root(n: int = 2)"),
    "a constant": ("steps.py", "LIMIT = 10", "LIMIT = 11"),
    "a table": ("steps.py", '{"a": 1}', '{"a": 5}'),
    "an entry added to a table": ("steps.py", 'TABLE["b"] = 2', 'TABLE["b"] = 4'),
    "an update of a table": ("steps.py", "update(c=3)", "update(c=4)"),
    "a loop that fills a table": ("steps.py", "len(kind) * 12", "len(kind) * 13"),
    "what the loop goes over": ("steps.py", '("a", "b")', '("a", "c")'),
    "a loop with a condition": ("steps.py", "LEVELS.append(21)", "LEVELS.append(22)"),
    "a case": ("steps.py", '"third"', '"3rd"'),
    "what is matched": ("steps.py", "match len(LEVELS)", "match 1 + len(LEVELS)"),
    "a call that fills what it is given": ("steps.py", "put(GIVEN, 31)", "put(GIVEN, 32)"),
    "what that call does": ("steps.py", "table.append(value)", "table.append(-value)"),
    "an entry of a registry": ("steps.py", "x + 41", "x - 41"),
    "an entry by a decorator with a name": ("steps.py", "x + 42", "x - 42"),
    "the registering decorator": ("steps.py", "[func.__name__]", '["x" + func.__name__]'),
    "a global that a function sets": ("steps.py", "COUNTER = 51", "COUNTER = 52"),
    "a conditional constant": ("steps.py", 'MODE = "small"', 'MODE = "tiny"'),
    "the condition of a constant": ("steps.py", "if LIMIT > 5", "if LIMIT > 6"),
    "a decorator": ("steps.py", "func(*args) * times", "func(*args) + times"),
    "a decorator's argument": ("steps.py", "@loud(times=3)", "@loud(times=4)"),
    "a decorator's default": ("steps.py", "times: int = 2", "times: int = 5"),
    "a helper": ("steps.py", "return text + mark", "return mark + text"),
    "a helper's default": ("steps.py", 'mark="!"', 'mark="?"'),
    "a helper's decorator, removed": ("steps.py", "@loud(times=3)\n        ", ""),
    "a mutually recursive helper": ("steps.py", "n != 0 and", "n > 0 and"),
    "a registered variant": ("steps.py", '"number"', '"digits"'),
    "an argument of a partial": ("steps.py", "size=4", "size=5"),
    "a lambda": ("steps.py", "n + 0", "n - 0"),
    "a field's default": ("steps.py", "discount: float = 0.1", "discount: float = 0.2"),
    "the order of fields": (
        "steps.py",
        'lines: int\n            discount: float = 0.1\n            kinds = ("plain",)',
        'kinds = ("plain",)\n            lines: int\n            discount: float = 0.1',
    ),
    "a class attribute": ("steps.py", '("plain",)', '("plain", "gift")'),
    "a property": ("steps.py", "self._sum() *", "self._sum() +"),
    "a method": ("steps.py", "self.lines - self.discount", "self.lines + self.discount"),
    "a class method": ("steps.py", "cls(0)", "cls(1)"),
    "a class's decorator": ("steps.py", "@dataclass\n", "@dataclass(frozen=True)\n"),
    "another function under an alias": ("steps.py", "restock as fill", "starred as fill"),
    "another module under an alias": ("steps.py", "import json\n", "import pickle as json\n"),
    "a constant in another module": ("shop/prices.py", "FACTOR = 7", "FACTOR = 8"),
    "an expression in another module": ("shop/prices.py", "EURO * 2", "EURO * 3"),
    "a constant two modules away": ("shop/currency.py", "EURO = 1.5", "EURO = 1.6"),
    "a function named in a text": ("shop/prices.py", "return n * FACTOR", "return n + FACTOR"),
    "an inherited attribute": ("shop/tax.py", "rate = 19", "rate = 7"),
    "a base class's method": ("shop/tax.py", "self.rate + _extra()", "self.rate"),
    "a helper of a base class": ("shop/tax.py", "return 5", "return 6"),
    "a class of another module": ("shop/stock.py", "depth = 3", "depth = 4"),
    "a static method": ("shop/stock.py", "Shelf.depth * n", "Shelf.depth + n"),
    "a function handed to a partial": ("shop/stock.py", "return size", "return -size"),
    "a function that came with a star": ("shop/stock.py", "return 11", "return 12"),
    "a function imported in the body": ("shop/later.py", "return deeper()", "return deeper() * 2"),
    "a helper of that": ("shop/later.py", '"late"', '"later"'),
}

UNSEEN = {
    "nothing": ("steps.py", "LIMIT", "LIMIT"),
    "a comment": ("steps.py", "LIMIT = 10", "# how many\n        LIMIT = 10  # ten"),
    "formatting": ("steps.py", "LIMIT = 10", "LIMIT = (\n            10\n        )"),
    "quotes and spaces": ("steps.py", '{"a": 1}', "{ 'a' : 1 }"),
    "a helper's docstring": ("steps.py", '"""Say it."""', '"""Say it, loudly."""'),
    "a removed docstring": ("steps.py", '            """Say it."""\n', ""),
    "a class's docstring": ("steps.py", '"""An order."""', '"""Some order."""'),
    "a module's docstring": ("steps.py", '"""The root."""', '"""The trunk."""'),
    "a remark on a field": (
        "steps.py",
        "lines: int\n",
        'lines: int\n            """How many."""\n',
    ),
    "options of the task": ("steps.py", 'retries=2, cache="auto"', "retries=5"),
    "options of another task": ("steps.py", "@env.task(retries=1)", "@env.task(timeout=9)"),
    "a call that starts the script": ("steps.py", "put(GIVEN, 61)", "put(GIVEN, 62)"),
    "what is printed on import": ("steps.py", '"at hand"', '"there"'),
    "an unused function": ("steps.py", "return 1\n", "return 2\n"),
    "an unused constant": ("shop/prices.py", "OTHER = 1", "OTHER = 2"),
    "an unused constant, deeper": ("shop/currency.py", "DOLLAR = 1.4", "DOLLAR = 1.3"),
    "a comment far away": ("shop/later.py", "# a remark", "# another"),
    "the order of functions": (
        "shop/later.py",
        "        def late():\n            return deeper()\n",
        "",
        "\n        def late():\n            return deeper()\n",
    ),
    "the order of constants": ("shop/prices.py", "FACTOR = 7", "", "\n        FACTOR = 7\n"),
    "the order of methods": (
        "steps.py",
        "            @classmethod\n            def empty(cls):\n                return cls(0)\n",
        "",
    ),
    "blank lines": ("shop/tax.py", "def _extra", "\n\n\n        def _extra"),
}


BELOW = {
    "a task's body": ("steps.py", "grandchild(n) + 1", "grandchild(n) + 2"),
    "a task's decorator": ("steps.py", "@env.task(retries=1)", "@env.task\n        @loud()"),
    "a task below that": ("steps.py", "n < 9", "n < 8"),
    "one of two tasks that call one another": ("steps.py", "pong(n - 1)", "pong(n - 2)"),
    "the other": ("steps.py", "ping(n - 1) if", "ping(n - 2) if"),
    "a helper of a task below": ("shop/prices.py", "return near(n)", "return near(n) + 1"),
    "a task that is imported late": ("shop/below.py", "n * DEEP", "n + DEEP"),
    "a constant of that": ("shop/below.py", "DEEP = 4", "DEEP = 5"),
    "another task under an alias": ("shop/prices.py", "far as near, other", "other as near, far"),
    "a version said by hand": ("steps.py", 'VERSION = "1"', 'VERSION = "2"'),
    "where that is said": ("steps.py", '"override", VERSION', '"override", "3"'),
    "a version said by an environment": ("shop/place.py", 'salt="s"', 'salt="t"'),
}

UNSEEN_BELOW = {
    "an option of the results of a task": ("steps.py", "serialize=True", "serialize=False"),
    "an option of an environment": ("shop/place.py", "max_age=1", "max_age=2"),
    "a comment": ("shop/below.py", "DEEP = 4", "DEEP = 4  # levels"),
    "a task that is not called": ("shop/below.py", "return n + 3", "return n + 5"),
    "the order of tasks": ("shop/below.py", "        DEEP = 4\n", "", "\n        DEEP = 4\n"),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Reach]]:
    """Writes and imports the project, edited; gives what its root reaches."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    tops = {"steps", "shop", "this"}
    count = 0

    def forget() -> None:
        for name in [each for each in sys.modules if each.partition(".")[0] in tops]:
            del sys.modules[name]

    def make(edits: dict[str, str] | None = None) -> Reach:
        nonlocal count
        root = tmp_path / str(count)
        count += 1
        for name, text in {**PROJECT, **(edits or {})}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(textwrap.dedent(text))
        forget()
        monkeypatch.syspath_prepend(str(root))
        return reached(__import__("steps").root.func)

    yield make
    forget()


def edited(file: str, old: str, new: str, at_the_end: str = "") -> dict[str, str]:
    text = PROJECT[file]
    assert old in text, f"{old!r} does not stand in {file}"
    return {file: text.replace(old, new, 1) + at_the_end}


def test_every_edit_of_what_is_reached_is_seen(project: Callable[..., Reach]) -> None:
    before = project()
    missed = [
        name
        for name, (file, old, new) in SEEN.items()
        if project(edited(file, old, new)).digest == before.digest
    ]
    assert missed == []


def test_nothing_else_is_taken_for_an_edit(project: Callable[..., Reach]) -> None:
    before = project()
    alarms = []
    for name, edit in UNSEEN.items():
        if name == "the order of methods":
            moved = PROJECT["steps.py"].replace(edit[1], "", 1)
            place = "            @property\n            def total"
            text = {"steps.py": moved.replace(place, f"{edit[1]}\n{place}", 1)}
        else:
            text = edited(*edit)
        if project(text).digest != before.digest:
            alarms.append(name)
    assert alarms == []


def test_edits_of_tasks_below_are_seen_but_are_no_edits_of_the_task_itself(
    project: Callable[..., Reach],
) -> None:
    before = project()
    missed, renamed = [], []
    for name, edit in BELOW.items():
        after = project(edited(*edit))
        missed += [name] if after.digest == before.digest else []
        renamed += [name] if after.own != before.own else []
    assert missed == []
    assert renamed == []


def test_nothing_else_below_is_taken_for_an_edit(project: Callable[..., Reach]) -> None:
    before = project()
    alarms = [
        name
        for name, edit in UNSEEN_BELOW.items()
        if project(edited(*edit)).digest != before.digest
    ]
    assert alarms == []


def test_it_does_not_matter_whether_the_modules_of_tasks_are_loaded(
    project: Callable[..., Reach],
) -> None:
    before = project()
    __import__("shop.below")
    loaded = {**PROJECT, "steps.py": PROJECT["steps.py"].replace("import json", "import json, re")}
    loaded["steps.py"] = loaded["steps.py"].replace("LIMIT = 10", "import shop.below; LIMIT = 10")
    assert project(loaded).digest == before.digest


def test_tasks_that_are_held_alive_only_count_with_their_code_and_version() -> None:
    def workflow(offset: int, version: str = "1") -> Reach:
        @env.task(cache=flyte_ray.Cache("override", version_override=version))
        def leaf(n: int) -> int:
            return n + offset

        @env.task
        def root(n: int) -> int:
            return leaf(n) if n else root(n)

        return reached(root.func)

    env = flyte_ray.TaskEnvironment(name="held")
    first = workflow(1)
    assert workflow(1) == first
    assert workflow(2).digest != first.digest
    assert workflow(2).own == first.own
    assert workflow(1, "2").digest != first.digest
    assert any(name.endswith("leaf") for name in first.tasks)


def test_a_step_that_runs_a_task_in_place_is_the_tasks_code_too(
    project: Callable[..., Reach],
) -> None:
    text = PROJECT["steps.py"] + "\n        @flyte_ray.trace\n        def step(n: int):\n"
    text += "            return child.forward(n)\n"
    project({"steps.py": text})
    before = reached(__import__("steps").step)
    project({"steps.py": text.replace("grandchild(n) + 1", "grandchild(n) + 2")})
    assert reached(__import__("steps").step).digest != before.digest


def test_another_library_has_tasks_of_its_own(project: Callable[..., Reach]) -> None:
    text = """
        class Queue:
            def task(self, weight):
                return lambda func: func
        queue = Queue()
        @queue.task(weight=1)
        def job(n):
            return n
        def f(n):
            return job(n)
        class root:
            func = f
        """
    before = project({"steps.py": text})
    assert before.tasks == ()
    assert project({"steps.py": text.replace("weight=1", "weight=2")}).digest != before.digest


RESOLVED = {
    "a star after a package's": {
        "steps.py": "from attr import *\nfrom shop.a import *\ndef f(x): return scale(x)",
        "shop/a.py": "def scale(x): return x * N",
    },
    "a star after one whose module has stars": {
        "steps.py": "from shop.a import *\nfrom shop.b import *\ndef f(x): return scale(x)",
        "shop/a.py": "from math import *",
        "shop/b.py": "def scale(x): return x * N",
    },
    "the last of two stars that have the name": {
        "steps.py": "from shop.a import *\nfrom shop.b import *\ndef f(x): return scale(x)",
        "shop/a.py": "def scale(x): return 7",
        "shop/b.py": "def scale(x): return x * N",
    },
    "a star of a star": {
        "steps.py": "from shop.a import *\nfrom shop.c import *\ndef f(x): return scale(x)",
        "shop/a.py": "from shop.b import *",
        "shop/b.py": "from shop.a import *\ndef scale(x): return x * N",
        "shop/c.py": "def other(x): return 7",
    },
    "a module named like one of Python's": {
        "steps.py": "import this\ndef f(x): return this.scale(x)",
        "this.py": "def scale(x): return x * N",
    },
    "one that is imported by the function": {
        "steps.py": "def f(x):\n    import this\n    return this.scale(x)",
        "this.py": "def scale(x): return x * N",
    },
    "an attribute named like what it is made of": {
        "steps.py": "RATE = N\nclass A:\n    RATE = RATE\ndef f(x): return A.RATE",
    },
    "an annotated one": {
        "steps.py": "RATE = N\nclass A:\n    RATE: int = RATE\ndef f(x): return A.RATE",
    },
    "a property with a setter": {
        "steps.py": (
            "class A:\n    @property\n    def total(self): return N\n"
            "    @total.setter\n    def total(self, value): pass\ndef f(x): return A().total"
        ),
    },
    "a default and an annotation that are the class's own": {
        "steps.py": (
            "class A:\n    RATE = N\n    class B: pass\n"
            "    def g(self, x: B = RATE): return x\ndef f(x): return A().g()"
        ),
    },
    "a default from outside, of a name that the class assigns later": {
        "steps.py": (
            "RATE = N\nclass A:\n    def g(self, x=RATE): return x\n"
            "    RATE = 1\ndef f(x): return A().g()"
        ),
    },
    "an annotation in quotes": {
        "steps.py": 'class A:\n    def g(self): return N\ndef f(x: "A"): return x.g()',
    },
    "a part of an annotation in quotes": {
        "steps.py": (
            "from shop import a\nclass B:\n    x: 'dict[str, a.A]'\n"
            "def f(x: list['B'] | int): return x[0].g()"
        ),
        "shop/a.py": "class A:\n    def g(self): return N",
    },
    "no annotation, but a text in one": {
        "steps.py": (
            "from typing import Annotated, Literal\n"
            "def f(x: Annotated[Literal['fast', 'slow'], 'a remark']) -> 'int': return N"
        ),
    },
    "a variable named like what it goes over": {
        "steps.py": "RATE = [N]\ndef f(x): return [RATE for RATE in RATE]",
    },
}


@pytest.mark.parametrize("files", RESOLVED.values(), ids=RESOLVED)
def test_names_lead_to_what_python_takes_them_for(
    files: dict[str, str], project: Callable[..., Reach]
) -> None:
    def reach(value: int) -> Reach:
        made = {name: text.replace("N", str(value)) for name, text in files.items()}
        made["steps.py"] += "\nclass root:\n    func = f\n"
        return project(made)

    assert reach(2).digest != reach(3).digest
    assert reach(2).digest == reach(2).digest
    assert reach(2).opaque == ()


def test_stars_in_circles_end(project: Callable[..., Reach]) -> None:
    text = "from shop.a import *\ndef f(x): return len(unknown)\nclass root:\n    func = f\n"
    circle = {"shop/a.py": "from shop.b import *\n", "shop/b.py": "from shop.a import *\n"}
    (opaque,) = project({"steps.py": text, **circle}).opaque
    assert "'unknown' is not defined" in opaque


def test_a_clone_says_what_its_environment_says(project: Callable[..., Reach]) -> None:
    text = """
        import flyte_ray
        from flyte_ray import Cache
        plain = flyte_ray.TaskEnvironment("plain")
        first = flyte_ray.TaskEnvironment("first", cache=Cache("override", "v1"))
        second = first.clone_with("second")
        third = second.clone_with("third", description="no cache= either")
        second = second.clone_with("again")
        @third.task
        def child(n: int) -> int:
            return n
        @plain.task
        def root(n: int) -> int:
            return child(n)
        """
    before = project({"steps.py": text})
    after = project({"steps.py": text.replace('"v1"', '"v2"')})
    assert before.digest != after.digest
    assert before.own == after.own


def test_an_edit_is_named(project: Callable[..., Reach]) -> None:
    before = project()
    after = project(edited("shop/tax.py", "return 5", "return 6"))
    (difference,) = differences(before, after)
    assert (difference.kind, difference.name) == ("code", "shop.tax._extra")
    assert str(difference) == "shop.tax._extra changed"


def test_the_record_names_packages_tasks_and_components(project: Callable[..., Reach]) -> None:
    reach = project()
    assert "attrs" in reach.packages
    tasks = ("shop.below.far", "steps.child", "steps.grandchild", "steps.ping", "steps.pong")
    assert reach.tasks == tasks
    assert {"steps.root", "steps.LIMIT", "shop.currency.EURO", "shop.later.deeper"} <= {
        *reach.components
    }
    assert {"steps.child", "shop.below.DEEP"} <= {*reach.components}
    assert not {"steps.unused", "shop.below.other", "shop.prices.OTHER"} & {*reach.components}
    assert reach.opaque == ()


def test_the_version_of_a_package_counts(
    project: Callable[..., Reach], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = project()
    monkeypatch.setattr("flyte_ray.core.code_walk.distribution_of", lambda name: ("attrs", "99.0"))
    after = project()
    assert before.digest != after.digest
    assert [str(each) for each in differences(before, after)] == [
        f"attrs {before.packages['attrs']} -> 99.0"
    ]


@pytest.mark.parametrize(
    ("body", "noted"),
    [
        ("return getattr(prices, name)", "getattr with a computed name"),
        ("return eval(name)", "eval(…)"),
        (
            "import importlib\n    return importlib.import_module(name)",
            "importlib.import_module(…)",
        ),
        ("import not_there\n    return not_there.f(name)", "module not_there is not here"),
        ("return env.tasks[name]()", "which of env.tasks it calls shows at run time only"),
        ("return flyte.remote.Task.get(name)()", "a deployed task, which is found by its name"),
        (
            "from flyte_ray.remote import Task\n    return Task.get(name)()",
            "a deployed task, which is found by its name",
        ),
    ],
)
def test_what_cannot_be_followed_is_listed(
    body: str, noted: str, project: Callable[..., Reach]
) -> None:
    text = "import shop.prices as prices\nimport flyte_ray as flyte\n"
    text += f"env = flyte.TaskEnvironment('opaque')\ndef f(name):\n    {body}\n"
    text += "class root:\n    func = f\n"
    reach = project({"steps.py": text})
    assert any(noted in each for each in reach.opaque), reach.opaque


@pytest.mark.parametrize("line", ["from shop import tax", "from . import tax"])
def test_a_package_that_imports_its_own_part_is_walked_through(
    line: str, project: Callable[..., Reach]
) -> None:
    text = "import shop\ndef f(x):\n    return shop.tax.TAX\nclass root:\n    func = f\n"

    def reach(value: int) -> Reach:
        parts = {"shop/__init__.py": f"{line}\n", "shop/tax.py": f"TAX = {value}\n"}
        return project({"steps.py": text, **parts})

    assert "shop.tax.TAX" in reach(1).components
    assert reach(1).digest != reach(2).digest


def test_the_name_under_which_a_script_runs_does_not_count(
    project: Callable[..., Reach], tmp_path: Path
) -> None:
    plain = project().digest
    script = runpy.run_path(str(tmp_path / "0" / "steps.py"), run_name="__main__")
    as_script = reached(script["root"].func)
    assert as_script.digest == plain
    assert "steps.root" in as_script.components


def test_typed_code_is_known_by_its_own_cell() -> None:
    """As a notebook does: each cell is a file that only `linecache` knows."""

    def run(cells: list[str]) -> Any:
        names: dict[str, Any] = {"__name__": "__main__"}
        for number, text in enumerate(cells):
            file = f"<cell {number} {hash(text)}>"
            linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
            exec(compile(text, file, "exec"), names)
        return reached(names["f"])

    helper = "RATE = 2\nclass Box:\n    size = 1\n    def open(self): return self.size\n"
    helper += "def twice(x):\n    return x * RATE\n"
    other = "def other():\n    return 1\n"
    own = "def f(x):\n    return twice(x) + Box().open()\n"
    before = run([helper, other, own])
    assert run([helper, other.replace("1", "2"), own]).digest == before.digest
    assert run([other, "\n# moved\n" + helper, own]).digest == before.digest
    for old, new in [("RATE = 2", "RATE = 3"), ("x * RATE", "x - RATE"), ("size = 1", "size = 2")]:
        assert run([helper.replace(old, new), other, own]).digest != before.digest, old
    assert before.opaque == ()


LIVE = {
    "a method": ("def score(self): return 1", "def score(self): return 2"),
    "a base": ("def base(self): return 1", "def base(self): return 2"),
    "a property": ("def size(self): return 1", "def size(self): return 2"),
    "a setter": ("self.x = value", "self.x = -value"),
    "a method of the class": ("def make(cls): return 1", "def make(cls): return 2"),
    "a helper": ("def helper(): return 1", "def helper(): return 2"),
    "an attribute": ("RATE = 1", "RATE = 2"),
    "a member": ("RED = 1", "RED = 2"),
    "a class within": ("def inner(self): return 1", "def inner(self): return 2"),
}


@pytest.mark.parametrize(("old", "new"), LIVE.values(), ids=LIVE)
@pytest.mark.parametrize("has_source", [True, False], ids=["cell", "no source"])
def test_a_live_class_is_its_methods_bases_and_attributes(
    old: str, new: str, has_source: bool
) -> None:
    text = textwrap.dedent("""
        import enum
        def helper(): return 1
        class Base:
            def base(self): return 1
        class Color(enum.Enum):
            RED = 1
        class Fast(Base):
            RATE = 1
            KIND = Color.RED
            class Part:
                def inner(self): return 1
            def score(self): return 1
            @property
            def size(self): return 1
            @size.setter
            def size(self, value): self.x = value
            @classmethod
            def make(cls): return 1
            def help(self): return helper()
        """)

    def digest(text: str) -> str:
        names: dict[str, Any] = {"__name__": "__main__"}
        file = f"<class {hash(text)}>"
        if has_source:
            linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        exec(compile(text, file, "exec"), names)
        return reached(names["Fast"]).digest

    assert old in text
    assert digest(text) == digest("# moved\n" + text)
    assert digest(text.replace(old, new)) != digest(text)


def test_closures_reach_what_they_close_over() -> None:
    def factory(inner: Callable[[int], int], table: dict[str, Any]) -> Callable[[int], int]:
        def made(x: int) -> int:
            return inner(x) + len(table)

        return made

    def one(x: int) -> int:
        return x + 1

    def two(x: int) -> int:
        return x + 2

    first = reached(factory(one, {"a": 1})).digest
    assert reached(factory(one, {"a": 1})).digest == first
    assert reached(factory(two, {"a": 1})).digest != first
    assert reached(factory(one, {"a": 2})).digest != first
    assert reached(factory(one, {"a": two})).digest != first


def test_an_object_closed_over_is_listed_as_opaque() -> None:
    class Model:
        def __init__(self) -> None:
            self.weight = 1

    def factory(model: Model) -> Callable[[], int]:
        return lambda: model.weight

    reach = reached(factory(Model()))
    assert any("only the class is seen" in each for each in reach.opaque)
    assert any(name.endswith("Model") for name in reach.components)
