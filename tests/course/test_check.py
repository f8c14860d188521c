"""The student's check: one sentence for whatever is wrong, and no task pays for another."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from scratchae.checking import EXERCISES, mistakes
from scratchae.checking.execution import run
from scratchae.cli import app
from scratchae.course import check as checking
from scratchae.course.assignment import load_assignment
from scratchae.course.blanked_sources import master_sources
from scratchae.course.check import check_folder, check_task, examine
from scratchae.course.grading.scoring import score_task
from scratchae.course.grading.test_cases import case_groups
from scratchae.course.release import student_files
from scratchae.course.sandbox import Limits
from scratchae.course.scoring import points_of, scored_rows
from scratchae.course.student_layers import use_student_layers
from scratchae.errors import ScratchaeError
from scratchae.layers import linear
from tests.helpers.solutions import TENSORS, around

ODD = {
    "linear_forward": "    print('here', x.shape)\n    import sys\n    print('x', file=sys.stderr)\n"
    "    y = x @ weight.T\n    return y if bias is None else y + bias",
    "linear_backward": "    return linear_backward(dy, x, weight)",
    "relu_forward": "    return torch.zeros_like(x) if x.shape == (1, 2) else exit()",
    "relu_backward": "    import os\n    os._exit(3)",
    "tanh_forward": "    while True:\n        pass",
    "tanh_backward": "    return dy * (1 - y)",
}


def fill(folder, name, bodies, **files):
    """A student's folder of that assignment, with these bodies written and these files replaced."""
    given = student_files(load_assignment(name), "ada") | files
    for file, text in given.items():
        for function, body in bodies.items():
            text = text.replace(f'    raise NotImplementedError("your turn: {function}")', body)
        if text is not None:
            (folder / file).write_text(text)
    return folder


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """{task: result} of a folder in which every task is wrong in another way."""
    folder = fill(tmp_path_factory.mktemp("odd"), "hw1", ODD, **{"mse.py": "def mse_forward(:\n"})
    limits, checking.LIMITS = checking.LIMITS, Limits(cpu=2)
    try:
        results = examine(load_assignment(folder), folder)
    finally:
        checking.LIMITS = limits
    return {result.task.name: result for result in results}


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("linear_backward", "it calls itself endlessly"),
        ("relu_forward", "it calls exit()"),
        ("relu_backward", "the process ended itself with exit code 3"),
        ("tanh_forward", "more than 2 seconds of CPU time: look for a loop that never ends"),
        ("tanh_backward", "1 − y"),
        ("mse_forward", "mse.py has a syntax error in line 1"),
        ("mse_backward", "mse.py has a syntax error in line 1"),
    ],
)
def test_whatever_is_wrong_is_one_sentence_and_costs_its_own_task_alone(odd, task, words):
    result = odd[task]
    assert result.points == 0 and not result.not_yet
    assert words in result.first_sentence and "\n" not in result.first_sentence
    assert odd["linear_forward"].points == 10


def test_what_is_printed_costs_nothing_and_is_kept(odd):
    assert odd["linear_forward"].first_sentence == "all is right"
    assert odd["linear_forward"].printed.startswith("here torch.Size(")
    assert len(odd["linear_forward"].printed) <= 2000


DEEP = "x = " + "(" * 5000 + ")" * 5000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "mse.py is missing"),
        ("", "mse.py has no function mse_forward"),
        (
            "mse_forward = mse_backward = 3\n",
            "mse_forward in mse.py is not a function but a int",
        ),
        ("def mse_forward(p):\n    return p\nmse_backward = mse_forward\n", "another signature"),
        ("1 / 0\n", "mse.py stopped with ZeroDivisionError in line 1 while it was loaded"),
        (
            "import sys\nsys.exit(0)\n",
            "while it was loaded: it calls exit()",
        ),
        ("import nothing_of_that_name\n", "ModuleNotFoundError"),
        ("from scratchae.checking import EXERCISES\n", "scratchae.checking is not available"),
        ("from activations import tanh_forward\n", "ModuleNotFoundError"),
        (DEEP, "mse.py"),
        ("x = '" + "a" * 1_100_000 + "'\n", "larger than a megabyte"),
        (
            "from scratchae.losses import mse_forward as right, mse_backward\n"
            "def mse_forward(p, t):\n    return right(p, t)\n",
            "your turn: mse_forward",
        ),
        (b"\xff\xfe\x00", "mse.py is not UTF-8 text"),
    ],
    ids=lambda value: None if not isinstance(value, str) or len(value) > 99 else value[:30],
)
@pytest.mark.slow
def test_a_file_that_cannot_be_used_is_answered_by_one_sentence(tmp_path, text, words):
    fill(tmp_path, "hw1", {})
    if text is None:
        (tmp_path / "mse.py").unlink()
    else:
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "mse.py").write_bytes(data)
    results = examine(load_assignment(tmp_path), tmp_path)
    said = results[-2].first_sentence
    assert words in said and "\n" not in said and len(said) < 300
    assert results[-2].points == 0 and results[0].not_yet


