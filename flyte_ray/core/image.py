"""What a task's process should find installed: `Image`, an immutable builder.

It only describes. On Ray the packages, variables and folder become part of the worker's runtime
environment; a container URI is used where the cluster can; the rest (`container_only`) is named in
a warning. `uri` is a digest of the description, not of the files that it names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import PurePath
from typing import Any, Literal, Required, TypeAlias, TypeVar, Unpack, cast

from flyte_ray.core.image_layers import (
    AptPackages,
    CodeBundle,
    Commands,
    DockerIgnore,
    EnvVars,
    InstallMode,
    Layer,
    LocalPackage,
    PackageOptions,
    PackageSource,
    PipPackages,
    Project,
    Requirements,
    Script,
    SourceCopy,
    Workdir,
    text_tuple,
)
from flyte_ray.core.secret import Secret, SecretRequest, normalise_secrets

DEFAULT_NAME = "flyte-ray"
_Path: TypeAlias = str | PurePath
_Platform: TypeAlias = str | Sequence[str] | None
_PACKAGE_LAYERS = (PipPackages, Requirements, Project, Script)
_CLONE_SETTINGS = {"registry", "registry_secret", "name", "base_image", "python_version"}
_CLONE_SETTINGS |= {"platform", "extendable"}
_L = TypeVar("_L", bound=Layer)


class ScriptOptions(PackageOptions, total=False):
    """What `from_uv_script` and `from_pixi_script` take beside the script."""

    name: Required[str]
    registry: str | None
    registry_secret: str | Secret | None
    python_version: tuple[int, int] | None
    platform: _Platform


@dataclass(frozen=True, slots=True, init=False)
class Image:
    """Packages, variables and files for a task's process. Start from one of the `from_…` methods.

    Raises:
        TypeError: constructed directly.

    Example:
        >>> image = Image.from_debian_base().with_pip_packages("numpy", "pandas>=2")
        >>> image.pip_packages
        ('numpy', 'pandas>=2')
    """

    name: str | None = None
    registry: str | None = None
    registry_secret: str | Secret | None = None
    base_image: str | None = None
    """Container image to start from; None where a Dockerfile or a reference says it."""
    dockerfile: PurePath | None = None
    ref_name: str | None = None
    """Name of an image that the configuration defines."""
    python_version: tuple[int, int] | None = None
    """None: the author's own."""
    platform: tuple[str, ...] = ()
    flyte_version: str | None = None
    install_flyte: bool = True
    extendable: bool = True
    """False: adding a layer raises; `clone(extendable=True)` makes an extendable copy."""
    layers: tuple[Layer, ...] = ()

    def __init__(self, *_: Any, **__: Any) -> None:
        raise TypeError(
            "Image is not constructed directly; start with Image.from_debian_base(), "
            "Image.from_base(uri) or another Image.from_… method"
        )

    @classmethod
    def from_debian_base(
        cls,
        python_version: tuple[int, int] | None = None,
        flyte_version: str | None = None,
        install_flyte: bool = True,
        registry: str | None = None,
        registry_secret: str | Secret | None = None,
        name: str | None = None,
        platform: _Platform = None,
    ) -> Image:
        """A plain Debian with Python; on Ray: the worker's own packages, and what is added."""
        return _make(
            python_version=python_version,
            flyte_version=flyte_version,
            install_flyte=install_flyte,
            registry=registry,
            registry_secret=registry_secret,
            name=name,
            platform=platform,
        )

    @classmethod
    def from_base(cls, image_uri: str) -> Image:
        """An existing container image, as it is."""
        return _make(base_image=image_uri, extendable=False)

    @classmethod
    def from_dockerfile(
        cls, file: _Path, registry: str, name: str, platform: _Platform = None
    ) -> Image:
        """The image that a Dockerfile describes."""
        return _make(
            dockerfile=PurePath(file),
            registry=registry,
            name=name,
            platform=platform,
            extendable=False,
        )

    @classmethod
    def from_uv_script(cls, script: _Path, **options: Unpack[ScriptOptions]) -> Image:
        """The packages that a script names in its header (PEP 723)."""
        return _of_script("uv", script, options)

    @classmethod
    def from_pixi_script(cls, script: _Path, **options: Unpack[ScriptOptions]) -> Image:
        """The same for a script that pixi runs."""
        return _of_script("pixi", script, options)

    @classmethod
    def from_ref_name(cls, name: str = "default") -> Image:
        """An image that the configuration defines under `name`."""
        return _make(ref_name=name, extendable=False)

    def with_pip_packages(self, *packages: str, **options: Unpack[PackageOptions]) -> Image:
        """A copy with these packages, as requirement texts."""
        return self._plus(PipPackages(packages, PackageSource.from_options(options)))

    def with_requirements(self, file: _Path, **options: Unpack[PackageOptions]) -> Image:
        """A copy with the packages of a requirements file."""
        return self._plus(Requirements(PurePath(file), PackageSource.from_options(options)))

    def with_uv_project(
        self,
        pyproject_file: _Path,
        uvlock: _Path | None = None,
        *,
        project_install_mode: InstallMode = "dependencies_only",
        **options: Unpack[PackageOptions],
    ) -> Image:
        """A copy with the packages of a uv project."""
        return self._plus(
            Project.from_options("uv", pyproject_file, uvlock, project_install_mode, options)
        )

    def with_poetry_project(
        self,
        pyproject_file: _Path,
        poetry_lock: _Path | None = None,
        *,
        project_install_mode: InstallMode = "dependencies_only",
        **options: Unpack[PackageOptions],
    ) -> Image:
        """A copy with the packages of a Poetry project."""
        mode = project_install_mode
        return self._plus(
            Project.from_options("poetry", pyproject_file, poetry_lock, mode, options)
        )

    def with_pixi_project(
        self,
        manifest_file: _Path,
        pixi_lock: _Path | None = None,
        *,
        project_install_mode: InstallMode = "dependencies_only",
        **options: Unpack[PackageOptions],
    ) -> Image:
        """A copy with the packages of a pixi project."""
        return self._plus(
            Project.from_options("pixi", manifest_file, pixi_lock, project_install_mode, options)
        )

    def with_apt_packages(self, *packages: str) -> Image:
        """A copy with packages of the operating system (containers only)."""
        return self._plus(AptPackages(packages))

    def with_commands(
        self, commands: Iterable[str], secret_mounts: SecretRequest | None = None
    ) -> Image:
        """A copy with shell commands of the build (containers only)."""
        if isinstance(commands, str):
            raise TypeError("Image.with_commands takes a list of commands, not one text")
        return self._plus(Commands(tuple(commands), normalise_secrets(secret_mounts)))

    def with_env_vars(self, env_vars: Mapping[str, str]) -> Image:
        """A copy with environment variables."""
        return self._plus(EnvVars(tuple(sorted(env_vars.items()))))

    def with_source_folder(
        self, src: _Path, dst: str = ".", copy_contents_only: bool = False
    ) -> Image:
        """A copy with a folder of the author's machine."""
        return self._plus(SourceCopy(PurePath(src), dst, True, copy_contents_only))

    def with_source_file(self, src: _Path, dst: str = ".") -> Image:
        """A copy with a file of the author's machine."""
        return self._plus(SourceCopy(PurePath(src), dst, is_folder=False))

    def with_code_bundle(self, copy_style: str = "loaded_modules", dst: str = ".") -> Image:
        """A copy with the run's code baked in."""
        return self._plus(CodeBundle(copy_style, dst))

    def with_workdir(self, workdir: str) -> Image:
        """A copy with another working directory."""
        return self._plus(Workdir(workdir))

    def with_dockerignore(self, path: _Path) -> Image:
        """A copy that does not copy what this file names."""
        return self._plus(DockerIgnore(PurePath(path)))

    def with_local_v2(self) -> Image:
        """A copy with flyte_ray from the author's checkout."""
        return self._plus(LocalPackage())

    def clone(self, *, addl_layer: Layer | None = None, **changes: Any) -> Image:
        """A copy with another layer and other settings; None keeps a setting.

        Settings: registry, registry_secret, name, base_image, python_version, platform, extendable.

        Raises:
            TypeError: an unknown setting.
            ValueError: a layer for an image that is not extendable.
        """
        if unknown := set(changes) - _CLONE_SETTINGS:
            raise TypeError(f"Image.clone takes no {min(unknown)!r}")
        given = {name: value for name, value in changes.items() if value is not None}
        copy = _make(**{**_settings(self), **given})
        return copy if addl_layer is None else copy._plus(addl_layer)

    @property
    def uri(self) -> str:
        """`registry/name:tag`, the tag being a digest of the description; a bare base as it is."""
        if self.base_image is not None and not self.layers and self.name is None:
            return self.base_image
        tag = hashlib.sha256(repr(self).encode()).hexdigest()[:32]
        path = f"{self.registry}/" if self.registry else ""
        return f"{path}{self.name or DEFAULT_NAME}:{tag}"

    @property
    def container_uri(self) -> str | None:
        """The container image to run in; None for the worker's own."""
        return self.base_image

    @property
    def pip_packages(self) -> tuple[str, ...]:
        """Requirement texts of all pip layers, in order."""
        return tuple(each for layer in self._of(PipPackages) for each in layer.packages)

    @property
    def requirement_files(self) -> tuple[PurePath, ...]:
        """Requirements files, as written."""
        return tuple(layer.file for layer in self._of(Requirements))

    @property
    def projects(self) -> tuple[Project, ...]:
        """Project files whose packages are wanted."""
        return tuple(self._of(Project))

    @property
    def scripts(self) -> tuple[Script, ...]:
        """Scripts whose headers name packages."""
        return tuple(self._of(Script))

    @property
    def installer_arguments(self) -> tuple[str, ...]:
        """Arguments for pip or uv (indexes, pre-releases) of all package layers, each once."""
        sources = [layer.source for layer in self.layers if isinstance(layer, _PACKAGE_LAYERS)]
        once = dict.fromkeys(source.installer_arguments() for source in sources)
        return sum(once, ())

    @property
    def env_vars(self) -> dict[str, str]:
        """Environment variables; of two layers the later wins."""
        return {name: value for layer in self._of(EnvVars) for name, value in layer.variables}

    @property
    def workdir(self) -> str | None:
        """The working directory asked for last."""
        layers = list(self._of(Workdir))
        return layers[-1].path if layers else None

    @property
    def container_only(self) -> tuple[str, ...]:
        """What only a container build could give, in words for a warning."""
        wishes = ["a Dockerfile"] if self.dockerfile is not None else []
        wishes += [f"apt packages {', '.join(each.packages)}" for each in self._of(AptPackages)]
        wishes += ["build commands"] if any(self._of(Commands)) else []
        return tuple(wishes)

    def _of(self, kind: type[_L]) -> Iterable[_L]:
        return (layer for layer in self.layers if isinstance(layer, kind))

    def _plus(self, layer: Layer) -> Image:
        if not self.extendable:
            raise ValueError(
                f"Image {self.uri} is used as it is; to add layers, first call "
                f".clone(name=…, registry=…, extendable=True)"
            )
        return _make(**{**_settings(self), "layers": (*self.layers, layer)})


def _make(**settings: Any) -> Image:
    """An image with these settings and the defaults of all others."""
    image = object.__new__(Image)
    settings["platform"] = text_tuple(settings.get("platform"))
    for each in fields(Image):
        object.__setattr__(image, each.name, settings.get(each.name, each.default))
    return image


def _of_script(tool: Literal["uv", "pixi"], script: _Path, options: ScriptOptions) -> Image:
    """An image of a script's packages; what is no setting of the image is one of the packages."""
    if "name" not in options:
        raise TypeError(f"Image.from_{tool}_script needs name=…")
    names = ScriptOptions.__annotations__.keys() - PackageOptions.__annotations__.keys()
    settings = {key: value for key, value in options.items() if key in names}
    others = cast(PackageOptions, {k: v for k, v in options.items() if k not in names})
    return _make(**settings)._plus(
        Script(tool, PurePath(script), PackageSource.from_options(others))
    )


def _settings(image: Image) -> dict[str, Any]:
    return {each.name: getattr(image, each.name) for each in fields(Image)}
