"""check: one call that says whether a function is right, and if not, what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from torch import Tensor

from scratchae.checking.cases import Case
from scratchae.checking.diagnose import diagnose
from scratchae.checking.execution import Outcome, agree, run, tolerance_of
from scratchae.checking.exercises import Exercise, find_exercise
from scratchae.checking.mistake import Mistake, mistakes
from scratchae.checking.report import Report, Row
from scratchae.errors import ScratchaeError

Seen = list[tuple[Case, Outcome, Outcome]]  # case, got, expected


def check(*what: Callable | str, seed: int = 0) -> Report:
    """Try functions of a learner in all corners; print the report, or ask whether it is true.

    check(my_linear_backward), check(my_linear_forward, my_linear_backward), or, where the name does
    not say it, check("linear_backward", fn). seed: other random cases of the same kinds.

    >>> def my_tanh_backward(dy, y):
    ...     return dy * (1 - y)
    >>> report = check(my_tanh_backward)
    >>> bool(report), report.rows[0].passed
    (False, False)
    """
    pairs = []
    names = list(what)
    while names:
        first = names.pop(0)
        function = names.pop(0) if isinstance(first, str) and names else first
        if not callable(function):
            raise ScratchaeError(
                f"check wants functions, or a name and a function, but got {function!r}: "
                "write check(my_linear_backward) or check('linear_backward', fn)"
            )
        name = first if isinstance(first, str) else getattr(function, "__name__", "")
        pairs.append((find_exercise(name), function))
    if not pairs:
        raise ScratchaeError("check wants at least one function: check(my_linear_backward)")
    return Report(
        [row for exercise, function in pairs for row in check_one(exercise, function, seed)]
    )


@dataclass(frozen=True)
class Examiner:
    """A function's outcomes on all cases of an exercise, and the mistakes that explain them."""

    exercise: Exercise
    seen: Seen

    def name_whole(self) -> Mistake | None:
        """The one mistake that does the same as the function on every case in every respect."""
        alike = [m for m in mistakes(self.exercise.name) if self.alike(m)]
        return alike[0] if len(alike) == 1 else None

    def alike(self, mistake: Mistake) -> bool:
        return all(
            same_outcome(got, outcome_of(mistake, case), self.exercise, case)
            for case, got, _ in self.seen
        )

    def name_output(self, output: str, corner: str) -> Mistake | None:
        """The one mistake that gives the same `output` on the cases of a corner."""
        here = [entry for entry in self.seen if entry[0].corner == corner]
        fitting = [m for m in mistakes(self.exercise.name) if self.gives(m, output, here)]
        return fitting[0] if len(fitting) == 1 else None

    def gives(self, mistake: Mistake, output: str, here: Seen) -> bool:
        """Whether the mistake gives the function's `output` on these cases, wrong on one at least."""
        differs = False
        for case, got, expected in here:
            made, mine = outcome_of(mistake, case).values.get(output), got.values.get(output)
            near = tolerance_of(self.exercise, case)
            if not isinstance(made, Tensor) or mine is None or not agree(mine, made, near):
                return False
            differs = differs or not agree(made, expected.values[output], near)
        return differs


@lru_cache(maxsize=50_000)
def outcome_of(mistake: Mistake, case: Case) -> Outcome:
    """What a mistake does on a case."""
    return run(mistake.function, find_exercise(mistake.exercise), case)


def same_outcome(got: Outcome, made: Outcome, exercise: Exercise, case: Case) -> bool:
    """Whether two outcomes cannot be told apart."""
    if any(of(got) != of(made) for of in (trouble_anywhere, manners_of)):
        return False
    near = tolerance_of(exercise, case)
    pairs = ((value, made.values[name]) for name, value in got.values.items())
    return all(agree(a, b, near) if isinstance(b, Tensor) else type(a) is type(b) for a, b in pairs)


def trouble_anywhere(outcome: Outcome) -> str:
    """The trouble without the line where it arose, which is the learner's own."""
    return re.sub(r" in line [^:]*", "", outcome.trouble)


def manners_of(outcome: Outcome) -> tuple:
    return outcome.changed, outcome.shared, outcome.repeatable, list(outcome.values)


def check_one(exercise: Exercise, function: Callable, seed: int, each: int = 3) -> list[Row]:
    """A row for every corner, each tried on `each` cases, and for the manners of the function."""
    cases = exercise.cases(seed, each)
    return judge(
        exercise,
        [(c, run(function, exercise, c), run(exercise.reference, exercise, c)) for c in cases],
    )


def judge(exercise: Exercise, seen: Seen) -> list[Row]:
    """The rows of what was seen of a function, wherever it ran: (case, got, expected), in order."""
    examiner = Examiner(exercise, seen)
    rows = []
    for corner in exercise.corners:
        here = [entry for entry in seen if entry[0].corner == corner]
        sentence = next((s for s in (wrong_values(exercise, *entry) for entry in here) if s), "")
        rows.append(Row(exercise.name, corner, sentence))
    if exercise.call is None:
        rows += manners(exercise, seen)
    if all(row.passed for row in rows):
        return rows
    if (whole := examiner.name_whole()) is not None:
        return [
            row if row.passed else Row(row.exercise, row.test, whole.sentence, whole)
            for row in rows
        ]
    return [row if row.passed else explain(row, examiner) for row in rows]


def wrong_values(exercise: Exercise, case: Case, got: Outcome, expected: Outcome) -> str:
    """A plain word where something is wrong on this case, or ""."""
    if got.trouble:
        return got.trouble
    near = tolerance_of(exercise, case)
    for output, right in expected.values.items():
        value = got.values[output]
        if value is right is None:
            continue
        if right is None or not agree(value, right, near):
            return output
    return ""


def explain(row: Row, examiner: Examiner) -> Row:
    """The row with a sentence in place of the plain word."""
    for case, got, expected in examiner.seen:
        if case.corner != row.test or got.trouble:
            continue
        output = wrong_values(examiner.exercise, case, got, expected)
        if not output:
            continue
        named = examiner.name_output(output, row.test)
        sentence = diagnose(
            got.values[output],
            expected.values[output],
            output,
            case.arguments(),
            named.sentence if named else "",
        )
        found = named if named and sentence == named.sentence else None
        return Row(row.exercise, row.test, sentence or f"{output} is not precise enough", found)
    return row


def manners(exercise: Exercise, seen: Seen) -> list[Row]:
    """What a function does beside its result."""
    changed = sorted({name for _, got, _ in seen for name in got.changed})
    shared = sorted({pair for _, got, _ in seen for pair in got.shared})
    steady = all(got.repeatable for _, got, _ in seen)
    edits = (
        f"{' and '.join(changed)} of the caller changed in place: work on a copy, or write the "
        "result to a new tensor"
    )
    rows = [Row(exercise.name, "inputs stay as they are", edits if changed else "")]
    if not exercise.in_place:
        pairs = ", ".join(f"{a} and {b}" for a, b in shared)
        alias = f"{pairs} lie in the same memory: an edit of one changes the other; clone it"
        rows.append(Row(exercise.name, "results have memory of their own", alias if shared else ""))
    again = "a second call on the same inputs gives another result: something is kept between calls"
    rows.append(Row(exercise.name, "a second call gives the same", "" if steady else again))
    return rows
