"""Layers that no model of record has run everywhere too: one model with all of them.

Its steps are those of torch, and every engine, several workers and a sweep make the same steps.
"""

import warnings

import pytest
import torch
from torch import Tensor

from reference.twins import twin
from scratchae.checking import trace
from scratchae.data import Batches
from scratchae.distributed import DataParallel, Workers
from scratchae.engines import Engine, make_engine
from scratchae.engines.device import DeviceEngine
from scratchae.layers import (
    GELU,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    GroupNorm,
    Linear,
    MaxPool2d,
    Sequential,
    SiLU,
    Softplus,
    Tanh,
    Unflatten,
    Upsample,
)
from scratchae.models import Autoencoder, build, register
from scratchae.noise import noise_keys
from scratchae.optim import SGD, Adam
from scratchae.step import train_step
from scratchae.sweep import sweep
from scratchae.training import fit
from tests.helpers.runs import few_digits, weights
from tests.helpers.tensors import assert_close
from tests.helpers.workers import in_threads


def varied(generator: torch.Generator | None = None) -> Autoencoder:
    g = generator
    encoder = Sequential(
        *(Conv2d(1, 4, 3, stride=2, padding=1, generator=g), GroupNorm(2, 4), SiLU()),
        *(MaxPool2d(3, 2, padding=1), Dropout(0.2), Conv2d(4, 6, 3, padding=1, generator=g)),
        *(GroupNorm(3, 6, bias=False), GELU(), AvgPool2d(2, ceil_mode=True), Flatten()),
        *(Linear(96, 8, generator=g), Softplus(2.0)),
    )
    decoder = Sequential(
        *(Linear(8, 98, generator=g), GELU("tanh"), Dropout(0.1), Unflatten(1, (2, 7, 7))),
        *(Upsample(scale_factor=2), Conv2d(2, 3, 3, padding=1, generator=g), SiLU()),
        *(GroupNorm(1, 3, affine=False), Upsample((28, 28))),
        *(Conv2d(3, 1, 3, padding=1, generator=g), Tanh()),
    )
    return Autoencoder(encoder, decoder, input_shape=(1, 28, 28))


register("varied", varied)
KEYS = noise_keys(3, 1, 50)


def images(count: int) -> Tensor:
    return few_digits(count).train.normalised().view(count, 1, 28, 28).double()


def ours() -> Autoencoder:
    return build("varied", seed=3).to(torch.float64)


def test_steps_are_those_of_torch():
    model = ours()
    module = twin(model)
    optimizer, theirs = Adam(model.parameters()), torch.optim.Adam(module.parameters())
    x = images(20)
    for _ in range(3):
        loss = train_step(model, optimizer, x, keys=KEYS[:20])
        theirs.zero_grad()
        expected = torch.nn.functional.mse_loss(module(x), x)
        expected.backward()
        theirs.step()
        assert_close("loss", loss, expected, 1e-10)
    for p, q in zip(model.parameters(), module.parameters(), strict=True):
        assert_close("parameter", p, q, 1e-8)


COMPILE = pytest.param("compile", marks=pytest.mark.slow)  # "device" is the step that is compiled


@pytest.mark.parametrize("name", [COMPILE, "device", "buffered", "frugal"])
def test_every_engine_makes_the_steps_of_eager(name):
    x, found = images(50), []
    for kind in ("eager", name):
        model = ours()
        optimizer = Adam(model.parameters(), eps=1e-3)
        engine = (
            DeviceEngine(model, optimizer)
            if kind == "device"
            else make_engine(kind, model, optimizer)
        )
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            batches = Batches(50, 25 if name == "compile" else 20, 0, x.device).epoch(0)
            found.append((engine.epoch(x, batches, keys=KEYS).item(), weights(model)))
        unsupported = [str(one.message) for one in said if "does not support" in str(one.message)]
        assert len(unsupported) == (
            kind in ("buffered", "frugal")
        )  # they fall back, and say so once
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-9)
    for key, expected in found[0][1].items():
        assert_close(key, found[1][1][key], expected, 1e-7)


def step_of_share(workers: Workers, x: Tensor, counts: list[int]) -> list[Tensor]:
    model = ours()
    engine = DataParallel(make_engine("eager", model, SGD(model.parameters(), lr=0.1)), workers)
    start = sum(counts[: workers.rank])
    share = slice(start, start + counts[workers.rank])
    loss = engine.step(x[share], keys=KEYS[share])
    return [loss.clone(), engine.optimizer.value.clone()]


@pytest.mark.parametrize("counts", [[6, 6], [12, 0], [5, 4, 3]])
def test_several_workers_make_the_step_of_one(counts):
    x, model = images(12), ours()
    engine = Engine(model, SGD(model.parameters(), lr=0.1))
    expected = [engine.step(x, keys=KEYS[:12]), engine.optimizer.value]
    for found in in_threads(len(counts), step_of_share, x, counts):
        assert_close("loss", found[0], expected[0], 1e-12)
        assert_close("parameters", found[1], expected[1], 1e-12)


def test_a_sweep_trains_it_as_fit_does():
    data, common = few_digits(), {"epochs": 2, "device": "cpu", "progress": False}
    found = sweep("varied", data, lr=[1e-3, 1e-2], seeds=[0, 1], **common)
    for trial in found.trials:
        settings = trial.run.settings
        alone = fit("varied", data, lr=settings.lr, seed=settings.seed, **common)
        for which in ("train_loss", "test_loss"):
            expected = [row[which] for row in alone.rows]
            assert [row[which] for row in trial.run.rows] == pytest.approx(expected, rel=1e-4)


def test_a_trace_sees_it_agree_with_torch():
    model, x = ours(), images(16)
    model.set_keys(KEYS[:16])
    assert trace(model, x, twin(model)).parted is None
