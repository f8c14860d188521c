"""A sweep with schedules and clipping: each model as if it were alone."""

import math

import pytest
import torch

from scratchae.errors import ScratchaeError
from scratchae.sweep import sweep
from scratchae.training import fit, open_run
from tests.helpers.runs import few_digits, same_bits, weights

DATA = few_digits(train=80, test=40)
SAME = {"epochs": 2, "batch_size": 32, "device": "cpu", "progress": False}


@pytest.mark.parametrize("name", ["fc", "conv"])
@pytest.mark.parametrize(
    "options",
    [
        {"schedule": "cosine,warmup=1"},
        {"clip_norm": 0.01},  # another norm for each model
        {"clip_value": 1e-4},
        {"schedule": "onecycle", "clip_norm": 0.02, "clip_value": 1e-3},
    ],
)
def test_every_model_is_trained_as_it_would_be_alone(name, options):
    found = sweep(name, DATA, lr=[1e-3, 1e-2], seeds=[0, 1], **SAME, **options)
    plain = sweep(name, DATA, lr=[1e-3], seeds=[0], **SAME)
    for trial in found.trials:
        own = trial.run.settings
        alone = fit(name, DATA, lr=own.lr, seed=own.seed, **SAME, **options)
        assert alone.settings == own
        for a, b in zip(trial.run.rows, alone.rows, strict=True):
            assert a.keys() == b.keys()
            for column in a.keys() - {"seconds"}:
                # Adam makes steps of the rounding of conv's biases before BatchNorm
                exact = name == "fc" or column == "train_loss"
                assert a[column] == pytest.approx(b[column], rel=1e-4 if exact else 1e-2)
        if name == "fc":
            for key, tensor in weights(alone.model).items():
                own = weights(trial.run.model)[key]
                torch.testing.assert_close(own, tensor, rtol=1e-3, atol=2e-4)
    assert not same_bits(weights(found.trials[0].run.model), weights(plain.trials[0].run.model))


def test_the_best_model_of_a_sweep_with_a_schedule_trains_on(tmp_path):
    options = {"schedule": "cosine,T_max=3", "clip_norm": 0.01}
    sweep("fc", DATA, lr=[1e-2], seeds=[1], **SAME, **options, out=tmp_path)
    more = {**SAME, **options, "epochs": 3, "lr": 1e-2, "weight_decay": 1e-5, "seed": 1}
    resumed = fit("fc", DATA, **more, out=tmp_path / "best", resume=True)
    assert resumed.epoch == 3 and not math.isnan(open_run(tmp_path / "best").rows[-1]["lr"])
    straight = fit("fc", DATA, **more)
    assert resumed.rows[-1]["test_loss"] == pytest.approx(straight.rows[-1]["test_loss"], rel=1e-3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"schedule": "plateau"}, "one learning rate for all parameters"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"clip_norm": 0}, "clip_norm must be a number above 0"),
        ({"clip_value": -1.0}, "clip_value must be a number above 0"),
    ],
)
def test_what_a_sweep_cannot_do_is_refused_before_training(options, said, tmp_path):
    with pytest.raises(ScratchaeError, match=said):
        sweep("fc", DATA, lr=[1e-2], seeds=[1], **SAME, **options, out=tmp_path)
    assert not list(tmp_path.iterdir())
