"""Grading a course: the right points, whatever happens on the way, and nothing that must not be shown."""

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
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from safetensors.torch import save
from typer.testing import CliRunner

from scratchae.checking import EXERCISES, mistakes
from scratchae.checking.outcome import Outcome, run
from scratchae.cli import app
from scratchae.course.assignment import load_assignment
from scratchae.course.faults import FAULTS
from scratchae.course.grading import feedback, tables
from scratchae.course.grading.batch import course_secret, grade_batch
from scratchae.course.grading.canary import reference_earns_all
from scratchae.course.grading.contest import CANARY, ContestGrader, contest_is_well
from scratchae.course.grading.grader import Grader, Submission
from scratchae.course.grading.journal import Journal
from scratchae.course.grading.similar import near_identical
from scratchae.course.grading.submissions import find_submissions
from scratchae.course.grading.trials import trials_of
from scratchae.course.grading.verdict import verdict
from scratchae.course.grading.write import folder_of, write_batch
from scratchae.course.jail import Cell, Home, InfrastructureError, Limits, why_no_bubblewrap
from scratchae.course.jail.home import PREFIX
from scratchae.course.library import master_sources
from scratchae.course.release import student_files
from scratchae.errors import ScratchaeError
from tests.helpers import solutions
from tests.helpers.otherwise import OTHERWISE
from tests.helpers.submissions import class_of, small_assignment

jailed = pytest.mark.skipif(bool(why_no_bubblewrap()), reason=why_no_bubblewrap() or "a jail")
ROOT = Path(__file__).parent.parent
SECRET = b"a secret of sixteen letters"


def answers(name):
    return {Path(f).name: s for f, s in master_sources(load_assignment(name)).items()}


class Gradings:
    """A grader in a jail for every assignment, started when first asked for."""

    def __init__(self):
        self.cells = {}

    def __call__(self, name, kind=Grader):
        if name not in self.cells:
            assignment = load_assignment(name)
            cell = Cell(Home(assignment), "bubblewrap", Limits(cpu=20, idle=20))
            self.cells[name] = kind(assignment, SECRET, cell)
        return self.cells[name]

    def close(self):
        for grader in self.cells.values():
            grader.cell.close()
            grader.cell.home.close()


@pytest.fixture(scope="module")
def grader():
    gradings = Gradings()
    yield gradings
    gradings.close()


def grade(grader, files, student="ada"):
    return grader.grade(Submission(student, {name: text.encode() for name, text in files.items()}))


def earned(result):
    return {task["name"]: task["earned"] for task in result["tasks"]}


# --- points


@jailed
@pytest.mark.parametrize("name", ["hw1", "hw2", pytest.param("hw3", marks=pytest.mark.slow), "hw4"])
def test_the_answers_earn_every_point_and_no_flag(grader, name):
    reference_earns_all(grader(name))


@jailed
@pytest.mark.parametrize("name", ["hw1", "hw2", "hw3", "hw4", "hw5"])
def test_what_is_handed_out_earns_nothing(grader, name):
    files = student_files(load_assignment(name), "ada")
    result = grade(grader(name), {k: v for k, v in files.items() if k.endswith(".py")})
    assert result["score"] == 0
    if name != "hw5":
        said = {
            row["sentence"][:15] for t in result["tasks"] for row in t["rows"] if not row["passed"]
        }
        assert said == {"not written yet"}


OTHER_WAYS = [
    pytest.param(
        *(assignment, exercise, how), marks=[] if assignment == "hw1" else [pytest.mark.slow]
    )
    for (assignment, exercise), ways in OTHERWISE.items()
    for how in ways
]


@jailed
@pytest.mark.parametrize(("assignment", "exercise", "how"), OTHER_WAYS)
def test_right_solutions_written_otherwise_earn_every_point(grader, assignment, exercise, how):
    files = answers(assignment)
    task = load_assignment(assignment).task(exercise)
    name = Path(task.file).name
    files[name] += "\n\nimport torch\n" + OTHERWISE[assignment, exercise][how]
    result = grade(grader(assignment), files)
    wrong = [row for t in result["tasks"] for row in t["rows"] if not row["passed"]]
    assert result["score"] == result["points"], wrong[:2]


