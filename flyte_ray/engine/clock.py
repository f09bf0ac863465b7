"""Time as it is. Tests hand in a clock of their own instead (`flyte_ray.testing`)."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


class SystemClock:
    """The `Clock` port on the machine's own clocks."""

    def now(self) -> datetime:
        """Wall time in UTC, for the record."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Pause this asyncio task."""
        await asyncio.sleep(seconds)
