"""The results of `check` and `gradcheck`: Report and GradcheckResult."""

from __future__ import annotations

from dataclasses import dataclass

from scratchae.checking.mistake import Mistake
from scratchae.checking.render import Block, Checklist, Heading, Paragraph, Rendered, Table

HEAD = ("gradient of", "verdict", "rel. error", "worst at", "got", "expected")
NUMBERS = (2, 4, 5)  # the columns with numbers
LONGEST = (23, 7, 10, 14, 11, 11)  # characters in each column: at most 80 in a line


@dataclass(frozen=True)
class Row:
    """One test of one function. sentence: what is wrong, or "" if the test passed.

    >>> Row("tanh_forward", "one sample").passed
    True
    """

    exercise: str
    test: str
    sentence: str = ""
    mistake: Mistake | None = None

    @property
    def passed(self) -> bool:
        """Return whether nothing is wrong."""
        return not self.sentence

    @property
    def text(self) -> str:
        """Return the sentence, with the chapter that explains the mistake, if there is one."""
        chapter = self.mistake.chapter if self.mistake else 0
        return f"{self.sentence} (chapter {chapter})" if chapter else self.sentence


@dataclass(frozen=True, repr=False)
class Report(Rendered):
    """The rows of all tests. The report is true if all tests passed. Print it to read it.

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
        """Return the share of rows that passed, from 0 to 1."""
        return sum(row.passed for row in self.rows) / len(self.rows)

    @property
    def sentences(self) -> list[str]:
        """Return what is wrong: every sentence once, in order."""
        return list(dict.fromkeys(row.sentence for row in self.rows if row.sentence))

    def __bool__(self) -> bool:
        return all(row.passed for row in self.rows)

    def exercises(self) -> dict[str, list[Row]]:
        """Return the rows of each function, by its name."""
        names = dict.fromkeys(row.exercise for row in self.rows)
        return {name: [row for row in self.rows if row.exercise == name] for name in names}

    def blocks(self) -> list[Block]:
        """Return the score and the tests of each function."""
        blocks: list[Block] = []
        for name, rows in self.exercises().items():
            passed = sum(row.passed for row in rows)
            blocks.append(Heading(name, f"{passed} of {len(rows)}"))
            blocks.append(Checklist([(row.test, row.text) for row in rows]))
        return blocks


@dataclass(frozen=True)
class GradientRow:
    """The result for one gradient.

    error: the largest difference, divided by the largest expected element. where, got, expected: the
    index and the values of the element with that difference (None if nothing could be compared). method:
    "complex step" or "central differences". step: the step of the latter, relative to the elements of
    the tensor. `checked` of `size` elements were compared; `kinks` of them have no derivative and were
    omitted. uncertainty: the possible error of the numeric derivative, if it is larger than the
    tolerance.
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
    uncertainty: float | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the row as text, in the columns of HEAD."""
        cells = (
            self.name,
            "ok" if self.ok else "wrong",
            "" if self.error is None else f"{self.error:.1e}",
            "" if self.where is None else f"[{', '.join(map(str, self.where))}]",
            "" if self.got is None else f"{self.got:.5g}",
            "" if self.expected is None else f"{self.expected:.5g}",
        )
        return tuple(shortened(cell, most) for cell, most in zip(cells, LONGEST, strict=True))

    def remarks(self) -> list[str]:
        """Return remarks on how the row was computed."""
        remarks = []
        if self.method == "complex step":
            remarks.append("complex step, exact up to rounding")
        elif self.step is not None:
            why = "there the sum of rounding and curvature errors is smallest"
            if self.step > 0.01:
                why = "the function is nearly straight, so a large step has the smallest rounding error"
            remarks.append(f"central differences with relative step {self.step:.0e} ({why})")
        if 0 < self.checked < self.size:
            remarks.append(
                f"{self.checked} of {self.size} elements, chosen at random, and one direction that "
                "moves all of them"
            )
        if self.kinks:
            lie = "lies" if self.kinks == 1 else "lie"
            remarks.append(
                f"{self.kinks} of {self.checked} elements {lie} on a kink and were omitted"
            )
        if self.uncertainty is not None:
            remarks.append(f"some elements are known only to within {self.uncertainty:.0e}")
        return remarks


@dataclass(frozen=True, repr=False)
class GradcheckResult(Rendered):
    """A row for each gradient, and a diagnosis, which is "" if nothing is wrong.

    The result is true if nothing is wrong. Print it to read it.

    >>> row = GradientRow("x", ok=False, error=2.0, where=(0, 3), got=-1.5, expected=1.5)
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
    rows: list[GradientRow]
    diagnosis: str = ""

    def __bool__(self) -> bool:
        return not self.diagnosis and all(row.ok for row in self.rows)

    @property
    def notes(self) -> list[str]:
        """Return sentences on the methods, and on what was omitted."""
        names: dict[str, list[str]] = {}
        for row in self.rows:
            for text in row.remarks():
                names.setdefault(text, []).append(row.name)
        return [f"{', '.join(of)}: {text}." for text, of in names.items()]

    def blocks(self) -> list[Block]:
        """Return the title, a table with a row for each gradient, the diagnosis and the notes."""
        title = shortened(" ".join(self.title.split()), 50)
        blocks: list[Block] = [Heading(f"gradcheck of {title}", "all well" if self else "WRONG")]
        if self.rows:
            wrong = [i for i, row in enumerate(self.rows) if not row.ok]
            blocks.append(Table(HEAD, [row.cells() for row in self.rows], wrong, NUMBERS))
        if self.diagnosis:
            blocks.append(Paragraph(self.diagnosis, "wrong"))
        return blocks + [Paragraph(note, "note") for note in self.notes]


def shortened(text: str, most: int) -> str:
    """Return at most `most` characters. An ellipsis replaces the middle of a longer text."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[-tail:]}"
