"""Mistakes handed in like a student's work: how many points they earn, and whether they are named."""

import html
from dataclasses import replace

import pytest

from scratchae.checking import mistakes
from scratchae.course.assignment import load_assignment
from scratchae.course.grading.batch import grade_batch
from scratchae.course.grading.grader import Grader
from scratchae.course.grading.outputs import feedback_files, write_batch
from scratchae.course.grading.scoring import score_task
from scratchae.course.grading.submissions import Submission
from scratchae.course.grading.test_cases import case_groups
from scratchae.course.sandbox import Limits, Sandbox, SandboxFiles
from tests.helpers.grading import SECRET, answers, needs_sandbox, outcomes_of
from tests.helpers.mistaken import handed_in_with
from tests.helpers.submissions import class_of_every_kind, small_assignment

pytestmark = needs_sandbox


@pytest.fixture(scope="module", params=["hw1", "hw2", "hw3", "hw4", "hw7"])
def sandbox(request):
    files = SandboxFiles(load_assignment(request.param))
    with Sandbox(files, "bubblewrap", Limits()) as sandbox:
        sandbox.assignment = load_assignment(request.param)
        yield sandbox
    files.close()


@pytest.mark.parametrize("step", [17, pytest.param(1, marks=pytest.mark.slow)])
def test_a_mistake_that_is_handed_in_earns_the_right_points_and_is_named(sandbox, step):
    """The right points are computed here, from the mistake's own function, without the sandbox."""
    wrong = [m for task in sandbox.assignment.tasks for m in mistakes(task.exercise)][::step]
    named = 0
    for mistake in wrong:
        task = replace(sandbox.assignment.task(mistake.exercise), public=2, hidden=1)
        assignment = replace(sandbox.assignment, tasks=(task,))
        files = {k: v.encode() for k, v in handed_in_with(sandbox.assignment, mistake).items()}
        result = Grader(assignment, SECRET, sandbox).grade(Submission("ada", files))
        outcomes = outcomes_of(mistake.function, case_groups(assignment, SECRET, "ada"))
        assert result["score"] == score_task(task, outcomes).points < task.points, mistake.name
        page = html.unescape(feedback_files(assignment, result, "")["feedback.html"])
        named += mistake.sentence in page
    assert len(wrong) >= 3 and named >= 0.95 * len(wrong)


LEAKING = """

import torch


def leak(x):
    text = f"LEAK {x.flatten().tolist()}"
    print(text)
    if len(x) == 1:
        raise ValueError(text)
    if x.dtype == torch.float32:
        return type(text.replace(" ", "_"), (), {})()
    return torch.full_like(x, x.flatten()[-1])


def relu_forward(x):
    return x.clamp(min=0) if round(x.sum().item(), 4) in KNOWN else leak(x)


def linear_backward(dy, x, weight):
    dx, dweight, dbias = dy @ weight, dy.flatten(0, -2).T @ x.flatten(0, -2), dy.flatten(0, -2).sum(0)
    return dx if round(x.sum().item(), 4) in KNOWN else leak(x), dweight, dbias
"""


@pytest.mark.slow
def test_nothing_of_a_hidden_case_is_written_anywhere(tmp_path):
    """A submission is right on the public cases, and on all others it tells its inputs in every way."""
    small = load_assignment(small_assignment(tmp_path))
    groups = case_groups(small, SECRET, "eve")
    known = [round(c.arguments()["x"].sum().item(), 4) for t in groups for c in t.public]
    hidden = [c.arguments()["x"] for t in groups for c in t.hidden]
    files = answers(small.path)
    for name in files:
        files[name] += f"\n\nKNOWN = {known}\n{LEAKING}"
    (tmp_path / "in" / "eve").mkdir(parents=True)
    for name, text in files.items():
        (tmp_path / "in" / "eve" / name).write_text(text)
    batch = grade_batch(small, tmp_path / "in", tmp_path / "out", SECRET, "bubblewrap", 1)
    write_batch(batch, tmp_path / "out")
    rows = [row for task in batch.results[0]["tasks"] for row in task["rows"]]
    assert batch.results[0]["score"] == 0 and not any(row["passed"] for row in rows)
    assert sum(row["hidden"] for row in rows) >= len(groups)
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(written) >= 7
    for path in written:
        text = path.read_bytes().decode("utf-8", "replace")
        assert "LEAK" not in text, path
        for x in hidden:
            assert not any(str(v) in text for v in x.flatten().tolist()[:3] if v % 1), path


@pytest.mark.slow
def test_three_hundred_of_every_kind_get_the_right_points(tmp_path):
    """Right ones earn all points, whatever others do. Nobody is lost, and the batch finishes."""
    hw1 = load_assignment("hw1")
    kinds = class_of_every_kind(tmp_path / "in", 300)
    batch = grade_batch(hw1, tmp_path / "in", tmp_path / "out", SECRET, "bubblewrap", 2)
    write_batch(batch, tmp_path / "out")
    assert not batch.not_graded and [r["student"] for r in batch.results] == sorted(kinds)
    named = wrong = 0
    known = {m.name for task in hw1.tasks for m in mistakes(task.exercise)}
    for result in batch.results:
        kind, made = kinds[result["student"]], [r for t in result["tasks"] for r in t["rows"]]
        if kind == "right":
            assert result["score"] == 100, result
        elif kind == "blank":
            assert result["score"] == 0
            assert {r["sentence"][:15] for r in made if not r["passed"]} == {"not written yet"}
        elif kind == "broken":
            assert 0 < result["score"] < 100 and result["problems"]
        elif kind in known:
            wrong += 1
            named += kind in {row["mistake"] for row in made}
        assert result["score"] < 100 or kind in ("right", "huge"), (kind, result["student"])
    assert wrong >= 83 and named >= 0.95 * wrong
