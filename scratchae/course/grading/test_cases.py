"""Trials: on which cases a student's functions are tried.

A trial is a function in one corner, on public cases, which the student's own check tries too, and on
hidden ones. The hidden ones come from HMAC(secret of the course, assignment, task, corner, student),
so that they can neither be hard-coded nor passed on.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from scratchae.checking import EXERCISES, Exercise
from scratchae.checking.cases import Case
from scratchae.course.assignment import Assignment, Task


@dataclass(frozen=True)
class Trial:
    """A task in one corner."""

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


def trials_of(assignment: Assignment, secret: bytes, student: str) -> list[Trial]:
    """Every trial of a student, in order of the tasks."""
    trials = []
    for task in assignment.tasks:
        exercise = EXERCISES[task.exercise]
        public = exercise.cases(0, task.public)
        for corner in task.corners:
            seeds = [
                hidden_seed(secret, assignment.name, task.name, corner, student, i)
                for i in range(task.hidden)
            ]
            trials.append(
                Trial(
                    task,
                    corner,
                    tuple(case for case in public if case.corner == corner),
                    tuple(Case(exercise.name, corner, seed) for seed in seeds),
                )
            )
    return trials


def hidden_seed(secret: bytes, *what: object) -> int:
    """A seed that nobody can tell who has not the secret.

    >>> hidden_seed(b"secret", "hw1", "ada") == hidden_seed(b"secret", "hw1", "bob")
    False
    """
    message = "\x00".join(str(part) for part in what).encode()
    return int.from_bytes(hmac.new(secret, message, hashlib.sha256).digest()[:6], "big")
