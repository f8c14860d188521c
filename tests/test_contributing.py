"""CONTRIBUTING.md works: its recipes, followed in a copy of the repository, give what they promise."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
BLOCKS = [textwrap.dedent(block) for block in re.findall(r"( *```python\n.*?)```", TEXT, re.DOTALL)]
COPIED = ("scratchae", "tutorials", "tests", "reference", "pyproject.toml")


def copy_with_everything_added(target: Path) -> Path:
    """Copy the repository and append every block of the page to the file that its first line names."""
    ignore = shutil.ignore_patterns("__pycache__", "_static", "results")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, target / name)
    for block in BLOCKS:
        first, _, body = block.removeprefix("```python\n").partition("\n")
        path = target / first.removeprefix("# ")
        text = path.read_text("utf-8") + "\n" if path.exists() else ""
        path.write_text(text + body, "utf-8")
    return target


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return copy_with_everything_added(tmp_path_factory.mktemp("copy"))


def run(copy: Path, *command: str) -> str:
    """Run python in the copy; return what it printed, or fail with it."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, *command], cwd=copy, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def run_code(copy: Path, code: str) -> str:
    return run(copy, "-c", "import torch\nimport scratchae as sa\n" + textwrap.dedent(code))


def test_every_step_of_a_recipe_is_short():
    recipes = TEXT.split("\n## ")[1:]
    assert [recipe.split("\n")[0] for recipe in recipes] == [
        *("A layer", "A mistake", "A model", "A chapter")
    ]
    for recipe in recipes:
        prose = re.sub(r" *```python.*?```", "", recipe, flags=re.DOTALL)
        assert sum(bool(line.strip()) for line in prose.split("\n")) <= 13, prose


def test_every_file_that_is_named_exists_or_is_made(copy):
    for name in re.findall(r"`((?:scratchae|tests|tutorials)/[\w/.]+)`", TEXT):
        assert (copy / name).exists() or "NN" in name, name


def test_the_layer_is_an_exercise_and_the_model_trains_alone_and_in_a_sweep(copy):
    """What the page promises, in one process: each takes seconds to start."""
    said = run_code(
        copy,
        """
        from reference.twins import twin
        from scratchae.cli import main
        from scratchae.layers import Tanhshrink, tanhshrink_backward

        layer, x = Tanhshrink(), torch.randn(5, 7, dtype=torch.float64)
        assert sa.gradcheck(layer, x)
        torch.testing.assert_close(layer(x), twin(layer)(x), rtol=0, atol=1e-12)
        assert sa.check(tanhshrink_backward)
        print(sa.check("tanhshrink_backward", lambda dy, x: dy * (1 - torch.tanh(x) ** 2)))

        data, how = sa.load("sample", seed=2), {"epochs": 1, "progress": False, "device": "cpu"}
        swept = sa.sweep("shallow", data, lr=[1e-3, 1e-2], seeds=[2], **how)
        alone = [sa.fit("shallow", data, lr=lr, seed=2, **how) for lr in (1e-3, 1e-2)]
        for run, loss in zip(alone, swept.table["train_loss"], strict=True):
            assert abs(run.rows[-1]["train_loss"] - loss) < 1e-5, (run.rows, loss)
        main(["models", "shallow"])
        """,
    )
    assert "slope of tanh" in " ".join(said.split())
    assert "Tanhshrink()" in said


@pytest.mark.slow
def test_the_tests_of_layers_take_up_the_new_layer_and_its_examples_hold(copy):
    run(copy, "-m", "pytest", "-q", "scratchae/layers/tanhshrink.py", "scratchae/models/shallow.py")
    folders = ("tests/layers", "tests/sweep", "tests/interchange")
    said = run(copy, "-m", "pytest", "-q", *folders, "-k", "Tanhshrink")
    assert int(re.findall(r"(\d+) passed", said)[0]) >= 3


@pytest.mark.slow
def test_the_layer_trains_when_it_is_compiled_and_with_several_processes(copy):
    run(copy, "-m", "scratchae", *["train", "shallow", "--epochs", "1", "--engine", "compile"])
    workers = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    run(copy, *workers, "-m", "scratchae", *["train", "shallow", "--epochs", "1"])


@pytest.mark.slow
def test_every_mistake_of_the_page_is_caught_and_named(copy):
    tests = ["tests/checking/test_catalogue.py", "-k", "tanhshrink and every_mistake"]
    assert "3 passed" in run(copy, "-m", "pytest", "-q", *tests)


@pytest.mark.slow
def test_the_chapter_passes_the_tests_of_chapters(copy):
    run(copy, "tutorials/ch99_shrink.py")
    run(copy, "-m", "tutorials.tools.notebooks")
    said = run(copy, "-m", "pytest", "-q", "tests/tutorials/test_chapters.py", "-k", "ch99")
    assert int(re.findall(r"(\d+) passed", said)[0]) >= 11
