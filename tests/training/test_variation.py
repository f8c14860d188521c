"""Noise goes on the input, augmentation moves input and target, and both are functions of seed and epoch."""

import json

import pytest
import torch

from scratchae.data import Augmentation, Batches, Corruption
from scratchae.errors import ScratchaeError
from scratchae.models import Autoencoder, build
from scratchae.noise import noise_keys, split_keys
from scratchae.optim import Adam
from scratchae.step import train_step
from scratchae.training import evaluate, fit, open_run, reconstruct
from scratchae.training.epoch_images import AUGMENTATION, CHUNK, CORRUPTION, EpochImages
from scratchae.training.preparation import keepsakes, pixels_for
from tests.helpers.runs import few_digits, same_bits, weights
from tests.helpers.workers import together

DATA = few_digits()
BOTH = {"corrupt": "noise=0.3,block=4", "augment": "rotate=10,shift=2,elastic=1"}
ENGINES = [
    "eager",
    pytest.param("buffered", marks=pytest.mark.filterwarnings("ignore:the buffered engine")),
    pytest.param("frugal", marks=pytest.mark.filterwarnings("ignore:the frugal engine")),
    pytest.param("compile", marks=pytest.mark.slow),
    pytest.param(
        "graph",
        marks=[
            pytest.mark.cuda,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
        ],
    ),
]


def quick(model="fc", **settings):
    return fit(model, DATA, **{"epochs": 2, "device": "cpu", "progress": False, **BOTH, **settings})


def images(model, **settings):
    return EpochImages(model, pixels_for(model, DATA.train, torch.device("cpu")), 5, **settings)


@pytest.mark.parametrize("name", ["fc", "conv"])
def test_noise_goes_on_the_input_and_the_target_moves_with_the_augmentation(name):
    model = build(name)
    clean = pixels_for(model, DATA.train, torch.device("cpu"))
    corruption, augmentation = Corruption(noise=0.3), Augmentation(rotate=10, shift=2)
    keys = noise_keys(5, 3, len(clean))
    moved = augmentation(clean, split_keys(keys, AUGMENTATION), (-1.0, 1.0))
    noisy = corruption(moved, split_keys(keys, CORRUPTION), (-1.0, 1.0))
    x, target, _ = images(model, corruption=corruption, augmentation=augmentation).epoch(3)
    assert torch.equal(target, moved) and torch.equal(x, noisy)
    x, target, _ = images(model, corruption=corruption).epoch(3)
    assert torch.equal(target, clean)
    assert (x - clean).std().item() == pytest.approx(0.6, rel=0.02)  # on [-1, 1], sigma doubles
    x, target, _ = images(model, augmentation=augmentation).epoch(3)
    assert target is None and torch.equal(x, moved)
    x, target, _ = images(model).epoch(3)
    assert target is None and torch.equal(x, clean)


def test_a_target_of_the_models_own_is_made_from_the_moved_images():
    class Negative(Autoencoder):
        def target(self, x):
            return -x

    fc = build("fc")
    model = Negative(fc.encoder, fc.decoder, fc.input_shape)
    x, target, _ = images(model, augmentation=Augmentation(shift=2)).epoch(1)
    assert torch.equal(target, -x)
    own = images(model, augmentation=Augmentation(shift=2), corruption=Corruption(noise=0.1))
    noisy, clean, _ = own.epoch(1)
    assert torch.equal(clean, target) and not torch.equal(noisy, x)


def test_each_epoch_is_new_and_comes_back_the_same():
    first, second = (images(build("fc"), corruption=Corruption(noise=0.3)) for _ in range(2))
    one, two = first.epoch(1)[0].clone(), first.epoch(2)[0].clone()
    assert not torch.equal(one, two)
    assert torch.equal(second.epoch(2)[0], two)  # without epoch 1 before it
    assert not torch.equal(
        EpochImages(build("fc"), first.images, 6, Corruption(noise=0.3)).epoch(1)[0], one
    )


def test_more_images_than_a_chunk_are_all_changed_alike(monkeypatch):
    whole = images(build("fc"), corruption=Corruption(noise=0.3))
    x = whole.epoch(1)[0].clone()
    assert len(x) < CHUNK
    monkeypatch.setattr("scratchae.training.epoch_images.CHUNK", 64)
    torch.testing.assert_close(whole.epoch(1)[0], x, atol=1e-5, rtol=0)


