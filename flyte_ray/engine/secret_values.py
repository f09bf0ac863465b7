"""The values of a task's secrets, looked up where the body runs, and kept out of what is recorded.

A secret is looked up on the worker's own machine, never sent to it: first as an environment
variable of the process, then as a file in the secrets folders (`FLYTE_RAY_SECRETS_DIR`, several
joined by the path separator; then `/etc/flyte/secrets` and `/run/secrets`, where Kubernetes and
Docker mount them) under `<group>/<key>`, `<key>`, or the variable's name. While the body runs it is
in the environment; what is printed, captured, reported or raised has `***` in its place.

Values cannot have stars in them: an output, an input of another task, a traced value or a
checkpoint that holds a secret is refused. Seen are texts and bytes as they are, in whatever they
are nested; not what was encoded or compressed, what child processes print, and what is written
into files.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import cloudpickle

from flyte_ray import errors
from flyte_ray.core.failure import ErrorInfo
from flyte_ray.core.secret import MOUNT_POINT, Secret
from flyte_ray.engine.environ import applied

FOLDERS_VARIABLE = "FLYTE_RAY_SECRETS_DIR"
_MOUNTS = (MOUNT_POINT, Path("/run/secrets"))
SHORTEST_MASKED = 4
"""A value of fewer characters would be found everywhere."""
SHORTEST_REFUSED = 12
"""A name of a user or a database, say, may well stand in a result."""


class SecretValues:
    """The secrets of one attempt; entered around its body."""

    def __init__(self, wanted: Sequence[Secret]) -> None:
        self._wanted = wanted
        self._values: dict[str, str] = {}
        """Value -> key of the secret."""
        self._stack: contextlib.ExitStack | None = None

    def __enter__(self) -> SecretValues:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stack is not None:
            self._stack.close()

    def provide(self, task: str) -> None:
        """Put all secrets where the task wants them; until the attempt is left.

        Raises:
            ConfigurationError: one is not to be found on this machine; names it and the places.
        """
        variables: dict[str, str] = {}
        for secret in self._wanted:
            value = found(secret)
            if value is None:
                raise errors.ConfigurationError(_missing(secret, task))
            self._values |= dict.fromkeys({value, value.strip()} - {""}, secret.key)
            if secret.as_env_var is not None:
                variables[secret.as_env_var] = value
            if secret.mount is not None:
                _mount(secret, value, task)
        if variables:
            self._stack = contextlib.ExitStack()
            self._stack.enter_context(applied(variables))

    def masked(self, text: str) -> str:
        """The text without the values."""
        for value in sorted(self._values, key=len, reverse=True):
            if len(value) >= SHORTEST_MASKED:
                text = text.replace(value, "***")
        return text

    def check(self, values: Mapping[str, Any], owner: str) -> None:
        """Refuse values that hold one of the secrets. Costs a pickle of them.

        Raises:
            UnserializableInputError: names the value and the secret.
        """
        for name, value in values.items():
            key = self._held_by(_bytes_of(value))
            if key is not None:
                raise errors.UnserializableInputError(
                    f"{owner} '{name}' holds the value of the secret {key!r}, which is never "
                    "recorded. Hand on what it was used for; a task that needs the secret asks for "
                    "it itself (secrets=).",
                    task=owner,
                    parameter=name,
                )

    def _held_by(self, pieces: Sequence[bytes | memoryview]) -> str | None:
        for value, key in self._values.items():
            sought = value.encode("utf-8", "surrogatepass")
            if len(value) >= SHORTEST_REFUSED and any(sought in bytes(each) for each in pieces):
                return key
        return None

    def masked_error(self, error: ErrorInfo | None) -> ErrorInfo | None:
        """The failure without the values; one that held any travels without the exception."""
        if error is None or not self._values:
            return error
        clean = replace(
            error, message=self.masked(error.message), traceback=self.masked(error.traceback)
        )
        data = error.pickled or b""
        held = clean != error or any(value.encode() in data for value in self._values)
        return replace(clean, pickled=None) if held else error


def _bytes_of(value: Any) -> list[bytes | memoryview]:
    """The value's pickle and buffers; nothing for what does not pickle: it is refused anyway."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        data = cloudpickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    except Exception:  # noqa: BLE001  whatever an author's __reduce__ raises
        return []
    return [data, *(each.raw() for each in buffers)]


def found(secret: Secret) -> str | None:
    """The value on this machine; None where it is not."""
    names = dict.fromkeys([secret.as_env_var or _variable(secret), _variable(secret)])
    for name in names:
        if name in os.environ:
            return os.environ[name]
    for place in _places(secret, list(names)):
        try:
            return place.read_text("utf-8").removesuffix("\n")
        except OSError:
            continue
    return None


def _variable(secret: Secret) -> str:
    derived = f"{secret.group}_{secret.key}" if secret.group else secret.key
    return derived.upper().replace("-", "_")


def _places(secret: Secret, variables: Sequence[str]) -> Iterator[Path]:
    for folder in _folders():
        if secret.group:
            yield folder / secret.group / secret.key
        yield folder / secret.key
        for name in variables:
            yield folder / name


def _folders() -> list[Path]:
    named = os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep)
    return [*(Path(each) for each in named if each), *_MOUNTS]


def _mount(secret: Secret, value: str, task: str) -> None:
    """Have the secret as a file below the mount point, readable for this user only."""
    target = MOUNT_POINT / (secret.group or "") / secret.key
    if target.is_file():
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(value)
    except OSError as error:
        raise errors.ConfigurationError(
            f"task {task!r} wants its secret {secret.key!r} as the file {target}, which this "
            f"machine does not have and does not let us write ({error}). Mount it there, or leave "
            "mount= out to get it as an environment variable."
        ) from error


def _missing(secret: Secret, task: str) -> str:
    group = f" of group {secret.group!r}" if secret.group else ""
    return (
        f"task {task!r} needs the secret {secret.key!r}{group}, which the machine that runs it "
        f"does not have: not in the environment variable {_variable(secret)}, not as a file in "
        f"{', '.join(str(each) for each in _folders())}. Set the variable where Ray is started, or "
        f"mount the file and set {FOLDERS_VARIABLE}."
    )
