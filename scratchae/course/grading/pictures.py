"""Pictures of a whole course: how the points lie, and which mistakes are common."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from scratchae.plots.style import BLUE, RED, headline, styled

COLUMNS = 3


@styled
def distribution(points: dict[str, tuple[float, Sequence[float]]]) -> Figure:
    """A histogram for every task. points: {task: (its points, what each student earned)}."""
    rows = math.ceil(len(points) / COLUMNS)
    figure = Figure((9, 0.6 + 1.9 * rows))
    headline(figure, "How many students earned how many points")
    axes = figure.subplots(rows, COLUMNS, squeeze=False).flatten()
    most = 1
    for ax, (task, (full, earned)) in zip(axes, points.items(), strict=False):
        bins = [full * i / 10 for i in range(10)] + [full, full * 1.1]
        counts, _, _ = ax.hist([min(e, full) for e in earned], bins, color=BLUE, rwidth=0.9)
        most = max(most, *counts)
        ax.set_title(f"{task}, {full:g} points")
        ax.set_xticks([full * 0.05, full * 0.55, full * 1.05], ["0", f"{full / 2:g}", f"{full:g}"])
        ax.grid(axis="x", visible=False)
        ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    for ax in axes[: len(points)]:
        ax.set_ylim(0, most * 1.05)
    for ax in axes[len(points) :]:
        ax.remove()
    for ax in axes[: len(points) : COLUMNS]:
        ax.set_ylabel("students")
    return figure


@styled
def commonest(mistakes: Sequence[tuple[str, int]]) -> Figure:
    """Bars of (mistake, how many students made it), the commonest above."""
    figure = Figure((9, 0.8 + 0.28 * max(1, len(mistakes))))
    headline(figure, "The commonest mistakes, and how many students made them")
    ax = figure.subplots()
    names, counts = [m[0] for m in mistakes], [m[1] for m in mistakes]
    bars = ax.barh(range(len(names)), counts, color=RED, height=0.7)
    ax.bar_label(bars, padding=3)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.set_xlabel("students")
    return figure
