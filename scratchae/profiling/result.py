"""Profile: the result of `profile`, shown as a table in a terminal or a notebook."""

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

WIDTH = 110  # of the text, if there is no terminal
NARROW = 96  # below this width, only the times and the multiply-adds are printed
FLOOR = (
    "floor: the shortest possible time at these rates, for the multiply-adds or for moving the data "
    "once, whichever is longer."
)
KEPT = "kept: new memory that the backward pass needs. ops: torch operators."
BUSY = 1.5  # a whole step takes this many times the sum of its parts only if the machine is busy
MS = ["forward", "backward", "ms", "floor_ms"]
COUNTS = ["multiply_adds", "traffic", "operators", "kept"]
HEADINGS = {  # of the columns of `parts`, and the number by which a value is divided
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
    """Where the time and memory of a training step go. Print it, or use plots.profile_picture.

    table: one row per pass, with the columns
        part, layer, pass     such as "encoder.0", "Linear(784, 128)", "forward" (or "backward", "update")
        ms, floor_ms, ratio   the measured time, the shortest possible time at these `rates`, and the
                              first divided by the second
        multiply_adds         of the matrix products
        traffic               the bytes that must be read or written at least once; see counting.py
        operators             the number of torch operators, without views
        new, peak, kept       the bytes that the pass allocates, the largest number of them at the same
                              time, and those that still exist when the backward pass begins
    step_ms: the milliseconds of a whole step, by the name of the engine that runs it.
    peak: the largest number of bytes that a step holds at the same time, without the batch, the
        weights, their gradients and the state of the optimiser.

    >>> rates = Rates(1e9, ((1000, 1e9),))
    >>> row = {"part": "0", "layer": "Tanh()", "pass": "forward", "ms": 0.3, "floor_ms": 0.1, "ratio": 3.0}
    >>> row |= dict.fromkeys(["multiply_adds", "traffic", "operators", "new", "peak", "kept"], 100_000)
    >>> found = Profile(pd.DataFrame([row]), "one layer", rates, {"eager": 0.4}, 100_000)
    >>> found.furthest
    '0, Tanh(), is furthest above its floor: 0.3 ms instead of 0.1; this is 67 % of the time of all parts'
    """

    table: pd.DataFrame
    headline: str
    rates: Rates
    step_ms: dict[str, float]
    peak: int

    @property
    def parts(self) -> pd.DataFrame:
        """Return one row per part, in order: the times of its passes, and the sums of the other columns."""
        table = self.table
        times = table.pivot(index="part", columns="pass", values="ms")
        sums = table.groupby("part")[["ms", "floor_ms", *COUNTS]].sum()
        parts = table.drop_duplicates("part").set_index("part")[["layer"]].join(times).join(sums)
        parts["ratio"] = parts["ms"] / parts["floor_ms"].where(parts["floor_ms"] > 0)
        order = ["layer", *MS, "ratio", *COUNTS]
        return parts.reindex(columns=order).reset_index()

    @property
    def total(self) -> dict[str, float]:
        """Return the sums over all parts, and the ratio of the sums."""
        parts = self.parts
        sums = parts.drop(columns=["part", "layer", "ratio"]).sum().to_dict()
        return sums | {"ratio": sums["ms"] / sums["floor_ms"] if sums["floor_ms"] else math.nan}

    @property
    def furthest(self) -> str:
        """Return a sentence that names the part with the most time above its floor."""
        parts = self.parts
        above = parts["ms"] - parts["floor_ms"]
        part = parts.loc[above.idxmax()]
        if above.max() <= 0:
            return "no part is above its floor"
        return (
            f"{part['part']}, {part['layer']}, is furthest above its floor: {digits(part['ms'])} ms "
            f"instead of {digits(part['floor_ms'])}; this is "
            f"{100 * above.max() / parts['ms'].sum():.0f} % of the time of all parts"
        )

    def sentences(self) -> list[str]:
        """Return the sentences that are printed below the table."""
        total = self.total
        whole = ", ".join(f"{name} {digits(ms)} ms" for name, ms in self.step_ms.items())
        busy = self.step_ms.get("eager", 0) > BUSY * total["ms"]
        return [
            f"{self.furthest}.",
            f"A whole step, without a stop between the parts: {whole}; floor {digits(total['floor_ms'])} ms.",
            *[
                "This is much more than the sum of the parts: measure again when the machine is idle."
            ]
            * busy,
            f"Memory without weights, gradients and optimiser: at most {digits(self.peak / 1e6)} MB at the "
            f"same time, {digits(total['kept'] / 1e6)} MB of it kept for the backward pass.",
        ]

    def cells(self) -> list[list[str]]:
        """Return the table as text: one row per part, and the total."""
        total = self.total
        rows = [*self.parts.to_dict("records"), {"part": "total", "layer": "", **total}]
        decimals = {c: decimals_for(total[c] / by) for c, (_, by) in HEADINGS.items()}
        decimals |= dict.fromkeys(MS, decimals["ms"]) | {"operators": 0, "ratio": 1}
        return [
            [
                *(row["part"], row["layer"]),
                *(formatted(row[c] / by, decimals[c]) for c, (_, by) in HEADINGS.items()),
            ]
            for row in rows
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        narrow = options.max_width < NARROW
        headings = list(HEADINGS.values())[: 6 if narrow else None]
        *parts, total = self.cells()
        table = Table(box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, show_footer=True)
        table.add_column("part", total[0], no_wrap=True)
        table.add_column(
            "layer", total[1], max_width=32
        )  # this column is cut if there is not enough room
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
    """Format with three significant digits, or as an integer from 100 up: 0.0123, 1.5, 1,234."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def decimals_for(total: float) -> int:
    """Return the number of decimals with which the total has four digits, at most three."""
    return min(3, max(0, 3 - math.floor(math.log10(total)))) if 0 < total < math.inf else 0


def formatted(value: float, decimals: int) -> str:
    """Format a number. 0 and NaN give an empty text."""
    if math.isnan(value) or value == 0:
        return ""
    least = 10**-decimals
    return f"{value:,.{decimals}f}" if value >= least / 2 else f"<{least:g}"
