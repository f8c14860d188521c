"""Scoring: what is right, and how many points that is worth. The student's check and the grader share it.

Every corner is worth the same share of the points, whatever the others do. What a function does
beside its result (it edits its inputs, hands out shared memory, remembers the call before) costs one
share each, but only of what was earned. Whoever computes in float32 on the way is right too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from scratchae.checking import Exercise
from scratchae.checking.check import Seen, judge
from scratchae.checking.report import Row
from scratchae.course.assignment import Task

SEES_FLOAT32 = 2e-5  # relative: what is left of a float64 result that was float32 on the way


def points_of(task: Task, rows: Iterable[Row]) -> float:
    """The points, to a hundredth, from the rows of a check, hidden cases or not.

    The same corner may come more than once (public and hidden cases): it counts if all rows are
    right. A corner without a row counts as wrong.

    >>> task = Task("tanh", "tanh_forward", points=10)
    >>> rows = [Row("tanh_forward", corner) for corner in task.corners]
    >>> points_of(task, rows), points_of(task, rows[1:]), points_of(task, [])
    (10.0, 8.0, 0.0)
    """
    rows = list(rows)
    wrong = {row.test for row in rows if not row.passed}
    seen = {row.test for row in rows}
    right = [corner for corner in task.corners if corner in seen and corner not in wrong]
    manners = len(wrong - set(task.corners))
    if task.whole:
        return float(task.points if len(right) == len(task.corners) and not manners else 0)
    return round(task.points * max(0, len(right) - manners) / len(task.corners), 2)


def lenient(exercise: Exercise) -> Exercise:
    """The exercise with room for float32 on the way."""
    return replace(exercise, tolerance=max(exercise.tolerance, SEES_FLOAT32))


def scored_rows(exercise: Exercise, seen: Seen) -> list[Row]:
    """Rows of what was seen, (case, got, expected): failed only beyond float32's rounding, and then told
    as exactly as can be."""
    coarse = judge(lenient(exercise), seen)
    if all(row.passed for row in coarse):
        return coarse
    fine = {row.test: row for row in judge(exercise, seen)}
    return [
        row if row.passed or row.mistake or fine[row.test].passed else fine[row.test]
        for row in coarse
    ]
