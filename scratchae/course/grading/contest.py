"""Contest: grade a student's own model by its error on digits that are not in the student's check."""

from __future__ import annotations

from torch import Tensor

from scratchae.checking.report import Row
from scratchae.course.contest import Measured, hidden_digits, judge_contest, measure, read_weights
from scratchae.course.grading.flags import policy_flags
from scratchae.course.grading.grader import Grader
from scratchae.course.grading.scoring import TaskScore
from scratchae.course.grading.submissions import Submission
from scratchae.course.submission import SubmissionError


class ContestGrader(Grader):
    """Grades models of the students' own."""

    def grade_once(self, submission: Submission) -> dict:
        task = self.assignment.tasks[0]
        sources, unreadable = self.read_sources(submission)
        analysis = self.analyse(sources)
        problems = [*submission.problems, *unreadable.values()]
        board: list[dict] = []
        try:
            if unreadable:
                raise SubmissionError(next(iter(unreadable.values())))
            if error := analysis["model.py"]["error"]:
                raise SubmissionError(f"model.py cannot be read: {error}")
            weights = read_weights(submission.files.get("weights.safetensors"))
            measured = self.measure(sources["model.py"], weights)
            rows = judge_contest(task, self.assignment.settings, measured)
            board = leaderboard(measured)
        except SubmissionError as error:
            problems.append(str(error))
            rows = [Row(task.exercise, test, str(error)) for test in task.corners]
        scores = [TaskScore(task, rows, frozenset())]
        flags = policy_flags(analysis, {})
        result = self.result(submission, scores, list(dict.fromkeys(problems)), flags, analysis)
        return result | {"leaderboard": board}

    def measure(self, source: str, weights: dict[str, Tensor]) -> Measured:
        """Measure a model on the hidden digits."""
        return measure(self.sandbox, source, weights, hidden_digits(self.assignment))


def leaderboard(measured: Measured) -> list[dict]:
    """Return the ranking's numbers in Gradescope's form: the error first, then the sizes."""
    return [
        {"name": "error", "value": round(measured.error, 6), "order": "asc"},
        {"name": "parameters", "value": measured.parameters, "order": "asc"},
        {"name": "code", "value": measured.code, "order": "asc"},
    ]
