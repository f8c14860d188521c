"""A sweep: many models in one step, each as if it were alone; its numbers, its files, its errors."""

import copy
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from scratchae import plots
from scratchae.checking.layer_cases import LAYER_CASES, layer_strategy
from scratchae.cli import main
from scratchae.data import Dataset, load
from scratchae.errors import ScratchaeError
from scratchae.layers import (
    BatchNorm1d,
    Layer,
    Linear,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
    accumulate,
    parameter,
)
from scratchae.losses import Loss, MSELoss
from scratchae.models import Autoencoder, build, register
from scratchae.optim import SGD, Adam
from scratchae.step import train_step
from scratchae.sweep import (
    BatchedModel,
    BatchedTrainer,
    ImagePool,
    Looped,
    Trial,
    batched,
    numbers,
    seed_numbers,
    sweep,
    whole_numbers,
)
from scratchae.training import Run, Settings, fit, open_run
from scratchae.training.evaluation import loss_label
from tests.helpers.figures import words
from tests.helpers.runs import few_digits, same_bits, weights, write_npz
from tests.helpers.tensors import DEVICES, assert_close, unchanged

DATA = few_digits()


def swept(model="fc", data=DATA, **settings):
    given = {"lr": [1e-3], "seeds": [0], "epochs": 2, "device": "cpu", "progress": False}
    return sweep(model, data, **{**given, **settings})


def fitted(settings, data=DATA, **more):
    """The single run of a trial's settings."""
    own = {name: getattr(settings, name) for name in ("epochs", "batch_size", "lr", "seed")}
    own |= {"weight_decay": settings.weight_decay, "device": "cpu", "progress": False}
    return fit(settings.model, data, **own, **more)


# ------------------------------------------------------------------------------------ batched layers
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("looped", [False, True])
@pytest.mark.parametrize("name", LAYER_CASES)
@hypothesis_settings(max_examples=80)
@given(data=st.data())
def test_a_batched_layer_does_what_its_layers_do(name, looped, device, data):
    """Output, dx, every gradient, added up over two passes, and every buffer."""
    case = data.draw(layer_strategy(name))
    layers = [case.random_layer(device) for _ in range(data.draw(st.integers(1, 4)))]
    model = BatchedModel(layers)
    if looped:
        model.body = Looped(layers)
    optimizer = SGD(model.parameters()) if model.parameters() else None
    for shape, training in zip(case.shapes, case.training, strict=True):
        model.train(training)
        xs = [case.x(shape, device) for _ in layers]
        ys = [layer.train(training).forward(x) for layer, x in zip(layers, xs, strict=True)]
        x = torch.stack(xs)
        with unchanged(x=x, **dict(model.named_parameters())):
            y = model.forward(x)
        dys = [case.dy(y) for y in ys]
        dy = torch.stack(dys)
        with unchanged(x=x, dy=dy, y=y):
            dx = model.backward(dy)
        scale = max(1.0, x.abs().max().item())
        assert_close("y", y, torch.stack(ys), 1e-12, scale)
        for m, (layer, own_dy) in enumerate(zip(layers, dys, strict=True)):
            parts = scale * max(dx.abs().max().item(), size_of_dx(layer, own_dy))
            assert_close("dx", dx[m], layer.backward(own_dy), 1e-12, parts)
    for m, layer in enumerate(layers):
        state = model.state_of(m)
        for key, tensor in layer.state_dict().items():
            assert_close(key, state[key], tensor, 1e-12)
        for key, tensor in layer.named_parameters():
            grad = place(state[key], optimizer.grad)
            assert_close(f"d{key}", grad, tensor.grad, 1e-12, tensor.grad.abs().max().item() + 1.0)


def place(parameter: torch.Tensor, flat: torch.Tensor) -> torch.Tensor:
    """What a flat buffer of the optimiser holds for a parameter."""
    return flat.as_strided(parameter.shape, parameter.stride(), parameter.storage_offset())