REWRITTEN = [
    pytest.param(name, number, marks=[] if (name, number) == ("hw1", 0) else [pytest.mark.slow])
    for name in ("hw1", "hw2", "hw3", "hw4")
    for number in range(5)
]


@jailed
@pytest.mark.parametrize(("name", "number"), REWRITTEN)
def test_an_assignment_rewritten_from_nothing_earns_every_point(grader, name, number):
    """Five times, in each of which no function is ours with something around it."""
    files, source = answers(name), Path(solutions.__file__).read_text()
    for task in load_assignment(name).tasks:
        file, function = Path(task.file).name, EXERCISES[task.exercise].reference.__name__
        chosen = f"{function} = SOLUTIONS[{task.exercise!r}][{number}]\n"
        files[file] += chosen if source in files[file] else f"\n\n{source}\n\n{chosen}"
    result = grade(grader(name), files)
    wrong = [row for t in result["tasks"] for row in t["rows"] if not row["passed"]]
    assert result["score"] == result["points"], wrong[:2]


BUG_HUNT = {(a, e): ways for (a, e), ways in OTHERWISE.items() if e in FAULTS}


@jailed
@pytest.mark.parametrize(
    "number", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3, 4))]
)
def test_a_bug_hunt_is_won_by_any_right_function(grader, number):
    """Five whole rewritings, in each of which every function is written in another way."""
    files = answers("hw5")
    for (_, exercise), ways in BUG_HUNT.items():
        task = load_assignment("hw5").task(exercise)
        files[Path(task.file).name] += f"\n\nimport torch\n{list(ways.values())[number]}"
    assert {task.exercise for task in load_assignment("hw5").tasks} == {e for _, e in BUG_HUNT}
    assert grade(grader("hw5"), files)["score"] == 100


def test_there_are_five_other_ways_for_every_task():
    for assignment in ("hw1", "hw2", "hw3", "hw4"):
        for task in load_assignment(assignment).tasks:
            assert len(OTHERWISE[assignment, task.exercise]) >= 5, task.exercise


@jailed
def test_tasks_are_independent_and_a_bug_costs_once(grader):
    files = answers("hw1")
    files["linear.py"] = files["linear.py"].replace("dy_rows.sum(dim=0)", "dy_rows.mean(dim=0)")
    files["activations.py"] = "import os\nos._exit(0)\n"
    del files["losses.py"]
    result = grade(grader("hw1"), files)
    points = earned(result)
    assert points["linear_forward"] == 10 and 0 < points["linear_backward"] < 30
    assert sum(points.values()) == 10 + points["linear_backward"] == result["score"]
    said = {row["sentence"] for row in result["tasks"][1]["rows"]} - {""}
    assert len(said) == 1 and "dbias alone is averaged" in said.pop()
    assert result["problems"] == ["losses.py is missing"]


@jailed
def test_a_loop_in_one_function_costs_that_function_alone(grader):
    hang = "\n\ndef relu_forward(x):\n    while len(x) == 1:\n        pass\n    return x.clamp(min=0)\n"
    files = answers("hw1")
    files["activations.py"] += hang
    jail = Cell(grader("hw1").cell.home, "bubblewrap", Limits(cpu=1, task=2))
    with jail as cell:
        result = grade(Grader(load_assignment("hw1"), SECRET, cell), files)
    rows = {row["test"]: row for row in result["tasks"][2]["rows"]}
    assert not rows["one sample"]["passed"] and rows["exact zeros"]["passed"]
    assert "CPU time" in rows["one sample"]["sentence"]
    assert result["score"] == 99  # one of five corners of five points


@pytest.mark.slow
@jailed
def test_a_function_that_is_slow_in_every_case_has_one_budget_for_all_of_them(grader):
    slow = (
        "\n\nimport time\n\ndef relu_forward(x):\n    end = time.process_time() + 0.05\n"
        "    while time.process_time() < end:\n        pass\n    return x.clamp(min=0)\n"
    )
    files = answers("hw1")
    files["activations.py"] += slow
    with Cell(grader("hw1").cell.home, "bubblewrap", Limits(function=1)) as cell:
        result = grade(Grader(load_assignment("hw1"), SECRET, cell), files)
    rows = [row for row in result["tasks"][2]["rows"] if not row["passed"]]
    assert rows and {row["sentence"] for row in rows} == {
        "not tried: other cases of this function had taken 1 seconds of CPU time together"
    }
    assert earned(result)["tanh_forward"] == 5 and earned(result)["relu_forward"] < 5
    assert grade(grader("hw1"), files)["score"] == 100  # with the time that there is


