"""A condition as values: what is asked, of which kind the answer is, and what an answer may be.

Nothing here waits or asks. A condition is an action of the task that waits for it; its name is what
people answer to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

ASKED = "condition"
"""Kind of the letter that says what is asked."""
ANSWERED = "signal"
"""Kind of the letter that answers."""

Answer: TypeAlias = bool | int | float | str
KINDS: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str}
_TEXTS = {"true": True, "yes": True, "y": True, "false": False, "no": False, "n": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionWish:
    """What an author wants to know.

    Raises:
        TypeError: the answer would be no bool, int, float or str.
        ValueError: no name, an unknown prompt type, or no time to answer.
    """

    name: str
    prompt: str = "Approve?"
    prompt_type: str = "text"
    data_type: type = bool
    description: str = ""
    timeout_s: float | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a condition needs a name, which people answer to")
        if self.data_type not in KINDS.values():
            raise TypeError(
                f"condition {self.name!r}: data_type must be bool, int, float or str, not "
                f"{self.data_type!r}"
            )
        if self.prompt_type not in ("text", "markdown"):
            raise ValueError(
                f"condition {self.name!r}: prompt_type must be 'text' or 'markdown', not "
                f"{self.prompt_type!r}"
            )
        if self.timeout_s is not None and self.timeout_s <= 0:
            raise ValueError(f"condition {self.name!r}: timeout must be positive")

    def to_json(self) -> dict[str, Any]:
        """The wish as plain values."""
        return {
            "name": self.name,
            "prompt": self.prompt,
            "prompt_type": self.prompt_type,
            "data_type": self.data_type.__name__,
            "description": self.description,
            "timeout_s": self.timeout_s,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ConditionWish:
        """The inverse; what later releases add is passed over."""
        return cls(
            name=data["name"],
            prompt=data.get("prompt", ""),
            prompt_type=data.get("prompt_type", "text"),
            data_type=KINDS[data["data_type"]],
            description=data.get("description", ""),
            timeout_s=data.get("timeout_s"),
        )


def seconds_of(timeout: timedelta | float | None) -> float | None:
    """A time limit in seconds."""
    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout


def checked_answer(wish: ConditionWish, value: object) -> Answer:
    """An answer of the kind that was asked for; texts are read as the command line gives them.

    Raises:
        TypeError: it is of another kind.

    Example:
        >>> checked_answer(ConditionWish(name="go"), "yes")
        True
    """
    kind = wish.data_type
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        answer: Answer = value  # type: ignore[assignment]  # one of KINDS, just checked
        return answer
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            return _read(kind, value.strip())
        except (ValueError, KeyError):
            pass
    raise TypeError(
        f"condition {wish.name!r} ({wish.prompt}) wants a {kind.__name__}, not {value!r}"
    )


def _read(kind: type, text: str) -> Answer:
    if kind is bool:
        return _TEXTS[text.lower()]
    found = json.loads(text)
    number: Answer = kind(found)
    if isinstance(found, bool) or number != found:
        raise ValueError(text)
    return number
