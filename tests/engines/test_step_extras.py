"""Schedules, clipping and averaged weights in every engine, and in data parallel training."""

import copy
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchae.data import Batches
from scratchae.distributed import DataParallel
from scratchae.engines import BufferedEngine, CompiledEngine, Engine, FrugalEngine, NotFiniteError
from scratchae.engines.device import DeviceEngine
from scratchae.layers import BatchNorm1d, Linear, Sequential, Tanh
from scratchae.optim import (
    SGD,
    Adam,
    AdamW,
    CosineAnnealingLR,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)
from tests.helpers.runs import same_bits, weights
from tests.helpers.workers import in_threads

OTHERS = [BufferedEngine, FrugalEngine, DeviceEngine]
SCHEDULES = [
    StepLR(3, 0.5),
    CosineAnnealingLR(12, eta_min=1e-4),
    SequentialLR([LinearLR(0.1, total_iters=4), CosineAnnealingLR(10)], [4]),
    OneCycleLR(16),
]
EXTRAS = st.fixed_dictionaries(
    {
        "schedule": st.sampled_from([None, *SCHEDULES]),
        "clip_norm": st.sampled_from([None, 0.1]),
        "clip_value": st.sampled_from([None, 0.02]),
        "ema": st.sampled_from([None, 0.0, 0.9]),
    }
)
# eps: where a gradient vanishes, Adam would make steps of its rounding
KINDS = [partial(Adam, eps=1e-3, weight_decay=0.1), partial(AdamW, eps=1e-3), SGD]
IMAGES = torch.randn(26, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def small(dtype=torch.float64) -> Sequential:
    g = torch.Generator().manual_seed(0)
    layers = [Linear(5, 4, generator=g), BatchNorm1d(4), Tanh(), Linear(4, 5, generator=g)]
    return Sequential(*layers).to(dtype=dtype)


def engine_of(kind, optimizer, extras: dict, dtype=torch.float64) -> Engine:
    model = small(dtype)
    return kind(model, optimizer(model.parameters(), lr=0.05).configure(**extras))


def state_of(engine: Engine) -> dict[str, torch.Tensor]:
    return {**weights(engine.model), **copy.deepcopy(engine.optimizer.state)}


def train(engine: Engine, epochs=range(2)) -> dict[str, torch.Tensor]:
    for epoch in epochs:
        engine.epoch(IMAGES.to(engine.optimizer.value), Batches(26, 4).epoch(epoch))
    return state_of(engine)


@pytest.mark.parametrize("kind", OTHERS)
@settings(max_examples=12)
@given(optimizer=st.sampled_from(KINDS), extras=EXTRAS)
def test_every_engine_makes_the_steps_of_eager(kind, optimizer, extras):
    eager, other = engine_of(Engine, optimizer, extras), engine_of(kind, optimizer, extras)
    expected, got = train(eager), train(other)
    assert expected.keys() == got.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(got[name], tensor, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(other.optimizer.grad, eager.optimizer.grad, rtol=1e-9, atol=1e-9)
    assert other.optimizer.steps == eager.optimizer.steps == 14


@pytest.mark.parametrize("kind", [Engine, *OTHERS])
@pytest.mark.parametrize("extra", ["schedule", "clip_norm", "clip_value", "ema"])
def test_no_engine_ignores_an_option(kind, extra):
    value = {"schedule": StepLR(3, 0.5), "clip_norm": 0.1, "clip_value": 0.02, "ema": 0.9}[extra]
    plain, with_it = engine_of(kind, SGD, {}), engine_of(kind, SGD, {extra: value})
    train(plain), train(with_it)
    got = with_it.optimizer.state["average"] if extra == "ema" else with_it.optimizer.value
    assert (got - plain.optimizer.value).abs().max() > 1e-4


@pytest.mark.parametrize("compiling", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_compiled_step_makes_the_steps_of_eager(compiling, monkeypatch):
    """Without compiling, the list of operations that the compiler gets runs as it is."""
    if not compiling:
        monkeypatch.setattr(torch, "compile", lambda operations, **_: operations)
    extras = {"schedule": SCHEDULES[2], "clip_norm": 0.1, "clip_value": 0.5, "ema": 0.9}
    expected = train(engine_of(Engine, KINDS[0], extras))
    got = train(engine_of(CompiledEngine, KINDS[0], extras))
    for name, tensor in expected.items():
        torch.testing.assert_close(got[name], tensor, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
@pytest.mark.parametrize("kind", [Engine, *OTHERS, CompiledEngine])
def test_resumed_between_two_epochs_a_schedule_ends_with_the_same_bits(kind, schedule, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda operations, **_: operations)
    extras = {"schedule": schedule, "clip_norm": 0.1, "clip_value": 0.05, "ema": 0.9}
    make = partial(engine_of, kind, Adam, extras, torch.float32)
    straight = train(make(), range(3))
    first, second = make(), make()
    train(first, range(1))
    saved = copy.deepcopy((weights(first.model), first.optimizer.state_dict()))
    train(second, range(5, 6))  # what came before the state is loaded does not count
    second.model.load_state_dict(saved[0])
    second.optimizer.load_state_dict(saved[1])
    assert same_bits(straight, train(second, range(1, 3)))


@pytest.mark.parametrize("inner", [Engine, BufferedEngine])
def test_workers_clip_the_gradient_of_the_whole_batch(inner):
    """Each worker's own gradient is longer than the mean of all."""
    extras = {"schedule": SCHEDULES[1], "clip_norm": 0.1, "clip_value": 0.05, "ema": 0.9}

    def work(workers):
        return train(DataParallel(engine_of(inner, KINDS[0], extras), workers))

    expected = train(engine_of(Engine, KINDS[0], extras))
    for found in in_threads(3, work):
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", [Engine, *OTHERS])
def test_after_a_loss_that_is_not_finite_the_average_and_the_schedule_stand_still(kind):
    extras = {"schedule": StepLR(1, 0.5), "ema": 0.9}
    engine, other = engine_of(kind, SGD, extras), engine_of(kind, SGD, extras)
    images = IMAGES[:8].clone()
    images[5] = float("nan")
    with pytest.raises(NotFiniteError):
        engine.epoch(images, torch.arange(8).split(4))
    other.epoch(images, torch.arange(4).split(4))
    assert torch.equal(engine.optimizer.state["average"], other.optimizer.state["average"])
    assert engine.optimizer.rate(engine.optimizer.steps) == 0.025


def test_options_may_change_between_steps():
    eager, device = engine_of(Engine, Adam, {}), engine_of(DeviceEngine, Adam, {})
    for extras in ({}, {"clip_norm": 0.1}, {"clip_norm": 0.2, "ema": 0.5}, {"clip_value": 0.1}, {}):
        for engine in (eager, device):
            engine.optimizer.configure(**extras)
            engine.step(IMAGES[:6])
        for name, tensor in state_of(eager).items():
            torch.testing.assert_close(state_of(device)[name], tensor, rtol=1e-10, atol=1e-10)


def test_a_plateau_lowers_the_rate_of_the_next_epoch_in_the_device_step():
    plateau = ReduceLROnPlateau(0.5, patience=0)
    engine = engine_of(DeviceEngine, SGD, {"schedule": plateau})
    other = engine_of(DeviceEngine, SGD, {})
    train(engine, range(1)), train(other, range(1))
    plateau.observe(1.0), plateau.observe(1.0)
    other.optimizer.lr = 0.025
    assert same_bits(train(engine, range(1, 2)), train(other, range(1, 2)))
