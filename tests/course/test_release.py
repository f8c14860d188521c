"""Releases: the student's folder has all that a student needs, and nothing of the solution."""

import ast
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis.strategies import data, sampled_from, sets
from typer.testing import CliRunner

from scratchae.cli import app
from scratchae.course.assignment import load_assignment, names
from scratchae.course.blank import blank, solution_statements
from scratchae.course.blanked_sources import (
    blanked_functions,
    blanked_sources,
    library_sources,
    master_sources,
    original,
)
from scratchae.course.bug_injection import choose
from scratchae.course.check import examine
from scratchae.course.handout import notebook
from scratchae.course.leaks import find_leaks, solution_expressions
from scratchae.course.release import release, student_files
from scratchae.errors import ScratchaeError

WRITTEN = [name for name in names() if load_assignment(name).kind == "write"]


@pytest.fixture(scope="module")
def hw1(tmp_path_factory):
    """The released folder of hw1."""
    folder = tmp_path_factory.mktemp("course") / "hw1"
    release(load_assignment("hw1"), folder)
    return folder


def statements_of(assignment):
    """Every statement of the solution, normalised; those that only name results left out."""
    found = set()
    for file, functions in blanked_functions(assignment).items():
        for statement in solution_statements(original(file, assignment), functions):
            for node in ast.walk(statement):
                if isinstance(node, ast.stmt) and any(
                    isinstance(inner, ast.Call | ast.BinOp) for inner in ast.walk(node)
                ):
                    found.add(ast.unparse(node))
    return found


def python_in(text, name):
    """Every piece of Python in a released file: the file itself, and the cells of a notebook."""
    if name.endswith(".ipynb"):
        return ["".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
    return [text] if name.endswith(".py") else []


@pytest.mark.parametrize("name", WRITTEN)
def test_no_statement_of_the_solution_stands_in_the_released_files(name):
    assignment = load_assignment(name)
    secret = statements_of(assignment)
    assert len(secret) >= 8
    for file, text in student_files(assignment).items():
        for piece in python_in(text, file):
            said = {ast.unparse(n) for n in ast.walk(ast.parse(piece)) if isinstance(n, ast.stmt)}
            assert not said & secret, file
        for statement in secret:
            assert len(statement) < 20 or statement not in text, file


@pytest.mark.parametrize("name", WRITTEN)
def test_no_statement_of_the_solution_stands_in_the_library_that_a_submission_sees(name):
    """But for a line or two that other layers, which are given, have as well."""
    assignment = load_assignment(name)
    secret = statements_of(assignment)
    for file, text in library_sources(assignment).items():
        said = {ast.unparse(n) for n in ast.walk(ast.parse(text)) if isinstance(n, ast.stmt)}
        given = file not in blanked_sources(assignment)
        assert len(said & secret) <= (3 if given else 0), (file, said & secret)


def test_what_is_blanked_keeps_signature_docstring_and_derivation():
    for name in WRITTEN:
        assignment = load_assignment(name)
        for file, text in blanked_sources(assignment).items():
            before, after = ast.parse(original(file, assignment)), ast.parse(text)
            assert ast.get_docstring(before) == ast.get_docstring(after)
            functions = {n.name: n for n in after.body if isinstance(n, ast.FunctionDef)}
            for node in before.body:
                if isinstance(node, ast.FunctionDef):
                    assert ast.unparse(node.args) == ast.unparse(functions[node.name].args)
                    assert ast.get_docstring(node) == ast.get_docstring(functions[node.name])
            for function in blanked_functions(assignment)[file]:
                assert f'raise NotImplementedError("your turn: {function}")' in text


def test_classes_and_helpers_stay_as_they_are():
    assignment = load_assignment("hw1")
    text = blanked_sources(assignment)["scratchae/layers/linear.py"]
    before = ast.parse(original("scratchae/layers/linear.py", assignment))
    whole = ast.unparse(next(n for n in before.body if isinstance(n, ast.ClassDef)))
    assert whole in ast.unparse(ast.parse(text))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("linear.py", "def f(dy, w):\n    return (  dy_rows . T@rows )  # spaces hide nothing\n"),
        ("helper.py", "dW = dy_rows.T @ rows\n"),
        ("page.md", "Try `dy_rows.T @ rows` here\n\n    dweight = dy_rows.T @ rows\n"),
        ("notes.txt", "# dweight = dy_rows.T @ rows\n"),
        ("doc.py", 'def f():\n    """Text.\n\n    >>> dweight = dy_rows.T @ rows\n    """\n'),
        ("begin.py", "# BEGIN SOLUTION\nx = 1\n"),
        ("begin.py", "#BEGIN SOLUTION\nx = 1\n"),
        ("end.md", "### end solution\n"),
        (".git", "dweight = dy_rows.T @ rows\n"),
        ("linear.cpython-311.pyc", "anything"),
        (".ipynb_checkpoints/hw1-checkpoint.ipynb", '{"cells": []}'),
    ],
)
def test_a_planted_leak_is_found_wherever_it_stands(tmp_path, file, text):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    known = ["linear.py", "helper.py", "page.md", "notes.txt", "doc.py", "begin.py", "end.md"]
    assert find_leaks(tmp_path, solution_expressions(load_assignment("hw1")), known)