def size_of_dx(layer: Layer, dy: torch.Tensor) -> float:
    """How large the parts of a BatchNorm's dx are, which can cancel to nearly nothing."""
    if not hasattr(layer, "num_features"):
        return 0.0
    _, var, _ = layer.saved[3]
    slope = (var + layer.eps).rsqrt()
    slope = slope if layer.weight is None else slope * layer.weight.abs()
    return slope.max().item() * dy.abs().max().item()


class Residual(Layer):
    """y = x + body(x), with a parameter of its own and a penalty on x: nobody registered it."""

    parameter_names = ("strength",)

    def __init__(self, body: Layer) -> None:
        super().__init__()
        self.body = body
        self.strength = parameter(torch.tensor([0.5]))

    def forward(self, x):
        self.penalty = self.strength[0] * x.square().mean()
        return self.remember(x + self.body.forward(x), x)

    def backward(self, dy):
        (x,) = self.recall(dy)
        accumulate(self.strength, x.square().mean()[None])
        return dy + self.body.backward(dy) + self.strength * x * (2 / x.numel())


class AbsoluteLoss(Loss):
    """L = mean(|p − t|)."""

    def forward(self, prediction, target):
        difference = prediction - target
        return self.remember(difference.abs().mean(), difference)

    def backward(self):
        (difference,) = self.recall()
        return difference.sign() / difference.numel()


def with_a_skip(g: torch.Generator) -> Sequential:
    body = Sequential(Linear(5, 3, generator=g), Tanh(), Linear(3, 5, generator=g))
    model = Sequential(Linear(4, 5, generator=g), Residual(body), Linear(5, 4, generator=g))
    model.loss = AbsoluteLoss()
    return model


def tied(g: torch.Generator) -> Sequential:
    """Two layers with one weight."""
    model = Sequential(Linear(4, 4, generator=g), ReLU(), Linear(4, 4, generator=g))
    model[2].weight = model[0].weight
    return model


def normalised(g: torch.Generator) -> Sequential:
    layers = Linear(4, 3, generator=g), BatchNorm1d(3, bias=False), Linear(3, 4, generator=g)
    return Sequential(*layers)


@pytest.mark.parametrize("make", [with_a_skip, tied, normalised])
def test_models_of_any_layers_train_in_one_step_as_each_by_itself(make):
    """Layers that nobody registered, a penalty, another loss, a shared parameter: three steps."""
    g = torch.Generator().manual_seed(9)
    models = [make(g).to(torch.float64) for _ in range(3)]
    together = BatchedModel(models)
    optimizer = Adam(together.parameters(), lr=0.1)
    alone = [Adam(model.parameters(), lr=0.1) for model in models]
    assert len(optimizer.value) == sum(len(own.value) for own in alone)
    for _ in range(3):
        x = torch.randn(3, 6, 4, generator=g, dtype=torch.float64)
        losses = train_step(together, optimizer, x, update=lambda optimizer, _: optimizer.step())
        for m, (model, own) in enumerate(zip(models, alone, strict=True)):
            assert_close("loss", losses[m], train_step(model, own, x[m]), 1e-12)
            for key, tensor in model.state_dict().items():
                assert_close(key, together.state_of(m)[key], tensor, 1e-9)


def test_every_number_of_every_model_is_found_again():
    models = [build("conv", seed) for seed in range(3)]
    together, one = BatchedModel(models), build("conv", 9)
    for m in (2, 0, 1):
        together.copy_to(m, one)
        assert same_bits(weights(one), weights(models[m]))


def test_a_batched_model_has_its_own_copy_of_the_numbers():
    models = [Linear(3, 2), Linear(3, 2)]
    batched(models).weight.zero_()
    assert models[0].weight.abs().sum() > 0


