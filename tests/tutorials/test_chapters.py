"""Every chapter runs and has all its parts; its checks accept the solution and refuse mistakes."""

import ast
import doctest
import importlib.util
import re

import matplotlib
import nbformat
import pandas as pd
import pytest

from scratchae import plots
from scratchae.checking import EXERCISES, mistakes
from tests.helpers.chapter_mistakes import OWN_MISTAKES
from tutorials.tools import chapters as tools
from tutorials.tools import docstrings
from tutorials.tools import run as runner
from tutorials.tools.chapters import (
    FOLDER,
    INSTALL,
    blank,
    cells,
    chapters,
    page,
    tags,
    to_write,
)
from tutorials.tools.notebooks import contents
from tutorials.tools.run import run

matplotlib.use("agg")
CHAPTERS = chapters()
PARTS = (
    "The question",
    "One picture",
    "By hand",
    "Derivation",
    "Matrix form",
    "Code",
    "Write it",
    "Check",
    "See it",
    "Break it",
    "Recap card",
    "Assignment",
)
every_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def code_of(path):
    """Return the code cells, and the index of each write-it cell among them."""
    code = [cell for cell in cells(path.read_text("utf-8")) if cell.cell_type == "code"]
    return code, [i for i, cell in enumerate(code) if "write-it" in tags(cell)]


def prose_of(path):
    found = cells(path.read_text("utf-8"))
    return "\n".join(cell.source for cell in found if cell.cell_type == "markdown")


TRAINS_LONG = {"ch12_vae", "ch13_codes"}  # their solutions are run by `make test-slow`
WRITTEN = [
    pytest.param(
        *(path, at, name),
        id=f"{path.stem}-{name}",
        marks=[pytest.mark.slow] if path.stem in TRAINS_LONG else [],
    )
    for path in CHAPTERS
    for at in code_of(path)[1]
    for name in to_write(code_of(path)[0][at])
]
every_part_to_write = pytest.mark.parametrize(("path", "at", "name"), WRITTEN)


def run_cell(source, path, names):
    exec(compile(source, str(path), "exec"), names)


_defined: dict = {}


def names_before(path, at):
    """Return the names that are defined before cell `at`; each is computed once."""
    if (path, at) not in _defined:
        names = {"__name__": path.stem}
        for cell in code_of(path)[0][:at]:
            run_cell(cell.source, path, names)
        _defined[path, at] = names
    return dict(_defined[path, at])


def called(name, function):
    """Return the function with another name: a check finds its exercise by the name."""

    def renamed(*args, **kwargs):
        return function(*args, **kwargs)

    renamed.__name__ = name
    return renamed


def what_checks_say(path, at, name, source, instead=None):
    """Return "" if all checks of `name` pass, else the message of the first that fails.

    The write-it cell runs with `source` instead of its own, and `instead` replaces its function. Then the
    cells run up to the last one tagged `check` before the next write-it cell.
    """
    names = names_before(path, at)
    run_cell(source, path, names)
    if instead is not None:
        names[name] = called(name, instead)
    checks = 0
    for cell in code_of(path)[0][at + 1 :]:
        if "write-it" in tags(cell):
            break
        if "check" not in tags(cell) and checks:
            break
        checks += "check" in tags(cell)
        try:
            run_cell(cell.source, path, names)
        except (AssertionError, NotImplementedError) as error:
            return str(error) or "no message"
    assert checks, f"{path.name} has no cell tagged check after {name}"
    return ""


def test_the_runner_tells_a_chapter_that_fails_from_one_that_does_not(tmp_path):
    right, wrong = tmp_path / "right.py", tmp_path / "wrong.py"
    right.write_text("assert True")
    wrong.write_text("assert False, 'not yet: dbias'")
    assert run(right)[1] == ""
    assert "not yet: dbias" in run(wrong)[1]


