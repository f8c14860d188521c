"""Early stopping, averaged weights and schedules in `fit`: what is kept, what is stored, what resumes."""

import copy
import json
import math
from dataclasses import replace
from functools import partial

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from scratchae.data import load
from scratchae.engines import Engine
from scratchae.errors import ScratchaeError
from scratchae.models import build
from scratchae.optim import SGD, Adam, CosineAnnealingLR, ReduceLROnPlateau, StepLR
from scratchae.training import evaluate, fit, loop, open_run
from scratchae.training.early_stopping import best_epoch, has_ended
from scratchae.training.preparation import pixels_for
from tests.helpers.runs import few_digits, same_bits, weights

DIGITS = few_digits(train=80, test=50)  # three batches of 32
DATA = replace(DIGITS, validation=DIGITS.test.select(torch.arange(40)))
LOSSES = st.lists(
    st.sampled_from([0.5, 0.75, 1.0, -1.0, math.nan, math.inf]), min_size=1, max_size=12
)


def quick(model="fc", data=DATA, **settings):
    return fit(
        model,
        data,
        **{"epochs": 4, "batch_size": 32, "device": "cpu", "progress": False, **settings},
    )


def validation_loss(model) -> float:
    return evaluate(model, pixels_for(model, DATA.validation, torch.device("cpu")))


@given(losses=LOSSES, patience=st.integers(1, 4))
def test_training_ends_after_so_many_epochs_without_a_lower_loss(losses, patience):
    best, bad, ended = math.inf, 0, False
    for loss in losses:
        bad = 0 if loss < best else bad + 1
        best = min(best, loss) if loss < best else best
        ended = ended or bad >= patience
    if losses[0] < math.inf:  # else the first loss counts as the best so far
        assert any(has_ended(losses[: n + 1], patience) for n in range(len(losses))) == ended
    assert not has_ended(losses, None) and not has_ended([], patience)
    at = best_epoch(losses)
    assert not any(loss < losses[at] for loss in losses)
    assert not any(loss <= losses[at] for loss in losses[:at])


@pytest.fixture
def rising(monkeypatch):
    """Let the validation losses be these, and not what the model gives."""
    real = loop.mean_losses

    def use(losses):
        def invented(model, workers, part):
            if part is not None and len(part[0]) == 40:
                return losses.pop(0), math.nan
            return real(model, workers, part)

        monkeypatch.setattr(loop, "mean_losses", invented)

    return use


@pytest.mark.parametrize("name", ["conv"])
def test_the_weights_of_the_best_epoch_are_kept_and_the_last_ones_resume(name, rising, tmp_path):
    expected = weights(quick(name, epochs=2).model)
    losses = [0.9, 0.5, 0.6, 0.5, 0.7]
    rising(list(losses))
    straight = quick(name, epochs=9, patience=3, out=tmp_path / "straight")
    assert straight.epoch == 5 and straight.column("validation_loss") == losses
    assert same_bits(weights(straight.model), expected)
    assert same_bits(load_file(tmp_path / "straight" / "weights.safetensors"), expected)
    opened = open_run(tmp_path / "straight")
    assert same_bits(weights(opened.model), expected) and opened.rows == straight.rows
    rising(list(losses))
    for epochs in (1, 4, 9, 9):
        again = quick(name, epochs=epochs, patience=3, out=tmp_path / "run", resume=True)
    assert again.epoch == 5 and same_bits(weights(again.model), expected)
    last = load_file(tmp_path / "run" / "checkpoint.safetensors")
    assert same_bits(last, load_file(tmp_path / "straight" / "checkpoint.safetensors"))
    assert any(not torch.equal(last[f"model.{key}"], tensor) for key, tensor in expected.items())


def test_without_patience_validation_images_are_only_measured():
    run = quick()
    assert same_bits(weights(run.model), weights(quick(data=DIGITS).model))
    assert run.result is None
    assert run.rows[-1]["validation_loss"] == validation_loss(run.model)
    columns = ["epoch", "train_loss", "test_loss", "seconds", "validation_loss"]
    assert list(run.history.columns) == columns


