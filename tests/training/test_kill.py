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
VAE = "vae,latent=3"
ROOT = Path(__file__).parents[2]


def start(folder, model):
    """A process that is about to train in the folder, and now imported all that it needs."""
    command = [sys.executable, "-m", "tests.training.killed_run", str(folder), str(EPOCHS), model]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, request):
    """The weights that a run ends with when it is left alone, how long it trains, and its model."""
    folder = tmp_path_factory.mktemp("undisturbed")
    process, began = start(folder, request.param), time.perf_counter()
    assert process.wait() == 0
    return load_file(folder / "weights.safetensors"), time.perf_counter() - began, request.param


@pytest.mark.slow
def test_a_vae_with_noise_augmentation_and_a_schedule_is_killed_and_ends_with_the_same_bits(
    tmp_path,
):
    """Everything that is random or has a state at once: the codes, the noise on the images, their
    augmentation, the order of the images, the schedule, the averaged weights."""
    folder = tmp_path / "killed"
    for _ in range(9):  # again if it has ended before this process came to look
        process, history = start(folder, VAE), folder / "history.csv"
        while process.poll() is None and not (
            history.exists() and history.read_text().count("\n") > 3
        ):
            time.sleep(0.002)
        process.kill()  # in the warm-up or soon after it
        if process.wait() == -9 and len(open_run(folder).rows) < EPOCHS:
            break
        shutil.rmtree(folder)
    assert 3 <= len(open_run(folder).rows) < EPOCHS
    settings = {"epochs": EPOCHS, "device": "cpu", "progress": False, **OPTIONS}
    straight = fit(VAE, digits(), out=tmp_path / "straight", **settings)
    resumed = fit(VAE, digits(), out=tmp_path / "killed", resume=True, **settings)
    assert same_bits(weights(straight.model), weights(resumed.model))
    for name in ("weights", "checkpoint"):
        files = [tmp_path / folder / f"{name}.safetensors" for folder in ("straight", "killed")]
        assert same_bits(*map(load_file, files))
    timeless = [name for name in straight.history if name != "seconds"]
    assert "test_penalty" in timeless and "lr" in timeless
    assert straight.history[timeless].equals(resumed.history[timeless])


@pytest.mark.parametrize("undisturbed", ["conv"], indirect=True)
def test_another_process_gives_the_same_bits(undisturbed):
    run = fit("conv", digits(), epochs=EPOCHS, device="cpu", progress=False, **OPTIONS)
    assert same_bits(undisturbed[0], weights(run.model))


@pytest.mark.slow
@pytest.mark.parametrize("undisturbed", ["conv", VAE], indirect=True)
@pytest.mark.parametrize("trial", range(10))
def test_killed_at_random_moments_and_resumed_it_ends_with_the_same_bits(
    trial, undisturbed, tmp_path
):
    expected, seconds, model = undisturbed
    moments = random.Random(trial)
    killed, longest = 0, 0.7 * seconds
    while killed < 2 and longest > 1e-3:
        process = start(tmp_path, model)
        time.sleep(moments.uniform(0, longest))
        process.kill()
        if process.wait() == -9:
            killed += 1
        else:  # it had finished: begin anew, and be quicker
            longest /= 2
            shutil.rmtree(tmp_path)
    assert killed, "it was never killed in time: the promise was not tested"
    assert start(tmp_path, model).wait() == 0
    assert same_bits(expected, load_file(tmp_path / "weights.safetensors"))
    run = open_run(tmp_path)
    assert [row["epoch"] for row in run.rows] == list(range(1, EPOCHS + 1))
    assert same_bits(expected, weights(run.model))
