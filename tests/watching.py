"""Waiting for what other processes do: by looking, for a while."""

from __future__ import annotations

import time
from collections.abc import Callable


def seen(condition: Callable[[], bool], patience_s: float = 60, every_s: float = 0.2) -> bool:
    """True once the condition holds; False if it does not within a minute.

    A look that reads the whole record slows the run down: it wants a longer `every_s`.
    """
    give_up_at = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(every_s)
    return True
