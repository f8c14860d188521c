"""A picture of a trace: activations, gradients and dead units, layer by layer from top to bottom."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    LogLocator,
    MaxNLocator,
    NullLocator,
    PercentFormatter,
    StrMethodFormatter,
)

from scratchae.checking.trace import Trace
from scratchae.errors import ScratchaeError
from scratchae.plots.style import BLUE, FAINT, RED, headline, styled


@styled
def trace_picture(trace: Trace) -> Figure:
    """Draw a Trace: for each layer, two dots for the spreads and a bar for the dead units.

    The two spreads are the standard deviations of the layer's output and of the gradient with
    respect to this output. A spread of 0 or NaN is written as text. If the trace compares two
    models, a red line marks the first layer in which they differ.

    >>> import torch
    >>> from scratchae.checking.trace import trace
    >>> from scratchae.models import build
    >>> model = build("fc")
    >>> figure = trace_picture(trace(model, torch.randn(64, 784)))
    >>> [ax.get_title(loc="left") for ax in figure.axes]
    ['activations, spread', 'gradients, spread', 'dead units']
    """
    if not isinstance(trace, Trace):
        raise ScratchaeError(
            f"trace_picture expects the result of trace(model, x), but got a {type(trace).__name__}"
        )
    table = trace.table
    figure = Figure((9.0, 1.1 + 0.21 * len(table)))
    headline(figure, f"X-ray: {trace.headline}")
    axes = figure.subplots(1, 3, sharey=True, width_ratios=[2, 2, 1])
    dots(axes[0], table["spread"].tolist(), "activations, spread", BLUE)
    dots(axes[1], table["dy_spread"].tolist(), "gradients, spread", BLUE)
    axes[2].barh(range(len(table)), table["dead"].fillna(0), color=RED)
    axes[2].set(title="dead units", xlim=(0, 1))
    axes[2].xaxis.set_major_formatter(PercentFormatter(1))
    labels = [f"{name}  {kind}" for name, kind in zip(table["name"], table["kind"], strict=True)]
    axes[0].set_yticks(range(len(table)), labels)
    axes[0].set_ylim(len(table) - 0.4, -0.6)
    if trace.parted is not None:
        for ax in axes:
            ax.axhline(table["name"].tolist().index(trace.parted), color=RED, linewidth=1)
        figure.supxlabel(f"red line: {trace.sentences()[0]}", x=0.01, ha="left", size=9, color=RED)
    return figure


def dots(ax: Axes, sizes: list[float], title: str, colour: str) -> None:
    """Draw a dot for every size above 0; the axis is logarithmic if they span a factor of ten."""
    fine = [size if 0 < size < math.inf else math.nan for size in sizes]
    ax.plot(fine, range(len(fine)), "o-", color=FAINT, markerfacecolor=colour, markersize=5)
    real = [size for size in fine if size == size]  # without NaN
    decades = math.log10(max(real) / min(real)) if real else 0
    if decades > 1:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 3) if decades < 2 else (1,), numticks=7))
        ax.xaxis.set_minor_locator(NullLocator())
        if decades < 2:
            ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    elif real:
        ax.set_xlim(0, 1.1 * max(real))
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.ticklabel_format(axis="x", scilimits=(-2, 4), useMathText=True)
    else:
        ax.set_xticks([])
    for place, (size, kept) in enumerate(zip(sizes, fine, strict=True)):
        if kept != kept:
            ax.text(
                0.02, place, f"{size:g}", color=RED, va="center", transform=ax.get_yaxis_transform()
            )
    ax.set_title(title)
