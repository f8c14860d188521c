"""A sweep: many models in one step, each as if it were alone; its numbers, its files, its sentences."""

import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from scratchae import plots
from scratchae.checking.layer_cases import LAYER_CASES, layer_strategy
from scratchae.cli import main
from scratchae.data import Dataset, load
from scratchae.errors import ScratchaeError
from scratchae.layers import Layer, Linear, ReLU, Sequential, Sigmoid, Tanh
from scratchae.losses import mse_backward, mse_forward
from scratchae.models import Autoencoder, build, register
from scratchae.optim import Adam
from scratchae.sweep import (
    Family,
    Member,
    Pool,
    StackedAdam,
    numbers,
    seed_numbers,
    stack,
    stacked_mse_backward,
    stacked_mse_forward,
    sweep,
    unstack,
    whole_numbers,
)
from scratchae.training import Run, Settings, fit, open_run
from tests.helpers.figures import words
from tests.helpers.runs import few_digits, same_bits, weights, write_npz
from tests.helpers.tensors import DEVICES, assert_close, unchanged

DATA = few_digits()


def swept(model="fc", data=DATA, **settings):
    given = {"lr": [1e-3], "seeds": [0], "epochs": 2, "device": "cpu", "progress": False}
    return sweep(model, data, **{**given, **settings})


def fitted(settings, data=DATA, **more):
    """The single run of a member's settings."""
    own = {name: getattr(settings, name) for name in ("epochs", "batch_size", "lr", "seed")}
    own |= {"weight_decay": settings.weight_decay, "device": "cpu", "progress": False}
    return fit(settings.model, data, **own, **more)


# ------------------------------------------------------------------------------------ stacked layers
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", LAYER_CASES)
@given(data=st.data())
def test_a_stacked_layer_does_what_its_layers_do(name, device, data):
    """Output, dx, every gradient, added up over two passes, and every buffer."""
    case = data.draw(layer_strategy(name))
    layers = [case.random_layer(device) for _ in range(data.draw(st.integers(1, 4)))]
    stacked = stack(layers)
    for shape, training in zip(case.shapes, case.training, strict=True):
        stacked.train(training)
        xs = [case.x(shape, device) for _ in layers]
        ys = [layer.train(training).forward(x) for layer, x in zip(layers, xs, strict=True)]
        x = torch.stack(xs)
        with unchanged(x=x, **dict(stacked.named_parameters())):
            y = stacked.forward(x)
        dys = [case.dy(y) for y in ys]
        dy = torch.stack(dys)
        with unchanged(x=x, dy=dy, y=y):
            dx = stacked.backward(dy)
        scale = max(1.0, x.abs().max().item())
        assert_close("y", y, torch.stack(ys), 1e-12, scale)
        for m, (layer, own_dy) in enumerate(zip(layers, dys, strict=True)):
            assert_close("dx", dx[m], layer.backward(own_dy), 1e-12, scale * dx.abs().max().item())
    for key, tensor in stacked.state_dict().items():
        own = torch.stack([layer.state_dict()[key] for layer in layers])
        assert_close(key, tensor, own, 1e-12)
    for key, tensor in stacked.named_parameters():
        own = torch.stack([dict(layer.named_parameters())[key].grad for layer in layers])
        assert_close(f"d{key}", tensor.grad, own, 1e-12, own.abs().max().item() + 1.0)


