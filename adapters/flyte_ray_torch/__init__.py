"""Tensors and modules of PyTorch.

Loaded for the first value of torch. A tensor is stored as a line of JSON (dtype, shape) and its
bytes in C order: its digest counts neither strides nor the device. A module is stored as
`torch.save` writes it; what its digest counts stands in `modules`. Both arrive on the CPU, or on
the device that the annotation names: `Annotated[torch.Tensor, torch.device("cuda")]`.
"""

from flyte_ray.extend import register
from flyte_ray_torch.modules import ModuleCodec
from flyte_ray_torch.tensors import TensorCodec

__all__ = ["ModuleCodec", "TensorCodec"]

register(TensorCodec())
register(ModuleCodec())