def test_models_may_share_one_loss():
    models, loss = [Linear(2, 2), Linear(2, 2)], MSELoss()
    models[0].loss = models[1].loss = loss
    model, x = BatchedModel(models), torch.rand(2, 3, 2)
    model.loss(model(x), x)
    gradients = model.loss.backward()
    for own, part, dy in zip(models, x, gradients, strict=True):
        loss(own(part), part)
        assert_close("dy", loss.backward(), dy, 1e-6)


def test_models_that_differ_are_named_with_the_layer_that_does():
    pair = [build("fc"), build("fc", latent=8)]
    with pytest.raises(ScratchaeError, match=r"layer encoder\.10 is Linear\(12, 3\) in one"):
        BatchedModel(pair)
    with pytest.raises(ScratchaeError, match=r"Sequential\(0, 1\) in one and Sequential\(0\)"):
        batched([Sequential(ReLU(), Tanh()), Sequential(ReLU())])
    other = Residual(Tanh())
    other.strength = torch.zeros(2)
    with pytest.raises(ScratchaeError, match=r"strength \(1,\) in one and strength \(2,\)"):
        batched([Residual(Tanh()), other])


def test_a_batch_for_another_number_of_models_is_an_error():
    with pytest.raises(ScratchaeError, match=r"2 x Linear\(3, 2\)\) expects \(2, \.\.\.\)"):
        batched([Linear(3, 2), Linear(3, 2)])(torch.ones(5, 4, 3))


# ------------------------------------------------------------------------------------------ the step
@pytest.mark.parametrize("name", ["fc", "conv"])
def test_in_float64_a_trial_is_the_single_run_of_its_settings(name):
    """Losses, weights and optimiser after five steps; the rates differ and the last batch is small."""
    settings = [Settings(name, "", None, "", 1, 8, lr, 0.01, 0) for lr in (1e-3, 1e-2, 1e-4)]
    models = [build(name, own.seed).to(torch.float64) for own in settings]
    trials = [Trial(Run(*pair)) for pair in zip(copy.deepcopy(models), settings, strict=True)]
    trainer = BatchedTrainer(trials)
    optimizers = [
        Adam(model.parameters(), lr=own.lr, weight_decay=0.01)
        for model, own in zip(models, settings, strict=True)
    ]
    g = torch.Generator().manual_seed(0)
    for size in (8, 8, 8, 8, 3):
        x = torch.rand(3, size, *models[0].input_shape, generator=g, dtype=torch.float64)
        losses = trainer.step(x)
        for m, pair in enumerate(zip(models, optimizers, strict=True)):
            assert_close("loss", losses[m], train_step(*pair, x[m]), 1e-9)
    for m, (trial, model, expected) in enumerate(zip(trials, models, optimizers, strict=True)):
        trainer.model.copy_to(m, trial.run.model)
        for key, tensor in model.state_dict().items():
            assert_close(key, trial.run.model.state_dict()[key], tensor, 1e-6)
        found = trainer.optimizer_of(trial)
        assert (found.steps, found.lr, found.weight_decay) == (5, settings[m].lr, 0.01)
        for slot, tensor in expected.state.items():
            assert_close(slot, found.state[slot], tensor, 1e-6)


@pytest.mark.parametrize(
    ("model", "tolerance"), [("fc", 1e-5), ("fc,latent=8", 1e-5), ("conv", 1e-3)]
)
def test_a_trial_is_the_run_of_fit_with_its_settings(model, tolerance):
    """Two epochs with a short last batch, in float32.

    In front of a BatchNorm a bias has no gradient but rounding, and Adam makes whole steps of it: so
    conv's weights are compared in float64 only.
    """
    found = swept(model, lr=[1e-3, 3e-3], seeds=[0, 3], batch_size=64)
    assert [(t.run.settings.lr, t.run.settings.seed) for t in found.trials] == [
        *((1e-3, 0), (1e-3, 3), (3e-3, 0), (3e-3, 3))
    ]
    for trial in found.trials:
        single = fitted(trial.run.settings)
        assert trial.run.settings == single.settings
        for key, tensor in single.model.state_dict().items() if tolerance < 1e-4 else ():
            assert_close(key, trial.run.model.state_dict()[key], tensor, tolerance)
        for own, row in zip(trial.run.rows, single.rows, strict=True):
            assert own["epoch"] == row["epoch"]
            assert own["train_loss"] == pytest.approx(row["train_loss"], rel=tolerance)
            assert own["test_loss"] == pytest.approx(row["test_loss"], rel=tolerance)
        for own, output in zip(trial.run.outputs, single.outputs, strict=True):
            assert own[0] == output[0] and torch.equal(own[1], output[1])
            assert_close("reconstruction", own[2], output[2], 5 * tolerance)


