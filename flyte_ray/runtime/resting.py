"""Lets time pass in a body that waits for the outside, with its CPU lent to others.

Ray lends a worker's CPU while its main thread waits for a call (`waiting`), so there must be one:
the host is asked to answer after a while. Where there is no such wait (an attempt that has ended),
time simply passes.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future
from typing import Any

import ray

from flyte_ray.engine.landing import landed
from flyte_ray.runtime import addresses
from flyte_ray.runtime.waiting import current_wait

logger = logging.getLogger(__name__)


class Rest:
    """Rests of one worker process; see `engine.conditions.Rest`."""

    def __init__(self, host_name: str) -> None:
        self._host_name = host_name

    async def __call__(self, seconds: float) -> None:
        """Let so much time pass, or a little more."""
        wait = current_wait()
        if wait is None:
            await asyncio.sleep(seconds)
            return
        over: Future[Any] = Future()
        try:
            ref = addresses.host_handle(self._host_name).pause.remote(seconds)
        except (ValueError, ray.exceptions.RayError) as error:
            logger.debug("the host cannot be asked to wait: %s", error)
            await asyncio.sleep(seconds)
            return
        wait.watch(ref, over.set_result)
        with wait:
            async with asyncio.TaskGroup() as both:
                both.create_task(asyncio.sleep(seconds))  # a host that is away answers too early
                both.create_task(landed(over))