def test_fit_trains_on_these_images():
    run = quick("fc", epochs=1, seed=5)
    model = build("fc", 5)
    kinds = {
        "corruption": Corruption.parse(BOTH["corrupt"]),
        "augmentation": Augmentation.parse(BOTH["augment"]),
    }
    x, target, _ = images(model, **kinds).epoch(1)
    optimizer, total = Adam(model.parameters(), lr=1e-3, weight_decay=1e-5), 0.0
    for index in Batches(len(x), 64, 5).epoch(1):
        total += train_step(model, optimizer, x[index], target[index]).item() * len(index)
    assert run.rows[0]["train_loss"] == pytest.approx(total / len(x), rel=1e-5)
    torch.testing.assert_close(weights(run.model), weights(model))


def test_test_images_are_evaluated_as_they_are_and_noisy_ones_are_shown():
    run = quick("fc")
    x = pixels_for(run.model, DATA.test, torch.device("cpu"))
    assert run.rows[-1]["test_loss"] == pytest.approx(evaluate(run.model, x), rel=1e-6)
    kept = keepsakes(run.model, DATA.test)
    _, originals, outputs = run.outputs[-1]
    assert torch.equal(originals, kept)
    assert not torch.equal(outputs, reconstruct(run.model, kept))
    only_moved = quick("fc", corrupt=None)
    assert torch.equal(only_moved.outputs[-1][2], reconstruct(only_moved.model, kept))


@pytest.mark.parametrize("setting", ["corrupt", "augment"])
def test_every_kind_changes_the_training(setting):
    kinds = {
        "corrupt": ["none", "noise=0.3", "salt=0.3", "mask=0.3", "block=9"],
        "augment": ["none", "rotate=9", "shift=2", "scale=0.1", "elastic=1"],
    }
    base = {"corrupt": None, "augment": None, "epochs": 1}
    losses = [
        quick("fc", **{**base, setting: kind}).rows[0]["train_loss"] for kind in kinds[setting]
    ]
    assert len(set(losses)) == 5
    nothing = quick("fc", **base).rows[0]["train_loss"]
    assert nothing == losses[0]


@pytest.mark.parametrize("name", ["fc", "conv"])
def test_a_resumed_run_ends_with_the_same_bits(name, tmp_path):
    straight = quick(name, epochs=3)
    for epochs in (1, 3):
        resumed = quick(name, epochs=epochs, out=tmp_path / "run", resume=True)
    assert same_bits(weights(straight.model), weights(resumed.model))
    assert torch.equal(straight.outputs[-1][2], resumed.outputs[-1][2])
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["corrupt"], config["augment"]) == tuple(BOTH.values())
    assert open_run(tmp_path / "run").settings.corrupt == BOTH["corrupt"]


def test_a_run_is_not_resumed_with_other_noise(tmp_path):
    quick("fc", epochs=1, out=tmp_path / "run")
    for other in ({"corrupt": "noise=0.2"}, {"augment": None}):
        with pytest.raises(ScratchaeError, match="was started with"):
            quick("fc", out=tmp_path / "run", resume=True, **other)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_sees_the_same_images(engine):
    device = "cuda" if engine == "graph" else "cpu"
    run, eager = (quick("fc", engine=e, device=device) for e in (engine, "eager"))
    for row, expected in zip(run.rows, eager.rows, strict=True):
        assert row["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-5)
    torch.testing.assert_close(weights(run.model), weights(eager.model), rtol=1e-3, atol=1e-4)


def trained(workers, name):
    run = quick(name)
    return run.rows[-1]["train_loss"], weights(run.model)


def test_two_workers_train_on_the_images_of_one():
    loss, expected = trained(None, "fc")
    for got, tensors in together(2, trained, "fc"):
        assert got == pytest.approx(loss, rel=1e-4)
        torch.testing.assert_close(tensors, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"corrupt": "nois=1"}, "did you mean noise?"),
        ({"augment": "flip=1"}, "no augmentation called 'flip': the names are rotate"),
        ({"corrupt": 3}, "corruption must be a text"),
    ],
)
def test_a_wrong_text_is_refused_before_anything_is_written(settings, says, tmp_path):
    with pytest.raises(ScratchaeError) as error:
        quick("fc", out=tmp_path / "run", **settings)
    assert says in str(error.value) and not (tmp_path / "run").exists()