@pytest.mark.parametrize("activation", [ReLU, Sigmoid, Tanh])
def test_a_model_of_ones_own_can_be_swept(activation):
    def own(generator=None, latent=2):
        """784-latent-784."""
        return Autoencoder(
            Sequential(Linear(784, latent, generator=generator), activation()),
            Sequential(Linear(latent, 784, generator=generator)),
            input_shape=(784,),
        )

    name = f"swept {activation.__name__}"
    register(name, own)
    found = swept(name, latent=[2, 5], epochs=1)
    assert [t.run.settings.model for t in found.trials] == [name, f"{name},latent=5"]
    assert len(found.trials[1].run.model.parameters()[0]) == 5


def test_seeds_may_have_images_of_their_own():
    """A part that is held out by the seed: every trial sees and is tested on that of its own."""
    data = {seed: load(test=0.95, seed=seed) for seed in (0, 1)}
    cut = torch.arange(100)
    data = {
        seed: Dataset("cut", own.train.select(cut), own.test.select(cut[:50]), source="sample")
        for seed, own in data.items()
    }
    found = swept(data=data, seeds=[1, 0], epochs=1)
    for trial in found.trials:
        single = fitted(trial.run.settings, data[trial.run.settings.seed])
        assert trial.run.settings == single.settings
        assert trial.loss("test") == pytest.approx(single.rows[-1]["test_loss"], rel=1e-5)
        assert trial.loss("train") == pytest.approx(single.rows[-1]["train_loss"], rel=1e-5)


def test_the_same_images_lie_in_the_pool_once():
    data = {seed: few_digits() for seed in range(3)}
    pool = ImagePool(data, [0, 1, 2], build("fc"), torch.device("cpu"))
    assert len(pool.images) == pool.n == 150


def test_seeds_with_unequal_numbers_of_images_are_told():
    with pytest.raises(ScratchaeError, match="equally many images, but the seeds have 100 and 150"):
        swept(data={0: few_digits(), 1: few_digits(100)}, seeds=[0, 1])
    with pytest.raises(ScratchaeError, match="no data set for seed 1"):
        swept(data={0: few_digits()}, seeds=[0, 1])


# ---------------------------------------------------------------------------------------- divergence
@pytest.mark.parametrize("model", ["fc", "conv"])
def test_a_trial_that_diverges_changes_no_bit_of_the_others(model):
    good = swept(model, lr=[1e-3, 2e-3, 3e-3])
    bad = swept(model, lr=[1e-3, 1e38, 3e-3])
    assert [trial.diverged for trial in bad.trials] == [None, 1, None]
    for m in (0, 2):
        assert same_bits(weights(good.trials[m].run.model), weights(bad.trials[m].run.model))
        one, other = good.trials[m].run.rows, bad.trials[m].run.rows
        assert [row["test_loss"] for row in one] == [row["test_loss"] for row in other]


def test_a_diverged_trial_is_shown_as_such_and_left_as_it_was_at_that_step():
    found = swept(lr=[1e37, 1e-3])
    lost = found.trials[0]
    assert lost.run.rows == [] and math.isnan(lost.loss("train"))
    row = found.table.iloc[0]
    assert row["diverged"] == 1 and pd.isna(row["test_loss"])
    assert pd.isna(found.table.iloc[1]["diverged"])
    single = build("fc", 0)
    with pytest.raises(ScratchaeError, match="the loss is"):
        fit(single, DATA, epochs=1, lr=1e37, seed=0, device="cpu", progress=False)
    assert same_bits(weights(lost.run.model), weights(single))