@given(data=st.data(), models=st.integers(1, 4))
def test_every_models_loss_and_its_gradient_are_its_own(data, models):
    shape = (models, *data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    y, x = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    losses, dy = stacked_mse_forward(y, x), stacked_mse_backward(y, x)
    for m in range(models):
        assert_close("loss", losses[m], mse_forward(y[m], x[m]), 1e-14)
        assert_close("dy", dy[m], mse_backward(y[m], x[m]), 1e-14)


def test_stacking_and_unstacking_moves_every_number_to_its_place():
    models = [build("conv", seed) for seed in range(3)]
    family, copy = stack(models), build("conv", 9)
    assert [name for name, _ in family.leaves()] == [name for name, _ in models[0].leaves()]
    for m in (2, 0, 1):
        unstack(family, m, copy)
        assert same_bits(weights(copy), weights(models[m]))


def test_a_family_keeps_its_own_copy_of_the_numbers():
    models = [Linear(3, 2), Linear(3, 2)]
    stack(models).weight.zero_()
    assert models[0].weight.abs().sum() > 0


def test_models_that_differ_are_named_with_the_layer_that_does():
    pair = [build("fc"), build("fc", latent=8)]
    with pytest.raises(ScratchaeError, match=r"layer encoder\.10 is Linear\(12, 3\) in one"):
        stack(pair)
    with pytest.raises(ScratchaeError, match=r"Sequential\(0, 1\) in one and Sequential\(0\)"):
        stack([Sequential(ReLU(), Tanh()), Sequential(ReLU())])


def test_a_layer_without_a_stacked_form_is_named():
    class Odd(Layer):
        pass

    with pytest.raises(ScratchaeError, match=r"layer 1, Odd\(\), has no form for many models"):
        stack([Sequential(ReLU(), Odd())])


def test_a_batch_for_another_number_of_models_is_told():
    with pytest.raises(ScratchaeError, match=r"2 x Linear\(3, 2\)\) wants \(2, \.\.\.\)"):
        stack([Linear(3, 2), Linear(3, 2)])(torch.ones(5, 4, 3))


# ------------------------------------------------------------------------------------------ the step
@given(
    rates=st.lists(st.floats(1e-5, 1.0), min_size=1, max_size=5),
    decay=st.floats(0.0, 0.1),
    seed=st.integers(0, 99),
)
def test_every_model_is_moved_by_its_own_rate_and_decay(rates, decay, seed):
    """Five steps of all beside five steps of each, with random gradients, in float64."""
    generator = torch.Generator().manual_seed(seed)
    layers = [Linear(3, 2, generator=generator).to(torch.float64) for _ in rates]
    decays = [decay * m for m in range(len(rates))]
    family = stack(layers)
    together = StackedAdam(family, rates, decays)
    alone = [
        Adam(layer.parameters(), lr=rate, weight_decay=own)
        for layer, rate, own in zip(layers, rates, decays, strict=True)
    ]
    for _ in range(5):
        for optimizer, row in zip(alone, together.grad, strict=True):
            row.copy_(torch.randn(8, generator=generator, dtype=torch.float64))
            optimizer.grad.copy_(row)
            optimizer.step()
        together.step()
    for m, (layer, optimizer) in enumerate(zip(layers, alone, strict=True)):
        assert_close("weight", family.weight[m], layer.weight, 1e-12)
        assert_close("bias", family.bias[m], layer.bias, 1e-12)
        copy = together.alone(m, Linear(3, 2).to(torch.float64))
        assert copy.steps == 5 and (copy.lr, copy.weight_decay) == (rates[m], decays[m])
        for name, tensor in optimizer.state.items():
            assert_close(name, copy.state[name], tensor, 1e-12)


def test_a_large_family_is_moved_in_pieces_to_the_same_weights(monkeypatch):
    from scratchae.sweep import adam

    models = [build("fc", seed) for seed in range(3)]
    ends = []
    for numbers_at_once in (1, 2 * 223_955, 2**40):
        monkeypatch.setattr(adam, "CACHED", numbers_at_once)
        family = stack(models)
        optimizer = StackedAdam(family, [1e-3, 1e-2, 1e-1], [0.0, 0.1, 0.2])
        optimizer.grad.copy_(torch.linspace(-1, 1, 223_955).expand(3, -1))
        optimizer.step()
        ends.append(optimizer.value.clone())
    assert torch.equal(ends[0], ends[1]) and torch.equal(ends[1], ends[2])


@pytest.mark.parametrize("model", ["fc", "fc,latent=8", "conv"])
def test_a_member_is_the_single_run_of_its_settings(model):
    """Epoch losses and final weights; two epochs with a short last batch."""
    found = swept(model, lr=[1e-3, 1e-2], seeds=[0, 3], batch_size=64)
    assert [(m.run.settings.lr, m.run.settings.seed) for m in found.members] == [
        *((1e-3, 0), (1e-3, 3), (1e-2, 0), (1e-2, 3))
    ]
    for member in found.members:
        single = fitted(member.run.settings)
        assert member.run.settings == single.settings
        for key, tensor in single.model.state_dict().items():
            assert_close(key, member.run.model.state_dict()[key], tensor, 1e-5)
        for own, row in zip(member.run.rows, single.rows, strict=True):
            assert own["epoch"] == row["epoch"]
            assert own["train_loss"] == pytest.approx(row["train_loss"], rel=1e-5)
            assert own["test_loss"] == pytest.approx(row["test_loss"], rel=1e-5)
        for own, output in zip(member.run.outputs, single.outputs, strict=True):
            assert own[0] == output[0] and torch.equal(own[1], output[1])
            assert_close("reconstruction", own[2], output[2], 1e-5)


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
    assert [m.run.settings.model for m in found.members] == [name, f"{name},latent=5"]
    assert len(found.members[1].run.model.parameters()[0]) == 5


def test_seeds_may_have_images_of_their_own():
    """A part that is held out by the seed: every member sees and is tested on that of its own."""
    data = {seed: load(test=0.95, seed=seed) for seed in (0, 1)}
    cut = torch.arange(100)
    data = {
        seed: Dataset("cut", own.train.select(cut), own.test.select(cut[:50]), source="sample")
        for seed, own in data.items()
    }
    found = swept(data=data, seeds=[1, 0], epochs=1)
    for member in found.members:
        single = fitted(member.run.settings, data[member.run.settings.seed])
        assert member.run.settings == single.settings
        assert member.loss("test") == pytest.approx(single.rows[-1]["test_loss"], rel=1e-5)
        assert member.loss("train") == pytest.approx(single.rows[-1]["train_loss"], rel=1e-5)


def test_the_same_images_lie_in_the_pool_once():
    data = {seed: few_digits() for seed in range(3)}
    pool = Pool(data, [0, 1, 2], build("fc"), torch.device("cpu"))
    assert len(pool.images) == pool.n == 150


def test_seeds_with_unequal_numbers_of_images_are_told():
    with pytest.raises(ScratchaeError, match="equally many images, but the seeds have 100 and 150"):
        swept(data={0: few_digits(), 1: few_digits(100)}, seeds=[0, 1])
    with pytest.raises(ScratchaeError, match="no data set for seed 1"):
        swept(data={0: few_digits()}, seeds=[0, 1])


# ---------------------------------------------------------------------------------------- divergence
@pytest.mark.parametrize("model", ["fc", "conv"])
def test_a_member_that_diverges_changes_no_bit_of_the_others(model):
    good = swept(model, lr=[1e-3, 2e-3, 3e-3])
    bad = swept(model, lr=[1e-3, 1e38, 3e-3])
    assert [member.diverged for member in bad.members] == [None, 1, None]
    for m in (0, 2):
        assert same_bits(weights(good.members[m].run.model), weights(bad.members[m].run.model))
        one, other = good.members[m].run.rows, bad.members[m].run.rows
        assert [row["test_loss"] for row in one] == [row["test_loss"] for row in other]


def test_a_diverged_member_is_shown_as_such_and_left_as_it_was_at_that_step():
    found = swept(lr=[1e37, 1e-3])
    lost = found.members[0]
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
    family = Family([Member(Run(build("fc", 0), own)) for own in settings])
    pool = Pool(DATA, [0], build("fc"), torch.device("cpu"))
    family.train(pool, lambda: None)
    before = weights(family.members[1].run.model)
    family.stacked.state_dict()["decoder.10.bias"][1] = math.nan
    family.train(pool, lambda: None)
    family.train(pool, lambda: None)
    assert [m.diverged for m in family.members] == [None, 2]
    assert [len(m.run.rows) for m in family.members] == [3, 1]
    after = weights(family.members[1].run.model)
    assert after.pop("decoder.10.bias").isnan().all() and before.pop("decoder.10.bias").numel()
    assert same_bits(before, after)


def test_a_test_loss_that_is_not_finite_counts_too():
    data = Dataset("one step", DATA.train.select(torch.arange(10)), DATA.test, source="sample")
    found = swept(data=data, lr=[1e38, 1e-3], epochs=1)  # the only step is made, and is the end
    assert [member.diverged for member in found.members] == [1, None]
    assert found.best is found.members[1]


def test_training_stops_when_all_have_diverged(tmp_path):
    found = swept(lr=[1e37, 1e38], epochs=50, out=tmp_path / "out")
    assert found.best is None and not (tmp_path / "out" / "best").exists()
    assert found.table["diverged"].tolist() == [1, 1]


# ------------------------------------------------------------------------------------------- results
def test_the_table_has_a_row_a_member_and_is_the_csv(tmp_path):
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


def test_the_best_member_is_a_run_folder_that_can_be_resumed(tmp_path):
    found = swept(lr=[1e-4, 1e-2], latent=[8, 2], seeds=[4], out=tmp_path)
    losses = [member.loss("test") for member in found.members]
    assert found.best is found.members[losses.index(min(losses))]
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
    assert found.best is found.members[1]


def test_no_member_is_kept_on_disk_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    swept(epochs=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"lr": []}, "lr is empty"),
        ({"seeds": []}, "seeds is empty"),
        ({"latent": []}, "latent is empty"),
        ({"lr": [1e-3, 1e-3]}, "lr holds 0.001 twice"),
        ({"lr": [0.0]}, "lr has to be a finite number above 0"),
        ({"lr": [math.inf]}, "lr has to be a finite number above 0"),
        ({"seeds": [-1]}, "seed has to be a whole number >= 0"),
        ({"latent": [0]}, "fc wants latent to be a whole number >= 1"),
        ({"epochs": 0}, "epochs has to be a whole number >= 1"),
        ({"batch_size": 0}, "batch_size has to be a whole number >= 1"),
        ({"weight_decay": -1.0}, "weight_decay has to be a number >= 0"),
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
        ("fc,latent=x", "fc wants latent to be a whole number, such as fc,latent=8"),
        ("fc,latent", "fc wants latent to be a whole number"),
        ("fc,size=8", "fc has no option 'size': it has latent"),
        ("conv,latent=8", "conv has no option 'latent': it has none"),
        ("fc,latent=0", "fc wants latent to be a whole number >= 1, got 0"),
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


