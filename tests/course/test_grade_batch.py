"""Grading a class: the same bytes whatever happens meanwhile, and one sentence for a mistaken call."""

import contextlib
import csv
import io
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from scratchae.cli import app
from scratchae.course.assignment import load_assignment
from scratchae.course.grading.batch import Journal, course_secret, grade_batch
from scratchae.course.grading.flags import near_identical
from scratchae.course.grading.outputs import write_batch
from scratchae.course.release import student_files
from scratchae.course.sandbox import InfrastructureError, Limits
from scratchae.course.sandbox.files import PREFIX
from scratchae.course.selftest.run import processes_of
from scratchae.errors import ScratchaeError
from tests.course.test_grade import GRADESCOPE, holds
from tests.helpers.grading import (
    ROOT,
    SECRET,
    everything,
    needs_sandbox,
)
from tests.helpers.submissions import class_of, small_assignment


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A small assignment, and a class of students."""
    folder = tmp_path_factory.mktemp("course")
    path = small_assignment(folder)
    class_of(folder / "class", 9)
    return load_assignment(path), folder / "class"


def graded(course, out, workers, **options):
    batch = grade_batch(*course, out, SECRET, "bubblewrap", workers, **options)
    write_batch(batch, out)
    return batch


@pytest.fixture(scope="module")
def once(course, tmp_path_factory):
    out = tmp_path_factory.mktemp("once") / "grades"
    return graded(course, out, 1), out


@needs_sandbox
def test_a_class_gets_the_right_points(course, once):
    batch, out = once
    scores = {result["student"]: result["score"] for result in batch.results}
    assert scores == {
        "s0-right": 30,
        "s1-blank": 0,
        "s2-mistaken": 14,
        "s3-syntax": 10,
        "s4-exit": 20,
        "s5-missing": 20,
        "s6-right": 30,
        "s7-blank": 0,
        "s8-mistaken": 14,
    }
    rows = list(csv.DictReader(io.StringIO((out / "results.csv").read_text())))
    assert [float(row["score"]) for row in rows] == list(scores.values())
    suites = ElementTree.parse(out / "junit.xml").getroot()
    assert [suite.get("name") for suite in suites] == list(scores)
    report = (out / "report.html").read_text()
    assert "dbias_averaged" in report and "points.png" in report
    for student in scores:
        holds(json.loads((out / "feedback" / student / "results.json").read_text()), GRADESCOPE)


@pytest.mark.slow
@needs_sandbox
def test_two_workers_write_the_same_bytes_as_one(course, once, tmp_path):
    graded(course, tmp_path / "two", 2)
    assert everything(tmp_path / "two") == everything(once[1])


@pytest.mark.slow
@needs_sandbox
def test_only_what_changed_is_graded_again(course, once, tmp_path):
    _, out = once
    before = everything(out)
    batch = graded(course, out, 2)
    assert batch.kept == len(batch.results) == 9 and everything(out) == before
    changed = course[1] / "s1-blank" / "linear.py"
    text = changed.read_text()
    try:
        changed.write_text("def linear_backward(dy, x, weight):\n    return None\n")
        assert graded(course, out, 1).kept == 8
    finally:
        changed.write_text(text)
    assert graded(course, out, 1).kept == 9 and everything(out) == before


@needs_sandbox
def test_nothing_is_graded_if_the_self_check_fails(course, tmp_path, monkeypatch):
    with pytest.raises(InfrastructureError, match=r"does not answer|earn"):
        graded(course, tmp_path / "sick", 1, limits=Limits(memory=1024))
    journal = (tmp_path / "sick" / "journal.jsonl").read_text()
    assert not Journal(tmp_path / "sick" / "journal.jsonl").results, journal


@needs_sandbox
@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_the_results_are_the_same(course, once, tmp_path):
    killed = []

    def progress(done, of):
        if done == 3 and not killed:
            killed.append(multiprocessing.active_children()[0])
            killed[0].kill()

    graded(course, tmp_path / "out", 1, progress=progress)
    assert killed and everything(tmp_path / "out") == everything(once[1])


@needs_sandbox
@pytest.mark.slow
@pytest.mark.parametrize("every", [pytest.param(3, id="during"), pytest.param(50, id="after")])
def test_what_was_graded_since_the_last_self_check_is_discarded_when_the_next_one_fails(
    course, tmp_path, monkeypatch, every
):
    monkeypatch.setattr("scratchae.course.grading.workers.CHECK_EVERY", every)
    ill = []

    def progress(done, of):
        if done == 5 and not ill:
            (worker,) = multiprocessing.active_children()
            libraries = Path(tempfile.gettempdir()).glob(f"{PREFIX}{worker.pid}-*/library-*")
            for library in libraries:  # without it no submission can be right
                shutil.rmtree(library)
                ill.append(library)

    with pytest.raises(InfrastructureError, match="the reference earns only"):
        graded(course, tmp_path / "out", 1, progress=progress)
    kept = Journal(tmp_path / "out" / "journal.jsonl").results
    assert ill and len(kept) == (3 if every == 3 else 0)
    assert not (tmp_path / "out" / "results.csv").exists()


@needs_sandbox
@pytest.mark.slow
def test_an_instructors_own_functions_are_graded_as_ours_are(tmp_path):
    own = load_assignment(ROOT / "tutorials/assignments/softmax/softmax.toml")
    for student, text in (
        ("right", (own.path.parent / "softmax.py").read_text()),
        ("blank", student_files(own)["softmax.py"]),
    ):
        (tmp_path / "in" / student).mkdir(parents=True)
        (tmp_path / "in" / student / "softmax.py").write_text(text)
    batch = grade_batch(own, tmp_path / "in", tmp_path / "out", SECRET, "bubblewrap", 1)
    assert [r["score"] for r in batch.results] == [0, own.points]


@needs_sandbox
@pytest.mark.slow
def test_killed_in_the_middle_and_called_again_it_writes_the_same_bytes(course, once, tmp_path):
    assignment, submissions = course
    (tmp_path / "secret").write_bytes(SECRET)
    words = ["course", "grade", str(submissions), "--assignment", str(assignment.path)]
    words += [
        "--out",
        str(tmp_path / "out"),
        "--secret",
        str(tmp_path / "secret"),
        "--workers",
        "2",
    ]
    journal = tmp_path / "out" / "journal.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "scratchae", *words], stdout=subprocess.DEVNULL, text=True
    )
    while process.poll() is None and not (journal.exists() and len(journal.read_bytes()) > 100):
        time.sleep(0.05)
    workers = children_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(Journal(journal).results)
    with journal.open("ab") as file:
        file.write(b'{"key": "cut o')
    after = subprocess.run(
        [sys.executable, "-m", "scratchae", *words], capture_output=True, text=True, check=True
    )
    assert done > 0 and f"{done} of them kept" in " ".join(after.stdout.split())
    assert everything(tmp_path / "out") == everything(once[1])
    assert workers and not any(processes_of(f"{PREFIX}{worker}-") for worker in workers)


def children_of(parent):
    """The ids of the processes that a process has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(path.parent.name)
    return found


