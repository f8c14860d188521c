"""LayerNorm: a layer whose file, cases and mistakes are all that it needs to work everywhere.

(tests/layers/test_against_torch.py and the other tests of all layers draw its random cases too.)
"""

import copy
import inspect
import warnings

import pytest
import torch
from torch import Tensor

from reference.twins import twin
from scratchae.checking import check, gradcheck, mistakes, trace
from scratchae.data import Batches
from scratchae.distributed import DataParallel, Workers
from scratchae.engines import Engine, make_engine
from scratchae.engines.device import DeviceEngine
from scratchae.errors import ScratchaeError
from scratchae.explorer import write_page
from scratchae.layers import (
    LayerNorm,
    Linear,
    ReLU,
    Sequential,
    Tanh,
    Unflatten,
    layernorm_backward,
    layernorm_forward,
)
from scratchae.layers.reshape import Flatten
from scratchae.models import Autoencoder, build, register
from scratchae.optim import SGD, Adam
from scratchae.step import train_step
from scratchae.sweep import sweep
from scratchae.training import Run, Settings, fit
from scratchae.training.evaluation import evaluating
from tests.helpers.browser import chromium, opened
from tests.helpers.runs import few_digits, weights
from tests.helpers.tensors import assert_close
from tests.helpers.workers import in_threads


def normed(generator: torch.Generator | None = None) -> Autoencoder:
    """784-20-3-784 with LayerNorm over features, over maps, and without weights."""
    g = generator
    encoder = Sequential(
        *(Linear(784, 20, generator=g), LayerNorm(20), ReLU()),
        *(Unflatten(1, (5, 2, 2)), LayerNorm((2, 2), bias=False), Flatten()),
        Linear(20, 3, generator=g),
    )
    decoder = Sequential(
        LayerNorm(3, elementwise_affine=False), Linear(3, 784, generator=g), Tanh()
    )
    return Autoencoder(encoder, decoder, input_shape=(784,))


register("normed", normed)


def images(count: int) -> Tensor:
    return few_digits(count).train.normalised().view(count, 784).double()


def ours() -> Autoencoder:
    return build("normed", seed=3).to(torch.float64)


