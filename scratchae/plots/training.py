"""Pictures of training: reconstructions and the loss, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.plots.inputs import as_digits
from scratchae.plots.style import BLUE, RED, grey, headline, styled, tile

LINE_COLOURS = {"train": BLUE, "test": RED}


@styled
def visualize_outputs(
    outputs: Sequence[tuple[int, Tensor, Tensor]],
    step: int = 1,
    inputs: Tensor | None = None,
    pixel_range: tuple[float, float] = (-1.0, 1.0),
) -> Figure:
    """Draw originals above reconstructions, for every `step`-th epoch that was kept, and for the last.

    outputs: one entry (epoch, originals, reconstructions) per kept epoch, as in `Run.outputs`.
    The first 10 digits of each entry are drawn, with the mean squared error of these digits.
    inputs: what the model saw, if these were not the originals but noisy images; they are drawn in a
    row above the others.
    pixel_range: the values of black and white.

    >>> digits = torch.zeros(10, 784)
    >>> figure = visualize_outputs([(1, digits, digits + 0.5), (2, digits, digits)])
    >>> [ax.texts[0].get_text().split() for ax in figure.axes]
    [['epoch', '1', 'MSE', '0.2500'], ['epoch', '2', 'MSE', '0.0000']]
    """
    if not outputs or not isinstance(step, int) or step < 1:
        raise ScratchaeError(
            f"visualize_outputs expects at least one kept epoch and a step of at least 1, "
            f"but got {len(outputs)} epochs and a step of {step!r}"
        )
    pairs = []
    for epoch, originals, reconstructions in [*outputs[:-1:step], outputs[-1]]:
        above = as_digits("visualize_outputs", originals)
        below = as_digits("visualize_outputs", reconstructions)
        if len(above) != len(below):
            raise ScratchaeError(
                f"visualize_outputs expects one reconstruction for each original, but epoch {epoch} "
                f"has {len(below)} for {len(above)}"
            )
        pairs.append((epoch, above[:10], below[:10]))
    noisy = torch.empty(0) if inputs is None else as_digits("visualize_outputs", inputs)[:10]
    columns = math.ceil(len(pairs) / 10)  # ten epochs in a column
    rows = math.ceil(len(pairs) / columns)
    height = 0.6 * (3 if len(noisy) else 2)  # inches, of the digits of one epoch
    figure = Figure((max(6.0, columns * (1.2 + 0.55 * len(pairs[0][1]))), 0.6 + height * rows))
    headline(
        figure,
        "Noisy inputs (top), originals (middle) and reconstructions (bottom)"
        if len(noisy)
        else "Originals (above) and reconstructions (below)",
    )
    axes = figure.subplots(rows, columns, squeeze=False).T.flatten()
    for ax in axes[len(pairs) :]:
        ax.remove()
    for ax, (epoch, above, below) in zip(axes, pairs, strict=False):
        tile(ax, torch.cat([noisy.to(above.dtype), above, below]), len(above), **grey(pixel_range))
        error = (above - below).square().mean()
        ax.text(
            -0.15,
            1.5 if len(noisy) else 1,
            f"epoch {epoch}\nMSE {error:.4f}",
            ha="right",
            va="center",
        )
    return figure


@styled
def loss_curves(
    history: pd.DataFrame, measure: str = "mean squared error of pixels in [-1, 1]"
) -> Figure:
    """Draw the loss of every epoch, with its last value at the end of the line.

    history: the columns epoch and train_loss, and optionally test_loss. Values that are not finite
    are omitted. The axis is logarithmic if the losses span more than a factor of ten. measure: what the losses
    measure.

    >>> import pandas as pd
    >>> figure = loss_curves(pd.DataFrame({"epoch": [1, 2], "train_loss": [0.5, 0.25]}))
    >>> figure.axes[0].texts[0].get_text()
    'train 0.25'
    """
    columns = list(history.columns) if isinstance(history, pd.DataFrame) else []
    lines = {}
    for name in LINE_COLOURS:
        if {"epoch", f"{name}_loss"} <= set(columns):
            losses = history.set_index("epoch")[f"{name}_loss"].astype(float)
            lines[name] = losses[losses.abs() < math.inf]  # False for NaN too
    lines = {name: losses for name, losses in lines.items() if len(losses)}
    if "train_loss" not in columns or not lines:
        raise ScratchaeError(
            "loss_curves expects a DataFrame with the columns epoch and train_loss and at least one "
            f"finite loss, but got a {type(history).__name__} with the columns {columns}"
        )
    figure = Figure((7.0, 4.0))
    headline(figure, "Loss by epoch")
    ax = figure.subplots()
    upper = max(lines, key=lambda name: lines[name].iloc[-1])
    for name, losses in lines.items():
        epoch, end, colour = losses.index[-1], losses.iloc[-1], LINE_COLOURS[name]
        ax.plot(losses.index, losses, color=colour, marker="o", markersize=3, label=name)
        ax.annotate(
            f"{name} {end:.4g}",
            (epoch, end),
            xytext=(8, 1 if name == upper else -1),
            textcoords="offset points",
            color=colour,
            va="bottom" if name == upper else "top",  # so that the two texts never overlap
        )
    every = pd.concat(lines.values())
    if 0 < 10 * every.min() < every.max():
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlim(every.index.min() - 0.5, every.index.max() + 0.5)
    ax.set(xlabel="epoch", ylabel=measure)
    return figure
