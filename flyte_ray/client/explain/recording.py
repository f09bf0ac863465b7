"""What the record holds of one attempt: enough to run it again, here or in a file of its own.

Code, inputs, what its children and traced steps came to, and what it came to itself. As JSON it
carries every object that it needs, so that it can be replayed without the store.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flyte_ray.client.explain.reference import find_action, split
from flyte_ray.core.address import TaskAddress
from flyte_ray.core.calls import RunSpec
from flyte_ray.core.failure import ErrorInfo
from flyte_ray.core.ids import ROOT_SCOPE
from flyte_ray.core.payload import Payload
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import UnsupportedValueError
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.fold import ActionRecord
from flyte_ray.store.run_file import spec_from_json, spec_to_json

FORMAT = 1
MOST_BYTES = 50 * 1024 * 1024
"""Larger exports are no test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """A child or traced step of the attempt, and what came of it."""

    task: str
    inputs: str
    """JSON of the payload."""
    outputs: str | None
    error: str | None
    kind: str = "task"
    """Or "trace", "condition"."""

    @property
    def is_open(self) -> bool:
        """True where nothing came of it: it was cancelled, or cut off with the run."""
        if self.outputs is not None:
            return False
        return self.error is None or json.loads(self.error).get("kind") == "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One attempt of one action."""

    run: RunSpec
    action_id: str
    parent_id: str | None
    scope: str
    task: str
    address: TaskAddress
    attempt: int
    inputs: str
    """JSON of the payload."""
    outputs: str | None
    """JSON of the payload that the attempt returned."""
    error: str | None
    """JSON of the `ErrorInfo` with which it failed."""
    group: str | None = None
    custom_context: Mapping[str, str]
    calls: tuple[RecordedCall, ...] = ()

    @property
    def failure(self) -> ErrorInfo | None:
        """How it failed, if it did."""
        return ErrorInfo.from_dict(json.loads(self.error)) if self.error else None


def recording(blobs: Blobs, reference: str, attempt: int | None = None) -> Recording:
    """The recording of an attempt of `RUN/ACTION`; the last one by default.

    Raises:
        RunNotFoundError: there is no such run.
        ActionNotFoundError: the run has no such action.
        UnsupportedValueError: it is no task, its inputs are unknown, or it has no such attempt.
    """
    run_name, action_name, _ = split(reference)
    catalog = Catalog(blobs)
    action = find_action(catalog, run_name, action_name)
    where = f"action {action.action_id} ({action.task}) of run {run_name!r}"
    address = action.attrs.get("address")
    if action.kind != "task" or action.inputs_json is None or not isinstance(address, dict):
        raise UnsupportedValueError(f"{where} is a {action.kind}: only tasks can be replayed")
    number, outputs, error = _outcome(action, attempt, where)
    calls = tuple(
        RecordedCall(
            task=each.task,
            inputs=each.inputs_json or "{}",
            outputs=each.outputs_json,
            error=each.error,
            kind=each.kind,
        )
        for each in catalog.actions(run_name).values()
        if each.parent_id == action.action_id
    )
    return Recording(
        run=catalog.spec(run_name),
        action_id=action.action_id,
        parent_id=action.parent_id,
        scope=action.scope or ROOT_SCOPE,
        task=action.task,
        address=TaskAddress(**address),
        attempt=number,
        inputs=action.inputs_json,
        outputs=outputs,
        error=error,
        group=action.group,
        custom_context=dict(action.attrs.get("custom_context") or {}),
        calls=calls,
    )


def _outcome(
    action: ActionRecord, attempt: int | None, where: str
) -> tuple[int, str | None, str | None]:
    """Number, outputs and error of the attempt that is asked for."""
    numbers = [each.attempt for each in action.attempts]
    if attempt is None:
        return (numbers[-1] if numbers else 1), action.outputs_json, action.error
    tries = [each for each in action.attempts if each.attempt == attempt]
    if not tries:
        known = ", ".join(map(str, numbers)) or "none: its result was taken over"
        raise UnsupportedValueError(f"{where} has no attempt {attempt}; it has {known}")
    succeeded = tries[-1].phase.is_success
    return attempt, action.outputs_json if succeeded else None, tries[-1].error


# ------------------------------------------------------------------------------------- as a file


def to_json(found: Recording, blobs: Blobs) -> dict[str, Any]:
    """The recording with every object of the store that it needs.

    Raises:
        UnsupportedValueError: these are too many bytes for a file.
        FileNotFoundError: one of them is gone.
    """
    objects, size = {}, 0
    for key in dict.fromkeys(_keys(found)):
        data = blobs.get(key)
        size += len(data)
        if size > MOST_BYTES:
            raise UnsupportedValueError(
                f"the values of {found.run.name}/{found.action_id} have more than "
                f"{MOST_BYTES // 2**20} MiB: too much for a test; replay it from the store"
            )
        objects[key] = base64.b64encode(data).decode("ascii")
    plain = replace(found.run, inputs=Payload())
    return {
        "format": FORMAT,
        "run": spec_to_json(plain),
        "action_id": found.action_id,
        "parent_id": found.parent_id,
        "scope": found.scope,
        "task": found.task,
        "address": {
            "name": found.address.name,
            "module": found.address.module,
            "file": found.address.file,
            "blob_key": found.address.blob_key,
        },
        "attempt": found.attempt,
        "inputs": found.inputs,
        "outputs": found.outputs,
        "error": found.error,
        "group": found.group,
        "custom_context": dict(found.custom_context),
        "calls": [[c.task, c.inputs, c.outputs, c.error, c.kind] for c in found.calls],
        "objects": objects,
    }


def from_json(data: Mapping[str, Any]) -> tuple[Recording, dict[str, bytes]]:
    """The recording and its objects.

    Raises:
        UnsupportedValueError: a newer release exported it.
    """
    if data.get("format") != FORMAT:
        raise UnsupportedValueError(
            f"this export has format {data.get('format')!r}, this release reads {FORMAT}: upgrade "
            "flyte-ray"
        )
    given = {key: value for key, value in data.items() if key not in ("format", "objects")}
    calls = [
        RecordedCall(task=t, inputs=i, outputs=o, error=e, kind=k)
        for t, i, o, e, k in given["calls"]
    ]
    found = Recording(
        **{
            **given,
            "run": spec_from_json(given["run"]),
            "address": TaskAddress(**given["address"]),
            "calls": tuple(calls),
        }
    )
    return found, {key: base64.b64decode(text) for key, text in data["objects"].items()}


def _keys(found: Recording) -> Iterator[str]:
    if found.run.code.bundle_key is not None:
        yield found.run.code.bundle_key
    if found.address.blob_key is not None:
        yield found.address.blob_key
    texts = [found.inputs, found.outputs]
    texts += [call.outputs for call in found.calls]
    for text in texts:
        if text is not None:
            yield from _keys_in(json.loads(text))


def _keys_in(node: Any) -> Iterator[str]:
    """Keys of large values, also of those inside of others."""
    if isinstance(node, dict):
        if isinstance(node.get("key"), str) and "digest" in node:
            yield node["key"]
        for name, each in node.items():
            if name == "inline" and isinstance(each, str) and '"key"' in each:
                yield from _keys_in(json.loads(each))
            else:
                yield from _keys_in(each)
    elif isinstance(node, list):
        for each in node:
            yield from _keys_in(each)