@pytest.mark.slow
@needs_sandbox
def test_submissions_that_are_trusted_need_no_sandbox(course, tmp_path):
    batch = grade_batch(*course, tmp_path, SECRET, "none", 2)
    write_batch(batch, tmp_path)
    assert next(result["score"] for result in batch.results) == 30
    assert "TRUSTED" in (tmp_path / "report.html").read_text()


def test_the_secret_is_made_once_and_for_the_owner_alone(tmp_path):
    secret = course_secret(tmp_path / "secret")
    assert secret == course_secret(tmp_path / "secret") and len(secret) == 64
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    (tmp_path / "short").write_text("abc")
    with pytest.raises(ScratchaeError, match="shorter"):
        course_secret(tmp_path / "short")


def test_near_identical_submissions_are_told_whatever_their_names():
    def result(student, fingerprints):
        return {"student": student, "fingerprints": {"linear.py": fingerprints}}

    shared, own = list(range(100)), list(range(1000, 1040))
    results = [result("ada", shared + own), result("bob", shared + own[:38])]
    results += [result(f"s{i}", [*shared, *range(2000 + 50 * i, 2040 + 50 * i)]) for i in range(8)]
    assert [pair[:3] for pair in near_identical(results)] == [("linear.py", "ada", "bob")]
    assert near_identical(results, known=own) == []


# --- on the command line


def command(*words):
    return subprocess.run(
        [sys.executable, "-m", "scratchae", "course", *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "200"},
    )


@pytest.mark.slow
@needs_sandbox
def test_grading_on_the_command_line_tells_where_the_report_is(course, tmp_path):
    assignment, submissions = course
    words = ["grade", str(submissions), "--assignment", str(assignment.path), "--workers", "1"]
    words += ["--out", str(tmp_path / "out"), "--secret", str(tmp_path / "secret")]
    done = command(*words)
    assert done.returncode == 0, done.stderr
    assert "9 submissions graded" in done.stdout and "report.html" in done.stdout
    assert (tmp_path / "out" / "report.html").exists()


MISTAKEN = {
    "grade nowhere --assignment hw9": "there is no assignment 'hw9': did you mean",
    "grade nowhere --assignment hw1": "there is no nowhere: give the folder",
    "grade file.txt --assignment hw1": "file.txt is not a readable zip file",
    "grade empty.zip --assignment hw1": "there are no submissions in empty.zip",
    "grade empty --assignment hw1": "there are no submissions in empty",
    "grade class --assignment hw1 --out file.txt": "cannot write file.txt",
    "grade class --assignment hw1 --secret empty": "cannot use the secret empty",
    "release nothing": "there is no assignment 'nothing': there are hw1",
    "release file.txt": "there is no assignment 'file.txt'",
    "release hw1 --out file.txt": "file.txt is a file",
    "release hw1 --out class": "class exists and is not empty",
    "gradescope hw1 -o empty": "cannot write empty",
    "selftest --only nothing": "no attack has 'nothing' in its name",
}


@pytest.mark.parametrize("words", MISTAKEN)
def test_a_mistaken_call_is_one_sentence(words, tmp_path, monkeypatch):
    """The command line makes exit code 2 of a ScratchaeError; here it is seen that it is one."""
    monkeypatch.chdir(tmp_path)
    for folder in ("empty", "class/ada"):
        Path(folder).mkdir(parents=True)
    Path("file.txt").write_text("no zip")
    Path("class/ada/linear.py").write_text("x = 1")
    zipfile.ZipFile("empty.zip", "w").close()
    monkeypatch.setattr("scratchae.course.sandbox.isolation.why_no_bubblewrap", lambda: "")
    found = CliRunner().invoke(app, ["course", *words.split()])
    assert isinstance(found.exception, ScratchaeError), found.output
    said = str(found.exception)
    assert said.startswith(MISTAKEN[words]) and "\n" not in said and "━" not in found.output


def test_a_mistaken_call_has_exit_code_2_and_no_traceback(tmp_path):
    done = command("grade", str(tmp_path / "nowhere"), "--assignment", "hw9")
    assert done.returncode == 2 and done.stderr.startswith("error: there is no assignment 'hw9'")
    assert "Traceback" not in done.stderr and not done.stdout
