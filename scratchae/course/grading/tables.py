"""Tables: a batch as CSV, JUnit and Gradescope's results.json. Everything a student wrote is made harmless."""

from __future__ import annotations

import csv
import io
import json
import re
from xml.etree import ElementTree

from scratchae.course.assignment import Assignment

FORMULA = ("=", "+", "-", "@", "\t", "\r")
UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f]")
BIDIRECTIONAL = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # they turn text around


def harmless(text: str) -> str:
    """The text without control characters, terminal escapes and what turns its direction.

    >>> harmless("a\\x1b[31mb\\u202ec")
    'a[31mbc'
    """
    return BIDIRECTIONAL.sub("", UNFIT.sub("", text.replace("\r", " ").replace("\t", " ")))


def cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula.

    >>> cell("=1+1"), cell(-1.5)
    ("'=1+1", -1.5)
    """
    if not isinstance(value, str):
        return value
    text = harmless(value).replace("\n", " ")
    return f"'{text}" if text.startswith(FORMULA) else text


def to_csv(assignment: Assignment, results: list[dict], troubled: dict[str, str]) -> str:
    """A row a student: score, points of every task, what needs a look. Ungraded ones have no score."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [task.name for task in assignment.tasks]
    writer.writerow(["student", "score", "of", *names, "problems", "flags", "not graded"])
    for result in results:
        earned = [task["earned"] for task in result["tasks"]]
        notes = ["; ".join(result["problems"]), "; ".join(result["flags"])]
        row = [result["student"], result["score"], result["points"], *earned, *notes, ""]
        writer.writerow([cell(value) for value in row])
    for student in sorted(troubled):
        row = [student, "", assignment.points, *[""] * len(names), "", "", troubled[student]]
        writer.writerow([cell(value) for value in row])
    return out.getvalue()


def to_junit(assignment: Assignment, results: list[dict], troubled: dict[str, str]) -> str:
    """JUnit XML: a suite a student, a case a test; trouble of the machine is an error, not a failure."""
    root = ElementTree.Element("testsuites", name=assignment.name)
    for result in results:
        rows = [(task["name"], row) for task in result["tasks"] for row in task["rows"]]
        failures = sum(not row["passed"] for _, row in rows)
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=harmless(result["student"]),
            tests=str(len(rows)),
            failures=str(failures),
            errors="0",
        )
        for task, row in rows:
            case = ElementTree.SubElement(suite, "testcase", classname=task, name=row["test"])
            if not row["passed"]:
                ElementTree.SubElement(case, "failure", message=harmless(row["sentence"]))
    for student in sorted(troubled):
        suite = ElementTree.SubElement(
            root, "testsuite", name=harmless(student), tests="1", failures="0", errors="1"
        )
        case = ElementTree.SubElement(suite, "testcase", classname=assignment.name, name="grading")
        ElementTree.SubElement(case, "error", message=harmless(troubled[student]))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def to_gradescope(assignment: Assignment, result: dict, said: str, seconds: float = 0.0) -> str:
    """Gradescope's results.json of one student. said: how the submission was shut in."""
    tests = []
    for task in result["tasks"]:
        wrong = [row for row in task["rows"] if not row["passed"]]
        right = len(task["rows"]) - len(wrong)
        lines = [f"{right} of {len(task['rows'])} tests passed."]
        lines += [f"{row['test']}: {harmless(row['sentence'])}" for row in wrong]
        tests.append(
            {
                "name": task["name"],
                "score": task["earned"],
                "max_score": task["points"],
                "status": "passed" if not wrong else "failed",
                "output": "\n".join(lines),
                "output_format": "text",
                "visibility": "visible",
            }
        )
    problems = [harmless(problem) for problem in result["problems"]]
    whole = {
        "score": result["score"],
        "execution_time": round(seconds, 2),
        "output": "\n".join([assignment.title, *problems, said]),
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests,
    }
    if result.get("leaderboard"):
        whole["leaderboard"] = result["leaderboard"]
    return json.dumps(whole, indent=1) + "\n"
