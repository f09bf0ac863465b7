"""Configuration files: where they may lie and what they say.

Reads ours (`.flyte_ray/config.yaml`, `[tool.flyte_ray]` in a pyproject.toml) and is patient with
Flyte's: their sections are passed over, but for project and domain, so that a script that names
such a file runs. Those that lie where Flyte looks for them count last, and may say what they like.
What the keys mean is decided in `client/config`.

Without a git root above it, a folder speaks for itself alone: no search climbs into strange
folders.
"""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyte_ray.errors import ConfigurationError, InitializationError

FLYTE_SECTIONS = frozenset(
    {
        *("admin", "auth", "client", "console", "endpoint", "files", "flyte", "image", "images"),
        *("k8s", "local", "logger", "org", "platform", "secrets", "storage", "task", "union"),
    }
)
"""Top-level keys of Flyte's files; none of them is a setting of ours."""

OWN_SECTIONS = ("flyte_ray", "ray")
"""Sections of ours in a file of Flyte's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one source says."""

    origin: str
    """In words, for messages and for `flyte-ray get config`."""
    folder: Path
    """What relative paths in it are relative to."""
    values: Mapping[str, Any]
    shared: bool = False
    """Other programs read this source too; what makes no sense to us may be meant for them."""


def config_layers(
    named: str | Path | None, *, cwd: Path, home: Path, environ: Mapping[str, str]
) -> list[Layer]:
    """What the files say, strongest first; files that do not exist say nothing."""
    layers = []
    if named is not None:
        path = cwd / Path(named).expanduser()
        if not path.is_file():
            raise InitializationError(
                "ConfigFileNotFoundError",
                "user",
                f"The configuration file {str(named)!r} does not exist (looked in {cwd}). "
                "Leave it out to use the defaults.",
            )
        layers.append(_read(path))
    folders = _up_to_git_root(cwd)
    layers += [_read(folder / ".flyte_ray" / "config.yaml") for folder in folders]
    layers += [_read(folder / "pyproject.toml") for folder in folders]
    layers.append(_read(home / ".flyte_ray" / "config.yaml"))
    layers += [_read_flytes(path) for path in _flytes_places(folders, cwd, home, environ)]
    return [layer for layer in layers if layer.values]


def _flytes_places(
    folders: list[Path], cwd: Path, home: Path, environ: Mapping[str, str]
) -> list[Path]:
    """Where Flyte looks for its file, in its order."""
    named = [environ[name] for name in ("UCTL_CONFIG", "FLYTECTL_CONFIG") if environ.get(name)]
    return [
        cwd / "config.yaml",
        *(folder / ".flyte" / "config.yaml" for folder in folders),
        *(cwd / Path(name).expanduser() for name in named),
        *(home / place / "config.yaml" for place in (".union", ".flyte")),
    ]


def _read_flytes(path: Path) -> Layer:
    """Project, domain and our section of a file that lies where Flyte looks, if it is Flyte's."""
    try:
        data = _parsed(path) if path.is_file() else None
    except ConfigurationError:
        data = None
    # Many programs have a config.yaml; Flyte's names its backend.
    said = data if isinstance(data, dict) and "admin" in data else {}
    known = {key: said[key] for key in ("task", "flyte_ray") if isinstance(said.get(key), dict)}
    return Layer(origin=str(path), folder=path.parent, values=_own(known), shared=True)


def _up_to_git_root(cwd: Path) -> list[Path]:
    folders = [cwd, *cwd.parents]
    for depth, folder in enumerate(folders):
        if (folder / ".git").exists():
            return folders[: depth + 1]
    return [cwd]


def _read(path: Path) -> Layer:
    folder = path.parent.parent if path.parent.name == ".flyte_ray" else path.parent
    if not path.is_file():
        return Layer(origin=str(path), folder=folder, values={})
    data = _parsed(path)
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path}: expected settings as `key: value`, not {data!r}.")
    if path.suffix == ".toml":
        tool = data.get("tool", {}).get("flyte_ray")
        is_project = path.name == "pyproject.toml"
        data = tool if tool is not None else {} if is_project else data
        origin = f"{path} [tool.flyte_ray]" if is_project else str(path)
        return Layer(origin=origin, folder=folder, values=_own(data))
    return Layer(origin=str(path), folder=folder, values=_own(data))


def _parsed(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            return tomllib.loads(text)
        # Most runs find no YAML file, and its parser costs 15 ms to import.
        yaml = importlib.import_module("yaml")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is no valid YAML: {error}") from error


def _own(data: Mapping[str, Any]) -> dict[str, Any]:
    """Our settings of a file, Flyte's sections translated or passed over."""
    own: dict[str, Any] = {}
    for key, value in data.items():
        if key in OWN_SECTIONS and isinstance(value, dict):
            own.update(value)
        elif key == "task" and isinstance(value, dict):
            own |= {k: value[k] for k in ("project", "domain") if value.get(k)}
        elif key not in FLYTE_SECTIONS or (key == "images" and isinstance(value, str)):
            # (Ours says "install" or "record"; Flyte's section maps names to images.)
            own[str(key).replace("-", "_")] = value
    return own
