"""Trace: the result of `trace`, as a table and sentences, in text or HTML."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from scratchae.checking.render import Block, Heading, Paragraph, Rendered, Table

LEGEND = "std: standard deviation; dweight and the like: |gradient| / |parameter|"
HEADINGS = {"spread": "std", "dy_spread": "std dy", "difference": "differs"}


@dataclass(frozen=True, repr=False)
class Trace(Rendered):
    """The result of `trace`. Print it, or draw it with scratchae.plots.trace_picture.

    table: one row per layer without children, in order, with the columns
        name, kind, shape     such as "encoder.0", "Linear", and the shape of its output
        mean, spread          of the output; a spread is a standard deviation over all numbers
        dead                  share of units (axis 1) that are 0 for the whole batch; NaN if no ReLU
        dy_spread, dx_spread  of the gradients of its output and of its input
        dweight/weight, ...   |gradient| / |parameter|, norms; NaN if there is no parameter or it is 0
        difference            |y - y_other| / |y_other|, norms; only with a second model
    parted: the name of the first layer whose outputs differ, or None.
    warnings: a list of sentences.

    >>> import torch
    >>> from scratchae.checking import trace
    >>> from scratchae.models import build
    >>> seen = trace(build("fc"), torch.rand(20, 784) * 2 - 1)
    >>> seen.table["name"].iloc[0], seen.table["shape"].iloc[0], seen.parted
    ('encoder.0', (20, 128), None)
    """

    table: pd.DataFrame
    headline: str
    parted: str | None
    warnings: tuple[str, ...]

    def sentences(self) -> list[str]:
        """Return where the two models differ, if there are two, and the warnings."""
        return [*comparison(self.table, self.parted), *self.warnings]

    def cells(self) -> pd.DataFrame:
        """Return the table as text. dx_spread is omitted: the row above shows it as its dy."""
        table = self.table.drop(columns="dx_spread")
        cells = {c: [in_words(c, value) for value in table[c]] for c in table}
        return pd.DataFrame(cells).rename(columns=lambda c: HEADINGS.get(c, c.partition("/")[0]))

    def blocks(self) -> list[Block]:
        """Return the headline, the table as text, and the sentences."""
        cells = self.cells()
        numbers = range(3, len(cells.columns))
        return [
            Heading(self.headline),
            Table(list(cells.columns), cells.values.tolist(), right=numbers),
            Paragraph(LEGEND, "note"),
            *(Paragraph(sentence) for sentence in comparison(self.table, self.parted)),
            *(Paragraph(warning, "wrong") for warning in self.warnings),
        ]


def comparison(table: pd.DataFrame, parted: str | None) -> list[str]:
    """Return a sentence that says where the two models differ; none if there is only one model."""
    if "difference" not in table:
        return []
    if parted is None:
        return [f"the two agree in every layer, within {table['difference'].max():.1g}"]
    _, kind, *_, difference = table[table["name"] == parted].iloc[0]
    how = f"relative difference {difference:.2g}"
    if difference == math.inf:
        how += ", because their shapes differ, or only one of them has NaN or only zeros"
    before = "it is the first layer" if parted == table["name"].iloc[0] else "all before it agree"
    return [f"the two differ first at {parted}, {kind}: {how}; {before}"]


def in_words(column: str, value: Any) -> str:
    """Return a cell of at most 15 characters. A long name is cut at its start."""
    may_miss = column == "dead" or "/" in column
    if column == "shape":
        text = "x".join(map(str, value))
    elif isinstance(value, str) or (may_miss and math.isnan(value)):
        text = value if isinstance(value, str) else ""
    elif column == "dead":
        text = f"{value:.0%}"
    else:
        text = f"{value:.0f}" if 10 <= abs(value) < 1e5 else f"{value:.2g}"
    return text if len(text) <= 15 else f"…{text[-14:]}"