def test_a_later_epoch_is_named_and_the_earlier_ones_stay():
    settings = [Settings("fc", "", None, "", 3, 64, lr, 0.0, 0) for lr in (1e-3, 2e-3)]
    trainer = BatchedTrainer([Trial(Run(build("fc", 0), own)) for own in settings])
    pool = ImagePool(DATA, [0], build("fc"), torch.device("cpu"))
    trainer.train(pool, lambda: None)
    before = weights(trainer.trials[1].run.model)
    trainer.model.state_of(1)["decoder.10.bias"].fill_(math.nan)
    trainer.train(pool, lambda: None)
    trainer.train(pool, lambda: None)
    assert [m.diverged for m in trainer.trials] == [None, 2]
    assert [len(m.run.rows) for m in trainer.trials] == [3, 1]
    after = weights(trainer.trials[1].run.model)
    assert after.pop("decoder.10.bias").isnan().all() and before.pop("decoder.10.bias").numel()
    assert same_bits(before, after)


def test_a_test_loss_that_is_not_finite_counts_too():
    data = Dataset("one step", DATA.train.select(torch.arange(10)), DATA.test, source="sample")
    found = swept(data=data, lr=[1e38, 1e-3], epochs=1)  # the only step is made, and is the end
    assert [trial.diverged for trial in found.trials] == [1, None]
    assert found.best is found.trials[1]


def test_training_stops_when_all_have_diverged(tmp_path):
    found = swept(lr=[1e37, 1e38], epochs=50, out=tmp_path / "out")
    assert found.best is None and not (tmp_path / "out" / "best").exists()
    assert found.table["diverged"].tolist() == [1, 1]


# ------------------------------------------------------------------------------------------- results
def test_the_table_has_a_row_for_each_trial_and_is_the_csv(tmp_path):
    found = swept(lr=[1e-3, 1e-2], seeds=[0, 1], latent=[2, 3], epochs=1, out=tmp_path)
    table = found.table
    names = ["lr", "latent", "seed", "train_loss", "test_loss", "seconds", "diverged"]
    assert list(table.columns) == names
    rows = table[["latent", "lr", "seed"]].values.tolist()
    assert rows == [[k, lr, seed] for k in (2, 3) for lr in (1e-3, 1e-2) for seed in (0, 1)]
    assert table.groupby("latent")["seconds"].nunique().tolist() == [1, 1]
    read = pd.read_csv(tmp_path / "sweep.csv")
    assert list(read.columns) == names
    np.testing.assert_array_equal(read["test_loss"], table["test_loss"])
    assert {path.name for path in tmp_path.iterdir()} == {"sweep.csv", "best"}


def test_the_best_trial_is_a_run_folder_that_can_be_resumed(tmp_path):
    found = swept(lr=[1e-4, 1e-2], latent=[8, 2], seeds=[4], out=tmp_path)
    losses = [trial.loss("test") for trial in found.trials]
    assert found.best is found.trials[losses.index(min(losses))]
    run = open_run(tmp_path / "best")
    assert run.settings == found.best.run.settings
    assert run.history["test_loss"].iloc[-1] == min(losses)
    assert same_bits(weights(run.model), weights(found.best.run.model))
    on = {name: getattr(run.settings, name) for name in ("lr", "seed", "batch_size")}
    on |= {"weight_decay": run.settings.weight_decay, "device": "cpu", "progress": False}
    resumed = fit(run.settings.model, DATA, epochs=3, out=run.folder, resume=True, **on)
    whole = fit(run.settings.model, DATA, epochs=3, **on)
    for key, tensor in whole.model.state_dict().items():
        assert_close(key, resumed.model.state_dict()[key], tensor, 1e-5)