# ------------------------------------------------------------------------------------ the layer
@pytest.mark.parametrize("shape", [(1,), (2,), (3, 1), (2, 3)])
def test_it_equals_torch_when_nearly_nothing_is_left_of_dx(shape):
    layer = LayerNorm(shape, eps=1e-12, dtype=torch.float64)
    x = torch.randn(4, *shape, dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    y, theirs = layer(x), torch.nn.functional.layer_norm(leaf, shape, eps=1e-12)
    dy = torch.randn_like(y)
    theirs.backward(dy)
    assert_close("y", y, theirs, scale=1.0)
    spread = x.var(tuple(range(1, x.ndim)), correction=0).min().item()
    assert_close("dx", layer.backward(dy), leaf.grad, 1e-12, scale=1e3 / (spread + 1e-12) ** 0.5)


def test_no_sample_sees_another_one_and_evaluation_is_like_training():
    layer, x = LayerNorm(5), torch.randn(4, 5)
    y = layer(x)
    assert torch.equal(layer.eval()(x), y)
    for i in range(4):
        assert torch.allclose(layer(x[i]), y[i])


def test_its_arguments_are_those_of_torch():
    ours, theirs = inspect.signature(LayerNorm), inspect.signature(torch.nn.LayerNorm)
    assert list(ours.parameters) == list(theirs.parameters)
    for name, argument in ours.parameters.items():
        assert argument.default == theirs.parameters[name].default
    assert LayerNorm([2, 3]).normalized_shape == (2, 3) and LayerNorm(4).normalized_shape == (4,)
    assert repr(LayerNorm((2, 3), bias=False)) == "LayerNorm((2, 3), bias=False)"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LayerNorm(4)(torch.ones(2, 3)), r"LayerNorm\(\(4,\)\) expects \(\.\.\., 4\)"),
        (lambda: LayerNorm((2, 3))(torch.ones(3)), r"expects \(\.\.\., 2, 3\) but got \(3,\)"),
        (lambda: LayerNorm(4)(torch.ones(2, 4).double()), "expects float32 but got float64"),
        (lambda: LayerNorm(0), "whole number >= 1 or several of them, got 0"),
        (lambda: LayerNorm(()), r"got \(\)"),
        (lambda: LayerNorm(3.5), "got 3.5"),
        (lambda: LayerNorm(3, eps=-1), "eps >= 0, got -1"),
        (lambda: LayerNorm(3).backward(torch.ones(3)), "before forward"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(make, said):
    with pytest.raises(ScratchaeError, match=said) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_its_gradients_are_checked_by_differences():
    layer = LayerNorm((2, 5))
    layer.weight.uniform_(0.5, 2.0)
    assert gradcheck(layer, torch.randn(3, 2, 5))


# ------------------------------------------------------------------------------------- everywhere
def test_it_trains_in_lockstep_with_torch():
    model = ours()
    module = twin(model)
    optimizer, theirs = Adam(model.parameters()), torch.optim.Adam(module.parameters())
    for _ in range(3):
        x = images(32)
        loss = train_step(model, optimizer, x)
        theirs.zero_grad()
        expected = torch.nn.functional.mse_loss(module(x), x)
        expected.backward()
        theirs.step()
        assert_close("loss", loss, expected, 1e-10)
    for p, q in zip(model.parameters(), module.parameters(), strict=True):
        assert_close("parameter", p, q, 1e-8)


@pytest.mark.parametrize("name", ["compile", "device", "buffered"])
def test_every_engine_makes_the_steps_of_eager(name):
    x, found = images(50), []
    for kind in ("eager", name):
        model = ours()
        optimizer = Adam(model.parameters(), eps=1e-3)
        made = DeviceEngine if kind == "device" else None
        engine = made(model, optimizer) if made else make_engine(kind, model, optimizer)
        with warnings.catch_warnings():
            # the buffered engine does not support it, says so, and makes the eager steps
            warnings.simplefilter("ignore" if kind == "buffered" else "error")
            total = engine.epoch(x, Batches(50, 16, 0, x.device).epoch(0)).item()
        found.append((total, weights(model)))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-9)
    for key, expected in found[0][1].items():
        assert_close(key, found[1][1][key], expected, 1e-7)


def step_of_share(workers: Workers, x: Tensor, counts: list[int]) -> list[Tensor]:
    model = ours()
    engine = DataParallel(make_engine("eager", model, SGD(model.parameters(), lr=0.1)), workers)
    start = sum(counts[: workers.rank])
    loss = engine.step(x[start : start + counts[workers.rank]])
    return [loss.clone(), engine.optimizer.value.clone()]


@pytest.mark.parametrize("counts", [[6, 6], [12, 0], [5, 4, 3]])
def test_several_workers_make_the_step_of_one(counts):
    x, model = images(12), ours()
    engine = Engine(model, SGD(model.parameters(), lr=0.1))
    expected = [engine.step(x), engine.optimizer.value]
    for found in in_threads(len(counts), step_of_share, x, counts):
        assert_close("loss", found[0], expected[0], 1e-12)
        assert_close("parameters", found[1], expected[1], 1e-12)


def test_a_sweep_trains_it_as_fit_does():
    data, common = few_digits(), {"epochs": 2, "device": "cpu", "progress": False}
    found = sweep("normed", data, lr=[1e-3, 1e-2], seeds=[0, 1], **common)
    for trial in found.trials:
        settings = trial.run.settings
        alone = fit("normed", data, lr=settings.lr, seed=settings.seed, **common)
        for which in ("train_loss", "test_loss"):
            expected = [row[which] for row in alone.rows]
            assert [row[which] for row in trial.run.rows] == pytest.approx(expected, rel=1e-4)


