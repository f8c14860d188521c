"""Batch: a whole course's submissions, graded, resumed, reported."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import scratchae
from scratchae.course.assignment import Assignment
from scratchae.course.blanked_sources import ROOT, library_sources, master_sources
from scratchae.course.grading.cluster import Cluster
from scratchae.course.grading.grader import Submission
from scratchae.course.grading.journal import Journal
from scratchae.course.grading.pool import Pool
from scratchae.course.grading.submissions import Waiting, find_submissions
from scratchae.course.grading.worker import Setup
from scratchae.course.sandbox import Limits
from scratchae.errors import ScratchaeError
from scratchae.files import reason


@dataclass
class Batch:
    """results: by student, in order. troubled: {student: why there is no grade}. kept: how many results
    were there before."""

    assignment: Assignment
    isolation: str
    results: list[dict] = field(default_factory=list)
    troubled: dict[str, str] = field(default_factory=dict)
    kept: int = 0


def grade_batch(
    assignment: Assignment,
    place: Path,
    out: Path,
    secret: bytes,
    isolation: str,
    workers: int,
    progress: Callable[[int, int], None] = lambda done, of: None,
    limits: Limits | None = None,
    dask: str = "",
) -> Batch:
    """Grade everything in `place` that is not yet graded in `out`.

    dask: the address of a scheduler, whose workers are used in place of `workers` of this machine.
    Raises InfrastructureError where a canary fails; submissions that the machine failed are in
    `troubled`, without a grade.
    """
    waiting = find_submissions(place, wanted_files(assignment))
    journal = Journal(out / "journal.jsonl")
    salt = fingerprint(assignment, secret)
    batch = Batch(assignment, isolation)
    shipped = assignment.path.is_relative_to(ROOT)
    setup = Setup(
        assignment.name if shipped else assignment.path, secret, isolation, limits or Limits()
    )
    progress(0, len(waiting))
    keys: dict[str, str] = {}
    done: dict[str, dict] = {}

    def fresh() -> Iterator[Submission]:
        for submission in map(Waiting.load, waiting):
            key = hashlib.sha256((salt + submission.digest()).encode()).hexdigest()
            keys[submission.student] = key
            if key in journal.results:
                done[submission.student] = journal.results[key]
                batch.kept += 1
                progress(len(done), len(waiting))
            else:
                yield submission

    def void(submissions: list[Submission]) -> None:
        journal.void([keys[submission.student] for submission in submissions])

    try:
        todo = fresh()
        first = next(todo, None)
        if first is not None:
            with Cluster(setup, dask) if dask else Pool(setup, min(workers, len(waiting))) as pool:
                pool.canary(task.name for task in assignment.tasks if assignment.kind != "contest")
                for graded in pool.grade(chain_of(first, todo), void):
                    student = graded.submission.student
                    if graded.table is None:
                        batch.troubled[student] = graded.trouble
                    else:
                        journal.add(keys[student], graded.table, graded.seconds)
                        done[student] = graded.table
                    progress(len(done) + len(batch.troubled), len(waiting))
                pool.last_canary(void)
    finally:
        journal.close()
    batch.results = [done[student] for student in sorted(done)]
    return batch


def chain_of(first: Submission, rest: Iterator[Submission]) -> Iterator[Submission]:
    yield first
    yield from rest


def wanted_files(assignment: Assignment) -> tuple[str, ...]:
    """The names of files that are read of a submission."""
    return tuple(assignment.submitted)


def fingerprint(assignment: Assignment, secret: bytes) -> str:
    """What a grade depends on besides the submission: another one means that all is graded anew."""
    parts = [scratchae.__version__, assignment.path.read_text(encoding="utf-8")]
    parts += [repr(sorted(library_sources(assignment, task).items())) for task in assignment.tasks]
    if assignment.kind != "contest":
        parts += [repr(sorted(master_sources(assignment).items()))]
    for folder in ("checking", "course"):
        for path in sorted((Path(scratchae.__file__).parent / folder).rglob("*.py")):
            parts.append(path.read_text(encoding="utf-8"))
    whole = hashlib.sha256(secret)
    for part in parts:
        whole.update(part.encode())
    return whole.hexdigest()


def course_secret(path: Path) -> bytes:
    """The secret that hidden cases come from; made where there is none, for the owner's eyes alone."""
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32) + "\n")
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = reason(error) if isinstance(error, OSError) else "it is no text"
        raise ScratchaeError(f"cannot use the secret {path}: {why}") from error
    if len(secret) < 16:
        raise ScratchaeError(
            f"the secret {path} is shorter than 16 letters: remove it for a new one"
        )
    return secret.encode()
