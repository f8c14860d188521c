"""kill -9 at any moment, then resume: the weights are those of a run that was left alone."""

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from scratchae.training import fit, open_run
from tests.helpers.runs import same_bits, weights
from tests.training.killed_run import OPTIONS, digits

EPOCHS = 12
ROOT = Path(__file__).parents[2]


def start(folder):
    """A process that is about to train in the folder, and now imported all that it needs."""
    command = [sys.executable, "-m", "tests.training.killed_run", str(folder), str(EPOCHS)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The weights that a run ends with when it is left alone, and how long it trains."""
    folder = tmp_path_factory.mktemp("undisturbed")
    process, began = start(folder), time.perf_counter()
    assert process.wait() == 0
    return load_file(folder / "weights.safetensors"), time.perf_counter() - began


def test_another_process_gives_the_same_bits(undisturbed):
    run = fit("conv", digits(), epochs=EPOCHS, device="cpu", progress=False, **OPTIONS)
    assert same_bits(undisturbed[0], weights(run.model))


@pytest.mark.slow
@pytest.mark.parametrize("trial", range(10))
def test_killed_at_random_moments_and_resumed_it_ends_with_the_same_bits(
    trial, undisturbed, tmp_path
):
    expected, seconds = undisturbed
    moments = random.Random(trial)
    killed, longest = 0, 0.7 * seconds
    while killed < 2 and longest > 1e-3:
        process = start(tmp_path)
        time.sleep(moments.uniform(0, longest))
        process.kill()
        if process.wait() == -9:
            killed += 1
        else:  # it had finished: begin anew, and be quicker
            longest /= 2
            shutil.rmtree(tmp_path)
    assert killed, "it was never killed in time: the promise was not tested"
    assert start(tmp_path).wait() == 0
    assert same_bits(expected, load_file(tmp_path / "weights.safetensors"))
    run = open_run(tmp_path)
    assert [row["epoch"] for row in run.rows] == list(range(1, EPOCHS + 1))
    assert same_bits(expected, weights(run.model))
