"""Grading a submission: the right points, the right words, and nothing that must not be shown."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from scratchae.checking import EXERCISES, mistakes
from scratchae.checking.execution import ExecutionResult
from scratchae.course.assignment import load_assignment
from scratchae.course.bug_injection import BUGS
from scratchae.course.grading.grader import Grader
from scratchae.course.grading.gradescope import results_json
from scratchae.course.grading.outputs import feedback_files, to_csv, to_junit
from scratchae.course.grading.scoring import score_task
from scratchae.course.grading.self_check import check_reference
from scratchae.course.grading.test_cases import case_groups
from scratchae.course.release import student_files
from scratchae.course.sandbox import Limits, Sandbox
from tests.helpers.grading import (
    SECRET,
    answers,
    earned,
    grade,
    needs_sandbox,
    outcomes_of,
    result_saying,
)
from tests.helpers.solutions import ADAM_IN_FLOAT32, SOLUTIONS, TENSORS, WRAPPERS, handed_in

# --- points


@needs_sandbox
@pytest.mark.parametrize(
    "name",
    ["hw1", *(pytest.param(n, marks=pytest.mark.slow) for n in ("hw2", "hw3", "hw4")), "hw7"],
)
def test_the_answers_earn_every_point_and_no_flag(grader, name):
    check_reference(grader(name))


@needs_sandbox
@pytest.mark.parametrize(
    "name",
    [
        "hw1",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("hw2", "hw3", "hw4")),
        "hw5",
        "hw7",
    ],
)
def test_what_is_handed_out_earns_nothing(grader, name):
    files = student_files(load_assignment(name), "ada")
    result = grade(grader(name), {k: v for k, v in files.items() if k.endswith(".py")})
    assert result["score"] == 0
    if name != "hw5":
        said = {
            row["sentence"][:15] for t in result["tasks"] for row in t["rows"] if not row["passed"]
        }
        assert said == {"not written yet"}


def with_text(name, text_of):
    """The answers to an assignment, with text_of(task) behind the file of each task."""
    files = answers(name)
    for task in load_assignment(name).tasks:
        files[Path(task.file).name] += text_of(task)
    return files


def earns_every_point(grader, name, files):
    result = grade(grader(name), files)
    wrong = [row for t in result["tasks"] for row in t["rows"] if not row["passed"]]
    assert result["score"] == result["points"], wrong[:2]


WRITE = ("hw1", "hw2", "hw3", "hw4", "hw7")
WRAPPED = [
    pytest.param(name, how, marks=[] if name == "hw1" else [pytest.mark.slow])
    for name in ("hw1", "hw3", "hw4", "hw7")
    for how in WRAPPERS
]


@needs_sandbox
@pytest.mark.parametrize(("name", "how"), WRAPPED)
def test_answers_with_something_around_them_earn_every_point(grader, name, how):
    def wrapped(task):
        return WRAPPERS[how](task.exercise, TENSORS[task.exercise])

    earns_every_point(grader, name, with_text(name, wrapped))


@needs_sandbox
@pytest.mark.slow
def test_adam_computed_in_float32_earns_every_point(grader):
    files = with_text("hw2", lambda task: ADAM_IN_FLOAT32 * (task.exercise == "adam_update"))
    earns_every_point(grader, "hw2", files)


def rewritten(name, number):
    """The answers with no function of ours: of each task the solution of that number, begun again."""

    def solved(task):
        styles = list(SOLUTIONS[task.exercise])
        return handed_in(task.exercise, styles[number % len(styles)])

    return with_text(name, solved)


def counts_of(name):
    """How many solutions each task of an assignment has."""
    return [len(SOLUTIONS[task.exercise]) for task in load_assignment(name).tasks]


REWRITTEN = [
    pytest.param(name, number, marks=[] if name == "hw1" else [pytest.mark.slow])
    for name in WRITE
    for number in range(max(counts_of(name)))
]


@needs_sandbox
@pytest.mark.parametrize(("name", "number"), REWRITTEN)
def test_an_assignment_rewritten_from_nothing_earns_every_point(grader, name, number):
    """As often as a task has solutions, so that each of them is handed in."""
    earns_every_point(grader, name, rewritten(name, number))


@needs_sandbox
@pytest.mark.parametrize(
    "number", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3, 4))]
)
def test_a_bug_hunt_is_won_by_any_right_function(grader, number):
    """Five whole rewritings, in each of which every function is written in another way."""
    assert {task.exercise for task in load_assignment("hw5").tasks} == set(BUGS)
    assert grade(grader("hw5"), rewritten("hw5", number))["score"] == 100


def test_there_are_five_solutions_for_every_task():
    for name in (*WRITE, "hw5"):
        assert min(counts_of(name)) >= 5


@needs_sandbox
def test_tasks_are_independent_and_a_bug_costs_once(grader):
    files = answers("hw1")
    files["linear.py"] = files["linear.py"].replace("dy_rows.sum(dim=0)", "dy_rows.mean(dim=0)")
    files["activations.py"] = "import os\nos._exit(0)\n"
    del files["mse.py"]
    result = grade(grader("hw1"), files)
    points = earned(result)
    assert points["linear_forward"] == 10 and 0 < points["linear_backward"] < 30
    assert sum(points.values()) == 10 + points["linear_backward"] == result["score"]
    said = {row["sentence"] for row in result["tasks"][1]["rows"]} - {""}
    assert len(said) == 1 and "dbias alone is averaged" in said.pop()
    assert result["problems"] == ["mse.py is missing"]


@needs_sandbox
@pytest.mark.slow
def test_a_loop_in_one_function_costs_that_function_alone(grader):
    hang = "\n\ndef relu_forward(x):\n    while len(x) == 1:\n        pass\n    return x.clamp(min=0)\n"
    files = answers("hw1")
    files["activations.py"] += hang
    small = Sandbox(grader("hw1").sandbox.files, "bubblewrap", Limits(cpu=1, task=2))
    with small as sandbox:
        result = grade(Grader(load_assignment("hw1"), SECRET, sandbox), files)
    rows = {row["test"]: row for row in result["tasks"][2]["rows"]}
    assert not rows["one sample"]["passed"] and rows["exact zeros"]["passed"]
    assert "CPU time" in rows["one sample"]["sentence"]
    assert result["score"] == 99  # one of five corners of five points


@pytest.mark.slow
@needs_sandbox
def test_a_function_that_is_slow_in_every_case_has_one_budget_for_all_of_them(grader):
    slow = (
        "\n\nimport time\n\ndef relu_forward(x):\n    end = time.process_time() + 0.05\n"
        "    while time.process_time() < end:\n        pass\n    return x.clamp(min=0)\n"
    )
    files = answers("hw1")
    files["activations.py"] += slow
    with Sandbox(grader("hw1").sandbox.files, "bubblewrap", Limits(function=1)) as sandbox:
        result = grade(Grader(load_assignment("hw1"), SECRET, sandbox), files)
    rows = [row for row in result["tasks"][2]["rows"] if not row["passed"]]
    assert rows and {row["sentence"] for row in rows} == {
        "not tried: other cases of this function took 1 seconds of CPU time together"
    }
    assert earned(result)["tanh_forward"] == 5 and earned(result)["relu_forward"] < 5
    assert grade(grader("hw1"), files)["score"] == 100  # with the time that there is


@needs_sandbox
def test_other_output_on_stderr_and_warnings_cost_nothing(grader):
    files = answers("hw1")
    files["mse.py"] = (
        "import sys, warnings\nwarnings.warn('from torch')\nprint('x' * 100_000)\n"
        "print('error', file=sys.stderr)\n"
    ) + files["mse.py"].replace("from __future__ import annotations\n", "")
    assert grade(grader("hw1"), files)["score"] == 100


@needs_sandbox
def test_the_same_submission_gives_the_same_table_and_another_student_other_cases(grader):
    files = answers("hw1")
    files["mse.py"] = files["mse.py"].replace("2 / prediction.numel()", "2 / len(prediction)")
    assert grade(grader("hw1"), files) == grade(grader("hw1"), files)
    one, two = (case_groups(load_assignment("hw1"), SECRET, name) for name in ("ada", "bob"))
    assert all(a.public == b.public and a.hidden != b.hidden for a, b in zip(one, two, strict=True))


# --- what is said


@pytest.mark.slow
@pytest.mark.parametrize("exercise", sorted(EXERCISES))
def test_the_feedback_names_the_mistake(exercise):
    """For at least 95 % of the catalogue, and no mistake earns every point."""
    small = replace(
        load_assignment("hw1").tasks[0], name=exercise, exercise=exercise, public=2, hidden=1
    )
    assignment = replace(load_assignment("hw1"), tasks=(small,))
    groups = case_groups(assignment, SECRET, "ada")
    wrong, named = mistakes(exercise), 0
    for mistake in wrong:
        found = score_task(small, outcomes_of(mistake.function, groups))
        assert found.points < small.points, mistake.name
        named += any(row.mistake is mistake for row in found.rows)
    assert named >= 0.95 * len(wrong)


def fabricated(hidden_only):
    """The score of relu_forward, wrong in hidden cases as `hidden_only` says."""
    assignment = load_assignment("hw1")
    task = assignment.task("relu_forward")
    groups = [group for group in case_groups(assignment, SECRET, "ada") if group.task is task]
    outcomes = outcomes_of(groups[0].exercise.reference, groups)
    for group, right in outcomes.items():
        right[len(group.public) :] = [hidden_only(case) for case in group.hidden]
    return score_task(task, outcomes)


def test_of_a_hidden_case_only_the_failure_is_shown():
    def leaking(case):
        x = case.arguments()["x"]
        return ExecutionResult(
            {}, f"it stopped with ValueError in line {int(x.numel())}: {x.flatten()[0]}"
        )

    def wrong(case):
        return ExecutionResult({"y": case.arguments()["x"].clamp(min=0) + 1e-2})

    for hidden_only in (leaking, wrong):
        found = fabricated(hidden_only)
        corners = [row for row in found.rows if row.test in found.task.corners]
        assert found.points == 0 and {row.test for row in corners} <= found.hidden
        assert len({row.sentence for row in corners}) == 1
        assert not any(char.isdigit() for char in corners[0].sentence)


def test_whatever_a_student_can_write_is_escaped():
    evil = "<script>alert(1)</script>\x1b[2J\u202e=cmd()|[a](javascript:b)"
    assignment = load_assignment("hw1")
    result = result_saying(evil, assignment, student=f"={evil}")
    shown = feedback_files(assignment, result, "")
    shown["junit.xml"] = to_junit(assignment, [result], {})
    shown["results.csv"] = to_csv(assignment, [result], {})
    for name, text in shown.items():
        assert "\x1b" not in text and "\u202e" not in text, name
    assert "<script" not in shown["feedback.html"] + shown["feedback.md"] + shown["junit.xml"]
    assert "[a](" not in shown["feedback.md"]
    for cells in csv.reader(io.StringIO(shown["results.csv"])):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in cells)
    ElementTree.fromstring(shown["junit.xml"])


def test_results_json_is_what_gradescope_documents():
    assignment = load_assignment("hw1")
    result = result_saying("y is late", assignment)
    result["score"] = result["tasks"][0]["earned"] = 5.0
    result["leaderboard"] = [{"name": "error", "value": 0.1, "order": "asc"}]
    whole = json.loads(results_json(assignment, result, "said", 1.5))
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