@jailed
def test_other_output_on_stderr_and_warnings_cost_nothing(grader):
    files = answers("hw1")
    files["losses.py"] = (
        "import sys, warnings\nwarnings.warn('from torch')\nprint('x' * 100_000)\n"
        "print('error', file=sys.stderr)\n"
    ) + files["losses.py"].replace("from __future__ import annotations\n", "")
    assert grade(grader("hw1"), files)["score"] == 100


@jailed
def test_the_same_submission_gives_the_same_table_and_another_student_other_cases(grader):
    files = answers("hw1")
    files["losses.py"] = files["losses.py"].replace("2 / prediction.numel()", "2 / len(prediction)")
    assert grade(grader("hw1"), files) == grade(grader("hw1"), files)
    one, two = (trials_of(load_assignment("hw1"), SECRET, name) for name in ("ada", "bob"))
    assert all(a.public == b.public and a.hidden != b.hidden for a, b in zip(one, two, strict=True))


# --- what is said


@pytest.mark.parametrize("exercise", sorted(EXERCISES))
def test_the_feedback_names_the_mistake(exercise):
    """For at least 95 % of the catalogue, and no mistake earns every point."""
    small = replace(
        load_assignment("hw1").tasks[0], name=exercise, exercise=exercise, public=2, hidden=1
    )
    assignment = replace(load_assignment("hw1"), tasks=(small,))
    trials = trials_of(assignment, SECRET, "ada")
    wrong, named = mistakes(exercise), 0
    for mistake in wrong:
        outcomes = {
            trial: [run(mistake.function, trial.exercise, case) for case in trial.cases]
            for trial in trials
        }
        found = verdict(small, outcomes)
        assert found.points < small.points, mistake.name
        named += any(row.mistake is mistake for row in found.rows)
    assert named >= 0.95 * len(wrong)


def fabricated(hidden_only):
    """A verdict on relu_forward, wrong in hidden cases as `hidden_only` says."""
    assignment = load_assignment("hw1")
    task = assignment.task("relu_forward")
    trials = [t for t in trials_of(assignment, SECRET, "ada") if t.task is task]
    outcomes = {}
    for trial in trials:
        right = [run(trial.exercise.reference, trial.exercise, case) for case in trial.cases]
        bad = [hidden_only(case) for case in trial.hidden]
        outcomes[trial] = right[: len(trial.public)] + bad
    return verdict(task, outcomes)


def test_of_hidden_cases_nothing_is_shown_but_that_they_went_wrong():
    def leaking(case):
        x = case.arguments()["x"]
        return Outcome({}, f"it stopped with ValueError in line {int(x.numel())}: {x.flatten()[0]}")

    def wrong(case):
        return Outcome({"y": case.arguments()["x"].clamp(min=0) + 1e-2})

    for hidden_only in (leaking, wrong):
        found = fabricated(hidden_only)
        corners = [row for row in found.rows if row.test in found.task.corners]
        assert found.points == 0 and {row.test for row in corners} <= found.hidden
        assert len({row.sentence for row in corners}) == 1
        assert not any(char.isdigit() for char in corners[0].sentence)


