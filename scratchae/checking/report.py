"""Report: what `check` found, as a table in a terminal and in a notebook."""

from __future__ import annotations

import html
import textwrap
from dataclasses import dataclass

from scratchae.checking.mistake import Mistake

WIDTH = 96


@dataclass(frozen=True)
class Row:
    """One test of one function; no sentence means that it passed.

    >>> Row("tanh_forward", "one sample").passed
    True
    """

    exercise: str
    test: str
    sentence: str = ""
    mistake: Mistake | None = None

    @property
    def passed(self) -> bool:
        return not self.sentence

    @property
    def text(self) -> str:
        """The sentence, and for a named mistake the chapter that has more, if there is one."""
        chapter = self.mistake.chapter if self.mistake else 0
        return f"{self.sentence} (chapter {chapter})" if chapter else self.sentence


@dataclass(frozen=True)
class Report:
    """Rows, each scored by itself. True where all passed.

    >>> tests = [Row("tanh_forward", "one sample"), Row("tanh_forward", "random sizes")]
    >>> print(Report([*tests, Row("tanh_forward", "float32", "y is late")]))
    tanh_forward: 2 of 3
      wrong  float32
               y is late
      ok     one sample, random sizes
    """

    rows: list[Row]

    @property
    def score(self) -> float:
        """The share of rows that passed, from 0 to 1."""
        return sum(row.passed for row in self.rows) / len(self.rows)

    @property
    def sentences(self) -> list[str]:
        """Every different sentence, in order."""
        return list(dict.fromkeys(row.sentence for row in self.rows if row.sentence))

    def __bool__(self) -> bool:
        return all(row.passed for row in self.rows)

    def exercises(self) -> dict[str, list[Row]]:
        """The rows of each function."""
        names = dict.fromkeys(row.exercise for row in self.rows)
        return {name: [row for row in self.rows if row.exercise == name] for name in names}

    def __str__(self) -> str:
        lines, said = [], set()
        for name, rows in self.exercises().items():
            passed = [row.test for row in rows if row.passed]
            lines.append(f"{name}: {len(passed)} of {len(rows)}")
            for row in rows:
                if row.passed:
                    continue
                lines.append(f"  wrong  {row.test}")
                text = row.text if row.sentence not in said else "the same"
                said.add(row.sentence)
                lines += textwrap.wrap(
                    text, WIDTH, initial_indent=" " * 11, subsequent_indent=" " * 11
                )
            lines += textwrap.wrap(
                ", ".join(passed), WIDTH, initial_indent="  ok     ", subsequent_indent=" " * 9
            )
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        cells = []
        for name, rows in self.exercises().items():
            passed = f"{sum(r.passed for r in rows)} of {len(rows)}"
            cells.append(
                f"<tr><th colspan=2 style='text-align:left'>{html.escape(name)}</th><th>{passed}</th></tr>"
            )
            for row in rows:
                mark, colour = ("✓ ok", "#117733") if row.passed else ("✗ wrong", "#882255")
                cells.append(
                    f"<tr><td style='color:{colour};white-space:nowrap'>{mark}</td>"
                    f"<td style='text-align:left;white-space:nowrap'>{html.escape(row.test)}</td>"
                    f"<td style='text-align:left'>{html.escape(row.text)}</td></tr>"
                )
        return f"<table>{''.join(cells)}</table>"
