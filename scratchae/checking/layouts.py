"""Awkward tensors: the same numbers may lie in memory in many ways, and a layer must not mind."""

from __future__ import annotations

import torch
from torch import Tensor

LAYOUTS = ("plain", "strided", "permuted", "expanded", "channels_last")


def random_tensor(shape: tuple[int, ...], layout: str, generator: torch.Generator) -> Tensor:
    """Standard normal float64 numbers of this shape, lying in memory as `layout` says.

    strided: every second number of a larger tensor, from an offset; permuted: the axes lie in
    reverse; expanded: one axis has stride 0.

    >>> random_tensor((2, 3), "strided", torch.Generator()).stride()
    (14, 2)
    """

    def normal(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=generator, dtype=torch.float64)

    if layout == "strided":
        return normal(*(2 * n + 1 for n in shape))[tuple(slice(1, None, 2) for _ in shape)]
    if layout == "permuted":
        return normal(*reversed(shape)).permute(tuple(reversed(range(len(shape)))))
    if layout == "expanded" and shape:
        axis = int(torch.randint(len(shape), (), generator=generator))
        return normal(*shape[:axis], 1, *shape[axis + 1 :]).expand(shape)
    if layout == "channels_last" and len(shape) == 4:
        return normal(*shape).to(memory_format=torch.channels_last)
    return normal(*shape)


def on(device: str, tensor: Tensor) -> Tensor:
    """The same numbers with the same strides on the device."""
    if device == "cpu":
        return tensor
    base = torch.empty(0, dtype=tensor.dtype, device=device)
    base.set_(tensor.untyped_storage().to(device=device))
    return base.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
