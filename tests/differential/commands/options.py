"""A file for the command line: every kind of option (§45)."""

import datetime
import enum
from dataclasses import dataclass
from typing import Optional

import flyte
import pydantic
from flyte.io import File

env = flyte.TaskEnvironment(name="options")


class Color(enum.Enum):
    RED = "r"
    BLUE = "b"


@dataclass
class Data:
    a: int
    b: str = "x"


class Model(pydantic.BaseModel):
    a: int
    b: str = "x"


@env.task
async def plain(
    i: int = 1,
    f: float = 1.5,
    s: str = "s",
    b: bool = False,
    on: bool = True,
    o: Optional[int] = None,
) -> str:
    return f"RESULT {i!r} {f!r} {s!r} {b!r} {on!r} {o!r} END"


@env.task
async def made(
    l: list[int],
    d: dict[str, int] = {"a": 1},
    c: Color = Color.RED,
    data: Data = Data(1),
    model: Model = Model(a=1),
) -> str:
    return f"RESULT {l!r} {sorted(d.items())!r} {c.name} {data!r} {model!r} END"


@env.task
async def times(t: datetime.datetime, length: datetime.timedelta) -> str:
    return f"RESULT {str(t)[:10]} {length!r} END"


@env.task
async def reads(x: int, file: File) -> str:
    async with file.open("rb") as handle:
        return f"RESULT {bytes(await handle.read()).decode()} {x} END"


@env.task
async def fails() -> int:
    raise ValueError("as asked")
