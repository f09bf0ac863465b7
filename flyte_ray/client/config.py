"""Settings: which there are, where each one came from, and who wins.

Every setting is looked for on its own, in this order; the first that has it wins:

    arguments > environment > the file that was named > ./.flyte_ray/config.yaml, up to the git root
    > [tool.flyte_ray] in pyproject.toml, up to the git root > ~/.flyte_ray/config.yaml
    > project and domain of Flyte's own files > defaults

This room resolves and explains; it starts nothing and writes nothing. Files are read by
`client/config_files`. A relative store path in a file means relative to the folder that the file
speaks for (beside `.flyte_ray/` or `pyproject.toml`), so that a project works from each of its
subfolders; elsewhere it means relative to the working directory.
"""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from flyte_ray.client.config_files import Layer, config_layers
from flyte_ray.errors import ConfigurationError

logger = logging.getLogger(__name__)

DEFAULT_STORE = "~/.flyte_ray/store"
ENV_PREFIX = "FLYTE_RAY_"
ENV_ALIASES: Mapping[str, tuple[str, ...]] = {
    "address": ("RAY_ADDRESS",),
    "log_level": ("LOG_LEVEL",),
    "user_log_level": ("USER_LOG_LEVEL",),
    "log_format": ("LOG_FORMAT",),
    "project": ("FLYTE_PROJECT",),
    "domain": ("FLYTE_DOMAIN",),
}
"""Names that Ray's and Flyte's users know; `FLYTE_RAY_*` goes before them.

Other programs read some of them too, so a value that makes no sense here is passed over.
"""


class Settings(BaseModel):
    """Everything that can be set. Frozen; make one with `load_settings`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: str = DEFAULT_STORE
    """Root URL of the record: a local directory, `gs://…`, `s3://…`."""
    address: str | None = None
    """Ray cluster to attach to: `auto`, `host:6379`; None or `local`: an embedded Ray."""
    namespace: str = "flyte_ray"
    """Ray namespace of the hosts and pools."""
    mode: Literal["local", "remote"] | None = None
    """Engine when a call names none: `local` is in-process, `remote` is Ray (also the default)."""
    fsync: bool = False
    """Force each write of a local store to disk, so that the record survives a power cut."""
    clamp_resources: bool = False
    """On an embedded Ray, lower requests that this machine cannot meet instead of refusing."""
    images: Literal["install", "record"] | None = None
    """Whether workers get the packages of images; None: on a cluster yes, on an embedded Ray no."""
    progress: bool = True
    """Show progress while waiting for a run."""
    project: str | None = None
    """Optional name space of runs, as in Flyte."""
    domain: str | None = None
    """Optional name space of runs, as in Flyte."""
    raw_data_path: str | None = None
    """Root URL for files and folders that tasks write; None: below the store."""
    max_action_concurrency: int | None = Field(default=None, ge=2)
    """Most children of one parent that are underway at once; None: 1,000."""
    log_level: int | str | None = None
    """Level of flyte_ray's own log lines; None: WARNING."""
    user_log_level: int | str | None = None
    """Level of `flyte_ray.logger`; None: INFO."""
    log_format: Literal["console", "json"] = "console"
    """How log lines look."""
    origins: Mapping[str, str] = Field(default_factory=dict, exclude=True, repr=False)
    """Per setting, in words, where its value came from; absent: the default."""

    @field_validator("log_level", "user_log_level")
    @classmethod
    def _is_a_level(cls, value: int | str | None) -> int | str | None:
        if isinstance(value, str):
            if value.strip().isdigit():
                return int(value)
            if value.strip().upper() not in logging.getLevelNamesMapping():
                raise ValueError("expected a number or one of DEBUG, INFO, WARNING, ERROR")
            return value.strip().upper()
        return value

    def explain(self) -> list[SettingLine]:
        """Every setting with its value and its origin, in the order of declaration."""
        return [
            SettingLine(
                name=name, value=getattr(self, name), origin=self.origins.get(name, "default")
            )
            for name in SETTING_NAMES
        ]


