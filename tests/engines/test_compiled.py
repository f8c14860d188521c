"""The compile engine: the steps of `eager` through torch.compile. Compiling is slow, so few cases."""

import copy
import subprocess
import sys
import warnings
from functools import partial

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from scratchae.data import Batches
from scratchae.engines import CompiledEngine, Engine, NotFiniteError
from scratchae.errors import ScratchaeError
from scratchae.layers import (
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    LeakyReLU,
    Linear,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
    Unflatten,
)
from scratchae.models import build
from scratchae.optim import SGD, Adam
from scratchae.training import fit
from tests.engines.test_steps import assert_close, dense_models, image_models, on_a_kink
from tests.helpers.runs import few_digits, same_bits, weights


def a_bit_of_everything() -> Sequential:
    return Sequential(
        *(Conv2d(1, 2, 3, stride=2, padding=1), BatchNorm2d(2), ReLU(), Flatten()),
        *(Linear(8, 8), LeakyReLU(), BatchNorm1d(8, momentum=0.5), Tanh(), Linear(8, 8)),
        *(Sigmoid(), Unflatten(1, (2, 2, 2)), ConvTranspose2d(2, 1, 2, stride=2)),
    ).to(torch.float64)


def assert_same_epochs(model, optimizer, shape, sizes, tolerance=1e-9) -> CompiledEngine:
    """An epoch of eager beside one of compile for each (n, batch size), and a step of n."""
    other = copy.deepcopy(model)
    eager = Engine(model, optimizer(model.parameters()))
    engine = CompiledEngine(other, optimizer(other.parameters()))
    generator = torch.Generator().manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a fall-back would compare eager with itself
        for n, batch_size in sizes:
            images = torch.randn(n, *shape, generator=generator, dtype=torch.float64)
            for epoch in range(2):
                rows = list(Batches(n, batch_size).epoch(epoch))
                assert_close(engine.epoch(images, rows), eager.epoch(images, rows), tolerance)
                assert_close(engine.optimizer.grad, eager.optimizer.grad, tolerance)
                for a, b in zip(
                    other.state_dict().values(), model.state_dict().values(), strict=True
                ):
                    assert_close(a, b, tolerance)
                assert engine.optimizer.steps == eager.optimizer.steps
    assert not engine.eager
    return engine


def test_epochs_are_those_of_eager_and_each_batch_size_is_compiled_once():
    made = []
    real = torch.compile
    model = Sequential(Linear(4, 3), BatchNorm1d(3), LeakyReLU(), Linear(3, 4)).to(torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", lambda *a, **k: made.append(1) or real(*a, **k))
        engine = assert_same_epochs(model, partial(Adam, eps=1e-3), (4,), [(11, 4)])
    assert len(made) == 1  # of three images there is one batch: it is made as it is written
    # and what was compiled is stopped by a loss that is not finite
    images = torch.randn(11, 4, dtype=torch.float64)
    images[5] = torch.nan
    before, steps = copy.deepcopy(weights(engine.model)), engine.optimizer.steps
    with pytest.raises(NotFiniteError) as caught:
        engine.epoch(images, torch.arange(11).roll(-4).split(4))
    assert caught.value.step == 1 and engine.optimizer.steps == steps
    assert same_bits(before, weights(engine.model))
    with pytest.raises(ScratchaeError, match=r"Linear.* expects .* but got"):
        engine.step(torch.randn(3, 5, dtype=torch.float64))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [partial(Adam, amsgrad=True, eps=1e-3), SGD])
def test_every_kind_of_layer_is_compiled(optimizer):
    optimizer = partial(optimizer, weight_decay=0.1)
    assert_same_epochs(a_bit_of_everything(), optimizer, (1, 4, 4), [(11, 4), (5, 5)])


@pytest.mark.slow
@settings(deadline=None, max_examples=6, suppress_health_check=list(HealthCheck))
@given(case=st.one_of(dense_models(), image_models()))
def test_any_row_of_layers_makes_the_epochs_of_eager(case):
    model, shape = case
    for _, layer in model.leaves():
        if getattr(layer, "momentum", 0.1) is None:
            layer.momentum = 0.3
    x = torch.randn(7, *shape, dtype=torch.float64)
    assume(not any(on_a_kink(model.to(torch.float64), rows) for rows in (x[:3], x[:4], x)))
    assert_same_epochs(model, partial(SGD, lr=1e-3), shape, [(8, 3), (4, 4)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fc", "conv"])
def test_the_models_of_record_make_the_epochs_of_eager(name):
    model = build(name, seed=1).to(torch.float64)
    adam = partial(Adam, weight_decay=1e-5, eps=1e-3)
    assert_same_epochs(model, adam, model.input_shape, [(57, 20), (8, 8)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fc", "conv"])
def test_a_run_ends_where_that_of_eager_ends_and_resumes(name, tmp_path):
    quick = partial(fit, name, few_digits(), batch_size=64, device="cpu", progress=False)
    eager, compiled = quick(epochs=2), quick(epochs=2, engine="compile")
    for a, b in zip(eager.rows, compiled.rows, strict=True):
        assert b["train_loss"] == pytest.approx(a["train_loss"], rel=1e-4)
        assert b["test_loss"] == pytest.approx(a["test_loss"], rel=2e-3)
    for epochs in (1, 2):
        resumed = quick(epochs=epochs, engine="compile", out=tmp_path / "run", resume=True)
    assert same_bits(weights(compiled.model), weights(resumed.model))


class Doubting(Linear):
    """A user's layer that looks at its numbers."""

    def forward(self, x):
        return super().forward(x if x.sum() > 0 else -x)


@pytest.mark.parametrize("layer", [Doubting(4, 4), BatchNorm1d(4, momentum=None)])
def test_a_layer_that_looks_at_numbers_cannot_be_compiled_and_steps_are_those_of_eager(layer):
    model = Sequential(Linear(4, 4), layer)
    other = copy.deepcopy(model)
    engine = CompiledEngine(model, Adam(model.parameters()))
    eager = Engine(other, Adam(other.parameters()))
    images, rows = torch.randn(7, 4), torch.arange(7).split(3)
    with pytest.warns(UserWarning, match="the compile engine cannot compile this step") as caught:
        rows = rows[:2]
        assert torch.equal(engine.epoch(images, rows), eager.epoch(images, rows))
    assert len(caught) == 1 and "\n" not in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(engine.step(images), eager.step(images))
    assert same_bits(weights(model), weights(other))


@pytest.mark.slow
def test_without_a_compiler_it_says_so_and_makes_the_steps_of_eager(tmp_path):
    """In a process of its own: torch looks for a compiler once."""
    code = """
import torch, warnings
from scratchae.engines import CompiledEngine
from scratchae.layers import Linear, Sequential
from scratchae.optim import SGD
model = Sequential(Linear(1, 1, bias=False))
model[0].weight.fill_(3.0)
engine = CompiledEngine(model, SGD(model.parameters(), lr=0.25))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", UserWarning)
    print(engine.step(torch.ones(1, 1)).item(), model[0].weight.item())
print([str(w.message) for w in caught if w.category is UserWarning])
"""
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": str(tmp_path), "CXX": "nothing", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert found.returncode == 0, found.stderr
    loss, said = found.stdout.splitlines()
    assert loss == "4.0 2.0"
    assert (
        "the compile engine cannot compile this step" in said
        and "eager engine is used instead" in said
    )
