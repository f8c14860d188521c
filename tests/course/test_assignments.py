"""Assignments: right work earns all points however it is written, wrong work what it deserves."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis.strategies import booleans, integers, lists, sampled_from, tuples

from scratchae.checking import EXERCISES, Row, mistakes
from scratchae.checking.check import check_one
from scratchae.course.assignment import Task, load_assignment, names
from scratchae.course.blanked_sources import original
from scratchae.course.bug_injection import BUGS, choose
from scratchae.course.scoring import points_of
from scratchae.errors import ScratchaeError
from scratchae.losses import mse_backward, mse_forward
from tests.helpers.solutions import SOLUTIONS

TASKS = {
    task.name: task
    for name in names()
    for task in load_assignment(name).tasks
    if load_assignment(name).kind == "write"
}
MISTAKES = [m for m in mistakes() if m.exercise in TASKS]


@pytest.mark.parametrize("name", TASKS)
def test_right_work_earns_every_point_however_it_is_written(name):
    assert len(SOLUTIONS[name]) >= 5
    task = TASKS[name]
    for style, solution in SOLUTIONS[name].items():
        rows = check_one(EXERCISES[task.exercise], solution, seed=0, each=task.public)
        rows += check_one(EXERCISES[task.exercise], solution, seed=5, each=task.hidden)
        said = [row.sentence for row in rows if not row.passed]
        assert points_of(task, rows) == task.points, (style, said)


@pytest.mark.parametrize(
    "chosen", [MISTAKES[::8], pytest.param(MISTAKES, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_every_mistake_loses_points_and_nearly_all_are_named(chosen):
    named = 0
    for m in chosen:
        task = TASKS[m.exercise]
        rows = check_one(EXERCISES[m.exercise], m.function, seed=0, each=task.public)
        assert points_of(task, rows) < task.points, m.name
        sentences = {row.sentence for row in rows if not row.passed}
        named += sentences == {m.sentence}
    assert len(chosen) >= 15 and named >= 0.95 * len(chosen)


def test_work_that_is_right_in_some_corners_earns_their_share():
    def right_for_more_than_one(prediction, target):
        return mse_backward(prediction, target) * (len(prediction) > 1)

    task = Task("loss", "mse_backward", points=20)
    rows = check_one(EXERCISES["mse_backward"], right_for_more_than_one, seed=0)
    assert [row.test for row in rows if not row.passed] == ["one sample"]
    assert points_of(task, rows) == 15
    assert points_of(Task("loss", "mse_backward", points=20, whole=True), rows) == 0


def test_bad_manners_cost_one_share_each_and_never_more_than_was_earned():
    def edits(prediction, target):
        loss = mse_forward(prediction, target)
        prediction.zero_()
        return loss

    task = Task("loss", "mse_forward", points=20)
    assert points_of(task, check_one(EXERCISES["mse_forward"], edits, seed=0)) == 15

    def edits_and_is_wrong(prediction, target):
        return edits(prediction, target) + 1

    assert points_of(task, check_one(EXERCISES["mse_forward"], edits_and_is_wrong, seed=0)) == 0


def test_a_corner_counts_only_if_hidden_and_public_cases_are_right():
    task = Task("loss", "mse_forward", points=20)
    right = [Row("mse_forward", corner) for corner in task.corners]
    hidden = [Row("mse_forward", task.corners[0], "wrong")]
    assert points_of(task, right) == 20
    assert points_of(task, right + hidden) == 15
    assert points_of(task, []) == 0


@given(sampled_from(sorted(TASKS)), lists(tuples(integers(0, 9), booleans()), max_size=30))
def test_points_lie_between_nothing_and_all_and_another_wrong_row_never_adds_any(name, drawn):
    task = TASKS[name]
    tests = [*task.corners, "inputs stay as they are", "a second call gives the same"]
    rows = [Row(name, tests[i % len(tests)], "wrong" if bad else "") for i, bad in drawn]
    points = points_of(task, rows)
    assert 0 <= points <= task.points
    for test in tests:
        assert points_of(task, [*rows, Row(name, test, "wrong")]) <= points
    assert points_of(task, reversed(rows)) == points


@pytest.mark.parametrize("exercise", BUGS)
def test_every_bug_of_the_bug_hunt_is_injected_and_found_and_its_file_compiles(exercise):
    hw5 = load_assignment("hw5")
    task = hw5.task(exercise)
    assert len(BUGS[exercise]) >= 4 and len(set(BUGS[exercise])) == len(BUGS[exercise])
    source = original(task.file, hw5)
    for bug in BUGS[exercise]:
        injected = bug.inject(source)
        assert injected != source
        names = {}
        exec(compile(injected, task.file, "exec"), names)
        rows = check_one(EXERCISES[exercise], names[exercise], seed=0)
        assert points_of(task, rows) == 0, bug


def test_a_bug_hunt_is_the_same_for_a_name_and_another_for_most_others():
    hw5 = load_assignment("hw5")
    assert choose(hw5, "ada") == choose(hw5, "ada")
    sets = {tuple(choose(hw5, f"student {i}").items()) for i in range(50)}
    assert len(sets) > 45


def test_every_assignment_is_complete():
    assert names() == [f"hw{k}" for k in range(1, 8)]
    for name in names():
        assignment = load_assignment(name)
        assert assignment.points == 100
        assert assignment.title and assignment.about
        assert all(task.hint and task.hidden_cases > 0 for task in assignment.tasks)
        assert len(assignment.submitted) >= len(assignment.files)
        for dotted in assignment.also:
            module, _, function = dotted.rpartition(".")
            assert callable(getattr(__import__(module, fromlist=["_"]), function))


def write(folder, text):
    (folder / "own.toml").write_text(text)
    return folder / "own.toml"


GOOD = 'title = "t"\n[[task]]\nexercise = "tanh_forward"\npoints = 5\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title = ", "is not a TOML file"),
        ('title = "t"', "has no tasks"),
        (GOOD.replace("tanh_forward", "tanh_fward"), "did you mean 'tanh_forward'"),
        (GOOD.replace("points = 5", "points = 0"), "points above 0"),
        (GOOD.replace("points = 5", "points = 5\npublic = 0\nhidden = 0"), "at least one case"),
        (GOOD.replace("points = 5", "points = 5\nhiden = 2"), "hiden"),
        (GOOD.replace("points = 5", ""), "points"),
        (GOOD.replace('title = "t"', ""), "it has no 'title'"),
        (GOOD.replace('title = "t"', 'title = "t"\nkind = "quiz"'), "there is no kind 'quiz'"),
        (GOOD + GOOD.split("\n", 1)[1], "two tasks named 'tanh_forward'"),
        ('checks = "no.py"\n' + GOOD, "correct the name in `checks`"),
    ],
)
def test_an_assignment_that_cannot_be_is_answered_by_a_sentence(tmp_path, text, words):
    with pytest.raises(ScratchaeError) as error:
        load_assignment(write(tmp_path, text))
    assert words in str(error.value)


def test_an_unknown_name_is_answered_by_a_sentence():
    with pytest.raises(ScratchaeError, match="did you mean 'hw1'"):
        load_assignment("hw11")


def test_a_deadline_that_is_a_day_means_its_end(tmp_path):
    loaded = load_assignment(write(tmp_path, "deadline = 2027-03-01\n" + GOOD))
    assert loaded.deadline == datetime(2027, 3, 1, 23, 59, 59)
    assert load_assignment(write(tmp_path, GOOD)).deadline is None
