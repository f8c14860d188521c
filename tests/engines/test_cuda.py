"""What compile and graph do on CUDA: skipped where there is none, and unmeasured there."""

import copy
from functools import partial

import pytest
import torch

from scratchae.data import Batches, load
from scratchae.engines import CompiledEngine, Engine, GraphEngine, NotFiniteError
from scratchae.engines.device.cuda_graph import STEPS_A_REPLAY
from scratchae.errors import ScratchaeError
from scratchae.layers import BatchNorm1d, Linear, Sequential
from scratchae.models import build
from scratchae.optim import SGD, Adam, AdamW
from scratchae.training import evaluate, fit
from tests.helpers.runs import few_digits, same_bits, weights

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
OPTIMIZERS = [
    *(partial(Adam, eps=1e-3), partial(AdamW, eps=1e-3), partial(Adam, eps=1e-3, amsgrad=True)),
    *(SGD, partial(SGD, momentum=0.9, nesterov=True)),
]
KINDS = [GraphEngine, pytest.param(CompiledEngine, marks=pytest.mark.slow)]


def pair(name, optimizer, kind=GraphEngine, dtype=torch.float64):
    model = build(name, seed=1).to("cuda", dtype)
    other = copy.deepcopy(model)
    return Engine(model, optimizer(model.parameters())), kind(other, optimizer(other.parameters()))


def numbers(engine, n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(n, *engine.model.input_shape, generator=generator) * 2 - 1
    return x.to("cuda", engine.optimizer.value.dtype)


def state_of(engine):
    o = engine.optimizer
    return {**weights(engine.model), **{name: t.clone() for name, t in o.state.items()}}


def assert_same(a, b, tolerance=1e-9):
    for key, tensor in state_of(a).items():
        torch.testing.assert_close(state_of(b)[key], tensor, rtol=tolerance, atol=tolerance)
    assert a.optimizer.steps == b.optimizer.steps


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", ["fc", "conv"])
@pytest.mark.parametrize("full", [1, STEPS_A_REPLAY, 2 * STEPS_A_REPLAY + 3])
def test_epochs_are_those_of_eager_the_short_last_batch_too(name, optimizer, kind, full):
    eager, engine = pair(name, optimizer, kind)
    n = 6 * full + 4
    images, batches = numbers(eager, n), Batches(n, 6, 0, "cuda")
    for epoch in range(3):
        total = engine.epoch(images, batches.epoch(epoch))
        torch.testing.assert_close(total, eager.epoch(images, batches.epoch(epoch)))
        assert_same(eager, engine)
    x = numbers(eager, 5, seed=1)
    torch.testing.assert_close(engine.step(x), eager.step(x))
    assert_same(eager, engine)


@pytest.mark.parametrize("kind", KINDS)
def test_recording_carries_nothing_out(kind):
    _, engine = pair("conv", Adam, kind)
    order = torch.arange(12, device="cuda").view(3, 4)
    with torch.no_grad():
        tensors = engine.gather(numbers(engine, 12), order)
        before = state_of(engine)
        engine.recording(engine.laid_out(tensors), tensors)
    torch.cuda.synchronize()
    assert same_bits(before, state_of(engine)) and engine.optimizer.steps == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [0, 9, 61, 64])