def test_without_a_test_part_the_train_loss_decides():
    found = swept(data=Dataset("no test", DATA.train), lr=[1e-4, 1e-3])
    assert found.table["test_loss"].isna().all()
    assert found.best is found.trials[1]


def test_no_trial_is_kept_on_disk_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    swept(epochs=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"lr": []}, "lr is empty"),
        ({"seeds": []}, "seeds is empty"),
        ({"latent": []}, "latent is empty"),
        ({"lr": [1e-3, 1e-3]}, "lr contains 0.001 twice"),
        ({"lr": [0.0]}, "lr must be a finite number above 0"),
        ({"lr": [math.inf]}, "lr must be a finite number above 0"),
        ({"seeds": [-1]}, "seed must be a whole number >= 0"),
        ({"latent": [0]}, "fc expects latent to be an integer of at least 1"),
        ({"epochs": 0}, "epochs must be a whole number >= 1"),
        ({"batch_size": 0}, "batch_size must be a whole number >= 1"),
        ({"weight_decay": -1.0}, "weight_decay must be a number >= 0"),
        ({"model": "conv", "latent": [2]}, "conv has no latent size to choose"),
        ({"model": "con"}, "did you mean 'conv'"),
    ],
)
def test_what_cannot_be_swept_is_said_in_a_sentence(settings, sentence):
    with pytest.raises(ScratchaeError, match=sentence):
        swept(**settings)


# -------------------------------------------------------------------------------- values and options
@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1e-3", [1e-3]),
        ("1e-3,3e-3", [1e-3, 3e-3]),
        ("1e-4..1e-2", [1e-4, 3.16e-4, 1e-3, 3.16e-3, 1e-2]),
        ("1e-4..1e-2:3", [1e-4, 1e-3, 1e-2]),
        ("2e-3..3e-3", [2e-3, 3e-3]),
        ("1..100:2, 7", [1.0, 100.0, 7.0]),
    ],
)
def test_learning_rates_as_they_are_typed(text, values):
    assert numbers(text, "--lr") == values


@given(low=st.floats(1e-6, 1.0), factor=st.floats(1.1, 1e4), count=st.integers(2, 20))
def test_a_range_goes_up_in_equal_factors_from_end_to_end(low, factor, count):
    values = numbers(f"{low!r}..{low * factor!r}:{count}", "--lr")
    assert len(values) == count and (values[0], values[-1]) == (low, low * factor)
    steps = np.diff(np.log(values))
    assert np.allclose(steps, math.log(factor) / (count - 1), atol=0.011)  # three digits


@pytest.mark.parametrize(
    ("text", "values"), [("3", [3]), ("2,3,8", [2, 3, 8]), ("2..5", [2, 3, 4, 5]), ("7..7", [7])]
)
def test_whole_numbers_as_they_are_typed(text, values):
    assert whole_numbers(text, "--latent") == values


def test_one_number_of_seeds_is_how_many():
    assert seed_numbers("5", "--seeds") == [0, 1, 2, 3, 4]
    assert seed_numbers("5..5", "--seeds") == [5]
    assert seed_numbers("3,7", "--seeds") == [3, 7]


def test_a_model_with_options_is_built_again_by_its_name():
    model = build("fc", 4, latent=8)
    assert model.name == "fc,latent=8"
    assert same_bits(weights(build(model.name, 4)), weights(model))
    assert build("fc,latent=3").name == build("fc", latent=3).name == "fc"
    assert build("fc,latent=8", latent=2).name == "fc,latent=2"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("fc,latent=x", "an integer >= 0, such as fc,latent=8, but got 'x'"),
        ("fc,latent", "fc expects latent to be an integer"),
        ("fc,latent=2,latent=3", "latent is given more than once for fc"),
        ("fc,size=8", "fc has no option 'size': its options are latent"),
        ("conv,latent=8", "conv has no option 'latent': omit it"),
        ("fc,latent=0", "fc expects latent to be an integer of at least 1, but got 0"),
        ("con,latent=8", "there is no model called 'con': did you mean 'conv'"),
    ],
)
def test_a_name_with_options_that_cannot_be_is_said_in_a_sentence(name, sentence):
    with pytest.raises(ScratchaeError, match=sentence):
        build(name)


