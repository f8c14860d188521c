"""How training went: the digits that the autoencoder gave back, and the loss, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.plots.digits import as_digits
from scratchae.plots.style import BLUE, RED, headline, styled
from scratchae.plots.tiles import GREY, tile

LINE_COLOURS = {"train": BLUE, "test": RED}


@styled
def visualize_outputs(outputs: Sequence[tuple[int, Tensor, Tensor]], step: int = 1) -> Figure:
    """Originals above reconstructions, for every `step`-th kept epoch and always for the last.

    outputs: (epoch, originals, reconstructions), one entry an epoch, as training keeps them. The
    first 10 digits of each are drawn, and it is their mean squared error that is written.

    >>> digits = torch.zeros(10, 784)
    >>> figure = visualize_outputs([(1, digits, digits + 0.5), (2, digits, digits)])
    >>> [ax.texts[0].get_text().split() for ax in figure.axes]
    [['epoch', '1', 'MSE', '0.2500'], ['epoch', '2', 'MSE', '0.0000']]
    """
    if not outputs or not isinstance(step, int) or step < 1:
        raise ScratchaeError(
            f"visualize_outputs wants at least one kept epoch and a step of 1 or more, "
            f"but got {len(outputs)} epochs and a step of {step!r}"
        )
    pairs = []
    for epoch, originals, reconstructions in [*outputs[:-1:step], outputs[-1]]:
        above = as_digits("visualize_outputs", originals)
        below = as_digits("visualize_outputs", reconstructions)
        if len(above) != len(below):
            raise ScratchaeError(
                f"visualize_outputs wants a reconstruction for each original, but in epoch {epoch} "
                f"got {len(below)} for {len(above)}"
            )
        pairs.append((epoch, above[:10], below[:10]))
    columns = math.ceil(len(pairs) / 10)  # ten epochs one below the other, then the next ten
    rows = math.ceil(len(pairs) / columns)
    figure = Figure((max(6.0, columns * (1.2 + 0.55 * len(pairs[0][1]))), 0.6 + 1.2 * rows))
    headline(figure, "Originals (above) and what the autoencoder makes of them (below)")
    axes = figure.subplots(rows, columns, squeeze=False).T.flatten()
    for ax in axes[len(pairs) :]:
        ax.remove()
    for ax, (epoch, above, below) in zip(axes, pairs, strict=False):
        tile(ax, torch.cat([above, below]), len(above), **GREY)
        error = (above - below).square().mean()
        ax.text(-0.15, 1, f"epoch {epoch}\nMSE {error:.4f}", ha="right", va="center")
    return figure


@styled
def loss_curves(history: pd.DataFrame) -> Figure:
    """The loss of every epoch, its last value beside the end of the line.

    history: columns epoch and train_loss, and test_loss where there is one; what is no finite
    number is left out. Logarithmic where the losses span more than a factor of ten.

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
            lines[name] = losses[losses.abs() < math.inf]  # not so for NaN either
    lines = {name: losses for name, losses in lines.items() if len(losses)}
    if "train_loss" not in columns or not lines:
        raise ScratchaeError(
            "loss_curves wants a DataFrame with the columns epoch and train_loss and at least one "
            f"loss that is finite, but got a {type(history).__name__} with columns {columns}"
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
            va="bottom" if name == upper else "top",  # so that two words never stand on each other
        )
    every = pd.concat(lines.values())
    if 0 < 10 * every.min() < every.max():
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlim(every.index.min() - 0.5, every.index.max() + 0.5)
    ax.set(xlabel="epoch", ylabel="mean squared error of pixels in [-1, 1]")
    return figure
