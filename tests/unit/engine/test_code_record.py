"""What a task is made of is told once."""

from __future__ import annotations

from typing import Any

import flyte_ray as flyte
from flyte_ray.engine.code_record import CodeRecord, code_of

env = flyte.TaskEnvironment(name="code_record")
FACTOR = 2


def times(number: int) -> int:
    return number * FACTOR


@env.task
async def double(number: int) -> int:
    return times(number)


def told(record: CodeRecord, run: str) -> dict[str, Any]:
    return dict(record.untold(run, double, double.identity))


def test_the_first_row_of_a_task_in_a_run_tells_its_code() -> None:
    record = CodeRecord()
    names = {name.rpartition(".")[2] for name in told(record, "one")["reach"]["components"]}
    assert names == {"double", "times", "FACTOR"}
    assert told(record, "one") == {}
    assert told(record, "two")["reach"] == code_of(double)
