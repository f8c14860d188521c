"""Pictures of several runs side by side: their losses, and what they make of the same digits."""

from __future__ import annotations

import math
import textwrap

import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.plots.inputs import as_digits
from scratchae.plots.style import DIGIT_COLOURS, headline, styled, tile

AXES = {"step": "steps", "elapsed": "seconds"}


@styled
def compared_losses(curves: pd.DataFrame, loss: str = "test_loss") -> Figure:
    """Draw the losses of several groups of runs, by step and by wall clock.

    curves: one row for each run and epoch, with the columns run, group, epoch, step, elapsed (the seconds
    since the start) and `loss`. The line of a group goes through the medians of its runs; a band reaches
    from the lowest to the highest. Values that are not finite are omitted. The axis of the loss is
    logarithmic if the losses span more than a factor of ten.

    >>> rows = {"run": ["a", "b"], "group": "fc", "epoch": 1, "step": 10, "elapsed": [1.0, 3.0]}
    >>> figure = compared_losses(pd.DataFrame({**rows, "test_loss": [0.5, 0.3]}))
    >>> [ax.get_xlabel() for ax in figure.axes], figure.axes[0].lines[0].get_ydata().tolist()
    (['steps', 'seconds'], [0.4])
    """
    needed = ["run", "group", "epoch", *AXES, loss]
    columns = list(curves.columns) if isinstance(curves, pd.DataFrame) else []
    finite = curves[curves[loss].abs() < math.inf] if set(needed) <= set(columns) else curves[:0]
    if not len(finite):
        raise ScratchaeError(
            f"compared_losses expects a DataFrame with the columns {', '.join(needed)} and at least one finite "
            f"loss, but got a {type(curves).__name__} with the columns {columns}"
        )
    groups = list(dict.fromkeys(curves["group"]))
    figure = Figure((9.0, 3.8 + 0.2 * math.ceil(len(groups) / 2)))
    which = loss.partition("_")[0]
    several = (finite.groupby("group")["run"].nunique() > 1).any()
    what = ": median of the seeds, with a band from the lowest to the highest" if several else ""
    headline(figure, f"{which.capitalize()} loss by step and by wall clock{what}")
    left, right = figure.subplots(1, 2, sharey=True)
    for ax, x in ((left, "step"), (right, "elapsed")):
        for i, label in enumerate(groups):
            own = finite[finite["group"] == label]
            draw_group(ax, own, x, loss, label, DIGIT_COLOURS[i % len(DIGIT_COLOURS)])
        ax.set_xlabel(AXES[x])
        ax.set_xlim(left=0)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=x == "step"))
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    if 0 < 10 * finite[loss].min() < finite[loss].max():
        left.set_yscale("log")
        left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        left.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        left.yaxis.set_minor_formatter(NullFormatter())
    left.set_ylabel(f"{which} loss")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=2)
    return figure


def draw_group(ax: Axes, own: pd.DataFrame, x: str, loss: str, label: str, colour: str) -> None:
    """Draw the median of a group's runs, and the band between the lowest and the highest."""
    runs = own["run"].nunique()
    by_epoch = own.groupby("epoch")
    whole = by_epoch["run"].nunique() == runs  # the epochs that all runs have reached
    if not whole.any():
        return
    at, losses = by_epoch[x].median()[whole], by_epoch[loss]
    middle = losses.median()[whole]
    seeds = f" ({runs} seeds)" if runs > 1 else ""
    ax.plot(
        at,
        middle,
        color=colour,
        marker="o",
        markersize=3,
        label=f"{label}{seeds}: {middle.iloc[-1]:.4g}",
    )
    if runs > 1:
        low, high = losses.min()[whole], losses.max()[whole]
        ax.fill_between(at, low, high, color=colour, alpha=0.2, linewidth=0)


@styled
def compared_digits(digits: Tensor, reconstructions: dict[str, Tensor]) -> Figure:
    """Draw digits, and below them the reconstructions of each group, with their mean squared error.

    digits: (K, 28, 28) with pixels in [0, 1]. reconstructions: {label: images of the same shape}.

    >>> figure = compared_digits(torch.zeros(3, 28, 28), {"fc": torch.full((3, 28, 28), 0.1)})
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['originals', 'fc\\nMSE 0.0100']
    """
    rows = [as_digits("compared_digits", images) for images in (digits, *reconstructions.values())]
    if any(len(row) != len(rows[0]) for row in rows):
        raise ScratchaeError(
            "compared_digits expects one reconstruction for each digit, but got "
            f"{[len(row) for row in rows[1:]]} for {len(rows[0])} digits"
        )
    names = ["originals"]
    for label, row in zip(reconstructions, rows[1:], strict=True):
        error = (row - rows[0]).square().mean()
        names.append("\n".join([*textwrap.wrap(label, 26), f"MSE {error:.4f}"]))
    columns = len(rows[0])
    figure = Figure((2.2 + 0.62 * columns, 0.5 + 0.62 * len(rows)))
    headline(figure, "The same images, reconstructed (mean squared error of pixels in [0, 1])")
    ax = figure.subplots()
    tile(ax, torch.cat(rows), columns, cmap="gray", vmin=0, vmax=1)
    for i, name in enumerate(names):
        ax.text(-0.15, i + 0.5, name, ha="right", va="center")
    return figure