# ------------------------------------------------------------------------------------------- picture
def found_table(**columns):
    rows = [(lr, k, s) for k in (2, 3) for lr in (1e-4, 1e-3, 1e-2) for s in (0, 1, 2)]
    table = pd.DataFrame(rows, columns=["lr", "latent", "seed"])
    table["train_loss"] = table["test_loss"] = np.linspace(0.2, 0.1, len(table))
    return table.assign(**columns)


def test_the_picture_has_a_dot_a_seed_and_a_line_of_medians_a_size():
    table = found_table()
    figure = plots.sweep_picture(table)
    (ax,) = figure.axes
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert [len(dots.get_offsets()) for dots in ax.collections] == [9, 9]
    for size, line, dots in zip((2, 3), ax.lines, ax.collections, strict=False):
        own = table[table["latent"] == size]
        medians = own.groupby("lr")["test_loss"].median()
        np.testing.assert_array_equal(line.get_ydata(), medians)
        np.testing.assert_allclose(line.get_xdata(), medians.index, rtol=0.05)
        np.testing.assert_array_equal(np.asarray(dots.get_offsets())[:, 1], own["test_loss"])
    text = words(figure)
    assert "Lowest test loss 0.1: learning rate 0.01, latent size 3, seed 2" in text
    assert "latent size" in text and "0.0001" in text and "diverged" not in text


def test_diverged_models_are_crosses_and_no_dots():
    table = found_table()
    table.loc[[0, 12], "test_loss"] = math.nan
    figure = plots.sweep_picture(table)
    (ax,) = figure.axes
    assert [len(dots.get_offsets()) for dots in ax.collections] == [8, 8]
    crosses = [line for line in ax.lines if line.get_marker() == "x"]
    assert [len(line.get_xdata()) for line in crosses] == [1, 1]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["2", "3", "diverged", "lowest"]


def test_a_model_without_sizes_and_one_without_test_losses_are_drawn():
    table = found_table(latent=pd.array([pd.NA] * 18, dtype="Int64"), test_loss=math.nan)
    text = words(plots.sweep_picture(table))
    assert "Lowest train loss 0.1" in text and "latent" not in text
    assert "All models diverged" in words(plots.sweep_picture(table.assign(train_loss=math.nan)))
    assert plots.sweep_picture(found_table().head(1))


def test_the_axis_says_what_the_loss_measures():
    label = loss_label(build("vae"))
    (ax,) = plots.sweep_picture(found_table(), label).axes
    assert ax.get_ylabel() == "test loss, −ELBO (nats per image)"
    assert plots.sweep_picture(found_table()).axes[0].get_ylabel() == "test loss"


def test_what_is_no_table_of_a_sweep_is_said():
    for wrong in (None, pd.DataFrame(), found_table().drop(columns="lr"), found_table().head(0)):
        with pytest.raises(ScratchaeError, match="sweep_picture expects the table of a sweep"):
            plots.sweep_picture(wrong)


