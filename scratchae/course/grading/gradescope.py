"""Gradescope: results.json, the zip that becomes an autograder, and the program that it runs.

    python -m scratchae.course.grading.gradescope ASSIGNMENT SECRET /autograder

The program grades one submission. If the machine fails, it writes no results.json and exits with code 3.
Gradescope then reports that the autograder failed, and keeps an earlier score.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import re
import sys
import time
import zipfile
from pathlib import Path

from scratchae.checking.render import harmless
from scratchae.course.assignment import Assignment, load_assignment
from scratchae.course.blanked_sources import ROOT
from scratchae.course.grading.archive import entries_of_folder
from scratchae.course.grading.batch import course_secret
from scratchae.course.grading.submissions import UnreadSubmission
from scratchae.course.grading.workers import GradingConfig, GradingSession
from scratchae.course.sandbox import DESCRIPTIONS, Limits, choose_isolation
from scratchae.files import replacing, write_text

NOT_GRADED = 3  # exit code if the machine failed
SETUP = """\
#!/usr/bin/env bash
# Gradescope runs this once, as root, when it builds the image.
set -euo pipefail
apt-get update
apt-get install -y --no-install-recommends python3 python3-venv libseccomp2
python3 -m venv /opt/scratchae
/opt/scratchae/bin/pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu {torch}
/opt/scratchae/bin/pip install --no-cache-dir {others}
chmod -R go= /autograder/source  # the reference and the secret: submissions run as another user
"""
RUN = """\
#!/usr/bin/env bash
# Gradescope runs this for every submission, as root.
set -euo pipefail
root=/autograder
chmod go= "$root/source"
rm -f "$root/results/results.json"
cd /
PYTHONPATH="$root/source" PYTHONDONTWRITEBYTECODE=1 exec \\
    "${{SCRATCHAE_PYTHON:-/opt/scratchae/bin/python}}" -m scratchae.course.grading.gradescope \\
    {assignment} "$root/source/course.secret" "$root"
"""


def results_json(assignment: Assignment, result: dict, isolation: str, seconds: float = 0.0) -> str:
    """Return the text of Gradescope's results.json for one student.

    isolation: a sentence about how the submission was isolated. seconds: how long grading took.
    """
    tests = []
    for task in result["tasks"]:
        wrong = [row for row in task["rows"] if not row["passed"]]
        passed = len(task["rows"]) - len(wrong)
        lines = [f"{passed} of {len(task['rows'])} tests passed."]
        lines += [f"{row['test']}: {harmless(row['sentence'])}" for row in wrong]
        tests.append(
            {
                "name": task["name"],
                "score": task["earned"],
                "max_score": task["points"],
                "status": "failed" if wrong else "passed",
                "output": "\n".join(lines),
                "output_format": "text",
                "visibility": "visible",
            }
        )
    problems = [harmless(problem) for problem in result["problems"]]
    content = {
        "score": result["score"],
        "execution_time": round(seconds, 2),
        "output": "\n".join([assignment.title, *problems, isolation]),
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests,
    }
    if result.get("leaderboard"):
        content["leaderboard"] = result["leaderboard"]
    return json.dumps(content, indent=1) + "\n"


def write_autograder(assignment: Assignment, secret: bytes, out: Path) -> None:
    """Write the zip. The same library, assignment and secret give the same bytes."""
    custom = not assignment.path.is_relative_to(ROOT)
    name = f"/autograder/source/assignment/{assignment.path.name}" if custom else assignment.name
    torch, others = requirements()
    files = {
        "setup.sh": SETUP.format(torch=torch, others=" ".join(others)).encode(),
        "run_autograder": RUN.format(assignment=f"'{name}'").encode(),
        "course.secret": secret + b"\n",
    }
    for path in sorted(ROOT.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            files[f"scratchae/{path.relative_to(ROOT).as_posix()}"] = path.read_bytes()
    if custom:
        for path in sorted(assignment.path.parent.glob("*")):
            if path.suffix in (".py", ".toml"):
                files[f"assignment/{path.name}"] = path.read_bytes()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, date_time=(2020, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            mode = 0o755 if name in ("setup.sh", "run_autograder") else 0o600
            info.external_attr = mode << 16
            archive.writestr(info, data)
    with replacing(out) as temporary:
        temporary.write_bytes(content.getvalue())


def requirements() -> tuple[str, list[str]]:
    """Return (torch, the other requirements), quoted for a shell and including the extra `course`."""
    found = importlib.metadata.requires("scratchae") or []
    kept = [
        r.partition(";")[0].strip()
        for r in found
        if "extra" not in r or "'course'" in r.replace('"', "'")
    ]
    kept = [f"'{r}'" for r in kept if re.match(r"^[\w.-]+", r)]
    torch = next(r for r in kept if r.startswith("'torch"))
    return torch, [r for r in kept if r != torch]


def main(assignment_name: str, secret: str, root: str) -> int:
    """Grade root/submission and write root/results/results.json. Returns the exit code."""
    import torch

    torch.set_num_threads(1)
    start, folder = time.monotonic(), Path(root)
    assignment = load_assignment(assignment_name)
    isolation = choose_isolation(container=True)
    entries = tuple(entries_of_folder(folder / "submission"))
    student = student_of(folder / "submission_metadata.json")
    submission = UnreadSubmission(student, entries, tuple(assignment.submitted)).load()
    config = GradingConfig(assignment.path, course_secret(Path(secret)), isolation, Limits())
    with GradingSession(config) as session:
        trouble, result = session.self_check(), None
        if not trouble:
            graded = session.grade(submission)
            trouble, result = graded.trouble or session.self_check(), graded.result
    if trouble or result is None:
        print(f"not graded: {trouble}", file=sys.stderr)
        return NOT_GRADED
    seconds = time.monotonic() - start
    text = results_json(assignment, result, DESCRIPTIONS[isolation], seconds)
    write_text(folder / "results" / "results.json", text)
    return 0


def student_of(metadata: Path) -> str:
    """Return the name of the student, or the names of all members of a group. The hidden cases depend on it."""
    try:
        users = json.loads(metadata.read_text(encoding="utf-8"))["users"]
        return ", ".join(sorted(str(user.get("email") or user["id"]) for user in users))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "unknown"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