def test_validation_images_hold_out_training_images_and_the_run_can_load_them_again(tmp_path):
    data = load("sample", validation=0.99, seed=2)  # the seed of `fit`
    run = fit("fc", data, epochs=1, patience=1, device="cpu", progress=False, out=tmp_path / "run")
    settings = open_run(run.folder).settings
    assert (settings.validation, settings.patience) == (0.99, 1)
    again = settings.load()
    assert torch.equal(again.train.pixels, data.train.pixels)
    assert torch.equal(again.validation.pixels, data.validation.pixels)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "2"])
def test_patience_is_a_number_of_epochs(wrong):
    with pytest.raises(ScratchaeError, match="patience must be a whole number >= 1"):
        quick(patience=wrong)


def test_patience_without_validation_images_is_refused():
    with pytest.raises(ScratchaeError, match=r"--validation 0\.1"):
        quick(data=DIGITS, patience=2)


@pytest.mark.parametrize("engine", ["buffered"])
def test_averaged_weights_are_evaluated_kept_and_opened(engine, tmp_path):
    run = quick("conv", ema=0.9, engine=engine, out=tmp_path / "run")
    plain = quick("conv", engine=engine)
    assert not same_bits(weights(run.model), weights(plain.model))
    last = load_file(tmp_path / "run" / "checkpoint.safetensors")
    for key, tensor in weights(plain.model).items():  # training did not notice
        assert torch.equal(last[f"model.{key}"], tensor)
        if "running" in key:  # BatchNorm's statistics are those of training
            assert torch.equal(run.model.state_dict()[key], tensor)
    average = torch.cat([p.reshape(-1) for p in run.model.parameters()])
    assert torch.equal(average, last["optimizer.average"])
    assert run.rows[-1]["train_loss"] == plain.rows[-1]["train_loss"]
    assert run.rows[-1]["validation_loss"] == validation_loss(run.model)
    opened = open_run(tmp_path / "run")
    assert same_bits(weights(opened.model), weights(run.model))
    assert torch.equal(opened.outputs[-1][2], run.outputs[-1][2])
    assert not torch.equal(run.outputs[-1][2], plain.outputs[-1][2])


EVERYTHING = {
    "schedule": "cosine,T_max=4,warmup=1.5",
    "clip_norm": 0.5,
    "clip_value": 0.05,
    "ema": 0.9,
    "patience": 2,
}


