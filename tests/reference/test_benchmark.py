"""The benchmark: nobody is fast and wrong, nobody is left out silently, and what it says is measured."""

import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from reference.benchmark import RESULTS
from reference.benchmark.__main__ import chosen, command
from reference.benchmark.cases import ADAM, Case
from reference.benchmark.contenders import (
    REFERENCE,
    Contender,
    UnusableError,
    contenders,
    jax_jit,
    scratchae,
    torch_nn,
)
from reference.benchmark.goals import GOALS, Goal, goal_lines
from reference.benchmark.machine import version
from reference.benchmark.memory import measure_memory
from reference.benchmark.pictures import growth_picture, steps_picture
from reference.benchmark.results import read_results, write_results
from reference.benchmark.steps import (
    BOUND,
    QUICK,
    WrongContenderError,
    check_losses,
    measure,
    prepare,
)
from reference.benchmark.tables import readme_table, report
from reference.benchmark.whole import FLUSHED, PUBLISHED, check_runs
from reference.benchmark.worker import Worker, WorkerError
from reference.twins import twin

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
DOCUMENTED = ["cases", "goals", "growth", "machine", "memory", "pictures", "results", "steps"]
SMALL = Case("fc", 8, threads=1)
BEFORE = os.environ.get("OMP_NUM_THREADS")


def silent(line):
    """Told what is done, it says nothing."""


def skips_the_update(case, images):
    """torch.nn's step whose weights are put back every time."""
    model = twin(case.build())
    start = {name: p.clone() for name, p in model.state_dict().items()}
    optimizer = torch.optim.Adam(model.parameters(), **ADAM)

    def step(x):
        loss = torch.nn.functional.mse_loss(model(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.load_state_dict(start)
        return loss.detach()

    return Contender(step, case.batches(images))


def fails(case, images):
    raise ZeroDivisionError("as it must")


def is_unusable(case, images):
    raise UnusableError("it is not there")


def settings(state):
    flushes = (torch.tensor([1e-38]) / 100 == 0).item()
    return torch.get_num_threads(), flushes, len(os.sched_getaffinity(0))


def remember(state, key, value):
    state[key] = value
    return dict(state)


# The contenders


def losses_of(factory, case, steps=10):
    return prepare({}, factory, case, steps)


@pytest.mark.parametrize("model", ["fc", pytest.param("conv", marks=pytest.mark.slow)])
def test_every_contender_that_needs_no_compiler_makes_the_same_steps(model):
    case = Case(model, 64, threads=1)
    reference = losses_of(torch_nn, case, 40)
    assert reference[-1] < 0.9 * reference[0]  # it learns, so a step that is left out is seen
    seen = 0
    for name, factory in contenders(CPU).items():
        if "compile" in name:
            continue
        try:
            check_losses(name, losses_of(factory, case, 40), reference)
            seen += 1
        except UnusableError as error:
            assert "graph" in name or ("JAX" in name and version("jax") is None), error
    assert seen >= 6


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in contenders(CPU) if "compile" in name])
def test_every_contender_that_is_compiled_makes_the_same_steps(name):
    case = Case("conv", 64, threads=1)
    check_losses(name, losses_of(contenders(CPU)[name], case), losses_of(torch_nn, case))


@pytest.mark.slow
def test_a_contender_that_skips_the_update_is_refused():
    factories = {REFERENCE: torch_nn, "idle": skips_the_update}
    with pytest.raises(WrongContenderError, match=r"idle \(fc, batch 8, 1 thread\) does not make"):
        measure([SMALL], factories, QUICK, silent)


def test_losses_that_are_no_numbers_are_refused_and_so_are_those_just_out_of_bound():
    with pytest.raises(WrongContenderError):
        check_losses("nan", [float("nan")], [1.0])
    with pytest.raises(WrongContenderError, match="from step 2"):
        check_losses("late", [1.0, 1 + 2 * BOUND], [1.0, 1.0])
    assert check_losses("close", [1 + BOUND / 2], [1.0]) == pytest.approx(BOUND / 2)


@pytest.mark.slow
def test_who_is_missing_is_named_with_the_reason_and_who_fails_is_no_mere_gap():
    factories = {REFERENCE: torch_nn, "absent": is_unusable}
    rows = measure([SMALL], factories, QUICK, silent)
    assert rows[0]["missing"] == {"absent": "it is not there"}
    assert list(rows[0]["ms"]) == [REFERENCE]
    with pytest.raises(WorkerError, match="ZeroDivisionError: as it must"):
        measure([SMALL], {REFERENCE: torch_nn, "broken": fails}, QUICK, silent)


def test_a_missing_jax_is_said(monkeypatch):
    monkeypatch.setattr("reference.benchmark.contenders.version", lambda package: None)
    with pytest.raises(UnusableError, match=r"JAX is not installed: pip install -e '.\[bench\]'"):
        jax_jit(SMALL, SMALL.images(), scan=False)


