"""What a caller may say of a run, apart from the task and its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flyte_ray.client.bundle import COPY_STYLES

CACHE_SCOPES = ("global", "project-domain")


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
    dry_run: bool = False
    """Check everything, and say what would be started; start nothing."""
    project: str | None = None
    domain: str | None = None
    cache_lookup_scope: str = "global"
    """Accepted; the cache is one for the whole store."""
    tracked: bool = False
    """Accepted: every run is recorded."""
    others: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.copy_style not in COPY_STYLES:
            raise ValueError(
                f"copy_style must be one of {', '.join(COPY_STYLES)}, not {self.copy_style!r}"
            )
        if self.copy_style == "none" and not self.version:
            raise ValueError('copy_style="none" ships no code, so it needs version=…')
        if self.cache_lookup_scope not in CACHE_SCOPES:
            raise ValueError(
                f"cache_lookup_scope must be one of {', '.join(CACHE_SCOPES)}, "
                f"not {self.cache_lookup_scope!r}"
            )
        if self.tracked and self.mode not in (None, "local"):
            raise ValueError(f"tracked=True is for mode='local', not {self.mode!r}")
        for option in ("env_vars", "labels", "annotations", "custom_context"):
            for name, value in (getattr(self, option) or {}).items():
                if not isinstance(value, str):
                    raise ValueError(f"{option}[{name!r}] must be a str, not {value!r}")
        limit = self.max_action_concurrency
        if limit is not None and limit < 2:
            raise ValueError(f"max_action_concurrency must be at least 2, not {limit}")
