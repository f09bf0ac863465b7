"""A run as its record shows it: what it was given, what it did, what it printed, with which code.

Read from the store every time, so it is the same for a run that is underway, that ended years ago,
and that another cluster carried out. Following and ending a run is `client/run`'s.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from flyte_ray import errors
from flyte_ray.client import watch
from flyte_ray.client.action import Action, stored_report
from flyte_ray.client.details import ActionDetails
from flyte_ray.client.dual import blocking
from flyte_ray.client.outputs import ActionInputs, named_values
from flyte_ray.client.session import Session
from flyte_ray.core.calls import CodeSpec, RunSpec
from flyte_ray.core.ids import ROOT_ACTION
from flyte_ray.core.interface import Interface
from flyte_ray.core.model import ActionPhase
from flyte_ray.core.payload import Payload
from flyte_ray.store import layout
from flyte_ray.store.catalog import Catalog, RunRecord
from flyte_ray.store.fold import ActionRecord

Converters = Mapping[type, Callable[[Any], Any]]


class RecordedRun:
    """The readable side of a run."""

    def __init__(self, session: Session, spec: RunSpec, interface: Interface | None) -> None:
        self._session = session
        self._spec = spec
        self._catalog = Catalog(session.blobs())
        self._interface = interface

    @property
    def name(self) -> str:
        """The run's name, unique in its store."""
        return self._spec.name

    @property
    def url(self) -> str:
        """Where the record lies."""
        return f"{self._session.store_url.rstrip('/')}/{layout.run_folder(self._spec.name)}"

    @property
    def spec(self) -> RunSpec:
        """What was asked for."""
        return self._spec

    @blocking
    def inputs(self) -> ActionInputs:
        """The root's inputs by name, defaults filled in."""
        types = {}
        if self._interface is not None:
            types = {name: kind for name, (kind, _) in self._interface.inputs.items()}
        return ActionInputs(named_values(self._session, self._spec.inputs, types))

    @blocking
    def typed_inputs(
        self, types: Mapping[str, Any], deserializers: Converters | None = None
    ) -> dict[str, Any]:
        """The root's inputs as these types, whatever its own annotations say.

        Args:
            types: name to type; the others come as plainly as they were stored.
            deserializers: type to a function that makes it from the plain value.
        """
        return self._typed(self._spec.inputs, types, deserializers)

    @blocking
    def details(self) -> RunRecord:
        """The run's record: spec, phase, counts, times."""
        return self._catalog.run(self.name)

    def actions(self) -> list[ActionRecord]:
        """All actions so far, parents before children."""
        return list(self._catalog.actions(self.name).values())

    @blocking
    def first_failure(self) -> ActionDetails | None:
        """The action that failed first; a child rather than the root. None if none has failed."""
        failed = [
            action
            for action in self.actions()
            if action.phase in (ActionPhase.FAILED, ActionPhase.TIMED_OUT)
        ]
        failed.sort(key=lambda action: (action.action_id == ROOT_ACTION, action.ended_us or 0))
        return ActionDetails(self._session, self.name, failed[0]) if failed else None

    @blocking
    def get_logs(
        self, attempt: int | None = None, *, action: str = ROOT_ACTION, **_: Any
    ) -> Iterator[str]:
        """What an attempt printed and logged, line by line; the last attempt by default."""
        return iter(self._catalog.log_text(self.name, action, attempt).splitlines())

    @blocking
    def show_logs(self, attempt: int | None = None, max_lines: int = 100, **_: Any) -> None:
        """Print the last lines of what the root printed."""
        watch.say("\n".join(list(self.get_logs(attempt=attempt))[-max_lines:]))

    @blocking
    def get_report(self, attempt: int | None = None) -> str:
        """The HTML of the root's report; of the last attempt that stored one by default.

        Raises:
            UsageError: it has stored none; says how to store one.
        """
        return stored_report(self._catalog, self.name, ROOT_ACTION, attempt)

    @blocking
    def code_bundle(self) -> CodeSpec | None:
        """The code that the run runs; None if it shipped none."""
        return self._spec.code if self._spec.code.bundle_key is not None else None

    @blocking
    def download_code(
        self, dest: str | Path | None = None, extract: bool = True, attempt: int | None = None
    ) -> Path:
        """Fetch the code that the run runs; the folder, or with `extract=False` the archive.

        Args:
            dest: a folder, made if it is not there; by default one named after the run, here.
            extract: take the archive apart.
            attempt: accepted; all attempts of a run have one code.

        Raises:
            CodeBundleError: the run shipped no code.
        """
        key = self._spec.code.bundle_key
        if key is None:
            raise errors.CodeBundleError(
                f"run {self.name} shipped no code (it was started with copy_style='none', or by a "
                "process without files)."
            )
        folder = Path(dest) if dest is not None else Path(f"{self.name}-code")
        folder.mkdir(parents=True, exist_ok=True)
        data = self._session.blobs().get(key)
        if not extract:
            archive = folder / f"{self.name}.zip"
            archive.write_bytes(data)
            return archive
        with zipfile.ZipFile(io.BytesIO(data)) as bundle:
            bundle.extractall(folder)
        return folder

    @blocking
    def get_debug_url(self) -> str | None:
        """None: there is no console that a debugger would run in. See `flyte-ray replay --pdb`."""
        return None

    @property
    def action(self) -> Action:
        """The root action."""
        return Action.get(run_name=self.name)

    def to_dict(self) -> dict[str, Any]:
        """Name, task, phase, times and counts, as plain values."""
        record = self._catalog.run(self.name)
        return {
            "name": self.name,
            "url": self.url,
            "task": self._spec.task,
            "phase": record.phase.value,
            "started_us": record.started_us,
            "ended_us": record.ended_us,
            "counts": dict(record.counts),
        }

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=2)

    def _typed(
        self, payload: Payload, types: Mapping[str, Any], deserializers: Converters | None
    ) -> dict[str, Any]:
        make = deserializers or {}
        known = {name: kind for name, kind in types.items() if kind not in make}
        values = named_values(self._session, payload, known)
        for name, kind in types.items():
            if kind in make and name in values:
                values[name] = make[kind](values[name])
        return values
