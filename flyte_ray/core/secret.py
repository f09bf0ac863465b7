"""Secrets a task asks for by name; never their values.

A secret ends up as an environment variable of the worker (`<GROUP>_<KEY>` unless named) or as a
file under `/etc/flyte/secrets`. Values are looked up by the runtime and never enter the record.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

MOUNT_POINT = Path("/etc/flyte/secrets")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret, and where the task finds it.

    Raises:
        ValueError: the mount point or the variable's name is not allowed.

    Example:
        >>> Secret("api-key", group="openai").as_env_var
        'OPENAI_API_KEY'
    """

    key: str
    group: str | None = None
    mount: Path | None = None
    """Directory for the secret as a file; only `/etc/flyte/secrets`."""
    as_env_var: str | None = None
    """Name of the environment variable; derived from group and key when nothing is said."""

    def __post_init__(self) -> None:
        if not self.key:
            raise ValueError("Secret.key must not be empty")
        if self.mount is not None:
            object.__setattr__(self, "mount", Path(self.mount))
            if self.mount != MOUNT_POINT:
                raise ValueError(
                    f"Secret {self.key!r}: mount must be {MOUNT_POINT}, not {self.mount}"
                )
        elif self.as_env_var is None:
            derived = f"{self.group}_{self.key}" if self.group else self.key
            object.__setattr__(self, "as_env_var", derived.upper().replace("-", "_"))
        if self.as_env_var is not None and _VARIABLE.fullmatch(self.as_env_var) is None:
            raise ValueError(
                f"Secret {self.key!r}: {self.as_env_var!r} is no name for an environment variable "
                f"(capitals, digits and '_'); set as_env_var"
            )

    def stable_hash(self) -> str:
        """The same text in every process for equal secrets."""
        parts = [self.key, self.group, str(self.mount or ""), self.as_env_var]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


SecretRequest: TypeAlias = str | Secret | list[str | Secret]


def normalise_secrets(secrets: SecretRequest | tuple[Secret, ...] | None) -> tuple[Secret, ...]:
    """What an author wrote as `secrets=`, one `Secret` each.

    Raises:
        TypeError: neither a name, a `Secret`, nor a list of these.

    Example:
        >>> normalise_secrets(["token"])[0].as_env_var
        'TOKEN'
    """
    if secrets is None:
        return ()
    requests = secrets if isinstance(secrets, list | tuple) else [secrets]
    return tuple(_one_secret(request) for request in requests)


def _one_secret(request: object) -> Secret:
    if isinstance(request, Secret):
        return request
    if isinstance(request, str):
        return Secret(request)
    raise TypeError(f"secrets must be names or Secret objects, not {request!r}")
