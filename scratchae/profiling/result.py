"""Profile: what `profile` found, as a table in a terminal and in a notebook."""

from __future__ import annotations

import html
import io
import math
from dataclasses import dataclass

import pandas as pd
from rich.box import SIMPLE
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from scratchae.profiling.rates import Rates

WIDTH = 110  # of what is printed where there is no terminal
NARROW = 96  # where there is less room, only the times are printed and the multiply-adds
FLOOR = (
    "floor: what multiplying takes at that rate, or moving once what has to be read or written, "
    "whichever is longer."
)
KEPT = "kept: new memory that the backward pass needs. ops: operators of torch."
BUSY = 1.5  # a whole step takes so many times its parts only where others want the machine too
MS = ["forward", "backward", "ms", "floor_ms"]
COUNTS = ["multiply_adds", "traffic", "operators", "kept"]
HEADINGS = {  # of the columns of `parts`, with what a number is divided by
    "forward": ("forward\nms", 1),
    "backward": ("backward\nms", 1),
    "ms": ("both\nms", 1),
    "floor_ms": ("floor\nms", 1),
    "ratio": ("times\nfloor", 1),
    "multiply_adds": ("multiply-\nadds, M", 1e6),
    "traffic": ("moved\nMB", 1e6),
    "kept": ("kept\nMB", 1e6),
    "operators": ("\nops", 1),
}


