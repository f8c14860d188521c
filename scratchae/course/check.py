"""The student's check: what is right, what is wrong and why, and the points as they would be now."""

from __future__ import annotations

import html
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path

from scratchae.checking.render import WIDTH
from scratchae.checking.report import Report
from scratchae.course.assignment import Assignment, load_assignment
from scratchae.course.examine import TaskResult, examine
from scratchae.errors import ScratchaeError


@dataclass(frozen=True)
class Checked:
    """A student's folder, checked. Prints as a table, in a notebook as HTML."""

    assignment: Assignment
    results: list[TaskResult]

    @property
    def points(self) -> float:
        """By the public cases."""
        return round(sum(result.points for result in self.results), 2)

    @property
    def hidden(self) -> int:
        """How many cases only the grader tries."""
        return sum(result.task.hidden_cases for result in self.results)

    def __str__(self) -> str:
        lines = [self.assignment.title, ""]
        for result in self.results:
            points = f"{result.points:g} of {result.task.points:g}"
            lines.append(f"{result.task.name:<32}{points:>14}   {self.state(result)}")
            for line in self.details(result):
                lines += textwrap.wrap(
                    line, WIDTH, initial_indent="    ", subsequent_indent="      "
                )
        lines += ["", f"{self.points:g} of {self.assignment.points:g} points by the public cases."]
        lines += textwrap.wrap(self.later(), WIDTH)
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def state(self, result: TaskResult) -> str:
        """One or two words for a task."""
        if result.not_yet:
            return "not yet"
        wrong = result.wrong
        if not wrong:
            return "ok"
        return (
            "wrong" if result.points == 0 else f"wrong in {len(wrong)} of {len(result.rows)} tests"
        )

    def details(self, result: TaskResult) -> list[str]:
        """What is wrong, each sentence once, with the tests that it was said in."""
        if result.not_yet:
            return []
        if self.assignment.kind == "mend" and not result.trouble:
            return [f"the fault is still there: seen in {', '.join(result.wrong)}"][
                : len(result.wrong)
            ]
        lines = []
        for sentence, tests in result.sentences.items():
            every = result.trouble or len(tests) == len(result.rows)
            lines.append(sentence if every else f"{', '.join(tests)}: {sentence}")
        if result.measured is not None:
            m = result.measured
            lines.insert(
                0,
                f"error {m['error']:.4f}, {m['parameters']:,} parameters, a code of {m['code']} numbers",
            )
        if result.printed.strip():
            first = result.printed.strip().splitlines()[0][:60]
            lines.append(f"it prints while it is checked, which is not looked at: {first!r}")
        return lines

    def later(self) -> str:
        """What the grader does that was not done here."""
        if self.assignment.kind == "contest":
            return "The ranking is made later, on other digits of the same test set."
        return (
            f"{self.hidden} hidden cases run later, when the work is graded: other numbers, same "
            "corners. The score may still fall."
        )


def check_folder(folder: str | Path = ".", assignment: str | Path | None = None) -> Checked:
    """Check a student's folder; assignment: where the folder has no assignment.toml of its own."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ScratchaeError(f"there is no folder {folder}: give the one with your files")
    if assignment is None and not (folder / "assignment.toml").is_file():
        raise ScratchaeError(
            f"{folder} has no assignment.toml, so which assignment is it: go into the folder that you "
            "were given, or name it: scratchae course check DIR --assignment hw1"
        )
    loaded = load_assignment(assignment or folder)
    return Checked(loaded, examine(loaded, folder))


def check_task(name: str, folder: str | Path = ".") -> Report:
    """One task of a student's folder, in full, for a notebook."""
    loaded = load_assignment(Path(folder))
    one = replace(loaded, tasks=(loaded.task(name),))
    checked = Checked(one, examine(one, Path(folder)))
    rows = checked.results[0].rows
    if loaded.kind == "mend":
        rows = [replace(row, sentence=row.sentence and "still wrong", mistake=None) for row in rows]
    return Report(rows)
