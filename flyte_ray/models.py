"""PUBLIC: the nouns of runs and tasks, under the names that Flyte's scripts import.

Names only; each is at home on the floor that it belongs to.
"""

from flyte_ray.author.scope import ActionID, GroupData, RawDataPath, TaskContext
from flyte_ray.core.calls import CodeSpec as CodeBundle
from flyte_ray.core.interface import NativeInterface
from flyte_ray.core.model import ActionPhase

__all__ = [
    "ActionID",
    "ActionPhase",
    "CodeBundle",
    "GroupData",
    "NativeInterface",
    "RawDataPath",
    "TaskContext",
]
