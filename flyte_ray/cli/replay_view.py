"""`flyte-ray replay`: runs one attempt here and says whether it came to the same.

What the body prints goes to stdout as it does; everything of ours goes to stderr, so that stdout
holds the task's own words and, at the end, its result.
"""

from __future__ import annotations

import pdb
import traceback
from pathlib import Path
from types import TracebackType

from rich.text import Text

from flyte_ray.cli.backend import Invocation
from flyte_ray.client.explain.export import as_pytest
from flyte_ray.client.explain.recording import Recording, recording
from flyte_ray.client.explain.replay import Replayed, replay
from flyte_ray.client.session import current_session

OURS = Path(__file__).resolve().parents[1]


def show(
    invocation: Invocation,
    reference: str,
    *,
    attempt: int | None,
    debug: bool,
    code: str,
    export: Path | None,
) -> int:
    """Carry out `flyte-ray replay`; the exit code."""
    invocation.backend()
    blobs = current_session().blobs()
    found = recording(blobs, reference, attempt)
    where = f"attempt {found.attempt} of {found.task} ({found.run.name}/{found.action_id})"
    if export is not None:
        export.write_text(as_pytest(found, blobs), encoding="utf-8")
        invocation.err.print(f"Wrote {export}: {where}. Run it: pytest {export}")
        return 0
    invocation.err.print(f"Replaying {where}.", style="dim")
    done = replay(found, blobs, code=code)
    _tell(invocation, found, done)
    if done.exception is None:
        invocation.out.print(repr(done.value), markup=False)
        return 0
    if debug:
        place = _own_part(done.exception.__traceback__)
        invocation.err.print("The debugger stands where it was raised: u, d, p NAME, q.")
        pdb.post_mortem(place)
    return 1


def _tell(invocation: Invocation, found: Recording, done: Replayed) -> None:
    err = invocation.err
    if done.exception is not None:
        lines = traceback.format_exception(
            type(done.exception), done.exception, _own_part(done.exception.__traceback__)
        )
        err.print("".join(lines).rstrip(), markup=False)
    recorded = "the record says the same" if done.agrees else f"the record says: {_recorded(found)}"
    verb = "Returned" if done.exception is None else f"Raised {type(done.exception).__name__}"
    calls = f"{done.answered} calls answered from the record, {done.in_place} run here"
    style = "" if done.agrees else "yellow"
    err.print(Text(f"{verb}; {recorded} ({calls}).", style=style))


def _recorded(found: Recording) -> str:
    failure = found.failure
    if failure is not None:
        return f"{failure.code}: {failure.message.splitlines()[0] if failure.message else ''}"
    return "it succeeded with other outputs" if found.outputs else "no outcome"


def _own_part(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the author's first frame on."""
    first = trace
    while first is not None and Path(first.tb_frame.f_code.co_filename).is_relative_to(OURS):
        first = first.tb_next
    own = first
    while own is not None and _is_ours_or_pythons(own):
        own = own.tb_next
    return own or first or trace


def _is_ours_or_pythons(trace: TracebackType) -> bool:
    file = trace.tb_frame.f_code.co_filename
    return Path(file).is_relative_to(OURS) or "asyncio" in Path(file).parts