@dataclass(frozen=True)
class Profile:
    """Where a training step's time and memory go; print it, or draw it with plots.profile_picture.

    table: one row a pass, with the columns
        part, layer, pass     such as "encoder.0", "Linear(784, 128)", "forward"; "backward", or "update"
        ms, floor_ms, ratio   measured, what `rates` allow at best, and the first by the second
        multiply_adds         of the matrix products
        traffic               bytes that have to be read or written at least once; see counting.py
        operators             how many of torch's it calls, views aside
        new, peak, kept       bytes that it allocates, the most of them at once, and those of them
                              that are still there when the backward pass begins
    step_ms: milliseconds of a whole step by the name of the engine that runs it.
    peak: the most bytes that a step holds at once, beside the batch, the weights, their gradients
    and what the optimiser keeps.

    >>> rates = Rates(1e9, ((1000, 1e9),))
    >>> row = {"part": "0", "layer": "Tanh()", "pass": "forward", "ms": 0.3, "floor_ms": 0.1, "ratio": 3.0}
    >>> row |= dict.fromkeys(["multiply_adds", "traffic", "operators", "new", "peak", "kept"], 100_000)
    >>> found = Profile(pd.DataFrame([row]), "one layer", rates, {"eager": 0.4}, 100_000)
    >>> found.furthest
    '0, Tanh(), stands furthest above its floor: 0.3 ms where 0.1 would do; that is 67 % of all parts together'
    """

    table: pd.DataFrame
    headline: str
    rates: Rates
    step_ms: dict[str, float]
    peak: int

    @property
    def parts(self) -> pd.DataFrame:
        """One row a part, in order: its passes' milliseconds, and of the rest the sums."""
        table = self.table
        times = table.pivot(index="part", columns="pass", values="ms")
        sums = table.groupby("part")[["ms", "floor_ms", *COUNTS]].sum()
        parts = table.drop_duplicates("part").set_index("part")[["layer"]].join(times).join(sums)
        parts["ratio"] = parts["ms"] / parts["floor_ms"].where(parts["floor_ms"] > 0)
        order = ["layer", *MS, "ratio", *COUNTS]
        return parts.reindex(columns=order).reset_index()

    @property
    def total(self) -> dict[str, float]:
        """The sums over all parts, and the ratio of the sums."""
        parts = self.parts
        sums = parts.drop(columns=["part", "layer", "ratio"]).sum().to_dict()
        return sums | {"ratio": sums["ms"] / sums["floor_ms"] if sums["floor_ms"] else math.nan}

    @property
    def furthest(self) -> str:
        """The part with the most time above its floor, in a sentence."""
        parts = self.parts
        above = parts["ms"] - parts["floor_ms"]
        part = parts.loc[above.idxmax()]
        if above.max() <= 0:
            return "no part stands above its floor"
        return (
            f"{part['part']}, {part['layer']}, stands furthest above its floor: {digits(part['ms'])} ms "
            f"where {digits(part['floor_ms'])} would do; that is {100 * above.max() / parts['ms'].sum():.0f} % "
            "of all parts together"
        )

    def sentences(self) -> list[str]:
        """What the table does not say."""
        total = self.total
        whole = ", ".join(f"{name} {digits(ms)} ms" for name, ms in self.step_ms.items())
        busy = self.step_ms.get("eager", 0) > BUSY * total["ms"]
        return [
            f"{self.furthest}.",
            f"A whole step, with no stop between the parts: {whole}; floor {digits(total['floor_ms'])} ms.",
            *["That is much more than the parts: measure again when nothing else runs."] * busy,
            f"Memory beside weights, gradients and optimiser: at most {digits(self.peak / 1e6)} MB at once, "
            f"{digits(total['kept'] / 1e6)} MB of it kept for the backward pass.",
        ]

    def cells(self) -> list[list[str]]:
        """The table in words: a row a part, and the total."""
        total = self.total
        rows = [*self.parts.to_dict("records"), {"part": "total", "layer": "", **total}]
        decimals = {c: decimals_for(total[c] / by) for c, (_, by) in HEADINGS.items()}
        decimals |= dict.fromkeys(MS, decimals["ms"]) | {"operators": 0, "ratio": 1}
        return [
            [
                *(row["part"], row["layer"]),
                *(in_words(row[c] / by, decimals[c]) for c, (_, by) in HEADINGS.items()),
            ]
            for row in rows
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        narrow = options.max_width < NARROW
        headings = list(HEADINGS.values())[: 6 if narrow else None]
        *parts, total = self.cells()
        table = Table(box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, show_footer=True)
        table.add_column("part", total[0], no_wrap=True)
        table.add_column("layer", total[1], max_width=32)  # the one to be cut where room is short
        for (heading, _), sum_of_all in zip(headings, total[2:], strict=False):
            table.add_column(heading, sum_of_all, justify="right", no_wrap=True)
        for row in parts:
            cells = [Text(cell, no_wrap=True, overflow="ellipsis") for cell in row]
            table.add_row(*cells[: 2 + len(headings)])
        yield Text(f"{self.headline}\nThis machine: {self.rates}")
        yield table
        yield Text(FLOOR if narrow else f"{FLOOR} {KEPT}")
        yield Text("\n".join(["", *self.sentences()]))

    def __str__(self) -> str:
        text = io.StringIO()
        Console(file=text, width=WIDTH, color_system=None, highlight=False).print(self)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        headings = ["part", "layer", *(heading for heading, _ in HEADINGS.values())]
        table = pd.DataFrame(
            self.cells(),
            columns=[h.replace("-\n", "-").replace("\n", " ").strip() for h in headings],
        )
        above = [self.headline, f"This machine: {self.rates}"]
        lines = [
            f"<p>{html.escape(line)}</p>" for line in (*above, f"{FLOOR} {KEPT}", *self.sentences())
        ]
        drawn = table.to_html(index=False, border=0, escape=True)
        return "".join([*lines[:2], drawn, *lines[2:]])


def digits(value: float) -> str:
    """Three digits, or all before the point: 0.0123, 1.5, 1,234."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def decimals_for(total: float) -> int:
    """So many that the total has four digits; at most three."""
    return min(3, max(0, 3 - math.floor(math.log10(total)))) if 0 < total < math.inf else 0


def in_words(value: float, decimals: int) -> str:
    """Nothing for 0 and where there is no number."""
    if math.isnan(value) or value == 0:
        return ""
    least = 10**-decimals
    return f"{value:,.{decimals}f}" if value >= least / 2 else f"<{least:g}"
