"""Batch: grade the submissions of a whole class. After an interruption it continues where it stopped."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import scratchae
from scratchae.course.assignment import Assignment
from scratchae.course.blanked_sources import ROOT, library_sources, master_sources
from scratchae.course.grading.cluster import Cluster
from scratchae.course.grading.submissions import Submission, UnreadSubmission, find_submissions
from scratchae.course.grading.workers import GradingConfig, Pool, SelfCheckError
from scratchae.course.sandbox import Limits
from scratchae.errors import ScratchaeError
from scratchae.files import reason


@dataclass
class Batch:
    """results: one for each student, in order. not_graded: {student: how the machine failed}.
    kept: how many results are from an earlier call."""

    assignment: Assignment
    isolation: str
    results: list[dict] = field(default_factory=list)
    not_graded: dict[str, str] = field(default_factory=dict)
    kept: int = 0


def grade_batch(
    assignment: Assignment,
    submissions: Path,
    out: Path,
    secret: bytes,
    isolation: str,
    workers: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
    limits: Limits | None = None,
    dask: str = "",
) -> Batch:
    """Grade everything in `submissions` that has no result in the journal in `out` yet.

    dask: the address of a Dask scheduler. Its workers then replace the `workers` processes of this
    machine.

    Raises InfrastructureError if a self-check fails. A submission that could not be graded because the
    machine failed is in `not_graded` and has no result.
    """
    unread = find_submissions(submissions, tuple(assignment.submitted))
    journal = Journal(out / "journal.jsonl")
    base = fingerprint(assignment, secret)
    batch = Batch(assignment, isolation)
    name = assignment.name if assignment.path.is_relative_to(ROOT) else assignment.path
    config = GradingConfig(name, secret, isolation, limits or Limits())
    keys: dict[str, str] = {}
    results: dict[str, dict] = {}

    def show_progress() -> None:
        progress(len(results) + len(batch.not_graded), len(unread))

    def without_result() -> Iterator[Submission]:
        for submission in map(UnreadSubmission.load, unread):
            key = hashlib.sha256((base + submission.digest()).encode()).hexdigest()
            keys[submission.student] = key
            if key in journal.results:
                results[submission.student] = journal.results[key]
                batch.kept += 1
                show_progress()
            else:
                yield submission

    show_progress()
    try:
        remaining = without_result()
        first = next(remaining, None)
        if first is not None:  # workers start only if there is something to grade
            with Cluster(config, dask) if dask else Pool(config, min(workers, len(unread))) as pool:
                pool.self_check(t.name for t in assignment.tasks if assignment.kind != "contest")
                for graded in pool.grade(itertools.chain([first], remaining)):
                    if graded.result is None:
                        batch.not_graded[graded.student] = graded.trouble
                    else:
                        journal.add(keys[graded.student], graded.result, graded.seconds)
                        results[graded.student] = graded.result
                    show_progress()
    except SelfCheckError as error:
        journal.discard([keys[student] for student in error.students])
        raise
    finally:
        journal.close()
    batch.results = [results[student] for student in sorted(results)]
    return batch


class Journal:
    """Results by key, in memory and in a file of JSON lines.

    As soon as a submission is graded, a line is written and flushed to the disk. So no work is lost if
    the grader is killed. The key is a hash of the submission and of everything else that a grade depends
    on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results: dict[str, dict] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            content = path.read_bytes() if path.exists() else b""
            for line in content.split(b"\n"):
                self.read_line(line)
            self.file = path.open("ab")
            if content and not content.endswith(b"\n"):
                self.file.write(b"\n")  # so that the next line is not joined to a cut-off one
        except OSError as error:
            raise ScratchaeError(f"cannot write {path}: {reason(error)}") from error

    def read_line(self, line: bytes) -> None:
        """Read a line of the file. A line that is not JSON was cut off by a crash and is ignored."""
        try:
            entry = json.loads(line)
        except ValueError:
            return
        for key in entry.get("discard", ()):
            self.results.pop(key, None)
        if "key" in entry:
            self.results[entry["key"]] = entry["result"]

    def add(self, key: str, result: dict, seconds: float) -> None:
        """Write a result."""
        self.write({"key": key, "result": result, "seconds": round(seconds, 3)})
        self.results[key] = result

    def discard(self, keys: list[str]) -> None:
        """Write that the results of these keys are not valid."""
        self.write({"discard": keys})
        for key in keys:
            self.results.pop(key, None)

    def write(self, entry: dict) -> None:
        try:
            self.file.write(json.dumps(entry).encode() + b"\n")
            self.file.flush()
            os.fsync(self.file.fileno())
        except OSError as error:
            raise ScratchaeError(f"cannot write {self.path}: {reason(error)}") from error

    def close(self) -> None:
        self.file.close()


def fingerprint(assignment: Assignment, secret: bytes) -> str:
    """Return a hash of everything that a grade depends on, besides the submission.

    If it changes, everything is graded again.
    """
    parts = [scratchae.__version__, assignment.path.read_text(encoding="utf-8")]
    parts += [repr(sorted(library_sources(assignment, task).items())) for task in assignment.tasks]
    if assignment.kind != "contest":
        parts += [repr(sorted(master_sources(assignment).items()))]
    for folder in ("checking", "course"):
        for path in sorted((Path(scratchae.__file__).parent / folder).rglob("*.py")):
            parts.append(path.read_text(encoding="utf-8"))
    content = hashlib.sha256(secret)
    for part in parts:
        content.update(part.encode())
    return content.hexdigest()


def course_secret(path: Path) -> bytes:
    """Return the secret from which hidden cases are made.

    If there is none, make one that only its owner can read. Raises ScratchaeError if the file cannot be used.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32) + "\n")
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = reason(error) if isinstance(error, OSError) else "it is not text"
        raise ScratchaeError(f"cannot use the secret {path}: {why}") from error
    if len(secret) < 16:
        raise ScratchaeError(
            f"the secret {path} is shorter than 16 characters: remove the file to get a new one"
        )
    return secret.encode()
