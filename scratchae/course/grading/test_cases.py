"""Test cases: the inputs on which a student's functions are graded.

A group of cases belongs to one task and one corner. Its public cases are those of the student's own
check. The seeds of its hidden cases are HMAC(course secret, assignment, task, corner, student), so a
student can neither hard-code their answers nor give them to others.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import PurePosixPath

from scratchae.checking import EXERCISES, Exercise
from scratchae.checking.exercises import Case
from scratchae.course.assignment import Assignment, Task


@dataclass(frozen=True)
class CaseGroup:
    """The cases of one corner of a task."""

    task: Task
    corner: str
    public: tuple[Case, ...]
    hidden: tuple[Case, ...]

    @property
    def exercise(self) -> Exercise:
        return EXERCISES[self.task.exercise]

    @property
    def cases(self) -> tuple[Case, ...]:
        return self.public + self.hidden

    @property
    def file(self) -> str:
        return submitted_file(self.task)


def case_groups(assignment: Assignment, secret: bytes, student: str) -> list[CaseGroup]:
    """Return every group of a student's cases, in the order of the tasks."""
    groups = []
    for task in assignment.tasks:
        exercise = EXERCISES[task.exercise]
        public = exercise.cases(0, task.public)
        for corner in task.corners:
            seeds = [
                hidden_seed(secret, assignment.name, task.name, corner, student, i)
                for i in range(task.hidden)
            ]
            groups.append(
                CaseGroup(
                    task,
                    corner,
                    tuple(case for case in public if case.corner == corner),
                    tuple(Case(exercise.name, corner, seed) for seed in seeds),
                )
            )
    return groups


def hidden_seed(secret: bytes, *names: object) -> int:
    """Return a seed that cannot be computed without the secret.

    >>> hidden_seed(b"secret", "hw1", "ada") == hidden_seed(b"secret", "hw1", "bob")
    False
    """
    message = "\x00".join(str(name) for name in names).encode()
    return int.from_bytes(hmac.new(secret, message, hashlib.sha256).digest()[:6], "big")


def submitted_file(task: Task) -> str:
    """Return the name of the file that the student hands in for the task."""
    return PurePosixPath(task.file).name
