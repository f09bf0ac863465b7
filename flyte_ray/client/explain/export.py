"""A recorded attempt as a pytest of its own: code, inputs and expectation in one file.

The file needs flyte_ray and the packages of the task, neither the store nor the project. It passes
as long as the recorded code behaves as recorded; with `code="current"` it tries the code that is
importable where it runs, so that a failure becomes the test of its mending.
"""

from __future__ import annotations

import json
import re

from flyte_ray.client.explain.recording import Recording, to_json
from flyte_ray.core.ports import Blobs

LINE = 90


def as_pytest(found: Recording, blobs: Blobs) -> str:
    """The text of the file. Raises as `recording.to_json` does."""
    packed = json.dumps(to_json(found, blobs), separators=(",", ":"), ensure_ascii=True)
    name = re.sub(r"\W+", "_", f"{found.task.rpartition('.')[2]}_of_{found.run.name}")
    failure = found.failure
    if failure is not None:
        said = failure.message.splitlines()[0] if failure.message else ""
        outcome = f"failed with {failure.code}: {said}"
        expectation = (
            "    with pytest.raises(Exception) as caught:\n"
            "        attempt.run(code=CODE)\n"
            "    assert attempt.describes(caught.value)"
        )
    else:
        outcome = "succeeded"
        expectation = (
            "    attempt.run(code=CODE)\n"
            "    assert attempt.agrees  # its outputs are those of the record"
        )
    return _TEMPLATE.format(
        run=found.run.name,
        action=found.action_id,
        attempt=found.attempt,
        task=found.task,
        outcome=_safe(outcome),
        importing="import pytest\n\n" if failure is not None else "",
        name=name.lower(),
        expectation=expectation,
        packed=_literal(packed),
    )


def _safe(text: str) -> str:
    return text.replace("\\", "/").replace('"""', "'''")[:200]


def _literal(packed: str) -> str:
    """The JSON as adjacent string literals, none of them longer than a line."""
    parts = [packed[start : start + LINE] for start in range(0, len(packed), LINE)]
    return "\n".join(f"    {part!r}" for part in parts)


_TEMPLATE = '''"""Attempt {attempt} of {task} in run {run} (action {action}), which {outcome}

Exported by `flyte-ray replay {run}/{action} --export-test`. Needs flyte_ray and the packages of the
task; inputs, code and the results of its calls are in here.
"""

import json

{importing}from flyte_ray.testing.replay import ExportedAttempt

CODE = "recorded"  # "current": the code that is importable here, to test a mended task


def test_{name}():
    attempt = ExportedAttempt(json.loads(RECORDING))
{expectation}


RECORDING = (
{packed}
)
'''
