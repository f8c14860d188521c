"""A model is trained with any loss, and its steps are the same in every engine, sweep and worker."""

import copy
import warnings

import pytest
import torch

from scratchae.distributed.engine import DataParallel
from scratchae.engines import BufferedEngine, CompiledEngine, Engine, FrugalEngine, make_engine
from scratchae.engines.device import DeviceEngine
from scratchae.errors import ScratchaeError
from scratchae.layers import Linear, ReLU, Sequential
from scratchae.losses import (
    BCEWithLogitsLoss,
    ContinuousBernoulliLoss,
    CrossEntropyLoss,
    GaussianNLLLoss,
    MSELoss,
)
from scratchae.models import Autoencoder
from scratchae.optim import SGD, Adam
from scratchae.step import add_gradients
from scratchae.sweep.batched_model import BatchedModel
from tests.helpers.tensors import assert_close
from tests.helpers.workers import in_threads

LOSSES = [
    MSELoss("batchmean"),
    BCEWithLogitsLoss(reduction="batchmean"),
    BCEWithLogitsLoss(weight=torch.linspace(0.5, 1.5, 9), pos_weight=torch.linspace(2, 0.5, 9)),
    GaussianNLLLoss(),
    ContinuousBernoulliLoss(),
    CrossEntropyLoss(label_smoothing=0.1),
    CrossEntropyLoss(weight=torch.linspace(0.5, 1.5, 9), ignore_index=2, reduction="batchmean"),
]
NAMES = [
    *("MSE", "BCE", "weighted BCE", "Gaussian", "continuous Bernoulli"),
    *("cross-entropy", "weighted cross-entropy"),
]
ENGINES = {
    "buffered": BufferedEngine,
    "frugal": FrugalEngine,
    "device": DeviceEngine,
    "compile": CompiledEngine,
}


def target_for(loss, x: torch.Tensor) -> torch.Tensor | None:
    """Classes for the cross-entropy; None, the input itself, for the others."""
    classes = torch.arange(x[..., 0].numel()).view(x.shape[:-1]) * 4 % 9
    return classes if isinstance(loss, CrossEntropyLoss) else None


def model_with(loss, seed=0) -> Autoencoder:
    torch.manual_seed(seed)
    encoder, decoder = Sequential(Linear(9, 4), ReLU()), Sequential(Linear(4, 9))
    return Autoencoder(encoder, decoder, (9,), loss=copy.deepcopy(loss), pixel_range=(0.0, 1.0))


def after_steps(engine, x: torch.Tensor) -> dict[str, torch.Tensor]:
    target = target_for(engine.model.loss, x)
    losses = torch.stack([engine.step(x, target).clone() for _ in range(5)])
    return {"losses": losses, **engine.model.state_dict()}


@pytest.mark.parametrize("loss", LOSSES, ids=NAMES)
@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_makes_the_steps_of_eager(name, loss, monkeypatch):
    """Without compiling: the list of operations that the compiler gets runs as it is."""
    monkeypatch.setattr(torch, "compile", lambda operations, **_: operations)
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


@pytest.mark.parametrize("counts", [[6], [3, 3], [6, 0], [1, 2, 3]])
@pytest.mark.parametrize("loss", LOSSES, ids=NAMES)
def test_several_workers_make_the_steps_of_one(loss, counts):
    x, start_model = torch.rand(6, 9), model_with(loss)
    target = target_for(loss, x)

    def steps(workers):
        model, share = copy.deepcopy(start_model), slice(None)
        engine = make_engine("eager", model, SGD(model.parameters(), lr=0.05))
        if workers is not None:
            start = sum(counts[: workers.rank])
            share = slice(start, start + counts[workers.rank])
            engine = DataParallel(engine, workers)
        own = None if target is None else target[share]
        losses = torch.stack([engine.step(x[share], own).clone() for _ in range(3)])
        return {"losses": losses, **model.state_dict()}

    expected = steps(None)
    for found in in_threads(len(counts), steps):
        for key, value in expected.items():
            assert_close(key, found[key], value, 1e-5, scale=1e-2)


@pytest.mark.parametrize(
    "loss",
    [
        MSELoss("sum"),
        CrossEntropyLoss(reduction="sum"),
        CrossEntropyLoss(weight=torch.ones(9)),  # "mean" divides by the weights of the batch
        CrossEntropyLoss(ignore_index=2),
    ],
    ids=repr,
)
def test_several_workers_refuse_a_loss_that_is_no_mean_over_images(loss):
    model = model_with(loss)
    engine = make_engine("eager", model, Adam(model.parameters()))
    with pytest.raises(ScratchaeError, match="a loss that is a mean over images, not") as caught:
        in_threads(1, lambda workers: DataParallel(engine, workers))
    assert "\n" not in str(caught.value) and "reduction='batchmean'" in str(caught.value)


@pytest.mark.parametrize("loss", LOSSES, ids=NAMES)
def test_many_models_have_the_losses_of_each_and_its_learned_variance(loss):
    models, x = [model_with(loss, seed) for seed in range(3)], torch.rand(3, 6, 9)
    together = BatchedModel(models)
    target = target_for(loss, x)
    losses = add_gradients(together, x, target)
    for m, model in enumerate(models):
        own = None if target is None else target[m]
        assert_close("loss", losses[m], add_gradients(model, x[m], own), 1e-5)
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
