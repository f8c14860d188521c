"""`scratchae sample`, `interpolate` and `evaluate`: pictures, a table, and sentences for mistakes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scratchae.data.binarise import binary_checksum
from scratchae.training import fit
from scratchae.training.preparation import evaluation_pixels_for
from tests.helpers.runs import few_digits, write_npz


def train(folder, name, epochs=2, **settings):
    """A finished run of `name` in `folder`/run, on its own data file."""
    path = write_npz(folder / "few.npz", few_digits())
    fit(
        name,
        few_digits(),
        epochs=epochs,
        device="cpu",
        progress=False,
        out=folder / "run",
        **settings,
    )
    config = folder / "run" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "data": str(path)}))
    return folder / "run"


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    return train(tmp_path_factory.mktemp("vae"), "vae,latent=2", binarise="dynamic")


@pytest.fixture(scope="module")
def fc(tmp_path_factory):
    return train(tmp_path_factory.mktemp("fc"), "fc", epochs=1)


def pixels(path):
    return np.asarray(Image.open(path).convert("L"))


def test_train_and_show_draw_samples_the_plane_and_the_elbo_of_a_vae(call, vae):
    code, out, _ = call("show", vae)
    assert code == 0 and "−ELBO (nats per image): train" in out and "squared" not in out
    assert {"elbo", "loss", "plane", "samples"} < {p.stem for p in (vae / "pictures").iterdir()}


def test_sample_draws_as_many_as_asked_for_and_the_seed_decides(call, vae):
    for name, options in {"a": (), "b": (), "c": ("--seed", 1), "d": ("--count", 9)}.items():
        code, out, _ = call("sample", vae, "--out", f"{name}.png", *options)
        assert code == 0 and f"Picture: {name}.png" in out
    assert np.array_equal(pixels("a.png"), pixels("b.png"))
    assert not np.array_equal(pixels("a.png"), pixels("c.png"))
    assert Image.open("d.png").size < Image.open("a.png").size


def test_interpolate_works_for_every_autoencoder(call, vae, fc):
    for run in (vae, fc):
        assert call("interpolate", run, "--from", 1, "--to", 7, "--out", "a.png")[0] == 0
        assert call("interpolate", run, "--from", 1, "--to", 0, "--out", "b.png")[0] == 0
        assert (
            call("interpolate", run, "--from", 1, "--to", 0, "--steps", 4, "--out", "c.png")[0] == 0
        )
        assert not np.array_equal(pixels("a.png"), pixels("b.png"))
        assert Image.open("c.png").size < Image.open("b.png").size


def test_evaluate_prints_the_bound_its_parts_and_what_they_are(call, vae):
    code, out, _ = call("evaluate", vae, "--bound", 20, "--device", "cpu")
    assert code == 0
    assert "vae,latent=2, 2 epochs on few.npz (dynamic binarisation)" in out
    assert "100 test images of few.npz" in out and "the likelihood of binary pixels" in out
    from scratchae.training import open_run

    x = evaluation_pixels_for(open_run(vae).model, few_digits().test, "cpu", "dynamic")
    assert f"checksum {binary_checksum(x)}" in out
    rows = [line.rsplit(maxsplit=2) for line in out.splitlines() if line.startswith(" ")]
    numbers = {row[0].strip(): float(row[1]) for row in rows[1:]}  # below the heading
    elbo, ten, twenty = (
        numbers[name]
        for name in ("−ELBO, one code for each image", "−log p_K, K = 10", "−log p_K, K = 20")
    )
    assert elbo == pytest.approx(numbers["reconstruction"] + numbers["KL"], abs=0.02)
    assert elbo > ten > twenty > 0
    assert "of 2 units are active" in out and f"{elbo - twenty:.1f}" in out


def test_every_option_of_evaluate_changes_the_result(call, vae, tmp_path):
    other = write_npz(tmp_path / "other.npz", few_digits(test=40))
    outputs = [
        call("evaluate", vae, "--bound", 5, *options)[1]
        for options in (
            (),
            ("--images", 30),
            ("--data", other),
            ("--grey",),
            ("--seed", 1),
            ("--bound", 6),
        )
    ]
    assert len(set(outputs)) == len(outputs)
    assert (
        "grey pixels as BCE targets: not a likelihood" in outputs[3]
        and "checksum" not in outputs[3]
    )
    assert "40 test images of other.npz" in outputs[2]


def test_evaluate_of_a_plain_autoencoder_is_its_loss(call, fc):
    code, out, _ = call("evaluate", fc)
    assert code == 0
    assert "mean squared error" in out and "log p" not in out
    last = (fc / "history.csv").read_text().splitlines()[-1].split(",")[2]
    assert f"{float(last):.4f}" in out


@pytest.mark.parametrize("command", ["sample", "interpolate", "evaluate"])
def test_every_help_text_has_an_example(command, call):
    assert f"Example: scratchae {command}" in call(command, "--help")[1]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("sample", "fc"), "fc is a plain autoencoder: its codes have no prior"),
        (("sample", "vae", "--count", 0), "at least 1"),
        (("sample", "vae", "--seed", -1), "seed and epoch must be integers of at least 0"),
        (("evaluate", "vae", "--seed", -1), "seed and epoch must be integers of at least 0"),
        (
            ("interpolate", "vae", "--from", 11),
            "no image has the label 11: the labels are 0, 1",
        ),
        (("interpolate", "vae", "--steps", 1), "at least 2 steps"),
        (("evaluate", "vae", "--bound", 0), "--bound must be at least 1, got 0"),
        (("evaluate", "fc", "--bound", 9), "--bound is for a VAE, but"),
        (("evaluate", "vae", "--images", 101), "--images must be from 1 to 100"),
        (("evaluate", "fc", "--binarise"), "pixels from 0 to 1"),
        (("evaluate", "vae", "--device", "toaster"), "auto, cpu or cuda"),
    ],
)
def test_a_mistake_gets_one_sentence(words, sentence, call, vae, fc):
    folder = {"fc": fc, "vae": vae}[words[1]]
    code, _, err = call(words[0], folder, *words[2:])
    assert code == 2 and sentence in err and "Traceback" not in err
    assert err.count("error: ") == 1
    assert not list(Path().glob("*.png"))
