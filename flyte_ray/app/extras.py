"""Environments for apps of particular frameworks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flyte_ray.app.environment import AppEnvironment


@dataclass(eq=False)
class FastAPIAppEnvironment(AppEnvironment):
    """The environment of a FastAPI app.

    Example:
        >>> FastAPIAppEnvironment(name="web", app=object()).type
        'FastAPI'
    """

    app: Any = None
    """The FastAPI (or any ASGI) application."""

    def __post_init__(self) -> None:
        if self.app is None:
            raise ValueError(f"app environment {self.name!r} needs app=FastAPI(...)")
        self.type = self.type or "FastAPI"
        super().__post_init__()