def test_a_file_with_a_byte_order_mark_and_windows_lines_is_read_as_it_is_meant(tmp_path):
    from scratchae.course.submission import load_module

    (tmp_path / "mse.py").write_bytes(b"\xef\xbb\xbfdef f():\r\n    return 7\r\n")
    assert load_module(tmp_path / "mse.py")["f"]() == 7


def test_float32_on_the_way_earns_every_point_as_it_does_with_the_grader(tmp_path):
    files = {Path(file).name: text for file, text in master_sources(load_assignment("hw1")).items()}
    for task in load_assignment("hw1").tasks:
        files[Path(task.file).name] += around(task.name, TENSORS[task.name], "t.float()")
    fill(tmp_path, "hw1", {}, **files)
    checked = check_folder(tmp_path)
    assert checked.points == 100, str(checked)


@pytest.mark.parametrize("name", ["linear_backward", "adam_update", "batchnorm_forward"])
def test_check_and_grader_give_the_same_points_on_the_same_cases(name):
    hw1 = load_assignment("hw1")
    task = replace(hw1.tasks[0], name=name, exercise=name, hidden=0)
    exercise = EXERCISES[name]
    groups = case_groups(replace(hw1, tasks=(task,)), b"secret", "ada")
    for mistake in mistakes(name)[::2]:
        seen = [
            (case, run(mistake.function, exercise, case), run(exercise.reference, exercise, case))
            for case in exercise.cases(0, task.public)
        ]
        got = {case: outcome for case, outcome, _ in seen}
        graded = score_task(task, {t: [got[case] for case in t.cases] for t in groups})
        assert points_of(task, scored_rows(exercise, seen)) == graded.points < task.points


def test_a_wrong_adam_costs_the_training_step_nothing(tmp_path):
    master = master_sources(load_assignment("hw2"))
    wrong = {"adam.py": master["scratchae/optim/adam.py"].replace("-lr / (1", "-3 * lr / (1")}
    fill(tmp_path, "hw2", {}, **wrong, **{"step.py": master["scratchae/step.py"]})
    checked = check_folder(tmp_path)
    assert [result.points for result in checked.results] == [0, 40]
    assert checked.points == 40 and "40 of 100 points by the public cases" in str(checked)
    assert "30 hidden cases run later" in str(checked)


def test_the_table_names_the_mistake_with_its_chapter_and_fits_the_screen(tmp_path):
    fill(tmp_path, "hw1", {"tanh_backward": "    return dy * (1 - y)"})
    text = str(check_folder(tmp_path))
    assert "tanh_backward" in text and "(chapter 3)" in text and "not yet" in text
    assert all(len(line) <= 96 for line in text.splitlines())
    report = check_task("tanh_backward", tmp_path)
    assert not report and {row.exercise for row in report.rows} == {"tanh_backward"}


def test_the_page_on_courses_shows_what_the_check_really_says(tmp_path):
    bodies = {
        "linear_forward": "    y = x @ weight.T\n    return y if bias is None else y + bias",
        "linear_backward": "    rows, dy_rows = x.flatten(0, -2), dy.flatten(0, -2)\n"
        "    return dy @ weight, dy_rows.T @ rows, dy_rows.mean(0)",
        "relu_forward": "    return x.clamp(min=0)",
        "relu_backward": "    return dy * (y >= 0)",
    }
    said = str(check_folder(fill(tmp_path, "hw1", bodies))).split()
    page = Path(__file__).parents[2] / "tutorials" / "pages" / "course.md"
    shown = page.read_text().split("```text\nlinear_forward")[1].split("```")[0]
    for part in f"linear_forward{shown}".split("..."):
        assert part.split() and " ".join(part.split()) in " ".join(said)


