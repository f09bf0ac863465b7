"""PUBLIC: runs and their actions, to find, follow and read; and files to send ahead.

Everything here reads the store of the session (`init`), wherever the runs were carried out.
Deployed tasks, secrets, projects and apps of a Flyte backend have no counterpart yet.
"""

from flyte_ray.client.action import Action
from flyte_ray.client.deployed import DeployedTask as Task
from flyte_ray.client.deployed import LazyEntity
from flyte_ray.client.details import ActionDetails, PhaseTransitionInfo
from flyte_ray.client.listing import TimeFilter
from flyte_ray.client.outputs import ActionInputs, ActionOutputs
from flyte_ray.client.run import Run
from flyte_ray.client.signal import Condition
from flyte_ray.client.uploads import upload_dir, upload_file
from flyte_ray.store.catalog import RunRecord as RunDetails

__all__ = [
    "Action",
    "ActionDetails",
    "ActionInputs",
    "ActionOutputs",
    "Condition",
    "LazyEntity",
    "PhaseTransitionInfo",
    "Run",
    "RunDetails",
    "Task",
    "TimeFilter",
    "upload_dir",
    "upload_file",
]
