"""Layers as the page runs them: kind, shape, numbers, and all else that network.js needs of each."""

from __future__ import annotations

from collections.abc import Callable

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

# Weights of a layer whose second byte costs little. It is needed: what the narrow layers around the code
# get wrong, all the layers behind them enlarge.
SMALL = 10_000


def describe(network: Sequential, input_shape: tuple[int, ...], prefix: str) -> list[dict]:
    """One dict a layer, in order: kind, name, text, the shape of its output for one sample, numbers.

    prefix: what stands before the layers' names, such as "encoder.". Layers with many weights are
    known by name, and their weights are rounded to few bytes; any other layer is described by the
    operators of its forward pass. Raises ScratchaeError for a layer with an operator that the page
    does not know, and for one that mixes the samples of a batch.

    >>> from scratchae.layers import ReLU
    >>> layers = describe(Sequential(Linear(4, 3), ReLU()), (4,), "encoder.")
    >>> [(layer["name"], layer["kind"], layer["shape"]) for layer in layers]
    [('encoder.0', 'Linear', [3]), ('encoder.1', 'ReLU', [3])]
    """
    found = []
    x = torch.zeros(2, *input_shape)
    with torch.no_grad():
        for name, layer in copy_for_evaluation(network).to("cpu", torch.float32).leaves(prefix):
            numbers = NUMBERS.get(type(layer))  # not of its subclasses: they may compute otherwise
            content = operators(name, layer, x.shape) if numbers is None else numbers(layer)
            x = layer.forward(x)
            if x.ndim < 2 or len(x) != 2:
                raise mixes_images(name, layer)
            fixed = {"kind": type(layer).__name__, "name": name, "text": repr(layer)}
            found.append({**fixed, "shape": list(x.shape[1:]), **content})
    return found


def operators(name: str, layer: Layer, shape: torch.Size) -> dict:
    """The operators of the layer's forward pass, for inputs of that shape (2, ...)."""
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    both, alone = layer.forward(x), layer.forward(x[:1])
    if both.ndim < 2 or len(both) != 2 or not torch.allclose(both[:1], alone, 1e-3, 1e-5):
        raise mixes_images(name, layer)
    return {"program": operators_of(layer, x[:1], name)}


def mixes_images(name: str, layer: Layer) -> ScratchaeError:
    """The error about a layer that does not treat each sample of a batch by itself."""
    return ScratchaeError(
        f"the page runs one image at a time, but {name}, {layer!r}, mixes the images of a "
        "batch: leave axis 0 as it is"
    )


def weights(layer: Linear | Conv2d | ConvTranspose2d) -> dict:
    """Weights as int8, those of a small layer as int16, one scale a row, and the bias."""
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
    """Weights and where the windows lie; of the padding only what stands above and to the left."""
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
    """In evaluation mode y = w (x − μ) / √(σ² + ε) + b is one factor and one shift a channel."""
    if layer.running_mean is None:
        raise ScratchaeError(
            f"the page runs one image at a time, but {layer!r} keeps no running statistics and wants "
            "a batch: build the model with track_running_stats=True"
        )
    factor = (layer.running_var.double() + layer.eps).rsqrt()
    factor = factor if layer.weight is None else factor * layer.weight.double()
    shift = -layer.running_mean.double() * factor
    shift = shift if layer.bias is None else shift + layer.bias.double()
    return {"factor": finite(factor, layer), "shift": finite(shift, layer)}


def finite(values: Tensor, layer: Layer) -> str:
    """float32 in base64; one sentence where a number is none."""
    if not values.isfinite().all():
        raise ScratchaeError(
            f"{layer!r} has running statistics that are not finite: train again with a lower "
            "learning rate"
        )
    return base64_of(values.float())


NUMBERS: dict[type[Layer], Callable[[Layer], dict]] = {
    Linear: weights,
    Conv2d: convolution,
    ConvTranspose2d: convolution,
    BatchNorm1d: batchnorm,
    BatchNorm2d: batchnorm,
}