def test_whatever_a_student_can_write_is_escaped():
    evil = "<script>alert(1)</script>\x1b[2J\u202e=cmd()|[a](javascript:b)"
    row = {
        "test": "t",
        "passed": False,
        "hidden": False,
        "sentence": evil,
        "mistake": "",
        "chapter": 0,
    }
    task = {"name": "relu_forward", "points": 5, "earned": 0.0, "rows": [row]}
    result = {
        "student": f"={evil}",
        "score": 0.0,
        "points": 100,
        "tasks": [task],
        "problems": [evil],
        "flags": [evil],
        "prints": {},
    }
    assignment = load_assignment("hw1")
    shown = {
        "html": feedback.to_html(assignment, result, ""),
        "markdown": feedback.to_markdown(assignment, result, ""),
        "junit": tables.to_junit(assignment, [result], {}),
        "json": tables.to_gradescope(assignment, result, ""),
        "csv": tables.to_csv(assignment, [result], {}),
    }
    for name, text in shown.items():
        assert "\x1b" not in text and "\u202e" not in text, name
    assert "<script" not in shown["html"] + shown["markdown"] + shown["junit"]
    assert "[a](" not in shown["markdown"]
    for cells in csv.reader(io.StringIO(shown["csv"])):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in cells)
    ElementTree.fromstring(shown["junit"])


def test_results_json_is_what_gradescope_documents():
    assignment = load_assignment("hw1")
    rows = [
        {"test": "t", "passed": True, "hidden": False, "sentence": "", "mistake": "", "chapter": 0}
    ]
    result = {
        "student": "a",
        "score": 5.0,
        "points": 100,
        "problems": [],
        "flags": [],
        "prints": {},
    }
    result["tasks"] = [{"name": "relu_forward", "points": 5, "earned": 5.0, "rows": rows}]
    result["leaderboard"] = [{"name": "error", "value": 0.1, "order": "asc"}]
    whole = json.loads(tables.to_gradescope(assignment, result, "said", 1.5))
    holds(whole, GRADESCOPE)
    assert whole["score"] == sum(test["score"] for test in whole["tests"])
    with pytest.raises(AssertionError):
        holds(whole | {"unknown": 1}, GRADESCOPE)


VISIBILITY = {"hidden", "after_due_date", "after_published", "visible"}
FORMATS = {"text", "simple_format", "html", "md", "ansi"}
GRADESCOPE = {
    "score": float,
    "execution_time": float,
    "output": str,
    "output_format": FORMATS,
    "visibility": VISIBILITY,
    "stdout_visibility": VISIBILITY,
    "tests": [
        {
            "score": float,
            "max_score": float,
            "status": {"passed", "failed"},
            "name": str,
            "number": str,
            "output": str,
            "output_format": FORMATS,
            "tags": [str],
            "visibility": VISIBILITY,
            "extra_data": dict,
        }
    ],
    "leaderboard": [{"name": str, "value": float, "order": {"asc", "desc"}}],
}


def holds(value, schema):
    """Assert that a value has the form of a schema; every key is optional, no other is allowed."""
    if isinstance(schema, dict):
        assert isinstance(value, dict) and value.keys() <= schema.keys()
        for key, inner in value.items():
            holds(inner, schema[key])
    elif isinstance(schema, list):
        assert isinstance(value, list)
        for inner in value:
            holds(inner, schema[0])
    elif isinstance(schema, set):
        assert value in schema
    elif schema is float:
        assert type(value) in (int, float) and value == value
    else:
        assert isinstance(value, schema)


# --- what is handed in


def submitted(place, wanted=("linear.py",)):
    return {w.student: w.load() for w in find_submissions(place, wanted)}


def test_folders_and_zips_of_students_are_found(tmp_path):
    (tmp_path / "ada" / "deep").mkdir(parents=True)
    (tmp_path / "ada" / "deep" / "linear.py").write_text("a")
    (tmp_path / "ada" / "conftest.py").write_text("no")
    with zipfile.ZipFile(tmp_path / "bob.zip", "w") as file:
        file.writestr("hw1/linear.py", "b")
        file.writestr("__MACOSX/hw1/._linear.py", "litter")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("x")
    found = submitted(tmp_path)
    assert {name: s.files for name, s in found.items()} == {
        "ada": {"linear.py": b"a"},
        "bob": {"linear.py": b"b"},
        "empty": {},
    }


def test_a_student_who_hands_in_another_archive_is_told_and_not_lost(tmp_path):
    with zipfile.ZipFile(tmp_path / "ada.ZIP", "w") as file:
        file.writestr("linear.py", "a")
    (tmp_path / "bob.rar").write_bytes(b"Rar!")
    (tmp_path / "eve").mkdir()
    (tmp_path / "eve" / "hw1.tar.gz").write_bytes(b"")
    found = submitted(tmp_path)
    assert found["ada"].files == {"linear.py": b"a"} and not found["ada"].problems
    for student in ("bob", "eve"):
        assert (
            not found[student].files and "hand in the files, or a zip" in found[student].problems[0]
        )


