"""GradcheckResult: the verdict of `gradcheck`, as a truth value, a table of text, and one of HTML."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from html import escape

WIDTH = 80
HEAD = ("gradient of", "verdict", "rel. error", "worst at", "got", "expected")
WRONG_ROW = '<tr style="color:#b00020;font-weight:bold">'
LONGEST = (23, 7, 10, 14, 11, 11)  # with two blanks between: 80 columns at most


@dataclass(frozen=True)
class Row:
    """The verdict on one gradient.

    error: the largest deviation, over the largest expected element; where, got, expected: of that
    element (None where there was nothing to compare); method: "complex step" or "central
    differences", with its step in units of the tensor's own
    elements; checked of `size` elements were compared, `kinks` left out; blunt: some could be
    told only to within this much.
    """

    name: str
    ok: bool
    error: float | None = None
    where: tuple[int, ...] | None = None
    got: float | None = None
    expected: float | None = None
    method: str = ""
    step: float | None = None
    size: int = 0
    checked: int = 0
    kinks: int = 0
    blunt: float | None = None

    def cells(self) -> tuple[str, ...]:
        """The row as text, under HEAD."""
        return (
            self.name,
            "ok" if self.ok else "wrong",
            "" if self.error is None else f"{self.error:.1e}",
            "" if self.where is None else f"[{', '.join(map(str, self.where))}]",
            "" if self.got is None else f"{self.got:.5g}",
            "" if self.expected is None else f"{self.expected:.5g}",
        )

    def remarks(self) -> list[str]:
        """How the row was made, in words."""
        remarks = []
        if self.method == "complex step":
            remarks.append("complex step, right to rounding")
        elif self.method:
            why = "the error of rounding and the error of the curve meet there"
            if self.step > 0.01:
                why = "nearly straight, so that a large step rounds least"
            remarks.append(f"central differences, relative step {self.step:.0e} ({why})")
        if self.checked < self.size:
            remarks.append(
                f"{self.checked} of {self.size} elements, drawn at random, and one direction "
                "through all of them"
            )
        if self.kinks:
            lie = "lies" if self.kinks == 1 else "lie"
            remarks.append(f"{self.kinks} of {self.checked} elements {lie} on a kink, left out")
        if self.blunt is not None:
            remarks.append(f"some elements could be told only to within {self.blunt:.0e}")
        return remarks


@dataclass(frozen=True)
class GradcheckResult:
    """Rows, one a gradient; `diagnosis`, what is wrong ("" where nothing is).

    True when all is well. `print` shows a table of at most 80 columns; a notebook shows HTML.

    >>> row = Row("x", ok=False, error=2.0, where=(0, 3), got=-1.5, expected=1.5)
    >>> result = GradcheckResult("Linear(4, 2)", [row], "dx has the wrong sign.")
    >>> bool(result)
    False
    >>> print(result)
    gradcheck of Linear(4, 2): WRONG
    gradient of  verdict  rel. error  worst at   got  expected
    x            wrong       2.0e+00  [0, 3]    -1.5       1.5
    dx has the wrong sign.
    """

    title: str
    rows: list[Row]
    diagnosis: str = ""

    def __bool__(self) -> bool:
        return not self.diagnosis and all(row.ok for row in self.rows)

    @property
    def headline(self) -> str:
        """What was checked, on one line, and the verdict."""
        title = " ".join(self.title.split())
        return f"gradcheck of {shortened(title, 50)}: {'all well' if self else 'WRONG'}"

    @property
    def notes(self) -> list[str]:
        """How it was found out, and what was left out."""
        names: dict[str, list[str]] = {}
        for row in self.rows:
            for text in row.remarks():
                names.setdefault(text, []).append(row.name)
        return [f"{', '.join(of)}: {text}." for text, of in names.items()]

    def __str__(self) -> str:
        lines = [self.headline]
        if self.rows:
            table = [HEAD, *(row.cells() for row in self.rows)]
            table = [
                [shortened(text, most) for text, most in zip(line, LONGEST, strict=True)]
                for line in table
            ]
            widths = [max(map(len, column)) for column in zip(*table, strict=True)]
            for line in table:
                cells = [
                    text.rjust(width) if i in (2, 4, 5) else text.ljust(width)
                    for i, (text, width) in enumerate(zip(line, widths, strict=True))
                ]
                lines.append("  ".join(cells).rstrip())
        for text in (self.diagnosis, *self.notes):
            lines += textwrap.wrap(text, WIDTH)
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The same for a notebook; every text from outside is escaped."""
        parts = [f"<p><b>{escape(self.headline)}</b></p>"]
        if self.rows:
            head = "".join(f"<th>{escape(text)}</th>" for text in HEAD)
            body = "".join(
                ("<tr>" if row.ok else WRONG_ROW)
                + "".join(f"<td>{escape(text)}</td>" for text in row.cells())
                + "</tr>"
                for row in self.rows
            )
            parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
        if self.diagnosis:
            parts.append(f"<p><b>{escape(self.diagnosis)}</b></p>")
        parts += [f"<p>{escape(note)}</p>" for note in self.notes]
        return "".join(parts)


def shortened(text: str, most: int) -> str:
    """At most so many characters; what is left out of the middle becomes an ellipsis."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[-tail:]}"