def test_a_trace_sees_it_agree_with_torch():
    model, x = ours(), images(16)
    seen = trace(model, x, twin(model))
    assert seen.parted is None and "LayerNorm" in seen.table["kind"].tolist()
    other = copy.deepcopy(model)
    other.encoder[4].weight += 0.5
    assert trace(model, x, other).parted == "encoder.4"


def test_the_explorer_runs_it_as_python_does(tmp_path):
    model = build("normed", seed=3)
    for tensor in model.parameters():
        tensor.add_(0.1 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(0)))
    run = Run(model, Settings("normed", "", None, "", 1, 64, 1e-3, 0.0, 0))
    write_page(run, few_digits(), tmp_path / "page.html")
    x = images(5).float()
    with chromium() as browser, opened(browser, tmp_path / "page.html") as watched:
        watched.page.wait_for_selector("body[data-ready]")
        found = watched.page.evaluate(
            "(all) => all.map((x) => Array.from("
            "panels[0].decoder.forward(panels[0].encoder.forward(Float32Array.from(x)))))",
            x.tolist(),
        )
        assert not watched.complaints
    with evaluating(model):
        expected = model.forward(x)
    assert (torch.tensor(found) - expected).abs().max() < 0.05


# ------------------------------------------------------------------------------------ the exercise
def my_layernorm_forward(x, normalized_shape, weight, bias, eps):
    rows = x.reshape(-1, weight.numel())
    xhat, s = torch.empty_like(rows), torch.empty_like(rows[:, :1])
    for i, row in enumerate(rows):
        s[i] = (row.var(correction=0) + eps) ** 0.5
        xhat[i] = (row - row.mean()) / s[i]
    xhat = xhat.reshape(x.shape)
    leading = x.shape[: x.ndim - weight.ndim]
    return xhat * weight + bias, xhat, s.reshape(*leading, *[1] * weight.ndim)


def my_layernorm_backward(dy, xhat, s, normalized_shape, weight):
    axes, leading = (
        tuple(range(dy.ndim - weight.ndim, dy.ndim)),
        tuple(range(dy.ndim - weight.ndim)),
    )
    m, dxhat = weight.numel(), dy * weight
    dx = m * dxhat - dxhat.sum(axes, keepdim=True) - xhat * (dxhat * xhat).sum(axes, keepdim=True)
    return dx / (m * s), (dy * xhat).sum(leading), dy.sum(leading)


def test_a_learner_writes_it_and_is_told_what_is_wrong():
    assert check(my_layernorm_forward, my_layernorm_backward)

    def my_wrong_layernorm_backward(dy, xhat, s, normalized_shape, weight):
        dx, dweight, dbias = my_layernorm_backward(dy, xhat, s, normalized_shape, weight)
        return dx, dweight, dbias / len(dy)

    report = check(my_wrong_layernorm_backward)
    assert not report and "dbias" in str(report)
    for function in (layernorm_forward, layernorm_backward):
        assert check(function) and len(mistakes(function.__name__)) >= 10


@pytest.mark.parametrize("shape", [(3, 0), (3, 2.5), 0, (), "3"])
def test_sizes_that_cannot_be_are_refused(shape):
    with pytest.raises(ScratchaeError, match="LayerNorm expects normalized_shape"):
        LayerNorm(shape)


def test_eps_is_torchs_and_may_be_zero():
    assert LayerNorm(3).eps == torch.nn.LayerNorm(3).eps and LayerNorm(3, eps=0).eps == 0
    assert inspect.signature(layernorm_forward).parameters["eps"].default == 1e-5


def test_a_device_and_a_dtype_are_those_of_all_tensors():
    layer = LayerNorm(3, device="meta", dtype=torch.float64)
    for tensor in (layer.weight, layer.bias):
        assert tensor.device.type == "meta" and tensor.dtype == torch.float64
