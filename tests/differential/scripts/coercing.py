"""Values are brought to the declared type at the border (§31, §52)."""

import datetime
import enum
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, Optional, TypedDict

import flyte
import pydantic
from said import attempt, run, say

env = flyte.TaskEnvironment(name="coercing")


class Color(enum.Enum):
    RED = "r"
    BLUE = "b"


class Model(pydantic.BaseModel):
    a: int
    b: str = "d"


@dataclass
class Data:
    a: int
    b: list[int] = field(default_factory=lambda: [1])


class Keys(TypedDict):
    a: int
    b: NotRequired[str]


class Anything:
    def __init__(self, v: int) -> None:
        self.v = v


@env.task
async def model(m: Model) -> str:
    return repr(m)


@env.task
async def data(d: Data) -> str:
    return repr(d)


@env.task
async def time(t: datetime.datetime) -> str:
    return str(t)


@env.task
async def color(c: Color) -> str:
    return str(c)


@env.task
async def literal(c: Literal["x", "y"]) -> str:
    return c


@env.task
async def keys(k: Keys) -> str:
    return str(dict(k))


@env.task
async def anything(a: Anything) -> int:
    return a.v


@env.task
async def optional(o: Optional[int] = None) -> str:
    return str(o)


@env.task
async def untyped(u: Any) -> str:
    return repr(u)


@env.task
async def nested(n: dict[str, list[int]]) -> str:
    return str(n)


@env.task
async def apply(t: Any, x: int) -> str:
    return f"{isinstance(t, flyte.TaskTemplate)} {await t.override(short_name='q')(x)}"


@env.task
async def number(x: int) -> int:
    return x + 1


if __name__ == "__main__":
    attempt("model", lambda: run(model, Model(a=1))[0])
    attempt("model of a dict", lambda: run(model, {"a": 1})[0])
    attempt("dataclass", lambda: run(data, Data(2))[0])
    attempt("dataclass of a dict", lambda: run(data, {"a": 2})[0])
    attempt("naive time", lambda: run(time, datetime.datetime(2020, 1, 1))[0])
    attempt("enum", lambda: run(color, Color.RED)[0])
    attempt("literal", lambda: run(literal, "x")[0])
    attempt("wrong literal", lambda: run(literal, "z")[0])
    attempt("typed dict", lambda: run(keys, {"a": 1})[0])
    attempt("any class", lambda: run(anything, Anything(3))[0])
    attempt("optional", lambda: (run(optional)[0], run(optional, 3)[0]))
    attempt("nested", lambda: run(nested, {"a": [1, 2]})[0])
    attempt("nested, wrong", lambda: run(nested, {"a": ["x"]})[0])
    attempt("text for a number", lambda: run(number, "1")[0])
    attempt("a task", lambda: run(apply, number, 3)[0])
    say("done", True)