def test_an_engine_that_is_not_for_this_device_is_missing_with_its_own_sentence():
    with pytest.raises(UnusableError, match="needs CUDA"):
        scratchae(SMALL, SMALL.images(), engine="graph")


# Workers


@pytest.mark.slow
def test_a_worker_has_the_threads_processors_and_denormals_that_it_was_given():
    with Worker(2, flush=False) as free, Worker(1, pinned=True) as bound:
        assert free.ask(settings)[:2] == (2, False)
        assert bound.ask(settings) == (1, True, 1)
        assert bound.ask(remember, "a", 1) == {"a": 1} and bound.ask(remember, "b", 2) == {
            "a": 1,
            "b": 2,
        }
    assert "OMP_NUM_THREADS" not in os.environ or os.environ["OMP_NUM_THREADS"] == BEFORE
    assert not free.process.is_alive() and not bound.process.is_alive()


# Memory


@pytest.mark.slow
def test_memory_is_counted_to_the_byte():
    rows = measure_memory([SMALL], {"known": keeps_and_makes}, silent)
    shared = 3 * sum(p.numel() for p in SMALL.build().parameters()) * 4
    assert rows[0]["bytes"]["known"] + shared == pytest.approx(40_000_000 + 12_000_000, abs=4096)


def keeps_and_makes(case, images):
    """Keeps 40 MB; a step has at most 12 MB more at once, of 16 MB that it makes."""
    kept = torch.zeros(10_000_000)

    def step(x):
        first = torch.zeros(2_000_000)
        second = torch.zeros(1_000_000)
        del first
        third = torch.zeros(1_000_000)
        return (second[0] + third[0] + kept[0]).clone()

    return Contender(step, case.batches(images))


# What is made of the results


def row(model, batch, threads, **ms):
    names = {"ours": "scratchae buffered", "nn": REFERENCE, "jit": "JAX jit"}
    ms = {names[key]: value for key, value in ms.items()}
    return {
        "model": model,
        "batch_size": batch,
        "threads": threads,
        "bursts": 15,
        "ms": ms,
        "ms_quartiles": {name: [0.9 * t, t, 1.1 * t] for name, t in ms.items()},
        "ratio": {name: ms[REFERENCE] / t for name, t in ms.items()},
        "steps_compared": 40,
        "loss_difference": dict.fromkeys(ms, 1e-7),
        "missing": {"JAX scan": "JAX is not installed"},
    }


def made_up():
    about = {
        **{"date": "2026-01-02", "device": "A Processor", "processors": 2, "python": "3.12.1"},
        **{"torch": "2.13.0", "jax": None, "denormals": "flushed"},
    }
    whole = {
        **{"model": "fc", "epochs": 20, "threads": 2, "batch_size": 64, "seed": 2},
        "seconds": {"scratchae buffered": 10.0, FLUSHED: 45.0, PUBLISHED: 70.0},
        "read_seconds": {"scratchae buffered": 0.4, FLUSHED: 1.0, PUBLISHED: 1.0},
        "losses": {name: [0.3, 0.136] for name in ("scratchae buffered", FLUSHED, PUBLISHED)},
        "ratio": {"scratchae buffered": 1.0, FLUSHED: 4.5, PUBLISHED: 7.0},
    }
    memory = {"model": "fc", "batch_size": 64}
    memory["bytes"] = {"scratchae buffered": 2_000_000, REFERENCE: 4_000_000}
    growth = [
        {"axis": axis, "value": n, "threads": 2, "ms": {REFERENCE: n, "scratchae eager": 1.0}}
        | {"bytes": {REFERENCE: 1e6 * n, "scratchae eager": 1e6}}
        for axis in ("batch", "depth", "width")
        for n in (2, 8)
    ]
    steps = [row("fc", 64, 1, ours=2, nn=4), row("fc", 64, 2, ours=2, nn=4.6, jit=4)]
    parts = {"steps": steps, "memory": [memory], "whole": [whole], "growth": growth}
    return {name: {"about": about, "rows": rows} for name, rows in parts.items()}


def test_goals_stand_beside_what_was_reached():
    lines = goal_lines(made_up(), "cpu")
    for line in (
        "fc, batch 64, 2 threads, speed against torch.nn: goal >= 5x: 2.30x by scratchae buffered, missed",
        "fc, batch 64, 2 threads, speed against JAX jit: goal >= 1.5x: 2.00x by scratchae buffered, reached",
        "fc, batch 64, 2 threads, speed against JAX scan: goal >= 1x: not measured",
        "fc, 20 epochs against the published loop: goal >= 8x: 7.00x by scratchae buffered, missed",
        "fc, 20 epochs against the loop flushed and in memory: goal >= 4x: 4.50x by scratchae buffered, "
        "reached",
        "fc, batch 64, memory of the fastest engine against torch.nn's: goal <= 1x: 0.50x by scratchae "
        "buffered, reached",
    ):
        assert line in lines


def test_a_run_of_fewer_epochs_is_no_run_of_record():
    results = made_up()
    results["whole"]["rows"][0]["epochs"] = 5
    assert all("not measured" in line for line in goal_lines(results, "cpu") if "20 epochs" in line)


