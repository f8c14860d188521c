"""What a batch leaves behind: tables, a page a student, and the report on the class."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from scratchae.course.grading import feedback, report
from scratchae.course.grading.batch import Batch
from scratchae.course.grading.tables import to_csv, to_gradescope, to_junit
from scratchae.course.sandbox import DESCRIPTIONS
from scratchae.files import write_text


def write_batch(batch: Batch, out: Path) -> None:
    """Write everything; the same results give the same bytes."""
    assignment, results, troubled = batch.assignment, batch.results, batch.troubled
    said = DESCRIPTIONS[batch.isolation]
    write_text(out / "results.csv", to_csv(assignment, results, troubled))
    write_text(out / "junit.xml", to_junit(assignment, results, troubled))
    for result in results:
        folder = out / "feedback" / folder_of(result["student"])
        write_text(folder / "feedback.html", feedback.to_html(assignment, result, said))
        write_text(folder / "feedback.md", feedback.to_markdown(assignment, result, said))
        write_text(folder / "results.json", to_gradescope(assignment, result, said))
    names = report.write_pictures(assignment, results, out / "pictures")
    told = assignment, results, troubled, said, names
    write_text(out / "report.html", report.to_html(*told))
    write_text(out / "report.md", report.to_markdown(*told))


def folder_of(student: str) -> str:
    """A student's name as the name of a folder; two names never share one.

    >>> folder_of("ada"), folder_of("../x")[:3]
    ('ada', '_x-')
    """
    plain = re.sub(r"[^A-Za-z0-9@. ()_-]+", "_", student).strip(". ")[:80]
    if plain == student and plain:
        return plain
    return f"{plain or 'student'}-{hashlib.sha256(student.encode()).hexdigest()[:8]}"
