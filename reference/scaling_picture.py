"""The picture of the predicted scaling."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from scratchae.plots.style import BLUE, FAINT, RED, headline, styled

LINES = {
    "10 Gb Ethernet": (RED, "10 Gb Ethernet"),
    "100 Gb InfiniBand": ("#ddaa33", "100 Gb InfiniBand"),
    "NVLink": (BLUE, "NVLink (hypothetical beyond 8 workers)"),
}


@styled
def scaling_picture(results: dict) -> Figure:
    """Draw a column for each model: efficiency of weak scaling above, strong speedup below."""
    predicted, each = results["predicted"], results["weak_batch_of_a_worker"]
    figure = Figure((7.6, 5.6))
    weak, strong = figure.subplots(2, len(predicted), sharex=True, sharey="row")
    for above, below, (name, networks) in zip(weak, strong, predicted.items(), strict=True):
        draw(above, networks, "weak_efficiency", 0)
        draw(below, networks, "strong_speedup", 1)
        above.set_title(f"{name}, {each} images per worker")
        below.set_title(f"{name}, {results['strong_batch_of_all']:,} images in total")
        above.set_ylim(0, 1.05)
        below.set_yscale("log", base=2)
        ticks = [1, 4, 16, 64, 256, 1024]
        below.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
        below.yaxis.set_minor_locator(NullLocator())
        below.set_xlabel("workers")
    weak[0].set_ylabel("efficiency")
    strong[0].set_ylabel("speedup")
    weak[0].legend(loc="lower left")
    headline(
        figure,
        "Predicted speed of more workers: measured steps and a model of their communication\n"
        f"{results['about']['device']}, {results['about']['threads']} thread per worker",
    )
    return figure


def draw(ax: Axes, networks: dict[str, list[dict]], key: str, power: int) -> None:
    """Draw a line for each network, and the ideal line p ** power."""
    workers = [row["workers"] for row in next(iter(networks.values()))]
    ax.plot(workers, [p**power for p in workers], "--", color=FAINT, label="ideal")
    for network, rows in networks.items():
        colour, label = LINES[network]
        ax.plot(workers, [row[key] for row in rows], "o-", ms=3, color=colour, label=label)
    ax.set_xscale("log", base=2)
    ax.set_xticks(workers[::2], [f"{p:,}" for p in workers[::2]])
    ax.xaxis.set_minor_locator(NullLocator())