@pytest.mark.parametrize("device", GOALS)
def test_without_results_every_goal_is_not_measured(device):
    assert all(line.endswith("not measured") for line in goal_lines({}, device))


def test_a_goal_can_be_an_upper_bound():
    goal = Goal("seconds", 1.0, lambda results: (1.2, "graph"), least=False, unit=" s")
    assert goal.line({}) == "seconds: goal <= 1 s: 1.20 s by graph, missed"


def test_the_readme_table_leaves_a_gap_where_nothing_was_measured():
    assert readme_table(made_up()).split("\n") == [
        "| model, batch, threads | torch.nn | JAX jit | scratchae buffered | ratio |",
        "|---|---:|---:|---:|---:|",
        "| fc, 64, 1 | 4.00 |  | 2.00 | 2.00 |",
        "| fc, 64, 2 | 4.60 | 4.00 | 2.00 | 2.30 |",
    ]


def test_the_report_says_who_is_missing_and_how_denormals_were_treated():
    text = report(made_up(), "cpu")
    assert "Missing: JAX scan: JAX is not installed." in text and "denormals: flushed" in text
    assert "| fc | 20 | 2 | torch.nn as published | 70.0 | 1.00 | 7.00 | 0.1360 |" in text


def test_all_is_drawn_from_the_file_alone(tmp_path):
    write_results(tmp_path, "cpu", made_up())
    done = CliRunner().invoke(command, ["--redraw", "--device", "cpu", "--results", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "2.30x by scratchae buffered, missed" in done.output
    assert {path.name for path in tmp_path.iterdir()} == {
        *("benchmark-cpu.json", "benchmark-cpu.md", "benchmark-cpu.png", "growth-cpu.png")
    }
    assert (tmp_path / "benchmark-cpu.md").read_text() == report(made_up(), "cpu")


def test_pictures_show_every_contender_and_axis():
    figure = steps_picture(made_up()["steps"])
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["scratchae buffered", "torch.nn", "JAX jit"]
    growth = growth_picture(made_up()["growth"])
    assert len(growth.axes) == 6
    assert "batch x 4: time x 4 with torch.nn, x 1 with scratchae eager" in growth.get_suptitle()


def test_whole_runs_whose_losses_part_are_refused():
    good = {FLUSHED: [0.3, 0.136], PUBLISHED: [0.3, 0.139], "ours": [0.301, 0.134]}
    check_runs("fc", good)
    for losses in ([0.31, 0.136], [0.3, 0.16], [0.3, float("nan")]):
        with pytest.raises(WrongContenderError, match="ours ends epoch"):
            check_runs("fc", good | {"ours": losses})


def test_only_takes_those_that_are_asked_for_and_torch_nn():
    known = contenders(CPU)
    assert list(chosen(known, "buffered,JAX scan", quick=False)) == [
        *("scratchae buffered", REFERENCE, "JAX scan")
    ]
    assert not any("compile" in name for name in chosen(known, "", quick=True))
    assert list(chosen(known, "", quick=False)) == list(known)


# The whole


@pytest.mark.slow
def test_a_quick_run_measures_every_part(tmp_path):
    options = [
        "--quick",
        "--device",
        "cpu",
        "--models",
        "fc",
        "--batch-size",
        "8",
        "--threads",
        "1",
    ]
    options += ["--epochs", "1", "--only", "buffered", "--results", str(tmp_path)]
    done = CliRunner().invoke(command, options, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    results = read_results(tmp_path, "cpu")
    (step,) = results["steps"]["rows"]
    assert step["ms"].keys() == {REFERENCE, "scratchae buffered"}
    assert all(ms > 0 for ms in step["ms"].values())
    assert all(count > 0 for count in results["memory"]["rows"][0]["bytes"].values())
    (whole,) = results["whole"]["rows"]
    assert whole["epochs"] == 1 and len(whole["seconds"]) == 3
    assert "bundled sample" in results["whole"]["about"]["data"]
    assert {row["axis"] for row in results["growth"]["rows"]} == {"batch", "depth", "width"}
    assert re.search("JAX jit.*: omitted by `--quick` or `--only`", done.output)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_examples_in_the_benchmarks_docstrings(name):
    module = importlib.import_module(f"reference.benchmark.{name}")
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL)
    assert found.failed == 0 and found.attempted > 0


def test_a_mistake_on_the_command_line_is_one_sentence():
    done = subprocess.run(
        [sys.executable, "-m", "reference.benchmark", "steps", "--device", "gpu", "--no-write"],
        **{"cwd": ROOT, "capture_output": True, "text": True, "check": False},
    )
    assert done.returncode == 2 and done.stderr.startswith("error: there is no device 'gpu'")
    assert "Traceback" not in done.stderr


def test_the_short_table_on_the_page_is_the_one_that_was_measured():
    page = (RESULTS / "benchmark-cpu.md").read_text("utf-8")
    assert readme_table(read_results(RESULTS, "cpu")) in page
