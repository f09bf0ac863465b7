"""Flyte's names of GPU models, as the labels that Ray's nodes carry.

Ray looks at the first device of a node and gives the node a resource `accelerator_type:<model>`. It
tells neither memory sizes nor slices apart: whoever runs the cluster labels such nodes, by
`ray start --resources '{"accelerator_type:A100-80G": 1}'` or `'{"gpu_partition:1g.5gb": 1}'`.

Source of the names: `ray.util.accelerators`, and `NvidiaGPUAcceleratorManager` for those it forms
from what the driver says.
"""

from __future__ import annotations

_RAY_NAMES = {
    "A100_80G": "A100-80G",
    "L40s": "L40S",
    "RTX_PRO_4500": "RTX-PRO-4500",
    "RTX_PRO_6000": "RTX-PRO-6000",
    "MI100": "AMD-Instinct-MI100",
    "MI210": "AMD-Instinct-MI210",
    "MI250": "AMD-Instinct-MI250X-MI250",
    "MI250X": "AMD-Instinct-MI250X",
    "MI300A": "AMD-Instinct-MI300A",
    "MI300X": "AMD-Instinct-MI300X-OAM",
    "MI325X": "AMD-Instinct-MI325X-OAM",
    "MI350X": "AMD-Instinct-MI350X-OAM",
    "MI355X": "AMD-Instinct-MI355X-OAM",
}
_SHARED = " shared"


def ray_model(model: str) -> str:
    """What Ray calls a model; a time-shared GPU is one of its model to Ray.

    Example:
        >>> ray_model("A100_80G"), ray_model("T4 shared"), ray_model("H100")
        ('A100-80G', 'T4', 'H100')
    """
    bare = model.removesuffix(_SHARED)
    return _RAY_NAMES.get(bare, bare)


def model_label(model: str) -> str:
    """The resource of a node that has the model (Ray's name)."""
    return f"accelerator_type:{model}"


def partition_label(partition: str) -> str:
    """The resource of a node whose GPUs are slices of that size."""
    return f"gpu_partition:{partition}"
