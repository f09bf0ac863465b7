"""Tasks that are container images: known by name, not yet carried out.

Refused where they are written, with the next step, rather than in the middle of a run.
"""

from __future__ import annotations

from typing import Any, NoReturn

from flyte_ray.errors import UsageError


class ContainerTaskUnavailableError(UsageError):
    """Container tasks cannot run in this release."""


class ContainerTask:
    """A task that is a container image and a command; making one is an error for now."""

    def __init__(self, name: str, image: Any, command: list[str], **_: Any) -> None:
        refuse(f"container task {name!r} (image {image!r})", command)


def refuse(what: str, command: list[str] | str) -> NoReturn:
    """Say that a container cannot be run, and what can.

    Raises:
        ContainerTaskUnavailableError: always.
    """
    shown = command if isinstance(command, str) else " ".join(map(str, command))
    raise ContainerTaskUnavailableError(
        f"{what} cannot run: this release starts no containers. Run its command ({shown.strip()}) "
        "with `subprocess.run` in a task of its own, handing files over as flyte_ray.io.File; a "
        "runtime that is installed on the nodes (docker, podman) can be called the same way."
    )