# -------------------------------------------------------------------------------------- command line
@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    """call("--lr", ...) -> (exit code, stdout, stderr) of `scratchae sweep`, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*given):
        monkeypatch.setattr(sys, "argv", ["scratchae", "sweep", *map(str, given)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def digits(tmp_path):
    return write_npz(tmp_path / "few.npz", few_digits())


def test_the_command_leaves_a_table_a_picture_and_the_best_run(call, digits):
    given = ("--data", digits, "--lr", "1e-3,1e38", "--latent", "2,3", "--seeds", 2, "--epochs", 2)
    code, out, err = call("fc", *given)
    assert code == 0
    assert "8 x fc on few.npz (150 training images, 100 test images), into runs/sweep-fc" in out
    assert "2 diverged (epoch 1)" in out and "8 models in" in out and "medians over 2 seeds" in out
    assert "fc,latent=2, 4 models (1/2): epoch 2/2, best 0." in err
    assert Image.open("runs/sweep-fc/sweep.png").size > (300, 100)
    table = pd.read_csv("runs/sweep-fc/sweep.csv")
    assert table["diverged"].tolist()[2:4] == [1, 1] and len(table) == 8
    assert f"Run folder: {Path('runs/sweep-fc/best')}" in out
    assert open_run("runs/sweep-fc/best").epoch == 2
    assert call("fc", *given, "--out", "runs/sweep-fc")[0] == 2


def test_the_command_sweeps_a_model_without_sizes(call, digits):
    code, out, _ = call("conv", "--data", digits, "--lr", "1e-3", "--seeds", "7..7", "--epochs", 1)
    assert code == 0
    assert "Best: conv, lr 0.001, seed 7" in out


def test_the_command_says_when_all_diverged(call, digits):
    code, out, _ = call("fc", "--data", digits, "--lr", "1e38", "--seeds", 1, "--epochs", 1)
    assert code == 0
    assert "All models diverged. Try smaller learning rates" in out


def test_an_interrupt_leaves_the_sizes_that_are_done(call, digits, monkeypatch):
    step, done = BatchedTrainer.step, []

    def tired(trainer, *args):
        done.append(1)
        if len(done) == 5:
            raise KeyboardInterrupt
        return step(trainer, *args)

    monkeypatch.setattr(BatchedTrainer, "step", tired)
    given = ("--data", digits, "--lr", "1e-3", "--seeds", 1, "--epochs", 1, "--latent", "2,3")
    code, out, err = call("fc", *given)
    assert code == 130 and "Traceback" not in out + err
    assert "The finished sizes are in runs/sweep-fc/sweep.csv" in " ".join(out.split())
    assert pd.read_csv("runs/sweep-fc/sweep.csv")["latent"].tolist() == [2]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("con",), "did you mean 'conv'?"),
        (("conv", "--latent", "2,3"), "conv has no latent size to choose"),
        (("fc", "--lr", "1e-2..1e-4"), "does not go up"),
        (("fc", "--lr", "1e-4..1e-2:1"), "2 or more"),
        (("fc", "--lr", "1e-4..1e-2:x"), "2 or more"),
        (("fc", "--lr", "fast"), "--lr expects numbers above 0"),
        (("fc", "--lr", ""), "--lr expects numbers above 0"),
        (("fc", "--lr", "1e-3,,1e-2"), "--lr expects numbers above 0"),
        (("fc", "--lr", "-1"), "--lr expects numbers above 0"),
        (("fc", "--latent", ""), "--latent expects integers"),
        (("fc", "--latent", "2.5"), "--latent expects integers"),
        (("fc", "--latent", "8..2"), "does not go up"),
        (("fc", "--latent", "0"), "fc expects latent to be an integer of at least 1"),
        (("fc", "--latent", "2,2"), "latent contains 2 twice"),
        (("fc", "--seeds", "0"), "give 1 or more"),
        (("fc", "--seeds", "all"), "--seeds expects integers"),
        (("fc", "--data", "mnst"), "did you mean mnist?"),
        (("fc", "--epochs", "0"), "epochs must be a whole number >= 1"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence_and_exit_code_2(call, given, sentence):
    code, _, err = call(*given)
    assert code == 2 and "Traceback" not in err
    assert sentence in " ".join(err.split()) and err.count("error: ") == 1
    assert not Path("runs").exists()


def test_the_help_text_has_an_example(call):
    code, out, _ = call("--help")
    assert code == 0 and "Example: scratchae sweep fc" in out
