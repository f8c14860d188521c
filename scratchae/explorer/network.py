"""Describe the layers of a network for network.js: kind, output shape and weights."""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.explorer.operators import operators_of
from scratchae.explorer.quantise import pack, quantise, quantise_for
from scratchae.layers import (
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    GaussianSampling,
    Layer,
    Linear,
    MaxPool2d,
    Residual,
    Sequential,
)
from scratchae.layers.geometry import padding_of
from scratchae.layers.sequential import copy_for_evaluation

# Weights of a smaller layer are stored in two bytes instead of one. The small layers are those around
# the code, and the layers after them amplify their rounding errors.
SMALL = 10_000
FINE = 127  # the largest integer that fits into one byte


def describe(
    network: Sequential,
    input_shape: tuple[int, ...],
    prefix: str,
    x: Tensor | None = None,
    most: int = FINE,
) -> list[dict]:
    """Return one dict per layer, in order: its kind, name, output shape for one sample and weights.

    prefix: the text before the names of the layers, such as "encoder.". The weights of layers that
    network.js knows by name are quantised. Any other layer is described by the operators of its forward
    pass. x: at least two typical inputs (N, *input_shape). most: the largest integer for the weights of a
    Linear with at least SMALL weights; if it is less than FINE, they are rounded for the typical inputs.

    Raises ScratchaeError if a layer uses an operator that the page cannot run, or if it mixes the
    samples of a batch.

    >>> from scratchae.layers import ReLU
    >>> layers = describe(Sequential(Linear(4, 3), ReLU()), (4,), "encoder.")
    >>> [(layer["name"], layer["kind"], layer["shape"]) for layer in layers]
    [('encoder.0', 'Linear', [3]), ('encoder.1', 'ReLU', [3])]
    """
    x = torch.zeros(2, *input_shape) if x is None else x
    with torch.no_grad():
        network = copy_for_evaluation(network).to("cpu", torch.float32)
        return row_of_layers(network, prefix, x, most)[0]


def row_of_layers(
    layers: Layer | None, prefix: str, x: Tensor, most: int
) -> tuple[list[dict], Tensor]:
    """Return the dicts of layers that run one after the other, and the output for x."""
    found = []
    named = layers.leaves(prefix) if isinstance(layers, Sequential) else [(prefix[:-1], layers)]
    for name, layer in named:
        if layer is None:
            continue
        content = (
            residual(layer, name, x, most)
            or by_name(layer, x, most)
            or operators(name, layer, x.shape)
        )
        count, x = len(x), layer.forward(x)
        if x.ndim < 2 or len(x) != count:
            raise mixes_images(name, layer)
        shape = list(x.shape[1:])
        found.append({"kind": type(layer).__name__, "name": name, "shape": shape, **content})
    return found, x


def residual(layer: Layer, name: str, x: Tensor, most: int) -> dict | None:
    """Describe the layers inside a Residual, or return None if this layer is not one."""
    if type(layer) is not Residual:
        return None
    return {
        part: row_of_layers(inside, f"{name}.{part}.", x, most)[0]
        for part, inside in (("body", layer.body), ("shortcut", layer.shortcut))
    }


def by_name(layer: Layer, x: Tensor | None = None, most: int = FINE) -> dict | None:
    """Describe a layer that network.js knows by name, or return None.

    A subclass of such a layer is not known, because it may compute something else.
    """
    if type(layer) is Linear:
        return weights(layer, x, most)
    if (type(layer) is MaxPool2d or type(layer) is AvgPool2d) and x is not None:
        return pool(layer, x)
    if type(layer) is GaussianSampling:
        return {"mean": True}
    if type(layer) is Conv2d or type(layer) is ConvTranspose2d:
        return convolution(layer)
    if type(layer) is BatchNorm1d or type(layer) is BatchNorm2d:
        return batchnorm(layer)
    return None


def operators(name: str, layer: Layer, shape: torch.Size) -> dict:
    """Describe the operators of the layer's forward pass for inputs of this shape (2, ...)."""
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    both, alone = layer.forward(x), layer.forward(x[:1])
    if both.ndim < 2 or len(both) != len(x) or not torch.allclose(both[:1], alone, 1e-3, 1e-5):
        raise mixes_images(name, layer)
    return {"program": operators_of(layer, x[:1], name)}


def mixes_images(name: str, layer: Layer) -> ScratchaeError:
    """Return the error for a layer whose output for one sample depends on the other samples."""
    return ScratchaeError(
        f"the page runs one image at a time, but {name}, {layer!r}, mixes the images of a "
        "batch: leave axis 0 unchanged"
    )


def weights(
    layer: Linear | Conv2d | ConvTranspose2d, x: Tensor | None = None, most: int = FINE
) -> dict:
    """Return the weights as integers (int16 if the layer is small), one scale per row, and the bias."""
    if layer.weight.numel() <= SMALL:
        q, scale = quantise(layer.weight, torch.int16)
    elif x is None or most >= FINE:
        q, scale = quantise(layer.weight, torch.int8)
    else:
        q, scale = quantise_for(layer.weight, x.flatten(0, -2), most)
    bias = {} if layer.bias is None else {"bias": pack(layer.bias)}
    return {"weight": pack(q), "scale": pack(scale), **bias}


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


def pool(layer: MaxPool2d | AvgPool2d, x: Tensor) -> dict:
    """Return the windows. An average is that of the pixels inside the image times `share`."""
    names = {"kernel": "kernel_size", "stride": "stride", "padding": "padding"}
    windows: dict = {key: list(getattr(layer, name)) for key, name in names.items()}
    if isinstance(layer, MaxPool2d):
        return {**windows, "dilation": list(layer.dilation)}
    ones = torch.ones_like(x[:1])
    return {**windows, "dilation": [1, 1], "share": pack(layer.forward(ones)[0])}


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


def finite(values: Tensor, layer: Layer) -> dict:
    """Pack float32 numbers. Raises ScratchaeError if one is not finite."""
    if not values.isfinite().all():
        raise ScratchaeError(
            f"{layer!r} has running statistics that are not finite: train again with a lower "
            "learning rate"
        )
    return pack(values.float())
