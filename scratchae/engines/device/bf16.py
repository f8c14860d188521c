"""A net that computes in bfloat16, while the parameters in the optimiser stay in float32.

bfloat16 has the range of float32, but only 8 binary digits instead of 24. On a GPU that supports it,
products of matrices are several times faster. But a small step, added to a weight in bfloat16, would be
lost by rounding. So both formats are used:

    master weights   float32: the parameters in the optimiser, their gradient, the optimiser's state
    a copy of them   bfloat16: made at the start of each step, in one operation
    layers           bfloat16: activations, their gradients, products (added up in float32)
    BatchNorm        float32: its statistics are sums of many numbers
    loss             float32

In float16, the loss must be multiplied by a large factor, so that small gradients do not become 0. In
bfloat16 this is not necessary: its smallest numbers are about 1e-38, as in float32 (Kalamkar et al. 2019;
master weights: Micikevicius et al. 2018).

Tested on a CPU, where the losses differ from those in float32 by at most two percent. Not yet timed
on a GPU.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.engines.device.flat import Net, cut, hold
from scratchae.layers import Layer, Sequential
from scratchae.layers.batchnorm import BatchNorm


class InFloat32(Layer):
    """A layer that computes in float32, with input and output in bfloat16.

    >>> from scratchae.layers import BatchNorm1d
    >>> layer = InFloat32(BatchNorm1d(1))
    >>> y = layer.forward(torch.tensor([[2.0], [6.0]], dtype=torch.bfloat16))
    >>> y.dtype, layer.layer.running_mean.dtype
    (torch.bfloat16, torch.float32)
    """

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer.forward(x.float()).to(x.dtype)

    def backward(self, dy: Tensor) -> Tensor:
        return self.layer.backward(dy.float()).to(dy.dtype)


def wrap_batchnorm(layer: Layer) -> Layer:
    """Put every BatchNorm inside the layer into InFloat32, in place, and return the layer.

    >>> from scratchae.layers import BatchNorm1d, Linear
    >>> wrap_batchnorm(Sequential(Linear(2, 2), Sequential(BatchNorm1d(2))))
    Sequential(
      (0): Linear(2, 2)
      (1): Sequential(
        (0): InFloat32(
          (layer): BatchNorm1d(2)
        )
      )
    )
    """
    if isinstance(layer, BatchNorm):
        return InFloat32(layer)
    for name, child in list(layer.children()):
        if isinstance(layer, Sequential):
            layer.layers[name] = wrap_batchnorm(child)
        else:
            setattr(layer, name, wrap_batchnorm(child))
    return layer


class Bf16Net(Net):
    """A Net whose layers, except BatchNorm, have parameters in bfloat16.

    >>> from scratchae.layers import Linear
    >>> net, x = Bf16Net(Sequential(Linear(1, 1))), torch.tensor([[1.0]])
    >>> net.link({"value": torch.tensor([1.001, 0.0])})  # 1.001 becomes 1
    >>> net.forward(x).item(), net.forward(x).dtype
    (1.0, torch.float32)
    """

    def __init__(self, model: Layer) -> None:
        super().__init__(model)
        self.model = wrap_batchnorm(self.model)

    def link(self, tensors: dict[str, Tensor]) -> None:
        super().link(tensors)
        half = cut(tensors["value"].bfloat16(), self.shapes["value"])
        for place, view in zip(self.places["value"], half, strict=True):
            if not any(isinstance(layer, BatchNorm) for layer, _ in place):
                hold(place, view)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.bfloat16()).to(x.dtype)

    def backward(self, dy: Tensor) -> Tensor:
        return super().backward(dy.bfloat16())

    def gradient(self) -> Tensor:
        return torch.cat([part.float() for part in self.gradients()])
