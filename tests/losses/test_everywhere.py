"""A model is trained with any loss, and its steps are the same in every engine, sweep and worker."""

import copy
import warnings

import pytest
import torch

from scratchae.distributed.engine import DataParallel
from scratchae.distributed.workers import Workers
from scratchae.engines import BufferedEngine, Engine, FrugalEngine, make_engine
from scratchae.engines.device import DeviceEngine
from scratchae.layers import Linear, ReLU, Sequential
from scratchae.losses import (
    BCEWithLogitsLoss,
    ContinuousBernoulliLoss,
    GaussianNLLLoss,
    MSELoss,
)
from scratchae.models import Autoencoder
from scratchae.optim import Adam
from scratchae.step import add_gradients
from scratchae.sweep.batched_model import BatchedModel
from tests.helpers.tensors import assert_close

LOSSES = [
    MSELoss("batchmean"),
    BCEWithLogitsLoss(reduction="batchmean"),
    BCEWithLogitsLoss(weight=torch.linspace(0.5, 1.5, 9), pos_weight=torch.linspace(2, 0.5, 9)),
    GaussianNLLLoss(),
    ContinuousBernoulliLoss(),
]
NAMES = ["MSE", "BCE", "weighted BCE", "Gaussian", "continuous Bernoulli"]
ENGINES = {"buffered": BufferedEngine, "frugal": FrugalEngine, "device": DeviceEngine}


def model_with(loss, seed=0) -> Autoencoder:
    torch.manual_seed(seed)
    encoder, decoder = Sequential(Linear(9, 4), ReLU()), Sequential(Linear(4, 9))
    return Autoencoder(encoder, decoder, (9,), loss=copy.deepcopy(loss), pixel_range=(0.0, 1.0))


def after_steps(engine, x: torch.Tensor) -> dict[str, torch.Tensor]:
    losses = torch.stack([engine.step(x).clone() for _ in range(5)])
    return {"losses": losses, **engine.model.state_dict()}


@pytest.mark.parametrize("loss", LOSSES, ids=NAMES)
@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_makes_the_steps_of_eager(name, loss):
    x, found = torch.rand(6, 9), []
    for kind in (Engine, ENGINES[name]):
        model = model_with(loss)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the buffered engine says that it falls back
            engine = kind(model, Adam(model.parameters(), lr=0.05))
            found.append(after_steps(engine, x))
    assert found[0]["losses"][-1] < found[0]["losses"][0]
    for key, value in found[0].items():
        assert_close(key, found[1][key], value, 1e-5, scale=1e-2)


@pytest.mark.parametrize("loss", LOSSES, ids=NAMES)
def test_one_worker_makes_the_steps_of_eager(loss):
    x, found = torch.rand(6, 9), []
    for parallel in (False, True):
        model = model_with(loss)
        engine = make_engine("eager", model, Adam(model.parameters(), lr=0.05))
        found.append(after_steps(DataParallel(engine, Workers()) if parallel else engine, x))
    for key, value in found[0].items():
        assert_close(key, found[1][key], value, 1e-5, scale=1e-2)


@pytest.mark.parametrize("loss", LOSSES, ids=NAMES)
def test_many_models_have_the_losses_of_each_and_its_learned_variance(loss):
    models, x = [model_with(loss, seed) for seed in range(3)], torch.rand(3, 6, 9)
    together = BatchedModel(models)
    losses = add_gradients(together, x)
    for m, model in enumerate(models):
        assert_close("loss", losses[m], add_gradients(model, x[m]), 1e-5)
        state = together.state_of(m)
        assert set(state) == set(model.state_dict())
        if "loss.log_sigma" in state:
            grad = model.loss.log_sigma.grad
            assert_close("dlog_sigma", state["loss.log_sigma"].grad, grad, 1e-5)


def test_the_learned_variance_is_saved_with_the_model_and_trained():
    model = model_with(GaussianNLLLoss())
    assert "loss.log_sigma" in model.state_dict()
    engine = make_engine("eager", model, Adam(model.parameters(), lr=0.05))
    after_steps(engine, torch.rand(6, 9))
    assert model.loss.log_sigma.item() < -0.1
