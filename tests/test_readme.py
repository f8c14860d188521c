"""The README's code runs, its map is true, its commands exist, and its numbers are recorded ones."""

import json
import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import scratchae as sa
from reference.record import report
from scratchae.cli import app
from scratchae.training.preparation import DEFAULT_SEED

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = ROOT / "reference/results"
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_it_can_be_read_in_one_go():
    assert len(README.splitlines()) <= 170


@pytest.mark.parametrize("code", CODE, ids=lambda code: code.split("\n")[0])
def test_every_piece_of_code_runs(code, capsys):
    exec(compile(code, "README.md", "exec"), {"torch": torch, "sa": sa})


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


def test_what_the_check_says_is_what_is_shown(capsys):
    (code,) = (code for code in CODE if "sa.check(" in code)
    exec(compile(code, "README.md", "exec"), {"torch": torch, "sa": sa})
    said = " ".join(capsys.readouterr().out.split())
    shown = " ".join(line.partition("# ")[2] for line in code.splitlines()).split("...")
    assert len(shown) == 3
    for part in shown:
        assert " ".join(part.split()) in said


def test_the_map_shows_every_package_and_module_and_nothing_else():
    (shown,) = re.findall(r"```\nscratchae/\n(.*?)```", README, re.DOTALL)
    inside = re.findall(r"^  (\S+)  +\S", shown, re.MULTILINE)
    there = {f"{path.parent.name}/" for path in ROOT.glob("scratchae/*/__init__.py")}
    there |= {path.name for path in ROOT.glob("scratchae/[!_]*.py")}
    assert sorted(inside) == sorted(there)
    for folder in re.findall(r"^(\w+)/", shown, re.MULTILINE):
        assert (ROOT / folder).is_dir()


def test_the_call_of_fit_that_is_shown_works():
    (call,) = re.findall(r"`(sa\.fit\(.*?\))`", README)
    run = eval(call.replace("epochs=20", "epochs=1"), {"sa": sa})
    assert list(run.history["epoch"]) == [1]


def test_every_link_leads_to_a_file():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    for link in links:
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_every_test_file_that_is_named_exists():
    for name in re.findall(r"`(tests/\S+?\.py)`", README):
        assert (ROOT / name).exists(), name


def test_every_command_and_option_shown_is_there():
    for line in re.findall(r"^\$ (?:\S+ .*-m )?scratchae (.*)$", README, re.MULTILINE):
        words = line.split("#")[0].split()
        command = words[:2] if words[0] == "course" else words[:1]
        done = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
        assert done.exit_code == 0, line
        for option in (word for word in words if word.startswith("--")):
            assert option in done.stdout, line
    for target in re.findall(r"(?:`|\$ )make ([a-z-]+)", README):
        assert f"\n{target}:" in (ROOT / "Makefile").read_text(), target


def test_the_page_of_the_record_is_what_was_recorded():
    recorded = json.loads((RESULTS / "record-cpu.json").read_text())
    assert (RESULTS / "record-cpu.md").read_text("utf-8") == report(recorded)


@pytest.mark.parametrize("model", ["fc", "conv"])
def test_the_recorded_runs_reach_what_was_published_and_stay_with_torch(model):
    """The two sides of a seed differ by less than torch.nn's seeds differ among themselves."""
    recorded = json.loads((RESULTS / "record-cpu.json").read_text())
    ours, theirs = (
        {
            run["seed"]: run[who][-1]["train_loss"]
            for run in recorded["runs"]
            if run["model"] == model
        }
        for who in ("ours", "torch")
    )
    assert recorded["images"] == [42_000, 10_000] and len(ours) >= 3
    limit = {"fc": 0.1431, "conv": 0.00195}[model]  # both sides, published to that many digits
    assert ours[DEFAULT_SEED] <= limit and theirs[DEFAULT_SEED] <= limit
    spread = max(theirs.values()) - min(theirs.values())
    assert all(abs(ours[seed] - theirs[seed]) < spread for seed in ours)


def test_the_speed_is_the_one_that_was_measured():
    rows = json.loads((RESULTS / "benchmark-cpu.json").read_text("utf-8"))["steps"]["rows"]
    ratios = [
        max(row["ratio"][name] for name in row["ratio"] if name.startswith("scratchae"))
        for row in rows
    ]
    assert f"{min(ratios):.1f} to {max(ratios):.1f}" in " ".join(README.split())


def test_the_mutants_are_as_many_as_is_said_and_none_is_left_alive():
    recorded = json.loads((RESULTS / "mutation.json").read_text("utf-8"))
    mutants, made = recorded["mutants"], recorded["about"]["made"]
    same = [row for row in mutants if row["equivalent"]]
    killed = [row for row in mutants if row["killed_by"]]
    assert len(mutants) == made == len(same) + len(killed)
    assert f"of {made:,} small mistakes" in README and f"all {len(killed):,} that" in README
