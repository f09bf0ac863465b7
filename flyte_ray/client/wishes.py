"""What a caller may say of a run, apart from the task and its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWishes:
    """What a caller may say of a run. Fields without effect on Ray are accepted and recorded."""

    mode: str | None = None
    name: str | None = None
    version: str | None = None
    copy_style: str = "loaded_modules"
    env_vars: Mapping[str, str] | None = None
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    custom_context: Mapping[str, str] | None = None
    overwrite_cache: bool = False
    disable_run_cache: bool = False
    interruptible: bool | None = None
    max_action_concurrency: int | None = None
    raw_data_path: str | None = None
    run_base_dir: str | None = None
    run_start_time: datetime | None = None
    log_level: int | None = None
    detached: bool = False
    """The run is let go of: neither Ctrl-C nor the end of the script touches it."""
    background: bool = False
    """Also in local mode return a handle at once, instead of running to the end and raising."""
    root_dir: str | None = None
    others: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.copy_style == "none" and not self.version:
            raise ValueError('copy_style="none" ships no code, so it needs version=…')
        for name, value in (self.env_vars or {}).items():
            if not isinstance(value, str):
                raise ValueError(f"env_vars[{name!r}] must be a str, not {value!r}")
        limit = self.max_action_concurrency
        if limit is not None and limit < 2:
            raise ValueError(f"max_action_concurrency must be at least 2, not {limit}")
