"""Pictures of the inside of a model: the weights of its first layer, and the activations for one digit."""

from __future__ import annotations

import math

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers import Conv2d, Flatten, Linear, Sequential, Unflatten
from scratchae.models import Autoencoder
from scratchae.plots.inputs import as_input, evaluation_copy, one_digit, to_cpu
from scratchae.plots.style import BLUE, grey, headline, styled, tile, tile_signed


@styled
def filters(model: Sequential) -> Figure:
    """Draw the weights of the first Linear or Conv2d as images: the pattern that each unit detects.

    Each row of a Linear(784, O) is an image of 28 x 28 pixels; each kernel of a Conv2d is an image
    of its own size. All images share one scale, which is symmetric around 0.

    >>> from scratchae.models import build
    >>> figure = filters(build("conv"))
    >>> figure.get_suptitle()
    'encoder.0, Conv2d(1, 16, 3, stride=2, padding=1): 16 filters of 3 x 3'
    """
    leaves = model.leaves() if isinstance(model, Sequential) else ()
    name, layer = next(((n, x) for n, x in leaves if isinstance(x, Linear | Conv2d)), ("", model))
    if isinstance(layer, Linear) and layer.in_features == 784:
        images = to_cpu(layer.weight).reshape(-1, 28, 28)
    elif isinstance(layer, Conv2d):
        images = to_cpu(layer.weight).flatten(0, 1)
    else:
        got = repr(layer) if isinstance(layer, Linear) else f"a {type(layer).__name__} without one"
        raise ScratchaeError(
            f"filters expects a model that begins with a Conv2d or a Linear(784, ...), but got {got}"
        )
    columns = math.ceil(math.sqrt(1.8 * len(images)))
    figure = Figure((9.0, 0.5 + 8.2 / columns * math.ceil(len(images) / columns)))
    ax = figure.subplots()
    size = " x ".join(map(str, images.shape[1:]))
    headline(figure, f"{name}, {layer!r}: {len(images)} filters of {size}")
    tile_signed(ax, images, columns, "weight")
    return figure


@styled
def feature_maps(model: Autoencoder, image: Tensor) -> Figure:
    """Draw the activations of every stage of the encoder for one digit.

    A stage is a Conv2d or Linear with the layers that follow it, such as BatchNorm and ReLU. The
    channels (C, H, W) of a stage are drawn as images, on their own scale, which is symmetric around 0.
    The units (F,) of a stage are drawn as bars.

    >>> from scratchae.models import build
    >>> figure = feature_maps(build("conv"), torch.zeros(1, 1, 28, 28))
    >>> figure.axes[1].get_title(loc="left")
    'encoder.0 Conv2d → BatchNorm2d → ReLU, (16, 14, 14)'
    """
    digit, model = one_digit("feature_maps", image), evaluation_copy("feature_maps", model)
    stages: list[tuple[list[str], Tensor]] = []  # the layers of each stage, and its output
    with torch.inference_mode():
        x = as_input(model, digit)
        for name, layer in model.encoder.leaves("encoder."):
            x = layer.forward(x)
            kind = type(layer).__name__
            if isinstance(layer, Conv2d | Linear):
                stages.append(([f"{name} {kind}"], x))
            elif stages and not isinstance(layer, Flatten | Unflatten):  # these two only reshape
                stages[-1] = ([*stages[-1][0], kind], x)
    heights = [0.52]  # inches: the height of a row of images
    heights += [0.52 * math.ceil(x.shape[1] / 16) if x.ndim == 4 else 0.75 for _, x in stages]
    figure = Figure((9.0, 0.4 + sum(heights) + 0.4 * len(heights)))
    headline(figure, "One image on its way through the encoder: the activations of every stage")
    axes = figure.subplots(len(heights), height_ratios=heights, squeeze=False)[:, 0]
    tile(axes[0], digit, 16, **grey(model.pixel_range))
    axes[0].set_title("the image, (1, 28, 28)")
    for ax, (names, x) in zip(axes[1:], stages, strict=True):
        ax.set_title(f"{' → '.join(names)}, {tuple(x.shape[1:])}")
        if x.ndim == 4:
            tile_signed(ax, to_cpu(x[0]), 16, "activation")
        else:
            units = to_cpu(x).flatten().numpy()
            ax.bar(range(len(units)), units, color=BLUE)
            ax.set(xlim=(-0.6, len(units) - 0.4), ylabel="activation")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            ax.set_xlabel("unit" if ax is axes[-1] else "")
    return figure
