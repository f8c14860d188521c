"""check: one call that says whether a function is right, and if not, what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from torch import Tensor

from scratchae.checking.diagnose import diagnose
from scratchae.checking.execution import ExecutionResult, agree, run, tolerance_of
from scratchae.checking.exercises import Case, Exercise, find_exercise
from scratchae.checking.mistake import Mistake, mistakes
from scratchae.checking.report import Report, Row
from scratchae.errors import ScratchaeError

Runs = list[tuple[Case, ExecutionResult, ExecutionResult]]  # case, got, expected


def check(*what: Callable | str, seed: int = 0) -> Report:
    """Try a learner's functions on random cases of every kind. Print the report to read it.

    check(my_linear_backward), check(my_linear_forward, my_linear_backward), or, if the name of the
    function does not say which exercise it is, check("linear_backward", function). seed: decides the
    random cases. The report is true if everything is right.

    >>> def my_tanh_backward(dy, y):
    ...     return dy * (1 - y)
    >>> report = check(my_tanh_backward)
    >>> bool(report), report.rows[0].passed
    (False, False)
    """
    rows: list[Row] = []
    waiting = list(what)
    while waiting:
        first = waiting.pop(0)
        function = waiting.pop(0) if isinstance(first, str) and waiting else first
        if not callable(function):
            raise ScratchaeError(
                f"check needs functions, or a name and a function, but got {function!r}: "
                "write check(my_linear_backward) or check('linear_backward', function)"
            )
        name = first if isinstance(first, str) else getattr(function, "__name__", "")
        rows += check_one(find_exercise(name), function, seed)
    if not rows:
        raise ScratchaeError("check needs at least one function: check(my_linear_backward)")
    return Report(rows)


def check_one(exercise: Exercise, function: Callable, seed: int, each: int = 3) -> list[Row]:
    """Return a row for each corner, tried on `each` cases, and for each kind of side effect."""
    cases = exercise.cases(seed, each)
    return judge(
        exercise,
        [(c, run(function, exercise, c), run(exercise.reference, exercise, c)) for c in cases],
    )


def judge(exercise: Exercise, runs: Runs) -> list[Row]:
    """Return the rows for (case, got, expected). The function may have run in another process."""
    rows = []
    for corner in exercise.corners:
        here = [entry for entry in runs if entry[0].corner == corner]
        sentence = next((s for s in (wrong_values(exercise, *entry) for entry in here) if s), "")
        rows.append(Row(exercise.name, corner, sentence))
    if exercise.call is None:
        rows += side_effects(exercise, runs)
    if all(row.passed for row in rows):
        return rows
    finder = MistakeFinder(exercise, runs)
    if (found := finder.same_in_everything()) is not None:
        return [
            row if row.passed else Row(row.exercise, row.test, found.sentence, found)
            for row in rows
        ]
    return [row if row.passed else explain(row, finder) for row in rows]


def wrong_values(
    exercise: Exercise, case: Case, got: ExecutionResult, expected: ExecutionResult
) -> str:
    """Return why there are no outputs, or the name of the first wrong output, or ""."""
    if got.trouble:
        return got.trouble
    tolerance = tolerance_of(exercise, case)
    for output, right in expected.values.items():
        value = got.values[output]
        if value is None and right is None:
            continue
        if right is None or not agree(value, right, tolerance):
            return output
    return ""


def side_effects(exercise: Exercise, runs: Runs) -> list[Row]:
    """Return the rows about the side effects of a function."""
    changed = " and ".join(sorted({name for _, got, _ in runs for name in got.changed}))
    shared = ", ".join(
        f"{a} and {b}" for a, b in sorted({pair for _, got, _ in runs for pair in got.shared})
    )
    repeatable = all(got.repeatable for _, got, _ in runs)
    sentences = {
        "inputs stay as they are": changed
        and f"it changes {changed} in place: work on a copy, or write the result to a new tensor",
        "results have memory of their own": shared
        and f"{shared} share memory, so that a change of one changes the other: return a clone",
        "a second call gives the same": ""
        if repeatable
        else "a second call with the same inputs gives another result: do not keep anything between calls",
    }
    if exercise.in_place:
        del sentences["results have memory of their own"]
    return [Row(exercise.name, test, sentence) for test, sentence in sentences.items()]


def explain(row: Row, finder: MistakeFinder) -> Row:
    """Return the row with a sentence instead of the name of the wrong output."""
    exercise = finder.exercise
    for case, got, expected in finder.runs:
        if case.corner != row.test or got.trouble:
            continue
        output = wrong_values(exercise, case, got, expected)
        if not output:
            continue
        mistake = finder.same_in(output, row.test)
        sentence = diagnose(
            got.values[output],
            expected.values[output],
            output,
            case.arguments(),
            mistake.sentence if mistake else "",
        )
        if mistake and sentence != mistake.sentence:
            mistake = None
        return Row(exercise.name, row.test, sentence or f"{output} is not precise enough", mistake)
    return row


@dataclass(frozen=True)
class MistakeFinder:
    """Find the mistake of the catalogue whose results equal those of a function."""

    exercise: Exercise
    runs: Runs

    def same_in_everything(self) -> Mistake | None:
        """Return the mistake whose results equal the function's in every case, if there is exactly one."""
        found = [mistake for mistake in mistakes(self.exercise.name) if self.is_same(mistake)]
        return found[0] if len(found) == 1 else None

    def is_same(self, mistake: Mistake) -> bool:
        return all(
            same_result(got, result_of(mistake, case), tolerance_of(self.exercise, case))
            for case, got, _ in self.runs
        )

    def same_in(self, output: str, corner: str) -> Mistake | None:
        """Return the mistake that gives the same `output` in a corner, if there is exactly one."""
        runs = [entry for entry in self.runs if entry[0].corner == corner]
        found = [m for m in mistakes(self.exercise.name) if self.gives(m, output, runs)]
        return found[0] if len(found) == 1 else None

    def gives(self, mistake: Mistake, output: str, runs: Runs) -> bool:
        """Return whether the mistake gives the function's `output`, and is wrong at least once."""
        is_wrong = False
        for case, got, expected in runs:
            made, value = result_of(mistake, case).values.get(output), got.values.get(output)
            tolerance = tolerance_of(self.exercise, case)
            if not isinstance(made, Tensor) or value is None or not agree(value, made, tolerance):
                return False
            is_wrong = is_wrong or not agree(made, expected.values[output], tolerance)
        return is_wrong


@lru_cache(maxsize=50_000)
def result_of(mistake: Mistake, case: Case) -> ExecutionResult:
    """Run a mistake on a case."""
    return run(mistake.function, find_exercise(mistake.exercise), case)


def same_result(got: ExecutionResult, made: ExecutionResult, tolerance: float) -> bool:
    """Return whether two results are equal up to rounding."""
    if seen_beside_values(got) != seen_beside_values(made):
        return False
    pairs = [(value, made.values[name]) for name, value in got.values.items()]
    return all(
        agree(a, b, tolerance) if isinstance(b, Tensor) else type(a) is type(b) for a, b in pairs
    )


def seen_beside_values(result: ExecutionResult) -> tuple:
    """Return everything but the numbers. The line of an error is omitted: it is a line of the learner's file."""
    trouble = re.sub(r" in line [^:]*", "", result.trouble)
    return trouble, result.changed, result.shared, result.repeatable, list(result.values)
