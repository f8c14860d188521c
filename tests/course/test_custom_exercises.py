"""An assignment about an instructor's own functions, the one that the page shows."""

from pathlib import Path

import pytest

from scratchae.checking import EXERCISES, mistakes
from scratchae.checking.check import check_one
from scratchae.checking.mistake import forget
from scratchae.course import custom_exercises as custom
from scratchae.course.assignment import load_assignment
from scratchae.course.check import examine
from scratchae.course.custom_exercises import from_json, load_recorded, record_cases, to_json
from scratchae.course.release import release
from scratchae.course.scoring import points_of
from scratchae.errors import ScratchaeError

TOML = Path(__file__).parents[2] / "tutorials" / "assignments" / "softmax" / "softmax.toml"


@pytest.fixture(scope="module", autouse=True)
def nothing_stays_behind():
    """Other tests ask for all exercises that there are."""
    yield
    for name in list(custom._custom):
        del EXERCISES[name], custom._custom[name]
        for known in mistakes(name):
            forget(name, known.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The released folder."""
    place = tmp_path_factory.mktemp("own") / "softmax"
    release(load_assignment(TOML), place)
    return place


def test_it_is_released_without_its_answers_and_without_its_checks(folder):
    assert {p.name for p in folder.iterdir()} == {
        *("softmax.py", "softmax.ipynb", "README.md", "assignment.toml", "cases.json"),
    }
    text = (folder / "softmax.py").read_text()
    assert text.count("your turn") == 2 and "weighted" not in text
    everything = " ".join(p.read_text() for p in folder.iterdir())
    assert "checks" not in (folder / "assignment.toml").read_text().replace("checks it", "")
    assert "changes nothing, so subtract the largest:" in everything
    assert "Only y[i] depends" not in everything


def test_a_student_without_the_reference_is_told_what_is_wrong(folder):
    text = (folder / "softmax.py").read_text()
    text = text.replace(
        'raise NotImplementedError("your turn: softmax_forward")',
        "p = x.exp()\n    return p / p.sum(1, keepdim=True)",
    ).replace(
        'raise NotImplementedError("your turn: softmax_backward")',
        "return -y * (dy - (dy * y).sum(1, keepdim=True))",
    )
    (folder / "softmax.py").write_text(text)
    forward, backward = examine(load_assignment(folder), folder)
    assert forward.points == 32 and forward.wrong == ["large numbers"]
    assert "y has NaN in" in forward.first_sentence
    assert backward.points == 0 and backward.first_sentence == "dx has the wrong sign"


def test_recorded_cases_are_the_same_to_the_last_bit():
    load_assignment(TOML)
    for case in EXERCISES["softmax_backward"].cases():
        for tensor in case.arguments().values():
            back = from_json(to_json(tensor))
            assert back.dtype == tensor.dtype and back.equal(tensor)
            assert back.is_contiguous() == tensor.is_contiguous()


def test_its_mistakes_lose_points_and_are_named():
    for task in load_assignment(TOML).tasks:
        assert mistakes(task.exercise)
        for wrong in mistakes(task.exercise):
            rows = check_one(EXERCISES[task.exercise], wrong.function, seed=0)
            assert points_of(task, rows) < task.points
            assert wrong.sentence in {row.text for row in rows}


def test_reading_it_again_changes_nothing():
    assert load_assignment(TOML).tasks == load_assignment(TOML).tasks


def test_an_instructor_process_keeps_the_reference_when_it_reads_a_released_folder(tmp_path):
    load_assignment(TOML)
    exercise = EXERCISES["softmax_forward"]
    (tmp_path / "cases.json").write_text(record_cases([(exercise, 1)]))
    load_recorded(tmp_path / "cases.json")
    assert EXERCISES["softmax_forward"] is exercise


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 / 0\n", "ZeroDivisionError"),
        (
            "from scratchae.course.custom_exercises import add_exercise\n"
            "from scratchae.checking import Exercise\n"
            "add_exercise(Exercise('tanh_forward', abs, ('y',)), dict)\n",
            "the library has an exercise 'tanh_forward'",
        ),
    ],
)
def test_checks_that_cannot_be_run_are_answered_by_one_sentence(tmp_path, text, words):
    (tmp_path / "checks.py").write_text(text)
    (tmp_path / "own.toml").write_text(
        'title = "t"\nchecks = "checks.py"\n[[task]]\nexercise = "tanh_forward"\npoints = 5\n'
    )
    with pytest.raises(ScratchaeError) as error:
        load_assignment(tmp_path / "own.toml")
    assert words in str(error.value)
