"""Shell scripts as tasks: known by name, not yet carried out (see `container`)."""

from __future__ import annotations

from typing import Any, NoReturn

from flyte_ray.extras.container import refuse


class Stdout:
    """Marks an output that is what the script prints."""


class Stderr:
    """Marks an output that is what the script complains."""


def create(name: str, *, image: Any = None, script: str = "", **_: Any) -> NoReturn:
    """A task from a shell script; an error for now.

    Raises:
        ContainerTaskUnavailableError: always; names the next step.
    """
    refuse(f"shell task {name!r} (image {image!r})", script)