def test_one_students_own_folder_is_one_submission(tmp_path):
    (tmp_path / "linear.py").write_text("a")
    assert submitted(tmp_path) == {tmp_path.name: Submission(tmp_path.name, {"linear.py": b"a"})}


def test_a_gradescope_export_is_read_by_its_metadata(tmp_path):
    for number, text in ((11, "a"), (22, "b")):
        folder = tmp_path / f"submission_{number}"
        folder.mkdir()
        (folder / "linear.py").write_text(text)
    (tmp_path / "submission_metadata.yml").write_text(
        "---\nsubmission_11:\n  :submitters:\n  - :name: Ada L\n    :sid: '7'\n    :email: ada@x.org\n"
        "  :created_at: 2026-11-01\nsubmission_22:\n  :submitters:\n  - :name: Bob\n"
    )
    found = submitted(tmp_path)
    assert sorted(found) == ["Bob (submission_22)", "ada@x.org (submission_11)"]


def test_a_canvas_zip_groups_by_student_and_takes_the_newest(tmp_path):
    with zipfile.ZipFile(tmp_path / "submissions.zip", "w") as file:
        file.writestr("lovelaceada_101_900_linear.py", "old")
        file.writestr("lovelaceada_101_901_linear-2.py", "newest")
        file.writestr("lovelaceada_101_902_linear-1.py", "newer")
        file.writestr("bob_LATE_102_903_linear.py", "b")
    found = submitted(tmp_path / "submissions.zip")
    assert {name: s.files["linear.py"] for name, s in found.items()} == {
        "lovelaceada_101": b"newest",
        "bob_102": b"b",
    }


def test_a_moodle_zip_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "moodle.zip", "w") as file:
        file.writestr("Ada Lovelace_55_assignsubmission_file/linear.py", "a")
        file.writestr("Bob B_56_assignsubmission_file_/linear.py", "b")
    assert sorted(submitted(tmp_path / "moodle.zip")) == ["Ada Lovelace_55", "Bob B_56"]


def test_a_moodle_zip_without_folders_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "moodle.zip", "w") as file:
        file.writestr("Ada Lovelace_55_assignsubmission_file_linear.py", "a")
        file.writestr("Ada Lovelace_55_assignsubmission_file_my_notes.txt", "n")
        file.writestr("Bob B_56_assignsubmission_file_hw1.zip", "no zip")
    found = submitted(tmp_path / "moodle.zip")
    assert found["Ada Lovelace_55"].files == {"linear.py": b"a"}
    assert found["Bob B_56"].problems == ("refused: hw1.zip is no zip file that can be read",)


def test_a_folder_in_a_zip_is_looked_into(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as file:
        file.writestr("course/ada/linear.py", "a")
        file.writestr("course/bob/linear.py", "b")
    assert sorted(submitted(tmp_path / "all.zip")) == ["ada", "bob"]


def test_nothing_to_grade_is_said_in_a_sentence(tmp_path):
    with pytest.raises(ScratchaeError, match="there are no submissions"):
        find_submissions(tmp_path, ("linear.py",))
    with pytest.raises(ScratchaeError, match="there is no"):
        find_submissions(tmp_path / "nowhere", ("linear.py",))


def test_names_become_folders_of_their_own():
    names = ["ada", "../ada", "..", "", "a/b", "a_b", "<b>", "x" * 300, "ada\n", ".ada"]
    folders = [folder_of(name) for name in names]
    assert len(set(folders)) == len(names)
    assert not any("/" in folder or folder.startswith(".") for folder in folders)


# --- a whole batch


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A small assignment, and a class of students."""
    folder = tmp_path_factory.mktemp("course")
    path = small_assignment(folder)
    class_of(folder / "class", 9)
    return load_assignment(path), folder / "class"


def everything(out):
    """{name: bytes} of what a batch wrote, but for the journal, which has times in it."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != "journal.jsonl"
    }