@pytest.mark.parametrize("where", ["source", "outputs"])
def test_a_leak_in_a_notebook_is_found_in_cells_and_in_outputs(tmp_path, where):
    page = json.loads(notebook(load_assignment("hw1")))
    line = "dweight = dy_rows.T @ rows\n"
    cell = next(c for c in page["cells"] if c["cell_type"] == "code")
    cell[where] = [line] if where == "source" else [{"output_type": "stream", "text": [line]}]
    (tmp_path / "hw1.ipynb").write_text(json.dumps(page))
    assert find_leaks(tmp_path, solution_expressions(load_assignment("hw1")), None)


def test_the_search_finds_every_solution_in_the_library_itself(tmp_path):
    for name in WRITTEN:
        assignment = load_assignment(name)
        for file in assignment.files:
            (tmp_path / Path(file).name).write_text(original(file, assignment))
        said = " ".join(find_leaks(tmp_path, solution_expressions(assignment), None))
        missing = [e for e, file in solution_expressions(assignment).items() if e not in said]
        assert not [e for e in missing if solution_expressions(assignment)[e] in assignment.files]


def test_a_release_that_leaks_is_not_written(tmp_path, monkeypatch):
    given = student_files(load_assignment("hw1"))
    leaky = given | {"README.md": given["README.md"] + "\n    dweight = dy_rows.T @ rows\n"}
    monkeypatch.setattr("scratchae.course.release.student_files", lambda *_: leaky)
    with pytest.raises(ScratchaeError, match=r"it leaks: README\.md"):
        release(load_assignment("hw1"), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_release_whose_blank_form_earns_points_is_not_written(tmp_path, monkeypatch):
    given = student_files(load_assignment("hw1"))
    right = "return dy - dy * y * y"
    mine = given["activations.py"].replace(
        'raise NotImplementedError("your turn: tanh_backward")', right
    )
    monkeypatch.setattr(
        "scratchae.course.release.student_files", lambda *_: given | {"activations.py": mine}
    )
    with pytest.raises(ScratchaeError, match="tanh_backward earns 10 points as it is handed out"):
        release(load_assignment("hw1"), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_in_use_is_not_touched(tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(ScratchaeError, match="not empty"):
        release(load_assignment("hw1"), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_the_release_of_hw1_is_whole_and_says_not_yet_for_every_task(hw1):
    assignment = load_assignment(hw1)
    assert {p.name for p in hw1.iterdir()} == {
        *("linear.py", "activations.py", "mse.py"),
        *("assignment.toml", "hw1.ipynb", "README.md"),
    }
    assert not find_leaks(
        hw1, solution_expressions(load_assignment("hw1")), [p.name for p in hw1.iterdir()]
    )
    results = examine(assignment, hw1)
    assert [r.points for r in results] == [0] * 8
    assert all(r.not_yet for r in results)
    assert assignment.tasks == load_assignment("hw1").tasks


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_every_assignment_is_released_with_its_proofs(name, tmp_path):
    release(load_assignment(name), tmp_path / name, "a student")
    results = examine(load_assignment(tmp_path / name), tmp_path / name)
    assert sum(r.points for r in results) == 0


def test_the_notebook_is_the_same_bytes_each_time_and_has_fixed_ids_and_no_outputs(hw1):
    text = (hw1 / "hw1.ipynb").read_text()
    assert text == notebook(load_assignment("hw1")) == notebook(load_assignment(hw1))
    cells = json.loads(text)["cells"]
    assert len({c["id"] for c in cells}) == len(cells)
    assert all(c["outputs"] == [] for c in cells if c["cell_type"] == "code")


@pytest.mark.parametrize(
    "name", ["hw3", *(pytest.param(n, marks=pytest.mark.slow) for n in WRITTEN if n != "hw3")]
)
def test_the_answers_stand_on_the_blanked_library(name, tmp_path):
    assignment = load_assignment(name)
    for file, text in master_sources(assignment).items():
        (tmp_path / Path(file).name).write_text(text)
    assert [r.first_sentence for r in examine(assignment, tmp_path)] == ["all is right"] * len(
        assignment.tasks
    )


FILES = sorted(file for file in library_sources(load_assignment("hw6")) if "__init__" not in file)


@given(data())
def test_blanking_any_functions_of_any_file_leaves_all_else_as_it_was(drawn):
    text = original(drawn.draw(sampled_from(FILES)), load_assignment("hw1"))
    functions = [n.name for n in ast.parse(text).body if isinstance(n, ast.FunctionDef)]
    chosen = drawn.draw(sets(sampled_from(functions))) if functions else set()
    before, after = ast.parse(text), ast.parse(blank(text, chosen))
    for old, new in zip(before.body, after.body, strict=True):
        if getattr(old, "name", None) not in chosen:
            assert ast.unparse(old) == ast.unparse(new)
            continue
        assert ast.unparse(old.args) == ast.unparse(new.args)
        assert ast.get_docstring(old) == ast.get_docstring(new)
        assert ast.unparse(new.body[-1]).startswith("raise NotImplementedError(")
        assert len(new.body) == 1 + (ast.get_docstring(old) is not None)


def test_a_bug_hunt_that_tells_the_mended_line_or_holds_a_cache_is_not_written(
    tmp_path, monkeypatch
):
    hw5 = load_assignment("hw5")
    fault = choose(hw5, "ada")["mse_backward"]
    given = student_files(hw5, "ada")
    (line,) = (x for x in original("scratchae/losses/mse.py", hw5).splitlines() if fault.right in x)
    leaky = given | {"README.md": f"{given['README.md']}\n    {line.strip()}\n"}
    for files in (leaky, given | {"old.pyc": ""}):
        monkeypatch.setattr("scratchae.course.release.student_files", lambda *_, f=files: f)
        with pytest.raises(ScratchaeError, match="it leaks"):
            release(hw5, tmp_path / "out", "ada")


def test_a_bug_hunt_without_a_name_is_answered_by_a_sentence(tmp_path):
    with pytest.raises(ScratchaeError, match="--student NAME"):
        release(load_assignment("hw5"), tmp_path / "out")


def test_blanking_a_function_without_docstring_or_of_one_line():
    assert blank("def f(x): return x\n", ["f"]).splitlines()[-1].endswith('"your turn: f")')
    with pytest.raises(ScratchaeError, match="no function g"):
        blank("def f(x):\n    return x\n", ["g"])


def test_the_command_releases_and_says_what_was_proved(tmp_path):
    found = CliRunner().invoke(app, ["course", "release", "hw6", "--out", str(tmp_path / "own")])
    assert found.exit_code == 0
    assert "model.py" in found.output and "not yet" in found.output
    shutil.rmtree(tmp_path / "own")
