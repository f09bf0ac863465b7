"""What a run is, and that it lives: run.json, and the heartbeat beside it.

`run.json` is the `RunSpec` as JSON; readers pass over fields they do not know and fill in those
that an older release did not write. It is written once, until a removal puts its note there. The
heartbeat is overwritten all the time; it is for people (is the owner alive?) and never a proof:
ownership is decided by `ownership`, without clocks.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar
from uuid import uuid4

from flyte_ray.core.address import TaskAddress
from flyte_ray.core.calls import CodeSpec, RunSpec
from flyte_ray.core.ids import RunName
from flyte_ray.core.model import utc_now_us
from flyte_ray.core.payload import EncodedValue, Payload
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import RunExistsError, RunNotFoundError, StoreError, UsageError
from flyte_ray.store import layout

D = TypeVar("D")

_REMOVED = "removed_us"
"""Stands only in the note that takes the place of a removed run's run.json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The owner's last sign of life."""

    epoch: int
    count: int
    """An observer sees life when it changes, whatever the clocks say."""
    at_us: int
    """The owner's wall clock, for people."""


def spec_to_json(spec: RunSpec) -> dict[str, Any]:
    """The spec as plain JSON values."""
    data = {field.name: getattr(spec, field.name) for field in fields(spec)}
    data["address"] = asdict(spec.address)
    data["code"] = asdict(spec.code)
    data["inputs"] = {name: value.to_dict() for name, value in spec.inputs.values.items()}
    plain: dict[str, Any] = json.loads(json.dumps(data))
    return plain


def spec_from_json(data: Mapping[str, Any]) -> RunSpec:
    """The inverse of `spec_to_json`; unknown fields of later releases are passed over."""
    given = dict(data)
    given["address"] = _known_fields(TaskAddress, given["address"])
    given["code"] = _known_fields(CodeSpec, given.get("code", {}))
    inputs = given.get("inputs", {})
    given["inputs"] = Payload(values={n: EncodedValue.from_dict(v) for n, v in inputs.items()})
    return _known_fields(RunSpec, given)


def write_run(blobs: Blobs, spec: RunSpec) -> None:
    """Take the run's name in this store.

    Raises:
        RunExistsError: another run has the name.
        UsageError: the name cannot stand in a key.
    """
    if not layout.is_run_name(spec.name):
        raise UsageError(
            f"{spec.name!r} cannot be a run's name: use letters, digits, '.', '_' and '-', at most"
            " 128, beginning with a letter or digit"
        )
    text = json.dumps(spec_to_json(spec), ensure_ascii=True, indent=1)
    if not blobs.put_new(layout.run_file(spec.name), text.encode()):
        raise name_taken(blobs, spec.name)


def name_taken(blobs: Blobs, run: RunName) -> RunExistsError:
    """The error for a name that another run has."""
    return RunExistsError(
        f"the store {blobs.url} holds a run {run!r} already: choose another name, or leave it out",
        run_name=run,
    )


def read_run(blobs: Blobs, name: str) -> RunSpec:
    """The run of that name.

    Raises:
        RunNotFoundError: there is none; the message names similar ones.
    """
    if not layout.is_run_name(name):
        raise _not_found(blobs, name)
    key = layout.run_file(RunName(name))
    try:
        data = blobs.get(key)
    except FileNotFoundError:
        raise _not_found(blobs, name) from None
    if _is_removal(data):
        raise RunNotFoundError(
            f"run {name!r} was removed from the store {blobs.url} (`flyte-ray store gc`)",
            run_name=name,
        )
    try:
        return spec_from_json(json.loads(data))
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{blobs.url}/{key} is damaged ({type(error).__name__}: {error}): restore it, or start"
            " the run anew"
        ) from error


def write_removal(blobs: Blobs, run: RunName, names: Sequence[str] = ()) -> bytes:
    """Put a note in the place of run.json: from now on there is no such run, but its name is taken.

    `names`: keys of others' values and files that its book named, if values of its own stay: those
    may hold them. Returns the note; no two have the same bytes.
    """
    note = {_REMOVED: utc_now_us(), "name": run, "names": [*names], "by": uuid4().hex}
    data = json.dumps(note, ensure_ascii=False).encode()
    blobs.put(layout.run_file(run), data)
    return data


def read_removal(blobs: Blobs, name: str) -> bytes | None:
    """The note of a run that is being removed; None for all others."""
    try:
        data = blobs.get(layout.run_file(RunName(name)))
    except FileNotFoundError:
        return None
    return data if _is_removal(data) else None


def _is_removal(data: bytes) -> bool:
    return data.startswith(b'{"' + _REMOVED.encode())  # spares parsing every run.json twice


def write_heartbeat(blobs: Blobs, run: RunName, epoch: int, count: int) -> None:
    """Show that the run's owner lives; every 10 s is enough (GCS takes one a second).

    `count`: any number that is another one each time.
    """
    data = {"epoch": epoch, "count": count, "at_us": utc_now_us()}
    blobs.put(layout.heartbeat(run), json.dumps(data).encode())


def read_heartbeat(blobs: Blobs, run: RunName) -> Heartbeat | None:
    """The last sign of life; None when there never was one."""
    try:
        data = json.loads(blobs.get(layout.heartbeat(run)))
        return Heartbeat(epoch=data["epoch"], count=data["count"], at_us=data["at_us"])
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _known_fields(kind: type[D], data: Mapping[str, Any]) -> D:
    known = {}
    for field in fields(kind):  # type: ignore[arg-type]  # only dataclasses come here
        if field.name in data:
            value = data[field.name]
            is_tuple = str(field.type).startswith("tuple")
            known[field.name] = tuple(value) if is_tuple else value
    return kind(**known)


def _not_found(blobs: Blobs, name: str) -> RunNotFoundError:
    known = list(blobs.list(layout.RUNS))
    close = difflib.get_close_matches(name, known, n=3)
    if close:
        remedy = f"did you mean {' or '.join(repr(match) for match in close)}?"
    elif known:
        remedy = "`flyte-ray get runs` lists those it holds."
    else:
        remedy = "it holds no run yet; is FLYTE_RAY_STORE set as it was when the run was made?"
    return RunNotFoundError(
        f"there is no run {name!r} in the store {blobs.url}: {remedy}", run_name=name
    )