def test_the_runner_minds_the_time_of_each_chapter_and_of_all(tmp_path, monkeypatch):
    slow = tmp_path / "slow.py"
    slow.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(runner, "BUDGET", 0.5)
    assert "not finished after 0.5 s" in runner.run(slow)[1]
    monkeypatch.setattr(runner, "chapters", lambda: [slow, slow])
    monkeypatch.setattr(runner, "run", lambda path: (300.0, ""))
    with pytest.raises(SystemExit, match="all chapters together may take at most 480 s"):
        runner.main()


@every_chapter
def test_every_chapter_has_all_parts_of_the_shape(path):
    headings = re.findall(r"^## (.*)$", prose_of(path), re.MULTILINE)
    for part in PARTS:
        assert any(heading.startswith(part) for heading in headings), part
    assert prose_of(path).startswith(f"# {int(path.stem[2:4])}. ")


@every_chapter
def test_every_chapter_asks_the_reader_to_write(path):
    assert code_of(path)[1]


@every_chapter
def test_a_chapter_of_the_homeworks_leads_to_them(path):
    assignment = prose_of(path).split("## Assignment")[1]
    if 1 <= int(path.stem[2:4]) <= 10:
        assert re.search(r"\[\*\*hw[1-6]\*\*\]\(\.\./course\.md\)", assignment)


def draws(cell):
    """Return whether the cell makes a figure, with pyplot or a function of scratchae.plots."""
    calls = [node.func for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call)]
    names = {call.id if isinstance(call, ast.Name) else getattr(call, "attr", "") for call in calls}
    return bool(names & {"subplots", "figure", *plots.__all__} - {"save"})


@every_chapter
def test_every_picture_is_described_and_only_pictures_are(path):
    for cell in code_of(path)[0]:
        assert draws(cell) == ("picture" in tags(cell)) == ("alt" in cell.metadata), cell.source
        assert len(cell.metadata.get("alt", "x" * 40)) >= 40, cell.source


@every_chapter
def test_every_equation_that_code_cites_is_derived(path):
    derived = set(re.findall(r"\\tag\{(\d+\.\d+)\}", prose_of(path)))
    number = str(int(path.stem[2:4]))
    for cell in code_of(path)[0]:
        cited = set(re.findall(r"#.*?\((\d+\.\d+)\)", cell.source))
        assert {c for c in cited if c.split(".")[0] == number} <= derived, cell.source
    assert {
        c for c in re.findall(r"\((\d+\.\d+)\)", prose_of(path)) if c.split(".")[0] == number
    } <= (derived)


@every_chapter
def test_the_page_folds_every_solution_and_shows_its_blank(path):
    shown = page(path.read_text("utf-8")).cells
    folded = [cell for cell in shown if "write-it" in tags(cell)]
    assert len(folded) == len(code_of(path)[1])
    assert all("hide-input" in tags(cell) and "your turn" not in cell.source for cell in folded)
    assert sum("your turn: " in cell.source for cell in shown) == len(folded)


@every_part_to_write
def test_every_solution_passes(path, at, name):
    assert what_checks_say(path, at, name, code_of(path)[0][at].source) == ""


@every_part_to_write
def test_every_blank_says_that_it_is_the_readers_turn(path, at, name):
    source = blank(code_of(path)[0][at].source)
    assert "your turn" in what_checks_say(path, at, name, source)


@pytest.mark.slow
@every_part_to_write
def test_every_known_mistake_is_refused_by_its_name(path, at, name):
    source = code_of(path)[0][at].source
    wrong = [(m.function, m.sentence) for m in mistakes(name)] if name in EXERCISES else []
    wrong += OWN_MISTAKES.get((path.stem, name), [])
    assert len(wrong) >= 3, "a part to write needs mistakes that its check knows"
    for function, sentence in wrong:
        said = what_checks_say(path, at, name, source, function)
        said = " ".join(said.split())  # a report breaks its lines
        assert " ".join(sentence.split()) in said, f"{function.__name__}: {said!r}"