SETTING_NAMES = tuple(name for name in Settings.model_fields if name != "origins")


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingLine:
    """One line of `flyte-ray get config`."""

    name: str
    value: Any
    origin: str


def load_settings(
    config: str | Path | None = None,
    *,
    cwd: Path | None = None,
    home: Path | None = None,
    environ: Mapping[str, str] | None = None,
    **explicit: Any,
) -> Settings:
    """Resolve all settings.

    Args:
        config: a configuration file that must exist: ours (YAML or TOML), or one of Flyte's, whose
            own sections are passed over.
        cwd: where the search for project files begins; default: the working directory.
        home: where `.flyte_ray/config.yaml` of the user lies; default: the home folder.
        environ: default: the environment of this process.
        **explicit: settings by name; None means not given.

    Raises:
        ConfigurationError: a key that is no setting, or a value that does not fit. Names the file
            (or variable), the key and the nearest name.
        InitializationError: `config` does not exist (code `ConfigFileNotFoundError`).
    """
    cwd = cwd or Path.cwd()
    environ = os.environ if environ is None else environ
    layers = [
        Layer(origin="argument", folder=cwd, values=explicit),
        *_environment(environ, cwd),
        *config_layers(config, cwd=cwd, home=home or Path.home(), environ=environ),
    ]
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        for key, value in layer.values.items():
            if key not in SETTING_NAMES:
                raise ConfigurationError(_unknown(key, layer.origin))
            if key in values or value is None:
                continue
            try:
                values[key] = _checked(key, value, layer)
            except ConfigurationError as error:
                if not layer.shared:
                    raise
                logger.warning("%s It is passed over.", error)
            else:
                origins[key] = layer.origin
    values.setdefault("store", absolute(DEFAULT_STORE, cwd, home))
    return Settings(**values, origins=origins)


def _environment(environ: Mapping[str, str], cwd: Path) -> list[Layer]:
    """One layer per variable, so that each origin names the variable itself."""
    layers = [
        Layer(
            origin=f"environment {variable}",
            folder=cwd,
            values={key: environ[variable]},
            shared=not variable.startswith(ENV_PREFIX),
        )
        for key in SETTING_NAMES
        for variable in (ENV_PREFIX + key.upper(), *ENV_ALIASES.get(key, ()))
        if environ.get(variable)
    ]
    known = [ENV_PREFIX + key.upper() for key in SETTING_NAMES]
    for variable in environ:
        # Other variables of this prefix exist (tests, workers): only near misses are worth a word.
        if variable.startswith(ENV_PREFIX) and variable not in known:
            near = difflib.get_close_matches(variable, known, n=1, cutoff=0.9)
            if near:
                logger.warning("%s is no setting and is ignored; %s is one", variable, near[0])
    return layers


def _unknown(key: str, origin: str) -> str:
    near = difflib.get_close_matches(key, SETTING_NAMES, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else f" Settings are: {', '.join(SETTING_NAMES)}."
    return f"{origin}: there is no setting {key!r}.{hint}"


def _checked(key: str, value: Any, layer: Layer) -> Any:
    """The value as its setting wants it, judged on its own so that the message can say where."""
    if key in ("store", "raw_data_path") and isinstance(value, str | Path):
        value = absolute(str(value), layer.folder)
    try:
        return getattr(Settings.model_validate({key: value}), key)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigurationError(
            f"{layer.origin}: setting {key!r} cannot be {value!r}: {reason}."
        ) from error


def absolute(store: str, folder: Path, home: Path | None = None) -> str:
    """Local paths made absolute; URLs as they are."""
    if "://" in store:
        return store
    if home is not None and store.startswith("~/"):
        return str(home / store[2:])
    return os.path.normpath(folder / Path(store).expanduser())
