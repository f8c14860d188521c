"""Scoring: compare a task's outcomes with the expected ones, and make rows that a student may read.

A row shows what is wrong in a public case. For a hidden case it says only that it failed, with the
sentence of the catalogued mistake if there is one. It never shows a hidden input or the expected value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from scratchae.checking import EXERCISES, Exercise
from scratchae.checking.check import wrong_values
from scratchae.checking.execution import ExecutionResult
from scratchae.checking.exercises import Case
from scratchae.checking.report import Row
from scratchae.course.assignment import Task
from scratchae.course.custom_exercises import expected_of
from scratchae.course.grading.test_cases import CaseGroup
from scratchae.course.scoring import NOT_YET, lenient, points_of, scored_rows, shown_rows

HIDDEN = "right in the public cases of this kind, wrong in hidden ones"

Outcomes = dict[CaseGroup, list[ExecutionResult]]


@dataclass(frozen=True)
class TaskScore:
    """The rows of one task. hidden: the names of the tests that failed in hidden cases only."""

    task: Task
    rows: list[Row]
    hidden: frozenset[str]

    @property
    def points(self) -> float:
        return points_of(self.task, self.rows)


@lru_cache(maxsize=20_000)
def expected(case: Case) -> ExecutionResult:
    """Return the outcome of the reference. It is cached, because all students share the public cases."""
    return expected_of(EXERCISES[case.exercise], case)


def is_wrong(group: CaseGroup, outcomes: list[ExecutionResult]) -> bool:
    """Return whether a case has wrong values, or a side effect that costs points."""
    exercise = lenient(group.exercise)
    for case, got in zip(group.cases, outcomes, strict=True):
        if wrong_values(exercise, case, got, expected(case)):
            return True
        if exercise.call is None and (got.changed or got.shared or not got.repeatable):
            return True
    return False


def score_task(task: Task, outcomes: Outcomes) -> TaskScore:
    """Score a task from the outcomes of all of its groups."""
    groups = [group for group in outcomes if group.task is task]
    exercise = groups[0].exercise
    public = {row.test: row for row in rows_of(exercise, groups, outcomes, lambda g: g.public)}
    rows, hidden = [], set()
    for row in rows_of(exercise, groups, outcomes, lambda g: g.cases):
        if row.passed:
            rows.append(row)
        elif row.test in public and not public[row.test].passed:
            rows.append(public[row.test])
        else:
            hidden.add(row.test)
            rows.append(Row(row.exercise, row.test, hidden_sentence(row), row.mistake))
    return TaskScore(task, shown_rows(task, rows), frozenset(hidden))


def hidden_sentence(row: Row) -> str:
    """Return a sentence that reveals nothing about the hidden inputs.

    A mistake's sentence is the same for everybody; any other sentence could contain an input.
    """
    if row.mistake is not None:
        return row.mistake.sentence
    if row.sentence.startswith(NOT_YET):
        return NOT_YET
    return HIDDEN


def rows_of(
    exercise: Exercise,
    groups: list[CaseGroup],
    outcomes: Outcomes,
    select: Callable[[CaseGroup], tuple[Case, ...]],
) -> list[Row]:
    """Return the rows of the selected cases."""
    seen = []
    for group in groups:
        got = dict(zip(group.cases, outcomes[group], strict=True))
        seen += [(case, got[case], expected(case)) for case in select(group)]
    return scored_rows(exercise, seen) if seen else []