def graded(course, out, workers, **options):
    batch = grade_batch(*course, out, SECRET, "bubblewrap", workers, **options)
    write_batch(batch, out)
    return batch


@pytest.fixture(scope="module")
def once(course, tmp_path_factory):
    out = tmp_path_factory.mktemp("once") / "grades"
    return graded(course, out, 1), out


@jailed
def test_a_class_gets_the_points_it_deserves(course, once):
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
@jailed
def test_two_workers_write_the_same_bytes_as_one(course, once, tmp_path):
    graded(course, tmp_path / "two", 2)
    assert everything(tmp_path / "two") == everything(once[1])


@pytest.mark.slow
@jailed
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


@jailed
def test_a_sick_grader_grades_nobody(course, tmp_path, monkeypatch):
    with pytest.raises(InfrastructureError, match=r"does not answer|earn"):
        graded(course, tmp_path / "sick", 1, limits=Limits(memory=1024))
    journal = (tmp_path / "sick" / "journal.jsonl").read_text()
    assert not Journal(tmp_path / "sick" / "journal.jsonl").results, journal


@jailed
@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_the_results_are_the_same(course, once, tmp_path):
    killed = []

    def progress(done, of):
        if done == 3 and not killed:
            killed.append(multiprocessing.active_children()[0])
            killed[0].kill()

    graded(course, tmp_path / "out", 1, progress=progress)
    assert killed and everything(tmp_path / "out") == everything(once[1])


@jailed
@pytest.mark.parametrize(
    "every",
    [pytest.param(3, id="during"), pytest.param(50, id="after", marks=pytest.mark.slow)],
)
def test_what_was_graded_since_the_last_canary_is_void_when_the_jail_falls_ill(
    course, tmp_path, monkeypatch, every
):
    monkeypatch.setattr("scratchae.course.grading.pool.EVERY", every)
    ill = []

    def progress(done, of):
        if done == 5 and not ill:
            (worker,) = multiprocessing.active_children()
            homes = Path(tempfile.gettempdir()).glob(f"{PREFIX}{worker.pid}-*/library-*")
            for library in homes:  # without it nobody's work can be right any more
                shutil.rmtree(library)
                ill.append(library)

    with pytest.raises(InfrastructureError, match="the answers themselves earn"):
        graded(course, tmp_path / "out", 1, progress=progress)
    kept = Journal(tmp_path / "out" / "journal.jsonl").results
    assert ill and len(kept) == (3 if every == 3 else 0)
    assert not (tmp_path / "out" / "results.csv").exists()


@jailed
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


@jailed
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
    assert not any(helpers_of(process.pid))


def helpers_of(parent):
    """Processes whose parent was this one, or that serve a jail whose grader is gone."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[1]) == parent:
            yield path


@pytest.mark.slow
@jailed
def test_submissions_that_are_trusted_need_no_jail(course, tmp_path):
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
    def result(student, prints):
        return {"student": student, "prints": {"linear.py": prints}}

    shared, own = list(range(100)), list(range(1000, 1040))
    results = [result("ada", shared + own), result("bob", shared + own[:38])]
    results += [result(f"s{i}", [*shared, *range(2000 + 50 * i, 2040 + 50 * i)]) for i in range(8)]
    assert [pair[:3] for pair in near_identical(results)] == [("linear.py", "ada", "bob")]
    assert near_identical(results, known=own) == []


@jailed
def test_a_contest_is_ranked_by_error_and_budget(grader):
    hw6 = grader("hw6", ContestGrader)
    contest_is_well(hw6)
    weights = {
        "encoder.0.weight": torch.zeros(2, 784),
        "encoder.0.bias": torch.zeros(2),
        "decoder.0.weight": torch.zeros(784, 2),
        "decoder.0.bias": torch.full((784,), -0.8),
    }
    files = {"model.py": CANARY.encode(), "weights.safetensors": save(weights)}
    result = hw6.grade(Submission("ada", files))
    board = {entry["name"]: entry["value"] for entry in result["leaderboard"]}
    assert board["parameters"] == sum(w.numel() for w in weights.values()) and board["code"] == 2
    assert 0.2 < board["error"] < 0.6 and result["score"] == 0 and not result["problems"]
    cheat = "import os\nos._exit(0)\n"
    assert (
        "exit code 0"
        in hw6.grade(Submission("eve", files | {"model.py": cheat.encode()}))["problems"][0]
    )


OWN_LAYERS = """
import torch


