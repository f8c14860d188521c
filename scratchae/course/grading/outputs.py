"""Outputs: the files that grading a class writes. Text that a student wrote is made harmless."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from pathlib import Path
from xml.etree import ElementTree

from scratchae.checking.render import as_markdown, as_page, harmless
from scratchae.course.assignment import Assignment
from scratchae.course.grading.batch import Batch
from scratchae.course.grading.gradescope import results_json
from scratchae.course.grading.reports import class_report, feedback, write_pictures
from scratchae.course.sandbox import DESCRIPTIONS
from scratchae.files import write_text

# A spreadsheet reads a cell that begins with one of these as a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_batch(batch: Batch, out: Path) -> None:
    """Write the tables, a folder for each student and the class report.

    The same results give the same bytes.
    """
    assignment, results, not_graded = batch.assignment, batch.results, batch.not_graded
    isolation = DESCRIPTIONS[batch.isolation]
    files = {
        "results.csv": to_csv(assignment, results, not_graded),
        "junit.xml": to_junit(assignment, results, not_graded),
    }
    for result in results:
        folder = f"feedback/{folder_of(result['student'])}"
        for name, text in feedback_files(assignment, result, isolation).items():
            files[f"{folder}/{name}"] = text
    pictures = write_pictures(assignment, results, out)
    report = class_report(assignment, results, not_graded, isolation, pictures)
    files["report.html"] = as_page(f"{assignment.title}: the class", report)
    files["report.md"] = as_markdown(report)
    for name, text in files.items():
        write_text(out / name, text)


def feedback_files(assignment: Assignment, result: dict, isolation: str) -> dict[str, str]:
    """Return the files for one student, {name: text}."""
    blocks = feedback(assignment, result, isolation)
    return {
        "feedback.html": as_page(f"{assignment.title}: {result['student']}", blocks),
        "feedback.md": as_markdown(blocks),
        "results.json": results_json(assignment, result, isolation),
    }


def folder_of(student: str) -> str:
    """Return the name of the folder for a student. Two students never share one.

    >>> folder_of("ada"), folder_of("../x")[:3]
    ('ada', '_x-')
    """
    plain = re.sub(r"[^A-Za-z0-9@. ()_-]+", "_", student).strip(". ")[:80]
    if plain == student and plain:
        return plain
    return f"{plain or 'student'}-{hashlib.sha256(student.encode()).hexdigest()[:8]}"


def csv_cell(value: object) -> object:
    """Return a cell that no spreadsheet reads as a formula.

    >>> csv_cell("=1+1"), csv_cell(-1.5)
    ("'=1+1", -1.5)
    """
    if not isinstance(value, str):
        return value
    text = harmless(value).replace("\n", " ")
    return f"'{text}" if text.startswith(FORMULA) else text


def to_csv(assignment: Assignment, results: list[dict], not_graded: dict[str, str]) -> str:
    """Return a table with a row for each student. A student who was not graded has no score."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [task.name for task in assignment.tasks]
    writer.writerow(["student", "score", "of", *names, "problems", "flags", "not graded"])
    for result in results:
        earned = [task["earned"] for task in result["tasks"]]
        notes = ["; ".join(result["problems"]), "; ".join(result["flags"])]
        row = [result["student"], result["score"], result["points"], *earned, *notes, ""]
        writer.writerow([csv_cell(value) for value in row])
    for student in sorted(not_graded):
        row = [student, "", assignment.points, *[""] * len(names), "", "", not_graded[student]]
        writer.writerow([csv_cell(value) for value in row])
    return out.getvalue()


def to_junit(assignment: Assignment, results: list[dict], not_graded: dict[str, str]) -> str:
    """Return JUnit XML: a suite for each student, a case for each test.

    A failure of the machine is an "error" in JUnit's terms, not a "failure".
    """
    root = ElementTree.Element("testsuites", name=assignment.name)

    def add_suite(student: str, tests: int, failures: int, errors: int) -> ElementTree.Element:
        counts = {"tests": str(tests), "failures": str(failures), "errors": str(errors)}
        return ElementTree.SubElement(root, "testsuite", {"name": harmless(student), **counts})

    for result in results:
        rows = [(task["name"], row) for task in result["tasks"] for row in task["rows"]]
        failures = sum(not row["passed"] for _, row in rows)
        suite = add_suite(result["student"], len(rows), failures, 0)
        for task, row in rows:
            case = ElementTree.SubElement(suite, "testcase", classname=task, name=row["test"])
            if not row["passed"]:
                ElementTree.SubElement(case, "failure", message=harmless(row["sentence"]))
    for student in sorted(not_graded):
        suite = add_suite(student, 1, 0, 1)
        case = ElementTree.SubElement(suite, "testcase", classname=assignment.name, name="grading")
        ElementTree.SubElement(case, "error", message=harmless(not_graded[student]))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
