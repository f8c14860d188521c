"""Verdict: a task's outcomes compared with the right ones, as rows that a student may read.

A row shows what was wrong in a public case. Of hidden cases it says only that they went wrong, and a
named mistake where there is one: never their inputs, nor what was expected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from scratchae.checking import Exercise
from scratchae.checking.cases import Case
from scratchae.checking.check import wrong_values
from scratchae.checking.execution import Outcome
from scratchae.checking.report import Row
from scratchae.course.assignment import Task
from scratchae.course.custom_exercises import expected_of
from scratchae.course.grading.test_cases import Trial
from scratchae.course.scoring import lenient, points_of, scored_rows

HIDDEN = "right in the public cases of this kind, wrong in hidden ones"

Outcomes = dict[Trial, list[Outcome]]


@dataclass(frozen=True)
class Verdict:
    """The rows of one task. hidden: names of the tests that only hidden cases failed."""

    task: Task
    rows: list[Row]
    hidden: frozenset[str]

    @property
    def points(self) -> float:
        return points_of(self.task, self.rows)


@lru_cache(maxsize=20_000)
def expected(name: str, case: Case) -> Outcome:
    """What is right on a case; public ones are the same for everybody."""
    from scratchae.checking import EXERCISES

    return expected_of(EXERCISES[name], case)


def failed(trial: Trial, outcomes: list[Outcome]) -> bool:
    """Whether a case of the trial has wrong values, or ill manners."""
    exercise = lenient(trial.exercise)
    for case, got in zip(trial.cases, outcomes, strict=True):
        if wrong_values(exercise, case, got, expected(exercise.name, case)):
            return True
        if exercise.call is None and (got.changed or got.shared or not got.repeatable):
            return True
    return False


def verdict(task: Task, outcomes: Outcomes) -> Verdict:
    """The rows of a task from all of its trials."""
    trials = [trial for trial in outcomes if trial.task is task]
    exercise = trials[0].exercise
    public = rows_of(exercise, trials, outcomes, lambda trial: trial.public)
    whole = rows_of(exercise, trials, outcomes, lambda trial: trial.cases)
    shown = {row.test: row for row in public}
    rows, hidden = [], set()
    for row in whole:
        before = shown.get(row.test)
        if row.passed:
            rows.append(row)
        elif before is not None and not before.passed:
            rows.append(before)
        else:
            hidden.add(row.test)
            rows.append(Row(row.exercise, row.test, said_of_hidden(row), row.mistake))
    if not any(row.passed for row in rows if row.test in task.corners):
        # of a function that is right nowhere it tells nothing that its inputs stay as they are
        rows = [row for row in rows if row.test in task.corners or not row.passed]
    return Verdict(task, rows, frozenset(hidden))


def said_of_hidden(row: Row) -> str:
    """A mistake's own sentence is the same for everybody; any other could tell of the inputs."""
    if row.mistake is not None:
        return row.mistake.sentence
    if row.sentence.startswith("not written yet"):
        return "not written yet"
    return HIDDEN


def rows_of(
    exercise: Exercise,
    trials: list[Trial],
    outcomes: Outcomes,
    which: Callable[[Trial], tuple[Case, ...]],
) -> list[Row]:
    """Rows on some of the cases."""
    seen = []
    for trial in trials:
        mine = dict(zip(trial.cases, outcomes[trial], strict=True))
        seen += [(case, mine[case], expected(exercise.name, case)) for case in which(trial)]
    return scored_rows(exercise, seen) if seen else []
