"""Tasks that only wait: the mark by which the engine knows them.

A task of an environment with `plugin_config=Sleep()` takes one `timedelta` and returns nothing. No
worker runs it: the engine lets the time pass (`engine/timers`), and records it like any action. Its
body is never called there; outside of a run it is what the author wrote.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from flyte_ray.core.interface import Interface


@dataclass(frozen=True, slots=True)
class Sleep:
    """Marks the tasks of an environment as timers.

    Example:
        >>> import flyte_ray as flyte
        >>> from flyte_ray.extras import Sleep
        >>> env = flyte.TaskEnvironment(name="timers", plugin_config=Sleep())
        >>> @env.task
        ... async def pause(duration: timedelta) -> None: ...
    """

    supports_reuse_policy: ClassVar[bool] = True

    def check_interface(self, interface: Interface) -> None:
        """Refuse a task that is no timer.

        Raises:
            TypeError: it takes anything but one `timedelta`, or returns something.
        """
        kinds = list(interface.get_input_types().values())
        if kinds != [timedelta] or interface.has_outputs():
            raise TypeError(
                f"task {interface.name!r} belongs to an environment with "
                "plugin_config=Sleep(), so it must take one parameter, annotated "
                "datetime.timedelta, and return nothing"
            )
