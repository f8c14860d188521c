"""Grader: one submission in, its points and what to say of them out. Holds the expected values."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from scratchae.checking.execution import Outcome
from scratchae.checking.report import Row
from scratchae.course.assignment import Assignment
from scratchae.course.grading.policy import flags_of
from scratchae.course.grading.scoring import Verdict, failed, verdict
from scratchae.course.grading.submission_run import Sitting, file_of
from scratchae.course.grading.test_cases import Trial, trials_of
from scratchae.course.sandbox import InfrastructureError, Sandbox
from scratchae.course.sandbox.inside.protocol import frame
from scratchae.course.scoring import points_of

LONGEST_SOURCE = 256 * 1024


@dataclass(frozen=True)
class Submission:
    """A student's files as bytes, by name. problems: what was wrong with the way they came."""

    student: str
    files: dict[str, bytes]
    problems: tuple[str, ...] = field(default=())

    def digest(self) -> str:
        """The same for the same student and files."""
        hashed = {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}
        whole = json.dumps([self.student, sorted(hashed.items()), list(self.problems)])
        return hashlib.sha256(whole.encode()).hexdigest()


class Grader:
    """Grades submissions of one assignment in one sandbox."""

    def __init__(self, assignment: Assignment, secret: bytes, sandbox: Sandbox) -> None:
        self.assignment, self.secret, self.sandbox = assignment, secret, sandbox

    def grade(self, submission: Submission) -> dict:
        """The result as a table that JSON can hold; the same submission gives the same table.

        Raises InfrastructureError where the machine fails twice; that is never a grade.
        """
        try:
            return self.attempt(submission)
        except InfrastructureError:
            self.sandbox.start()
            return self.attempt(submission)

    def attempt(self, submission: Submission) -> dict:
        sources, missing = self.sources(submission)
        analysed = self.analyse(sources)
        for name, found in analysed.items():
            if found["error"]:
                missing[name] = f"{name} cannot be read by Python: {found['error']}"
        trials = trials_of(self.assignment, self.secret, submission.student)
        sitting = Sitting(self.sandbox, sources)
        sitting.unloadable |= missing
        outcomes = sitting.run(trials)
        unsteady = []
        for trial in trials:
            if not failed(trial, outcomes[trial]) or sitting.given_up(trial):
                continue
            if not is_unwritten(trial, outcomes[trial], analysed):
                again = sitting.alone(trial)
                if not failed(trial, again):
                    outcomes[trial] = again
                    unsteady.append(f"{trial.task.name}, {trial.corner}: right only when alone")
        verdicts = [verdict(task, outcomes) for task in self.assignment.tasks]
        return {
            "student": submission.student,
            "score": round(sum(v.points for v in verdicts), 2),
            "points": self.assignment.points,
            "tasks": [task_table(v) for v in verdicts],
            "problems": [*submission.problems, *missing.values()],
            "flags": flags_of(analysed, sitting.operators) + unsteady,
            "prints": {name: found["prints"] for name, found in analysed.items()},
        }

    def sources(self, submission: Submission) -> tuple[dict[str, str], dict[str, str]]:
        """({file: text}, {file: why it has none}) of the files that the tasks need."""
        sources, missing = {}, {}
        for name in dict.fromkeys(file_of(task) for task in self.assignment.tasks):
            data = submission.files.get(name)
            if data is None:
                missing[name] = f"{name} is missing"
            elif len(data) > LONGEST_SOURCE:
                missing[name] = f"{name} is larger than {LONGEST_SOURCE // 1024} KB"
            else:
                try:
                    sources[name] = data.decode("utf-8-sig")
                except UnicodeDecodeError:
                    missing[name] = f"{name} is no UTF-8 text: save it as UTF-8"
        return sources, missing

    def analyse(self, sources: dict[str, str]) -> dict[str, dict]:
        """What can be said of each file without running it; a crash of the parser is an error of the file."""
        whole = {"error": "", "policy": [], "prints": [], "unwritten": []}
        answers = [
            header for header, _ in self.sandbox.run(frame({"analyse": True, "files": sources}))
        ]
        if answers:
            return {name: whole | answers[0]["analyse"][name] for name in sources}
        if len(sources) > 1:  # it is one of them
            alone = [self.analyse({name: source}) for name, source in sources.items()]
            return {name: found for part in alone for name, found in part.items()}
        return {name: whole | {"error": self.sandbox.ending.reason} for name in sources}


def is_unwritten(trial: Trial, outcomes: list[Outcome], analysed: dict[str, dict]) -> bool:
    """Whether the source says so as well as what the function did: then no second try is needed."""
    function = trial.exercise.reference.__name__
    said = all(outcome.trouble.startswith("not written yet") for outcome in outcomes)
    return said and function in analysed[file_of(trial)]["unwritten"]


def task_table(found: Verdict) -> dict:
    return {
        "name": found.task.name,
        "points": found.task.points,
        "earned": points_of(found.task, found.rows),
        "rows": [row_table(row, row.test in found.hidden) for row in found.rows],
    }


def row_table(row: Row, hidden: bool) -> dict:
    return {
        "test": row.test,
        "passed": row.passed,
        "hidden": hidden,
        "sentence": row.sentence,
        "mistake": row.mistake.name if row.mistake else "",
        "chapter": row.mistake.chapter if row.mistake else 0,
    }