@pytest.mark.parametrize("name", ["fc", "conv"])
def test_after_a_loss_that_is_not_finite_nothing_moves(name, bad, kind):
    eager, engine = pair(name, partial(Adam, eps=1e-3), kind)
    images = numbers(eager, 66)
    rows = torch.arange(66, device="cuda").split(4)  # the last batch has two
    images[bad] = torch.nan
    with pytest.raises(NotFiniteError) as caught:
        engine.epoch(images, rows)
    eager.epoch(images, rows[: bad // 4])
    assert_same(eager, engine)
    assert caught.value.step == bad // 4 + 1
    assert torch.equal(caught.value.batch.isnan(), images[rows[bad // 4]].isnan())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["fc", "conv"])
def test_going_on_from_a_saved_state_ends_with_the_same_bits(name, kind):
    adam = partial(Adam, weight_decay=1e-5)
    straight = pair(name, adam, kind, torch.float32)[1]
    images, batches = numbers(straight, 150), Batches(150, 8, 0, "cuda")
    for epoch in range(3):
        straight.epoch(images, batches.epoch(epoch))
        if epoch == 0:
            saved = copy.deepcopy((weights(straight.model), straight.optimizer.state_dict()))
    resumed = pair(name, adam, kind, torch.float32)[1]
    resumed.epoch(images, batches.epoch(5))  # recorded before the state is loaded
    resumed.model.load_state_dict(saved[0])
    resumed.optimizer.load_state_dict(saved[1])
    for epoch in (1, 2):
        resumed.epoch(images, batches.epoch(epoch))
    assert same_bits(state_of(straight), state_of(resumed))


def test_other_images_and_another_learning_rate_are_seen_by_what_is_recorded():
    eager, engine = pair("fc", partial(Adam, eps=1e-3))
    rows = torch.arange(40, device="cuda").split(4)
    for seed, lr in ((0, 1e-3), (1, 1e-3), (1, 1e-2), (0, 1e-4)):
        images = numbers(eager, 40, seed)
        eager.optimizer.lr = engine.optimizer.lr = lr
        torch.testing.assert_close(engine.epoch(images, rows), eager.epoch(images, rows))
        assert_same(eager, engine)


def test_a_graph_replays_without_allocating():
    _, engine = pair("conv", Adam, dtype=torch.float32)
    images, batches = numbers(engine, 500), Batches(500, 8, 0, "cuda")
    for epoch in range(2):
        engine.epoch(images, batches.epoch(epoch))
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    engine.epoch(images, batches.epoch(2))
    assert torch.cuda.max_memory_allocated() - before < 64 * 1024  # the order of the images


def test_a_layer_that_looks_at_numbers_is_told_of_in_one_sentence():
    class Doubting(Linear):
        def forward(self, x):
            return super().forward(x if x.sum() > 0 else -x)

    model = Sequential(Doubting(4, 4)).to("cuda")
    engine = GraphEngine(model, Adam(model.parameters()))
    with pytest.raises(ScratchaeError, match="cannot be recorded as a CUDA graph"):
        engine.step(torch.randn(3, 4, device="cuda"))
    model = Sequential(Linear(4, 4), BatchNorm1d(4, momentum=None)).to("cuda")
    with pytest.warns(UserWarning, match="the graph engine cannot record BatchNorm with momentum"):
        engine = GraphEngine(model, Adam(model.parameters()))
    assert engine.step(torch.randn(3, 4, device="cuda")).isfinite()


@pytest.mark.parametrize("engine", ["graph", pytest.param("compile", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["fc", "conv"])
def test_a_run_ends_where_that_of_eager_ends_and_resumes_to_the_same_bits(name, engine, tmp_path):
    quick = partial(fit, name, few_digits(), batch_size=16, device="cuda", progress=False)
    eager, run = quick(epochs=3), quick(epochs=3, engine=engine)
    for a, b in zip(eager.rows, run.rows, strict=True):
        assert b["train_loss"] == pytest.approx(a["train_loss"], rel=1e-4)
    for epochs in (1, 3):
        resumed = quick(epochs=epochs, engine=engine, out=tmp_path / "run", resume=True)
    assert same_bits(weights(run.model), weights(resumed.model))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["fc", "conv"])
def test_in_bf16_the_final_loss_is_that_of_float32_within_two_percent(name, kind):
    sample, losses = load("sample"), []
    model = build(name, seed=2).to("cuda")
    images = sample.train.normalised("cuda").reshape(-1, *model.input_shape)
    test = sample.test.normalised("cuda").reshape(-1, *model.input_shape)
    batches = Batches(len(images), 64, 2, "cuda")
    for precision in ("float32", "bf16"):
        own = copy.deepcopy(model)
        engine = kind(own, Adam(own.parameters(), weight_decay=1e-5), precision)
        for epoch in (1, 2):
            engine.epoch(images, batches.epoch(epoch))
        losses.append(evaluate(own, test))
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_products_of_float32_are_exact_unless_tf32_is_asked_for():
    from scratchae.training.floating_point import float32_products

    if torch.cuda.get_device_capability()[0] < 8:
        pytest.skip("this GPU has no TF32")
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(512, 512, generator=generator).cuda() for _ in range(2))
    exact = a.double() @ b.double()
    errors = []
    for tf32 in (False, True):
        with float32_products(tf32):
            errors.append(((a @ b).double() / exact - 1).abs().max().item())
    assert errors[0] < 1e-6 < 1e-5 < errors[1] < 1e-2
