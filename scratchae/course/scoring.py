"""Scoring: decide what is right and how many points it gives, for the student's check and for the grader.

Every corner is worth the same share of the points. Each kind of side effect (the function changes its
inputs, returns shared memory, or remembers the last call) costs one share, but never more than was
earned. Intermediate results in float32 count as right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from scratchae.checking import Exercise
from scratchae.checking.check import Runs, judge
from scratchae.checking.report import Row
from scratchae.course.assignment import Task

NOT_YET = "not written yet"  # how the sentence about a blank function begins
FLOAT32_TOLERANCE = 2e-5  # relative: of a float64 result that was computed in float32


def points_of(task: Task, rows: Iterable[Row]) -> float:
    """Return the points for the rows of a check, rounded to hundredths.

    A corner may have several rows: it counts if all of them passed. A corner without a row counts as
    wrong.

    >>> task = Task("tanh", "tanh_forward", points=10)
    >>> rows = [Row("tanh_forward", corner) for corner in task.corners]
    >>> points_of(task, rows), points_of(task, rows[1:]), points_of(task, [])
    (10.0, 8.0, 0.0)
    """
    rows = list(rows)
    wrong = {row.test for row in rows if not row.passed}
    seen = {row.test for row in rows}
    right = [corner for corner in task.corners if corner in seen and corner not in wrong]
    side_effects = len(wrong - set(task.corners))
    if task.whole:
        return float(task.points if len(right) == len(task.corners) and not side_effects else 0)
    return round(task.points * max(0, len(right) - side_effects) / len(task.corners), 2)


def shown_rows(task: Task, rows: list[Row]) -> list[Row]:
    """Return the rows to show. If no corner is right, the rows about side effects that passed are omitted.

    >>> task = Task("tanh", "tanh_forward", points=10)
    >>> rows = [Row("tanh_forward", corner, "wrong") for corner in task.corners]
    >>> shown_rows(task, [*rows, Row("tanh_forward", "inputs stay as they are")]) == rows
    True
    """
    if any(row.passed for row in rows if row.test in task.corners):
        return rows
    return [row for row in rows if row.test in task.corners or not row.passed]


def lenient(exercise: Exercise) -> Exercise:
    """Return the exercise with a tolerance that allows intermediate results in float32."""
    return replace(exercise, tolerance=max(exercise.tolerance, FLOAT32_TOLERANCE))


def scored_rows(exercise: Exercise, seen: Runs) -> list[Row]:
    """Return the rows for the runs, (case, got, expected).

    A row fails only if the error is larger than the rounding of float32. Then the sentence is made with
    the exact tolerance.
    """
    coarse = judge(lenient(exercise), seen)
    if all(row.passed for row in coarse):
        return coarse
    fine = {row.test: row for row in judge(exercise, seen)}
    return [
        row if row.passed or row.mistake or fine[row.test].passed else fine[row.test]
        for row in coarse
    ]
