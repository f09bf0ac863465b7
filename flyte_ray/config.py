"""PUBLIC: the settings of this process, as `init` would find them.

The settings themselves, their order of precedence and their files are described in
`client/config.py`; `init_from_config` takes a path, or what `auto` returns.
"""

from __future__ import annotations

from pathlib import Path

from flyte_ray.client.config import SettingLine, Settings, load_settings

__all__ = ["Config", "SettingLine", "auto", "set_if_exists"]

Config = Settings
"""All settings; frozen. `Config.explain()` says where each came from."""


def auto(config_file: str | Path | None = None) -> Config:
    """The settings of environment and files, those of `config_file` first.

    Raises:
        ConfigurationError: a setting that does not exist, or a value that does not fit.
        InitializationError: `config_file` does not exist.

    Example:
        >>> auto().log_format
        'console'
    """
    return load_settings(config_file)


def set_if_exists(target: dict[str, object], key: str, value: object) -> dict[str, object]:
    """The dict with one more entry, unless the value is None or empty.

    Example:
        >>> set_if_exists({}, "mode", None), set_if_exists({}, "mode", "local")
        ({}, {'mode': 'local'})
    """
    return {**target, key: value} if value is not None and value != "" else target