def test_what_is_no_table_of_a_sweep_is_said():
    for wrong in (None, pd.DataFrame(), found_table().drop(columns="lr"), found_table().head(0)):
        with pytest.raises(ScratchaeError, match="sweep_picture wants the table of a sweep"):
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
    step, done = Family.step, []

    def tired(family, x):
        done.append(1)
        if len(done) == 5:
            raise KeyboardInterrupt
        return step(family, x)

    monkeypatch.setattr(Family, "step", tired)
    given = ("--data", digits, "--lr", "1e-3", "--seeds", 1, "--epochs", 1, "--latent", "2,3")
    code, out, err = call("fc", *given)
    assert code == 130 and "Traceback" not in out + err
    assert "The sizes that were finished are in runs/sweep-fc/sweep.csv" in " ".join(out.split())
    assert pd.read_csv("runs/sweep-fc/sweep.csv")["latent"].tolist() == [2]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("con",), "did you mean 'conv'?"),
        (("conv", "--latent", "2,3"), "conv has no latent size to choose"),
        (("fc", "--lr", "1e-2..1e-4"), "does not go up"),
        (("fc", "--lr", "1e-4..1e-2:1"), "2 or more"),
        (("fc", "--lr", "1e-4..1e-2:x"), "2 or more"),
        (("fc", "--lr", "fast"), "--lr wants numbers above 0"),
        (("fc", "--lr", ""), "--lr wants numbers above 0"),
        (("fc", "--lr", "1e-3,,1e-2"), "--lr wants numbers above 0"),
        (("fc", "--lr", "-1"), "--lr wants numbers above 0"),
        (("fc", "--latent", ""), "--latent wants whole numbers"),
        (("fc", "--latent", "2.5"), "--latent wants whole numbers"),
        (("fc", "--latent", "8..2"), "does not go up"),
        (("fc", "--latent", "0"), "fc wants latent to be a whole number >= 1"),
        (("fc", "--latent", "2,2"), "latent holds 2 twice"),
        (("fc", "--seeds", "0"), "give 1 or more"),
        (("fc", "--seeds", "all"), "--seeds wants whole numbers"),
        (("fc", "--data", "mnst"), "did you mean mnist?"),
        (("fc", "--epochs", "0"), "epochs has to be a whole number >= 1"),
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
