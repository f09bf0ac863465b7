"""The layers an `Image` is built of: what was asked for, as plain frozen values.

Nothing is read or installed here; paths stand as they were written. Whoever builds or maps an
image (the runtime) resolves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal, TypeAlias, TypedDict, get_args

from flyte_ray.core.secret import Secret, SecretRequest, normalise_secrets


class PackageOptions(TypedDict, total=False):
    """How packages are fetched; the keywords all package layers share."""

    index_url: str | None
    extra_index_urls: str | list[str] | tuple[str, ...] | None
    pre: bool
    extra_args: str | None
    secret_mounts: SecretRequest | None


def text_tuple(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """One text, several or none, as a tuple."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSource:
    """`PackageOptions`, normalised."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    pre: bool = False
    """Pre-releases count."""
    extra_args: str | None = None
    """Passed to the installer as they are."""
    secret_mounts: tuple[Secret, ...] = ()

    @classmethod
    def from_options(cls, options: PackageOptions) -> PackageSource:
        """Read the keywords of a layer.

        Raises:
            TypeError: an unknown keyword.
        """
        if unknown := set(options) - PackageOptions.__annotations__.keys():
            raise TypeError(f"Image: a package layer takes no {min(unknown)!r}")
        return cls(
            index_url=options.get("index_url"),
            extra_index_urls=text_tuple(options.get("extra_index_urls")),
            pre=options.get("pre", False),
            extra_args=options.get("extra_args"),
            secret_mounts=normalise_secrets(options.get("secret_mounts")),
        )

    def installer_arguments(self) -> tuple[str, ...]:
        """The same as command line arguments of pip and uv."""
        arguments = ["--index-url", self.index_url] if self.index_url else []
        for url in self.extra_index_urls:
            arguments += ["--extra-index-url", url]
        arguments += ["--pre"] if self.pre else []
        arguments += self.extra_args.split() if self.extra_args else []
        return tuple(arguments)


@dataclass(frozen=True, slots=True)
class PipPackages:
    """Packages by requirement text."""

    packages: tuple[str, ...]
    source: PackageSource = field(default_factory=PackageSource)


@dataclass(frozen=True, slots=True)
class Requirements:
    """Packages of a requirements file."""

    file: PurePath
    source: PackageSource = field(default_factory=PackageSource)


ProjectTool: TypeAlias = Literal["uv", "poetry", "pixi"]
InstallMode: TypeAlias = Literal["dependencies_only", "install_project"]


@dataclass(frozen=True, slots=True)
class Project:
    """Packages that a project file names, with its lock file where there is one."""

    tool: ProjectTool
    file: PurePath
    lock: PurePath | None = None
    install_mode: InstallMode = "dependencies_only"
    source: PackageSource = field(default_factory=PackageSource)

    @classmethod
    def from_options(
        cls,
        tool: ProjectTool,
        file: str | PurePath,
        lock: str | PurePath | None,
        mode: InstallMode,
        options: PackageOptions,
    ) -> Project:
        """Read the arguments of a `with_…_project` layer.

        Raises:
            ValueError: an unknown install mode.
        """
        if mode not in get_args(InstallMode):
            raise ValueError(
                f"Image: project_install_mode must be one of {get_args(InstallMode)}, not {mode!r}"
            )
        path = PurePath(lock) if lock is not None else None
        return cls(tool, PurePath(file), path, mode, PackageSource.from_options(options))


@dataclass(frozen=True, slots=True)
class Script:
    """Packages that a script names in its header (PEP 723)."""

    tool: Literal["uv", "pixi"]
    file: PurePath
    source: PackageSource = field(default_factory=PackageSource)


@dataclass(frozen=True, slots=True)
class AptPackages:
    """Packages of the operating system."""

    packages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Commands:
    """Shell commands of the build."""

    commands: tuple[str, ...]
    secret_mounts: tuple[Secret, ...] = ()


@dataclass(frozen=True, slots=True)
class EnvVars:
    """Environment variables; pairs, so that the layer can be hashed."""

    variables: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SourceCopy:
    """A file or folder of the author's machine, and where it goes."""

    src: PurePath
    dst: str = "."
    is_folder: bool = True
    copy_contents_only: bool = False


@dataclass(frozen=True, slots=True)
class CodeBundle:
    """The code of the run itself, baked in."""

    copy_style: str = "loaded_modules"
    dst: str = "."


@dataclass(frozen=True, slots=True)
class Workdir:
    """The working directory."""

    path: str


@dataclass(frozen=True, slots=True)
class DockerIgnore:
    """A file that names what not to copy."""

    path: PurePath


@dataclass(frozen=True, slots=True)
class LocalPackage:
    """flyte_ray itself, from the author's checkout."""


Layer: TypeAlias = (
    PipPackages
    | Requirements
    | Project
    | Script
    | AptPackages
    | Commands
    | EnvVars
    | SourceCopy
    | CodeBundle
    | Workdir
    | DockerIgnore
    | LocalPackage
)
