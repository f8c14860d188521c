"""Report: what `check` found out about functions, test by test."""

from __future__ import annotations

from dataclasses import dataclass

from scratchae.checking.mistake import Mistake
from scratchae.checking.render import Block, Checklist, Heading, Rendered


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
        """Whether nothing is wrong."""
        return not self.sentence

    @property
    def text(self) -> str:
        """The sentence; a named mistake adds the chapter that explains it, if there is one."""
        chapter = self.mistake.chapter if self.mistake else 0
        return f"{self.sentence} (chapter {chapter})" if chapter else self.sentence


@dataclass(frozen=True, repr=False)
class Report(Rendered):
    """The rows of all tests. It is true if all of them passed; print it to read it.

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
        """What is wrong: every sentence once, in order."""
        return list(dict.fromkeys(row.sentence for row in self.rows if row.sentence))

    def __bool__(self) -> bool:
        return all(row.passed for row in self.rows)

    def exercises(self) -> dict[str, list[Row]]:
        """The rows of each function, by its name."""
        names = dict.fromkeys(row.exercise for row in self.rows)
        return {name: [row for row in self.rows if row.exercise == name] for name in names}

    def blocks(self) -> list[Block]:
        """For each function its score and its tests."""
        blocks: list[Block] = []
        for name, rows in self.exercises().items():
            passed = sum(row.passed for row in rows)
            blocks.append(Heading(name, f"{passed} of {len(rows)}"))
            blocks.append(Checklist([(row.test, row.text) for row in rows]))
        return blocks