class Half:
    def __init__(self, rows, columns):
        self.weight, self.training = torch.zeros(rows, columns), True

    def forward(self, x):
        return x.reshape(len(x), -1) @ self.weight.T


class Model:
    input_shape = (1, 28, 28)

    def __init__(self):
        self.halves = Half(2, 784), Half(784, 2)

    def load_state_dict(self, state):
        for half, name in zip(self.halves, ("encoder.0.weight", "decoder.0.weight"), strict=True):
            half.weight = state[name]

    def eval(self):
        return self

    def encode(self, x):
        return self.halves[0].forward(x)

    def decode(self, code):
        return self.halves[1].forward(code)


def build(generator=None):
    return Model()
"""
ON_IMAGES = (
    CANARY.replace("(784,)", "(1, 28, 28)")
    .replace("Linear(784, 2,", "Flatten(), Linear(784, 2,")
    .replace("import Linear", "import Flatten, Linear")
)


@jailed
def test_a_contest_measures_the_same_model_alike_however_it_is_written(grader):
    hw6 = grader("hw6", ContestGrader)
    g = torch.Generator().manual_seed(1)
    shapes = {"encoder.0.weight": (2, 784), "encoder.0.bias": (2,)}
    shapes |= {"decoder.0.weight": (784, 2), "decoder.0.bias": (784,)}
    state = {name: torch.randn(shape, generator=g) / 28 for name, shape in shapes.items()}
    state = {k: v if v.ndim == 2 else torch.zeros_like(v) for k, v in state.items()}
    flattened = {name.replace("encoder.0", "encoder.1"): value for name, value in state.items()}
    boards = []
    for source, weights in ((CANARY, state), (OWN_LAYERS, state), (ON_IMAGES, flattened)):
        files = {"model.py": source.encode(), "weights.safetensors": save(weights)}
        result = hw6.grade(Submission("ada", files))
        assert not result["problems"]
        boards.append({entry["name"]: entry["value"] for entry in result["leaderboard"]})
    assert boards[0]["error"] > 0 and boards[0]["parameters"] == 3922
    for board in boards[1:]:
        assert board["error"] == pytest.approx(boards[0]["error"], rel=1e-4)


@jailed
def test_what_is_handed_out_for_the_contest_earns_nothing(grader):
    blank = student_files(load_assignment("hw6"))["model.py"]
    weights = save({"w": torch.zeros(1)})
    files = {"model.py": blank.encode(), "weights.safetensors": weights}
    result = grader("hw6", ContestGrader).grade(Submission("ada", files))
    assert result["score"] == 0 and not result["leaderboard"]
    assert "not written yet" in result["problems"][0]


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
@jailed
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
    "grade file.txt --assignment hw1": "file.txt is no zip file that can be read",
    "grade empty.zip --assignment hw1": "there are no submissions in empty.zip",
    "grade empty --assignment hw1": "there are no submissions in empty",
    "grade class --assignment hw1 --out file.txt": "cannot write file.txt",
    "grade class --assignment hw1 --secret empty": "cannot use the secret empty",
    "release nothing": "there is no assignment 'nothing': there are hw1",
    "release file.txt": "there is no assignment 'file.txt'",
    "release hw1 --out file.txt": "file.txt is a file",
    "release hw1 --out class": "class is there already and not empty",
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
    monkeypatch.setattr("scratchae.course.jail.walls.why_no_bubblewrap", lambda: "")
    found = CliRunner().invoke(app, ["course", *words.split()])
    assert isinstance(found.exception, ScratchaeError), found.output
    said = str(found.exception)
    assert said.startswith(MISTAKEN[words]) and "\n" not in said and "━" not in found.output


def test_a_mistaken_call_has_exit_code_2_and_no_traceback(tmp_path):
    done = command("grade", str(tmp_path / "nowhere"), "--assignment", "hw9")
    assert done.returncode == 2 and done.stderr.startswith("error: there is no assignment 'hw9'")
    assert "Traceback" not in done.stderr and not done.stdout