@pytest.mark.parametrize("module", [docstrings, tools])
def test_the_examples_of_the_tools_hold(module):
    assert doctest.testmod(module) == (0, {docstrings: 4, tools: 1}[module])


def test_blanking_leaves_signature_and_docstring_and_nothing_of_the_solution():
    source = (
        'def f(x):\n    """Doc."""\n    # your turn: add\n    y = x + 1\n\n    return y\n\n\nz = 3'
    )
    left = blank(source)
    assert (
        left
        == 'def f(x):\n    """Doc."""\n    raise NotImplementedError("your turn: add")\n\n\nz = 3'
    )
    ast.parse(left)


def test_the_student_notebooks_are_what_their_sources_give():
    there = {path.name: path.read_text("utf-8") for path in (FOLDER / "notebooks").glob("*.ipynb")}
    made = contents()
    assert set(there) == set(made), "run make notebooks"
    for name, text in made.items():
        assert there[name] == text, f"{name} is not what its source gives: run make notebooks"


@every_chapter
def test_a_student_notebook_is_valid_and_every_link_in_it_leads_to_a_file(path):
    made = nbformat.reads(contents()[f"{path.stem}.ipynb"], as_version=4)
    nbformat.validate(made)
    assert made.cells[0].source == INSTALL
    prose = "\n".join(cell.source for cell in made.cells if cell.cell_type == "markdown")
    for link in re.findall(r"\]\(([^)#\s]+)\)", prose) + re.findall(r'href="([^"#]+)"', prose):
        assert (FOLDER / "notebooks" / link).exists(), link


def test_the_first_cell_installs_the_wheel_beside_it_where_the_package_is_missing(
    tmp_path, monkeypatch
):
    cell, installed = INSTALL.replace("%pip install --quiet {wheels[-1]}", "pip(wheels[-1])"), []
    monkeypatch.chdir(tmp_path)
    run_cell(cell, "there", {"pip": installed.append})
    assert not installed
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(AssertionError, match="upload the wheel of scratchae"):
        run_cell(cell, "no wheel", {"pip": installed.append})
    (tmp_path / "scratchae-0.1.0-py3-none-any.whl").touch()
    run_cell(cell, "wheel", {"pip": installed.append})
    assert [wheel.name for wheel in installed] == ["scratchae-0.1.0-py3-none-any.whl"]


@every_chapter
def test_a_student_notebook_holds_no_solution_and_no_output(path):
    text = contents()[f"{path.stem}.ipynb"]
    for cell in (code_of(path)[0][at] for at in code_of(path)[1]):
        hidden = set(cell.source.split("\n")) - set(blank(cell.source).split("\n"))
        for line in (line.strip() for line in hidden if len(line.strip()) > 15):
            shown_elsewhere = line in prose_of(path) or any(
                line in other.source for other in code_of(path)[0] if other is not cell
            )
            assert shown_elsewhere or line not in text, line
    assert '"outputs": []' in text and '"execution_count": 1' not in text


def test_chapter_14_shows_measurements_of_a_gpu_with_its_name_as_soon_as_there_are_any(capsys):
    code, _ = code_of(FOLDER / "ch14_time.py")
    (cell,) = [cell.source for cell in code if '"benchmark-cuda.json"' in cell.source]
    shown, _ = cell.split("if torch.cuda.is_available():")
    row = {"model": "fc", "batch_size": 64, "threads": 1, "ms": {"scratchae graph": 0.1234}}
    steps = {"about": {"device": "A Device"}, "rows": [row]}
    exec(shown, {"recorded": {"benchmark-cuda.json": {"steps": steps}}, "pd": pd})
    said = capsys.readouterr().out
    assert "benchmark-cpu.json: not measured" in said
    assert "benchmark-cuda.json: A Device" in said
    assert re.search(r"scratchae graph +0\.12", said)
