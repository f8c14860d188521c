"""A picture of a sweep: how the loss depends on the learning rate and the latent size."""

from __future__ import annotations

import math
from itertools import cycle, pairwise

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from scratchae.errors import ScratchaeError
from scratchae.plots.style import DIGIT_COLOURS, headline, styled

APART = 0.08  # as a part of the axis: if learning rates are closer, not every one gets a tick


@styled
def sweep_picture(table: pd.DataFrame, measure: str = "") -> Figure:
    """Draw the loss over the learning rate: a dot for each seed, a line through the medians.

    table: one row per model, with the columns lr, latent, test_loss and train_loss, as
    `scratchae.sweep` returns it. If there are no test losses, the training losses are drawn. measure: what
    the loss measures, for the label of the axis.

    Both axes are logarithmic. Each latent size is moved a little to the side, so that its dots do
    not hide others. A ring marks the lowest loss. A cross at the upper edge is a model that
    diverged: it has no finite loss.

    >>> rows = {"lr": [1e-3, 1e-2], "latent": [3, 3], "train_loss": 0.2, "test_loss": [0.2, 0.1]}
    >>> figure = sweep_picture(pd.DataFrame(rows))
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['0.001', '0.01']
    """
    expected = ["lr", "latent", "train_loss", "test_loss"]
    columns = list(table.columns) if isinstance(table, pd.DataFrame) else []
    if not set(expected) <= set(columns) or table.empty:
        raise ScratchaeError(
            f"sweep_picture expects the table of a sweep with the columns {', '.join(expected)}, but "
            f"got a {type(table).__name__} with the columns {columns}"
        )
    which = "test" if table["test_loss"].notna().any() else "train"
    table = table.reset_index(drop=True)
    table["loss"] = table[f"{which}_loss"].astype(float)
    good = table[table["loss"].abs() < math.inf]  # False for NaN too
    figure = Figure((7.0, 4.4))
    ax = figure.subplots()
    ax.set(xscale="log", yscale="log", xlabel="learning rate")
    ax.set_ylabel(f"{which} loss, {measure}" if measure else f"{which} loss")
    sizes = sorted(table["latent"].dropna().unique()) or [None]
    places = {size: 1.035 ** (i - (len(sizes) - 1) / 2) for i, size in enumerate(sizes)}
    for (size, shift), colour in zip(places.items(), cycle(DIGIT_COLOURS), strict=False):
        own = table if size is None else table[table["latent"] == size]
        fine = own[own.index.isin(good.index)]
        ax.scatter(fine["lr"] * shift, fine["loss"], s=14, color=colour, alpha=0.6, linewidths=0)
        medians = fine.groupby("lr")["loss"].median()
        name = "median" if size is None else f"{size}"
        ax.plot(medians.index * shift, medians, color=colour, marker="_", label=name)
    for (size, shift), colour in zip(places.items(), cycle(DIGIT_COLOURS), strict=False):
        own = table if size is None else table[table["latent"] == size]
        crosses(ax, own[~own.index.isin(good.index)]["lr"] * shift, colour)
    title = "All models diverged"
    if len(good):
        best = good.loc[good["loss"].idxmin()]
        size = None if sizes == [None] else best["latent"]
        (ring,) = ax.plot(best["lr"] * places[size], best["loss"], "o", label="lowest")
        ring.set(markersize=9, markerfacecolor="none", markeredgecolor="black")
        title = f"Lowest {which} loss {best['loss']:.4g}: learning rate {best['lr']:g}"
        title += "" if size is None else f", latent size {size:g}"
        title += f", seed {best['seed']:g}" if "seed" in table else ""
    headline(figure, f"{title}\nA dot is one seed; a line goes through the medians")
    ticks(ax, sorted(table["lr"].unique()))
    heading = None if sizes == [None] else "latent size"
    figure.legend(loc="outside right upper", title=heading, handlelength=1.5)
    return figure


def crosses(ax: Axes, rates: pd.Series, colour: str) -> None:
    """Draw a cross at the upper edge for every model that diverged."""
    label = None if any(line.get_label() == "diverged" for line in ax.lines) else "diverged"
    if len(rates):
        above = ax.get_xaxis_transform()  # x in data units, y from 0 to 1
        ax.plot(
            rates,
            [1.0] * len(rates),
            "x",
            color=colour,
            transform=above,
            clip_on=False,
            label=label,
        )


def ticks(ax: Axes, rates: list[float]) -> None:
    """Put a tick at every learning rate if there is room, and write all ticks as plain numbers."""
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    logs = [math.log(rate) for rate in rates]
    if all(b - a >= APART * (logs[-1] - logs[0]) for a, b in pairwise(logs)):
        ax.xaxis.set_major_locator(FixedLocator(rates))
        ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(rates[0] / 1.4, rates[-1] * 1.4)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    ax.xaxis.set_major_formatter(plain)
    ax.yaxis.set_major_formatter(plain)
    ax.yaxis.set_minor_formatter(NullFormatter())
