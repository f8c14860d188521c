"""Pictures of the results: training steps and growth."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from reference.benchmark.contenders import REFERENCE
from reference.benchmark.growth import FIXED
from scratchae.plots.style import BLUE, FAINT, RED, headline, styled

COLOURS = {"scratchae": BLUE, "torch": RED, "JAX": "#ddaa33"}
PLAIN = FuncFormatter(lambda value, _: f"{value:g}")  # 0.5, not 5 x 10^-1
MARKS = {1: "o", 2: "s"}  # by threads
FAR = 10  # if the times span more than this factor, the axis is logarithmic


def colour_of(name: str) -> str:
    return next(colour for start, colour in COLOURS.items() if name.startswith(start))


@styled
def steps_picture(part: dict) -> Figure:
    """Draw the milliseconds per step: a panel for each model and batch, with quartiles as lines."""
    rows = part["rows"]
    panels = list(dict.fromkeys((row["model"], row["batch_size"]) for row in rows))
    names = list(dict.fromkeys(name for row in rows for name in row["ms"]))
    across = min(2, len(panels))
    down = -(-len(panels) // across)
    figure = Figure((3.6 * across + 2.2, 1.1 + down * (0.8 + 0.21 * len(names))))
    axes = figure.subplots(down, across, squeeze=False, sharey=True).flat
    threads = sorted({row["threads"] for row in rows})
    for ax, panel in zip(axes, panels, strict=False):
        inside = [row for row in rows if (row["model"], row["batch_size"]) == panel]
        for row in inside:
            draw_steps(ax, row, names, threads)
        ax.set_title(f"{panel[0]}, batch {panel[1]}")
        times = [ms for row in inside for ms in row["ms"].values()]
        if max(times) > FAR * min(times):
            ax.set_xscale("log")
            ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.xaxis.set_major_formatter(PLAIN)
            ax.xaxis.set_minor_formatter(NullFormatter())
            ax.set_xlabel("milliseconds a step, logarithmic")
        else:
            ax.set_xlim(left=0)
            ax.set_xlabel("milliseconds a step")
    for ax in list(axes)[len(panels) :]:
        ax.set_visible(False)
    first = figure.axes[0]
    first.set_yticks(range(len(names)), names)
    first.set_ylim(len(names) - 0.4, -0.6)
    for count in threads:
        label = f"{count} thread{'s'[: count > 1]}"
        first.plot([], [], mark_of(count), color="grey", markersize=5, label=label)
    figure.legend(loc="outside lower center", handlelength=1.2, ncols=len(threads))
    words = "Medians and quartiles of short bursts; the dashed line is torch.nn"
    headline(figure, f"A training step on {part['about']['device']}\n{words}")
    return figure


def draw_steps(ax: Axes, row: dict, names: list[str], threads: list[int]) -> None:
    """Draw one row of the results. Rows with different threads are moved a little apart."""
    shift = 0.3 * (threads.index(row["threads"]) - (len(threads) - 1) / 2)
    for name, ms in row["ms"].items():
        low, _, high = row["ms_quartiles"][name]
        place, colour = names.index(name) + shift, colour_of(name)
        ax.hlines(place, low, high, color=colour, linewidth=1)
        ax.plot(ms, place, mark_of(row["threads"]), color=colour, markersize=5)
    same = {"color": FAINT, "linewidth": 0.8, "linestyle": (0, (2, 2)), "zorder": 0}
    ax.axvline(row["ms"][REFERENCE], **same)


def mark_of(threads: int) -> str:
    return MARKS.get(threads, "D")


@styled
def growth_picture(part: dict) -> Figure:
    """Draw time (above) and memory (below) over batch, depth and width, on logarithmic axes."""
    rows = part["rows"]
    axes_of = list(dict.fromkeys(row["axis"] for row in rows))
    figure = Figure((3.2 * len(axes_of), 6.0))
    axes = figure.subplots(2, len(axes_of), squeeze=False, sharey="row")
    names = list(dict.fromkeys(name for row in rows for name in row["ms"]))
    for column, axis in enumerate(axes_of):
        along = sorted((r for r in rows if r["axis"] == axis), key=lambda r: r["value"])
        values = [row["value"] for row in along]
        for name in names:
            style = {"color": colour_of(name), "marker": "o", "markersize": 3, "label": name}
            style["linestyle"] = "--" if name.endswith("eager") else "-"
            axes[0, column].plot(values, [row["ms"][name] for row in along], **style)
            axes[1, column].plot(values, [row["bytes"][name] / 1e6 for row in along], **style)
        for ax in axes[:, column]:
            ax.set(xscale="log", yscale="log")
            ax.xaxis.set_major_locator(FixedLocator(values))
            ax.xaxis.set_minor_locator(NullLocator())
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.yaxis.set_major_formatter(PLAIN)
            ax.yaxis.set_minor_formatter(NullFormatter())
            ax.xaxis.set_major_formatter(PLAIN)
        axes[0, column].set_title(FIXED[axis])
        axes[1, column].set_xlabel(
            {"batch": "images a step", "depth": "hidden layers"}.get(axis, axis)
        )
    axes[0, 0].set_ylabel("milliseconds a step")
    axes[1, 0].set_ylabel("MB a step")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(names))
    threads = rows[0]["threads"]
    where = f"{part['about']['device']}, {threads} thread{'s'[: threads > 1]}"
    headline(figure, f"How a training step grows: {where}\n{growth_in_words(rows)}")
    return figure


def growth_in_words(rows: list[dict]) -> str:
    """Say how many times the time grows along each axis, for torch.nn and for our fastest engine.

    >>> rows = [{"axis": "batch", "value": n, "ms": {"torch.nn": n, "scratchae eager": 1}} for n in (2, 8)]
    >>> growth_in_words(rows)
    'batch x 4: time x 4 with torch.nn, x 1 with scratchae eager'
    """
    words = []
    for axis in dict.fromkeys(row["axis"] for row in rows):
        along = sorted((r for r in rows if r["axis"] == axis), key=lambda r: r["value"])
        first, last = along[0], along[-1]
        ours = min((n for n in last["ms"] if n.startswith("scratchae")), key=last["ms"].get)
        grown = [f"x {last['ms'][n] / first['ms'][n]:.3g} with {n}" for n in (REFERENCE, ours)]
        words.append(f"{axis} x {last['value'] / first['value']:g}: time {', '.join(grown)}")
    return "\n".join(words)
