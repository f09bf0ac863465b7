"""What an image comes to on a machine without containers: packages, variables, and what is left.

    Image -> packages (from texts, requirements files, project files, script headers), options for
    the installer, environment variables, a container to run in, and remarks on what has no effect

Files are read where the run is started and where children are submitted. One that is not there is
a remark, not an error: the worker may have what it names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

from flyte_ray.core.image import Image
from flyte_ray.core.image_layers import (
    CodeBundle,
    DockerIgnore,
    LocalPackage,
    Project,
    Script,
    SourceCopy,
)
from flyte_ray.engine import package_lists
from flyte_ray.engine.package_lists import Found

INSTALL = "install"
"""A run's option `images`: workers get what images ask for; else they run with what they have."""
_HAS_NO_EFFECT = (SourceCopy, CodeBundle, DockerIgnore, LocalPackage)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedImage:
    """What a task's process should find, in plain values."""

    uri: str
    packages: tuple[str, ...] = ()
    installer: tuple[str, ...] = ()
    """Arguments for the installer: indexes, pre-releases."""
    env_vars: tuple[tuple[str, str], ...] = ()
    container: str | None = None
    remarks: tuple[str, ...] = ()
    """What was asked for and has no effect."""

    def to_json(self) -> dict[str, Any]:
        """For the record: plain values, without what is empty, and variables by name only."""
        found = {**asdict(self), "env_vars": [name for name, _ in self.env_vars]}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
            if value
        }

    def environment(self) -> dict[str, Any]:
        """As a runtime environment of Ray, less the variables."""
        if self.container is not None:
            return {"image_uri": self.container}  # goes with nothing but variables
        if not self.packages:
            return {}
        uv: dict[str, Any] = {"packages": list(self.packages)}
        if self.installer:
            uv["uv_pip_install_options"] = list(self.installer)
        return {"uv": uv}


@lru_cache(maxsize=256)
def resolved(image: Image | str) -> ResolvedImage:
    """What an image comes to."""
    if isinstance(image, str):
        return ResolvedImage(uri=image, container=None if image == "auto" else image)
    packages, remarks = list(image.pip_packages), list(image.container_only)
    for found, left_out in _read_all(image):
        packages += found
        remarks += left_out
    remarks += [
        f"{type(each).__name__}" for each in image.layers if isinstance(each, _HAS_NO_EFFECT)
    ]
    if image.workdir is not None:
        remarks.append(f"working directory {image.workdir}")
    if image.container_uri is not None and packages:
        remarks.append(f"packages {', '.join(packages)}: they must be in {image.container_uri}")
        packages = []
    return ResolvedImage(
        uri=image.uri,
        packages=tuple(dict.fromkeys(packages)),
        installer=image.installer_arguments,
        env_vars=tuple(sorted(image.env_vars.items())),
        container=image.container_uri,
        remarks=tuple(remarks),
    )


def _read_all(image: Image) -> Iterator[Found]:
    for file in image.requirement_files:
        yield _read(file, package_lists.of_requirements)
    for project in image.projects:
        yield _of_project(project)
    for script in image.scripts:
        yield _of_script(script)


def _of_project(project: Project) -> Found:
    if project.tool == "pixi":
        return [], [f"pixi project {project.file}"]
    return _read(project.file, package_lists.of_project)


def _of_script(script: Script) -> Found:
    if script.tool == "pixi":
        return [], [f"pixi script {script.file}"]
    return _read(script.file, package_lists.of_script)


def _read(file: PurePath, read: Callable[[Path], Found]) -> Found:
    try:
        return read(Path(file))
    except OSError as error:
        return [], [f"{file} could not be read: {error.strerror or error}"]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return [], [f"{file} could not be understood: {error}"]
