"""`scratchae compare`: what it prints and writes, and one sentence for mistakes."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from tests.helpers.command_line import error_sentence


@pytest.fixture
def twice(trained):
    """The finished run, and a copy that says that it had another seed."""
    shutil.copytree(trained, "runs/other")
    path = Path("runs/other/config.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "seed": 7}))
    return trained, Path("runs/other")


def test_compare_prints_a_table_and_writes_tables_and_pictures(call, twice, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = call("compare", *twice)
    assert code == 0
    assert "seeds" in out and "223,955" in out and "medians over the seeds" in out
    assert "Epochs: 2" in out
    assert max(map(len, out.splitlines())) <= 80
    folder = Path("runs/comparison")
    assert str(folder) in out
    assert pd.read_csv(folder / "runs.csv")["seed"].tolist() == [2, 7]
    assert len(pd.read_csv(folder / "curves.csv")) == 4
    for name in ("losses.png", "reconstructions.png"):
        assert Image.open(folder / name).size > (300, 100)
    assert call("compare", *twice)[0] == 0
    assert Path("runs/comparison-2").is_dir()


def test_incomparable_runs_are_refused_unless_one_asks(call, digits, trained):
    call("train", "conv", "--data", digits, "--epochs", 1, "--out", "conv")
    assert "the code size (3 and 1600)" in error_sentence(call, "compare", trained, "conv")
    assert not Path("here").exists()
    code, out, _ = call("compare", trained, "conv", "--anyway", "--out", "here")
    assert code == 0
    assert "Not comparable: the code size (3 and 1600)" in out and "test images" not in out, out
    assert Path("here/losses.png").is_file()  # the losses still have the same meaning


def test_losses_of_different_meanings_are_not_drawn_together(call, trained):
    shutil.copytree(trained, "runs/other")
    path = Path("runs/other/config.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "loss": "BCEWithLogitsLoss()"}))
    code, out, _ = call("compare", trained, "runs/other", "--anyway", "--out", "here")
    assert code == 0
    assert "Not comparable: the loss (MSELoss and BCEWithLogitsLoss)" in out
    assert sorted(p.name for p in Path("here").iterdir()) == [
        *("curves.csv", "reconstructions.png", "runs.csv")
    ]


def test_mistakes_are_one_sentence(call, trained):
    assert "at least two run folders" in error_sentence(call, "compare", trained)
    assert "no run folder nosuch" in error_sentence(call, "compare", trained, "nosuch")
    assert not Path("runs/comparison").exists()