@pytest.mark.parametrize(
    ("name", "engine"), [("fc", "eager"), ("conv", "buffered"), ("fc", "frugal")]
)
def test_resumed_in_the_middle_with_everything_on_it_ends_with_the_same_bits(
    name, engine, tmp_path, monkeypatch
):
    straight = quick(name, engine=engine, **EVERYTHING, out=tmp_path / "straight")
    calls = 0
    step = Engine.step

    def interrupted(*args):
        nonlocal calls
        calls += 1
        if calls == 5:  # in the middle of the warm-up, in the second epoch of three batches
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setattr(Engine, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        quick(name, engine=engine, **EVERYTHING, out=tmp_path / "run")
    for epochs in (3, 4):
        resumed = quick(
            name, engine=engine, **EVERYTHING, epochs=epochs, out=tmp_path / "run", resume=True
        )
    assert same_bits(weights(straight.model), weights(resumed.model))
    timeless = [name for name in straight.history if name != "seconds"]
    pd.testing.assert_frame_equal(straight.history[timeless], resumed.history[timeless])
    files = [load_file(tmp_path / f / "checkpoint.safetensors") for f in ("straight", "run")]
    assert same_bits(*files)


@pytest.mark.parametrize("engine", ["buffered", "frugal", "device"])
def test_every_engine_gives_the_losses_of_eager(engine, monkeypatch):
    from scratchae.engines import ENGINES
    from scratchae.engines.device import DeviceEngine

    monkeypatch.setitem(ENGINES, "device", DeviceEngine)
    eager, other = quick(**EVERYTHING), quick(engine=engine, **EVERYTHING)
    for a, b in zip(eager.rows, other.rows, strict=True):
        for name in ("train_loss", "test_loss", "validation_loss", "lr"):
            assert a[name] == pytest.approx(b[name], rel=1e-4)


def test_the_history_shows_the_learning_rate_of_each_epochs_last_step():
    schedule = CosineAnnealingLR(12)
    run = quick(schedule=schedule, lr=0.01)
    expected = [schedule.rate(3 * epoch - 1, 0.01) for epoch in (1, 2, 3, 4)]
    assert run.column("lr") == pytest.approx(expected)
    assert run.settings.schedule == repr(schedule)
    assert "lr" not in quick(schedule="none", epochs=1).history


@pytest.mark.parametrize("data", [DATA, DIGITS])
def test_on_plateau_reads_the_validation_loss_or_the_training_loss_and_resumes(data, tmp_path):
    """A threshold of 100 makes every epoch but the first a bad one."""
    settings = {"schedule": "plateau,factor=0.5,patience=1,threshold=100,threshold_mode=abs"}
    straight = quick(data=data, **settings, epochs=6)
    assert straight.column("lr") == [1e-3, 1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4]
    for epochs in (2, 3, 6):
        again = quick(data=data, **settings, epochs=epochs, out=tmp_path / "run", resume=True)
    assert same_bits(weights(straight.model), weights(again.model))


def test_which_loss_on_plateau_reads(rising):
    rising([1.0, 1.0, 1.0])
    run = quick(schedule="plateau,factor=0.5,patience=0", epochs=3)
    assert run.column("lr") == [1e-3, 1e-3, 5e-4]


def test_a_schedule_object_stays_as_it_was():
    plateau = ReduceLROnPlateau(0.5, patience=0, threshold=100.0, threshold_mode="abs")
    for optimizer in (None, lambda p: SGD(p, lr=1e-3).configure(plateau)):
        given_schedule = plateau if optimizer is None else None
        run = quick(schedule=given_schedule, optimizer=optimizer, epochs=3)
        assert run.column("lr") == [1e-3, 1e-3, 5e-4]
        assert plateau == ReduceLROnPlateau(0.5, 0, 100.0, "abs")


def test_options_of_the_optimizer_stay_where_fit_does_not_say_otherwise():
    def mine(parameters):
        return Adam(parameters).configure(StepLR(2), clip_norm=0.5, clip_value=0.25)

    settings = quick(optimizer=mine, clip_norm=0.125, epochs=1).settings
    assert (settings.clip_norm, settings.clip_value, settings.ema) == (0.125, 0.25, None)
    assert settings.schedule == "StepLR(step_size=2, gamma=0.1)"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("schedule", "cosine,T_max=3"),
        ("schedule", "none"),
        ("clip_norm", 0.25),
        ("clip_norm", None),
        ("clip_value", None),
        ("ema", None),
        ("patience", 3),
        ("patience", None),
    ],
)
def test_a_run_is_not_resumed_with_another_option(option, value, tmp_path):
    quick(**EVERYTHING, epochs=1, out=tmp_path / "run")
    before = (tmp_path / "run" / "config.json").read_text()
    with pytest.raises(ScratchaeError, match=f"was started with {option} = "):
        quick(**{**EVERYTHING, option: value}, out=tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "config.json").read_text() == before


def test_an_option_cannot_be_added_to_a_run_either_and_old_runs_go_on(tmp_path):
    run = quick(epochs=1, out=tmp_path / "run")
    with pytest.raises(ScratchaeError, match=r"clip_norm = None, not 0\.5"):
        quick(clip_norm=0.5, out=tmp_path / "run", resume=True)
    path = run.folder / "config.json"
    config = json.loads(path.read_text())
    for name in ("schedule", "clip_norm", "clip_value", "ema", "patience", "validation"):
        del config[name]
    path.write_text(json.dumps({**config, "optimizer": None}))
    assert quick(out=tmp_path / "run", resume=True).epoch == 4


def test_a_wrong_name_is_answered_with_the_near_one_before_anything_is_written(tmp_path):
    with pytest.raises(ScratchaeError, match="did you mean 'cosine'"):
        quick(schedule="cosin", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_every_option_changes_the_run():
    plain = weights(quick(epochs=2).model)
    for option in (
        {"schedule": "cosine"},
        {"clip_norm": 0.01},
        {"clip_value": 1e-4},
        {"ema": 0.9},
    ):
        changed = quick(epochs=2, optimizer=partial(SGD, lr=0.5), **option).model
        without = quick(epochs=2, optimizer=partial(SGD, lr=0.5)).model
        assert not same_bits(weights(changed), weights(without)), option
    assert same_bits(plain, weights(quick(epochs=2, patience=2).model))


def test_the_models_of_two_runs_do_not_share_their_result():
    model = build("fc", 2)
    run = quick(model, ema=0.5, epochs=1)
    kept = copy.deepcopy(run.result)
    model.parameters()[0].add_(1.0)
    assert same_bits(kept, run.result)
