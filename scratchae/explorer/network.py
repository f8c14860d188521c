"""Describe the layers of a network for network.js: kind, output shape and weights."""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.explorer.operators import operators_of
from scratchae.explorer.quantise import base64_of, quantise
from scratchae.layers import (
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Layer,
    Linear,
    Sequential,
)
from scratchae.layers.geometry import padding_of
from scratchae.layers.sequential import copy_for_evaluation

# Weights of a smaller layer are stored in two bytes instead of one. The small layers are those around
# the code, and the layers after them amplify their rounding errors.
SMALL = 10_000


def describe(network: Sequential, input_shape: tuple[int, ...], prefix: str) -> list[dict]:
    """Return one dict per layer, in order: its kind, name, output shape for one sample and weights.

    prefix: the text before the names of the layers, such as "encoder.". The weights of layers that
    network.js knows by name are quantised. Any other layer is described by the operators of its forward
    pass. Raises ScratchaeError if a layer uses an operator that the page cannot run, or if it mixes the
    samples of a batch.

    >>> from scratchae.layers import ReLU
    >>> layers = describe(Sequential(Linear(4, 3), ReLU()), (4,), "encoder.")
    >>> [(layer["name"], layer["kind"], layer["shape"]) for layer in layers]
    [('encoder.0', 'Linear', [3]), ('encoder.1', 'ReLU', [3])]
    """
    found = []
    x = torch.zeros(2, *input_shape)
    with torch.no_grad():
        for name, layer in copy_for_evaluation(network).to("cpu", torch.float32).leaves(prefix):
            content = by_name(layer) or operators(name, layer, x.shape)
            x = layer.forward(x)
            if x.ndim < 2 or len(x) != 2:
                raise mixes_images(name, layer)
            shape = list(x.shape[1:])
            found.append({"kind": type(layer).__name__, "name": name, "shape": shape, **content})
    return found


def by_name(layer: Layer) -> dict | None:
    """Describe a layer that network.js knows by name, or return None.

    A subclass of such a layer is not known, because it may compute something else.
    """
    if type(layer) is Linear:
        return weights(layer)
    if type(layer) is Conv2d or type(layer) is ConvTranspose2d:
        return convolution(layer)
    if type(layer) is BatchNorm1d or type(layer) is BatchNorm2d:
        return batchnorm(layer)
    return None


def operators(name: str, layer: Layer, shape: torch.Size) -> dict:
    """Describe the operators of the layer's forward pass for inputs of this shape (2, ...)."""
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    both, alone = layer.forward(x), layer.forward(x[:1])
    if both.ndim < 2 or len(both) != 2 or not torch.allclose(both[:1], alone, 1e-3, 1e-5):
        raise mixes_images(name, layer)
    return {"program": operators_of(layer, x[:1], name)}


def mixes_images(name: str, layer: Layer) -> ScratchaeError:
    """Return the error for a layer whose output for one sample depends on the other samples."""
    return ScratchaeError(
        f"the page runs one image at a time, but {name}, {layer!r}, mixes the images of a "
        "batch: leave axis 0 unchanged"
    )


def weights(layer: Linear | Conv2d | ConvTranspose2d) -> dict:
    """Return the weights as int8 (int16 if the layer is small), one scale per row, and the bias."""
    small = layer.weight.numel() <= SMALL
    q, scale = quantise(layer.weight, torch.int16 if small else torch.int8)
    bias = {} if layer.bias is None else {"bias": base64_of(layer.bias)}
    return {
        "weight": base64_of(q),
        "bits": 16 if small else 8,
        "scale": base64_of(scale),
        **bias,
    }


def convolution(layer: Conv2d | ConvTranspose2d) -> dict:
    """Return the weights and the geometry. `padding` is the one above and to the left."""
    padding = padding_of(layer.padding, layer.kernel_size, layer.dilation)[0]
    return {
        **weights(layer),
        "kernel": list(layer.kernel_size),
        "stride": list(layer.stride),
        "padding": list(padding),
        "dilation": list(layer.dilation),
        "groups": layer.groups,
    }


def batchnorm(layer: BatchNorm1d | BatchNorm2d) -> dict:
    """Return y = w (x − μ) / √(σ² + ε) + b of evaluation mode as a factor and a shift per channel."""
    if layer.running_mean is None or layer.running_var is None:
        raise ScratchaeError(
            f"the page runs one image at a time, but {layer!r} has no running statistics and needs a "
            "batch: build the model with track_running_stats=True"
        )
    factor = (layer.running_var.double() + layer.eps).rsqrt()
    factor = factor if layer.weight is None else factor * layer.weight.double()
    shift = -layer.running_mean.double() * factor
    shift = shift if layer.bias is None else shift + layer.bias.double()
    return {"factor": finite(factor, layer), "shift": finite(shift, layer)}


def finite(values: Tensor, layer: Layer) -> str:
    """Return float32 numbers in base64. Raises ScratchaeError if one is not finite."""
    if not values.isfinite().all():
        raise ScratchaeError(
            f"{layer!r} has running statistics that are not finite: train again with a lower "
            "learning rate"
        )
    return base64_of(values.float())
