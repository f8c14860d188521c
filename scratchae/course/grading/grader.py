"""Grader: grade one submission, of functions or of a contest's model. It has access to the expected values."""

from __future__ import annotations

from torch import Tensor

from scratchae.checking.execution import ExecutionResult
from scratchae.checking.report import Row
from scratchae.course.assignment import Assignment
from scratchae.course.contest import Measured, hidden_digits, judge_contest, measure, read_weights
from scratchae.course.grading.flags import policy_flags
from scratchae.course.grading.scoring import NOT_YET, TaskScore, is_wrong, score_task
from scratchae.course.grading.submission_run import SubmissionRun
from scratchae.course.grading.submissions import Submission
from scratchae.course.grading.test_cases import CaseGroup, case_groups, submitted_file
from scratchae.course.sandbox import InfrastructureError, Sandbox
from scratchae.course.sandbox.inside.protocol import frame
from scratchae.course.submission import SubmissionError

MAX_SOURCE_BYTES = 256 * 1024


class Grader:
    """Grades submissions of one assignment in one sandbox."""

    def __init__(self, assignment: Assignment, secret: bytes, sandbox: Sandbox) -> None:
        self.assignment, self.secret, self.sandbox = assignment, secret, sandbox

    def grade(self, submission: Submission) -> dict:
        """Return the result as a dict that JSON can hold. The same submission gives the same result.

        student: the name. score of `points`: the earned and the possible points. tasks: name, points,
        earned and the rows of each task. problems: sentences to the student about the files. flags:
        sentences to the instructor. fingerprints: {file: hashes} for `near_identical`. leaderboard: the
        ranking's numbers in a contest.

        Raises InfrastructureError if the machine fails twice. A failure of the machine is never a grade.
        """
        try:
            return self.grade_once(submission)
        except InfrastructureError:
            self.sandbox.start()
            return self.grade_once(submission)

    def grade_once(self, submission: Submission) -> dict:
        sources, unloadable = self.read_sources(submission)
        analysis = self.analyse(sources)
        for file, found in analysis.items():
            if found["error"]:
                unloadable[file] = f"{file} cannot be read by Python: {found['error']}"
        groups = case_groups(self.assignment, self.secret, submission.student)
        run = SubmissionRun(self.sandbox, sources, unloadable)
        outcomes = run.run(groups)
        unstable = []
        for group in groups:
            # A failure counts only if the group fails again, alone in a new child.
            if not is_wrong(group, outcomes[group]) or run.reason_to_skip(group):
                continue
            if not is_unwritten(group, outcomes[group], analysis):
                again = run.run_alone(group)
                if not is_wrong(group, again):
                    outcomes[group] = again
                    unstable.append(
                        f"{group.task.name}, {group.corner}: right only if it runs alone"
                    )
        scores = [score_task(task, outcomes) for task in self.assignment.tasks]
        flags = policy_flags(analysis, run.operators) + unstable
        problems = [*submission.problems, *unloadable.values()]
        return self.result(submission, scores, problems, flags, analysis)

    def result(
        self,
        submission: Submission,
        scores: list[TaskScore],
        problems: list[str],
        flags: list[str],
        analysis: dict[str, dict],
    ) -> dict:
        """Return the result as `grade` describes it."""
        return {
            "student": submission.student,
            "score": round(sum(score.points for score in scores), 2),
            "points": self.assignment.points,
            "tasks": [task_dict(score) for score in scores],
            "problems": problems,
            "flags": flags,
            "fingerprints": {file: found["fingerprints"] for file, found in analysis.items()},
        }

    def read_sources(self, submission: Submission) -> tuple[dict[str, str], dict[str, str]]:
        """Return ({file: text}, {file: why there is no text}) of the files that the tasks need."""
        sources, problems = {}, {}
        for file in dict.fromkeys(submitted_file(task) for task in self.assignment.tasks):
            data = submission.files.get(file)
            if data is None:
                problems[file] = f"{file} is missing"
            elif len(data) > MAX_SOURCE_BYTES:
                problems[file] = f"{file} is larger than {MAX_SOURCE_BYTES // 1024} KB"
            else:
                try:
                    sources[file] = data.decode("utf-8-sig")
                except UnicodeDecodeError:
                    problems[file] = f"{file} is not UTF-8 text: save it as UTF-8"
        return sources, problems

    def analyse(self, sources: dict[str, str]) -> dict[str, dict]:
        """Return the result of the static analysis of each file.

        It runs in the sandbox, because a source can crash the parser. A crash is reported as an error of
        that file.
        """
        nothing = {"error": "", "policy": [], "fingerprints": [], "unwritten": []}
        job = frame({"analyse": True, "files": sources})
        replies = [header for header, _ in self.sandbox.run(job)]
        if replies:
            return {file: nothing | replies[0]["analyse"][file] for file in sources}
        if len(sources) > 1:  # find out which of them crashes it
            parts = [self.analyse({file: source}) for file, source in sources.items()]
            return {file: found for part in parts for file, found in part.items()}
        return {file: nothing | {"error": self.sandbox.ending.reason} for file in sources}


class ContestGrader(Grader):
    """Grades a contest: a student's own model, by its error on digits that the student's check does not use."""

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


def is_unwritten(
    group: CaseGroup, outcomes: list[ExecutionResult], analysis: dict[str, dict]
) -> bool:
    """Return whether both the source and the run say that the function is not written yet."""
    function = group.exercise.reference.__name__
    raised = all(outcome.trouble.startswith(NOT_YET) for outcome in outcomes)
    return raised and function in analysis[group.file]["unwritten"]


def task_dict(score: TaskScore) -> dict:
    return {
        "name": score.task.name,
        "points": score.task.points,
        "earned": score.points,
        "rows": [row_dict(row, row.test in score.hidden) for row in score.rows],
    }


def row_dict(row: Row, hidden: bool) -> dict:
    return {
        "test": row.test,
        "passed": row.passed,
        "hidden": hidden,
        "sentence": row.text,
        "mistake": row.mistake.name if row.mistake else "",
    }


def leaderboard(measured: Measured) -> list[dict]:
    """Return the ranking's numbers in Gradescope's form: the error first, then the sizes."""
    return [
        {"name": "error", "value": round(measured.error, 6), "order": "asc"},
        {"name": "parameters", "value": measured.parameters, "order": "asc"},
        {"name": "code", "value": measured.code, "order": "asc"},
    ]