def test_a_bug_hunt_says_that_a_fault_is_there_but_not_which(tmp_path):
    fill(tmp_path, "hw5", {})
    text = str(check_folder(tmp_path))
    assert text.count("the fault is still there") == 6 and "chapter" not in text
    master = master_sources(load_assignment("hw5"))["scratchae/losses/mse.py"]
    (tmp_path / "mse.py").write_text(master)
    mended = {r.task.name: r.points for r in check_folder(tmp_path).results}
    assert mended["mse_backward"] == 15 and sum(mended.values()) == 15


def test_the_command_tells_a_persons_mistake_in_one_line(tmp_path):
    for words, said in [
        ([str(tmp_path / "none")], "there is no folder"),
        ([str(tmp_path)], "has no assignment.toml"),
        ([str(tmp_path), "--assignment", "hw9"], "there is no assignment 'hw9'"),
    ]:
        found = CliRunner().invoke(app, ["course", "check", *words])
        assert isinstance(found.exception, ScratchaeError)
        assert said in str(found.exception) and "\n" not in str(found.exception)


def test_the_command_checks_a_folder_without_its_toml_and_exits_with_1_until_all_is_right(tmp_path):
    for file, text in master_sources(load_assignment("hw3")).items():
        (tmp_path / file.rpartition("/")[2]).write_text(text)
    words = ["course", "check", str(tmp_path), "--assignment", "hw3"]
    right = CliRunner().invoke(app, words)
    assert right.exit_code == 0 and "100 of 100 points" in right.output
    (tmp_path / "conv2d.py").unlink()
    assert CliRunner().invoke(app, words).exit_code == 1


# ------------------------------------------------------------------ training with a student's layers
MINE = {
    "linear_forward": "    return torch.einsum('ni,oi->no', x, weight) + bias",
    "linear_backward": "    return dy @ weight, torch.einsum('no,ni->oi', dy, x), dy.sum(0)",
}


def test_training_with_borrowed_layers_really_uses_them_and_gives_them_back(tmp_path):
    fill(tmp_path, "hw1", MINE)
    before = linear.linear_forward, linear.linear_backward
    layer, x = linear.Linear(3, 2), torch.ones(4, 3)
    right = layer(x), layer.backward(torch.ones(4, 2))
    with use_student_layers(tmp_path) as yours:
        assert yours == {"linear_forward": "linear.py", "linear_backward": "linear.py"}
        assert linear.linear_forward is not before[0]
        assert torch.allclose(layer(x), right[0])
        assert torch.allclose(layer.backward(torch.ones(4, 2)), right[1])
    assert (linear.linear_forward, linear.linear_backward) == before


def test_the_real_autoencoder_is_trained_with_a_students_layers_and_draws_their_digits(tmp_path):
    (tmp_path / "mine").mkdir()
    folder, run = fill(tmp_path / "mine", "hw1", MINE), tmp_path / "run"
    words = ["train", "fc", "--epochs", "1", "--out", str(run), "--layers", str(folder)]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0
    assert "Your layers: linear_forward, linear_backward." in found.output
    assert list((run / "pictures").glob("*.png"))


@pytest.mark.parametrize(
    ("bodies", "words"),
    [
        ({}, "has no function of yours"),
        (
            {"relu_forward": "    return x[7, 7, 7]"},
            "your relu_forward stopped with IndexError in line",
        ),
    ],
)
def test_layers_that_cannot_be_borrowed_are_answered_by_one_sentence(tmp_path, bodies, words):
    from scratchae.layers import ReLU

    fill(tmp_path, "hw1", bodies)
    with pytest.raises(ScratchaeError, match=words), use_student_layers(tmp_path):
        ReLU()(torch.ones(2, 2))


def test_a_students_training_step_is_the_one_that_trains(tmp_path):
    from scratchae.engines import Engine
    from scratchae.layers import Linear, Sequential
    from scratchae.optim import SGD

    body = (
        "    from scratchae.losses import mse_forward\n"
        "    optimizer.zero_grad()\n"
        "    return 0 * mse_forward(model.forward(x), x) + 42"
    )
    fill(tmp_path, "hw2", {"train_step": body})
    model = Sequential(Linear(3, 3))
    engine = Engine(model, SGD(model.parameters(), lr=0.1))
    with use_student_layers(tmp_path):
        assert engine.step(torch.ones(2, 3)).item() == 42
    assert engine.step(torch.ones(2, 3)).item() != 42
