"""The README's code runs, its commands and files are there, and its numbers are the recorded ones."""

import json
import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from scratchae.cli import app
from scratchae.training.preparation import DEFAULT_SEED

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("code", CODE, ids=lambda code: code.split("\n")[0])
def test_every_piece_of_code_runs(code, capsys):
    exec(compile(code.replace("epochs=20", "epochs=1"), "README.md", "exec"), {"torch": torch})


def test_the_linear_layer_shown_is_the_librarys():
    from scratchae.layers import linear_backward, linear_forward

    shown: dict = {"torch": torch}
    exec(next(code for code in CODE if "def linear_backward" in code), shown)
    dy, x, weight, bias = (torch.randn(*shape).double() for shape in [(3, 5), (3, 7), (5, 7), (5,)])
    torch.testing.assert_close(
        shown["linear_forward"](x, weight, bias), linear_forward(x, weight, bias)
    )
    for ours, theirs in zip(
        shown["linear_backward"](dy, x, weight), linear_backward(dy, x, weight), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_every_link_leads_to_a_file():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    for link in links:
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_every_test_file_that_is_named_exists():
    for name in re.findall(r"`(tests/\S+?\.py)`", README):
        assert (ROOT / name).exists(), name


def test_every_command_and_option_shown_is_there():
    for line in re.findall(r"^\$ scratchae (.*)$", README, re.MULTILINE):
        words = line.split("#")[0].split()
        text = CliRunner().invoke(app, [words[0], "--help"], env={"COLUMNS": "200"}).stdout
        for option in (word for word in words if word.startswith("--")):
            assert option in text, line
    for target in re.findall(r"make ([a-z-]+)", README):
        assert f"\n{target}:" in (ROOT / "Makefile").read_text(), target


def test_the_recorded_losses_are_the_ones_shown():
    runs = json.loads((ROOT / "reference/results/record-cpu.json").read_text())["runs"]
    for run in runs:
        ours, theirs = run["ours"][-1], run["torch"][-1]
        digits = 4 if run["model"] == "fc" else 5
        values = [
            f"{side[f'{part}_loss']:.{digits}f}"
            for part in ("train", "test")
            for side in (ours, theirs)
        ]
        assert f"| {run['model']} | {run['seed']} | {' | '.join(values)} |" in README


@pytest.mark.parametrize("model", ["fc", "conv"])
def test_the_recorded_runs_reach_what_was_published_and_stay_with_torch(model):
    """The two sides of a seed differ by less than torch.nn's seeds differ among themselves."""
    recorded = json.loads((ROOT / "reference/results/record-cpu.json").read_text())
    ours, theirs = (
        {
            run["seed"]: run[who][-1]["train_loss"]
            for run in recorded["runs"]
            if run["model"] == model
        }
        for who in ("ours", "torch")
    )
    assert recorded["images"] == [42_000, 10_000] and len(ours) >= 3
    assert ours[DEFAULT_SEED] <= {"fc": 0.1431, "conv": 0.0020}[model]
    spread = max(theirs.values()) - min(theirs.values())
    assert all(abs(ours[seed] - theirs[seed]) < spread for seed in ours)


def test_the_mutants_are_as_many_as_is_said_and_none_is_left_alive():
    recorded = json.loads((ROOT / "reference/results/mutation.json").read_text("utf-8"))
    mutants, made = recorded["mutants"], recorded["about"]["made"]
    same = [row for row in mutants if row["equivalent"]]
    killed = [row for row in mutants if row["killed_by"]]
    assert len(mutants) == made == len(same) + len(killed)
    assert f"of {made:,} small mistakes" in README and f"all {len(killed):,} that" in README
