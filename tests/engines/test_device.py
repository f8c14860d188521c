"""The device step, which compile and graph record: the epochs of `eager`, with nothing read back."""

import copy
import json
import warnings
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchae.data import Batches, load
from scratchae.engines import Engine, GraphEngine, NotFiniteError, make_engine
from scratchae.engines.device import DeviceEngine
from scratchae.errors import ScratchaeError
from scratchae.layers import BatchNorm1d, LeakyReLU, Linear, Sequential, Tanh
from scratchae.losses import Loss
from scratchae.models import build
from scratchae.optim import SGD, Adam, AdamW
from scratchae.training import evaluate, fit
from tests.helpers.runs import few_digits, same_bits, weights

# eps: where batches of two make a gradient vanish, Adam would make steps of its rounding
OPTIMIZERS = [
    *(partial(Adam, eps=1e-3), partial(Adam, eps=1e-3, weight_decay=0.1), partial(AdamW, eps=1e-3)),
    partial(Adam, eps=1e-3, amsgrad=True),
    *(SGD, partial(SGD, momentum=0.9, dampening=0.5, weight_decay=0.1)),
    partial(SGD, momentum=0.9, nesterov=True),
]


def small(seed=0, momentum=0.1, dtype=torch.float64) -> Sequential:
    g = torch.Generator().manual_seed(seed)
    layers = [Linear(5, 4, generator=g), BatchNorm1d(4, momentum=momentum), Tanh()]
    return Sequential(
        *layers, Linear(4, 5, generator=g), LeakyReLU(), Linear(5, 5, generator=g)
    ).to(dtype)


def numbers(n, seed=0, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(n, 5, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def state_of(engine: Engine) -> dict[str, torch.Tensor]:
    o = engine.optimizer
    return {**weights(engine.model), **{name: t.clone() for name, t in o.state.items()}}


def pair(model, optimizer, kind=DeviceEngine):
    other = copy.deepcopy(model)
    return Engine(model, optimizer(model.parameters())), kind(other, optimizer(other.parameters()))


def assert_same(a, b, tolerance=1e-10):
    for key, tensor in state_of(a).items():
        torch.testing.assert_close(state_of(b)[key], tensor, rtol=tolerance, atol=tolerance)
    assert a.optimizer.steps == b.optimizer.steps


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@settings(deadline=None, max_examples=20)
@given(
    n=st.integers(2, 30),
    batch_size=st.integers(2, 9),
    epochs=st.integers(1, 3),
    momentum=st.sampled_from([0.1, 1.0, None]),
    seed=st.integers(0, 99),
)
def test_epochs_are_those_of_eager_the_short_last_batch_too(
    optimizer, n, batch_size, epochs, momentum, seed
):
    eager, device = pair(small(seed, momentum), optimizer)
    images, batches = numbers(n, seed), Batches(n, batch_size, seed)
    for epoch in range(epochs):
        rows = [row for row in batches.epoch(epoch) if len(row) > 1]  # one has no spread
        seen = []
        total = device.epoch(images, rows, lambda seen=seen: seen.append(1))
        assert total.dtype == torch.float64 and len(seen) == len(rows)
        torch.testing.assert_close(total, eager.epoch(images, rows), rtol=1e-12, atol=0)
        assert_same(eager, device)


def test_batches_of_any_sizes_in_any_order_make_an_epoch():
    eager, device = pair(small(), Adam)
    rows = [torch.arange(n) + n for n in (3, 3, 5, 3, 2, 2, 7)]
    images = numbers(20)
    torch.testing.assert_close(device.epoch(images, rows), eager.epoch(images, iter(rows)))
    assert_same(eager, device)


@pytest.mark.parametrize("value", ["nan", "inf"])
@pytest.mark.parametrize("bad", [0, 9, 17, 24, 25])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_after_a_loss_that_is_not_finite_nothing_moves_not_even_statistics(optimizer, bad, value):
    eager, device = pair(small(), optimizer)
    images, rows = numbers(26), torch.arange(26).split(4)  # the last batch has two
    device.epoch(images, rows), eager.epoch(images, rows)
    images[bad, 3] = float(value)
    with pytest.raises(NotFiniteError) as caught:
        device.epoch(images, rows)
    eager.epoch(images, rows[: bad // 4])
    assert_same(eager, device)
    assert caught.value.step == bad // 4 + 1
    assert torch.equal(caught.value.batch.isfinite(), images[rows[bad // 4]].isfinite())
    assert str(caught.value) == f"the loss is nan in step {bad // 4 + 1}"  # inf − inf, centred


def test_an_infinite_loss_is_told_as_such_even_where_later_ones_are_nan():
    model = Sequential(Linear(5, 5)).to(torch.float64)
    device = DeviceEngine(model, SGD(model.parameters()))
    images = numbers(12)
    images[2] = 1e200
    images[9] = float("nan")
    with pytest.raises(NotFiniteError, match="the loss is inf in step 1"):
        device.epoch(images, torch.arange(12).split(3))


def test_a_single_step_that_is_not_finite_gives_its_loss_and_moves_nothing():
    _, device = pair(small(), Adam)
    before = state_of(device)
    assert device.step(numbers(4) * float("inf")).isnan()
    assert same_bits(before, state_of(device)) and device.optimizer.steps == 0
    assert device.step(numbers(4)).isfinite() and device.optimizer.steps == 1


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_going_on_from_a_saved_state_ends_with_the_same_bits(optimizer):
    images, batches = numbers(30, dtype=torch.float32), Batches(30, 8)
    straight = pair(small(dtype=torch.float32), optimizer)[1]
    for epoch in range(3):
        straight.epoch(images, batches.epoch(epoch))
        if epoch == 0:
            saved = copy.deepcopy((weights(straight.model), straight.optimizer.state_dict()))
    resumed = pair(small(seed=7, dtype=torch.float32), optimizer)[1]
    resumed.epoch(images, batches.epoch(5))  # laid out before the state is loaded
    resumed.model.load_state_dict(saved[0])
    slots = saved[1].pop("state")  # the rest comes back through JSON, as from a run folder
    resumed.optimizer.load_state_dict({**json.loads(json.dumps(saved[1])), "state": slots})
    for epoch in (1, 2):
        resumed.epoch(images, batches.epoch(epoch))
    assert same_bits(state_of(straight), state_of(resumed))


def test_settings_and_modes_may_change_between_steps():
    eager, device = pair(small(), partial(Adam, weight_decay=0.1))
    x = numbers(6)

    def both(**changes):
        for engine in (eager, device):
            for name, value in changes.items():
                setattr(engine.optimizer, name, value)
            engine.step(x)
        assert_same(eager, device)

    both()
    both(lr=0.5)
    both(weight_decay=0.7, betas=(0.5, 0.6), eps=1e-3)
    eager.model[1].eval(), device.model[1].eval()
    both()


def test_two_engines_of_one_model_take_turns():
    model, other = small(), small()
    optimizer = Adam(model.parameters())
    engines = [DeviceEngine(model, optimizer), Engine(model, optimizer)]
    engines.append(DeviceEngine(model, optimizer))
    eager = Engine(other, Adam(other.parameters()))
    for i in (0, 2, 1, 0, 0, 2):
        x = numbers(5, seed=i)
        torch.testing.assert_close(engines[i].step(x), eager.step(x))
        assert_same(eager, engines[i])


def test_what_a_layer_refuses_is_refused_in_the_same_sentence():
    _, device = pair(small(), Adam)
    with pytest.raises(ScratchaeError, match=r"Linear\(5, 4\) expects .* but got"):
        device.step(torch.randn(3, 6, dtype=torch.float64))
    with pytest.raises(ScratchaeError, match="which has no spread"):
        device.epoch(numbers(5), torch.arange(5).split(4))


class Lion(Adam):
    """A user's own optimizer."""

    def update(self, value, grad, t, lr, state):
        value.sub_(lr * grad.sign() / t)


class Rounding(Adam):
    """A user's own optimizer, which does more in a step than to update."""

    def step(self):
        super().step()
        self.value.copy_(self.value.round(decimals=3))


def test_an_optimizer_of_ones_own_needs_no_more_than_an_update():
    eager, device = pair(small(), Lion)
    rows = torch.arange(10).split(4)
    for _ in range(2):
        device.epoch(numbers(10), rows), eager.epoch(numbers(10), rows)
    assert_same(eager, device)


@pytest.mark.parametrize(
    ("optimizer", "said"),
    [
        (Rounding, "does not support Rounding, which has its own step"),
        (lambda p: SGD(p[2:], lr=0.1), "needs an optimizer of all the model's parameters"),
    ],
)
def test_without_a_device_form_it_says_why_and_makes_the_steps_of_eager(optimizer, said):
    with pytest.warns(UserWarning, match=f"the device engine {said}.*: the eager engine is used"):
        eager, device = pair(small(), optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = torch.arange(10).split(4)
        assert torch.equal(device.epoch(numbers(10), rows), eager.epoch(numbers(10), rows))
        assert torch.equal(device.step(numbers(3)), eager.step(numbers(3)))
    assert same_bits(state_of(eager), state_of(device))


def test_in_float32_the_first_steps_of_adam_are_as_exact_as_those_of_eager():
    """1 − β₂ᵗ taken in float32 would put the first step off by 3e-5 of itself."""
    exact, device = pair(small(), partial(Adam, lr=1.0))
    rough = pair(small(dtype=torch.float32), partial(Adam, lr=1.0))[1]
    x = numbers(6)
    before = exact.optimizer.value.clone()
    exact.step(x), device.step(x), rough.step(x.float())
    moved = exact.optimizer.value - before
    torch.testing.assert_close(device.optimizer.value - before, moved, rtol=1e-12, atol=1e-12)
    big = exact.optimizer.grad.abs() > 1e-3
    error = (rough.optimizer.value.double() - before - moved)[big].abs().max()
    assert error < 2e-6


def test_the_sum_of_the_losses_is_of_float64():
    """In float32 a sum of this size would not see the last losses at all."""
    model = Sequential(Linear(1, 1, bias=False))
    model[0].weight.fill_(2.0)
    images = torch.ones(5, 1)
    images[0] = 3e4
    for kind in (Engine, DeviceEngine):
        own = copy.deepcopy(model)
        engine = kind(own, SGD(own.parameters(), lr=0.0))
        total = engine.epoch(images, torch.arange(5).split(1))
        assert total.item() == 9e8 + 4


class TestBf16:
    """Layers in bfloat16, the weights that are trained in float32."""

    def test_a_step_too_small_for_bfloat16_still_adds_up_in_the_master(self):
        model = Sequential(Linear(1, 1, bias=False))
        model[0].weight.fill_(1.0)
        optimizer = Adam(model.parameters(), lr=1e-4)
        engine = DeviceEngine(model, optimizer, "bf16")
        x = torch.tensor([[1.0], [3.0]])
        model[0].weight.fill_(1.5)
        for _ in range(20):
            engine.step(x)
        assert optimizer.value.dtype == torch.float32
        moved = 1.5 - optimizer.value.item()
        assert moved == pytest.approx(20e-4, rel=0.02)
        assert torch.tensor(1.5, dtype=torch.bfloat16) - 1e-4 == 1.5

    def test_statistics_of_batchnorm_and_the_loss_are_of_float32(self):
        model = small(dtype=torch.float32)
        device = DeviceEngine(model, Adam(model.parameters()), "bf16")
        loss = device.step(numbers(50, dtype=torch.float32))
        assert loss.dtype == torch.float32 and loss != loss.bfloat16()
        for tensor in model.state_dict().values():
            assert tensor.dtype in (torch.float32, torch.int64)
        norm = model[1]
        assert (norm.running_mean != norm.running_mean.bfloat16()).any()

    @pytest.mark.parametrize(
        ("name", "epochs", "tolerance"),
        [("fc", 2, 0.02), pytest.param("conv", 2, 0.02, marks=pytest.mark.slow)],
    )
    def test_the_final_loss_is_that_of_float32_within_two_percent(self, name, epochs, tolerance):
        sample = load("sample")
        model = build(name, seed=2)
        images = sample.train.normalised().reshape(-1, *model.input_shape)
        test = sample.test.normalised().reshape(-1, *model.input_shape)
        batches, losses = Batches(len(images), 64, 2), []
        for precision in ("float32", "bf16"):
            own = copy.deepcopy(model)
            engine = DeviceEngine(own, Adam(own.parameters(), weight_decay=1e-5), precision)
            for epoch in range(1, epochs + 1):
                engine.epoch(images, batches.epoch(epoch))
            losses.append(evaluate(own, test))
        assert losses[0] < 0.25  # the mean of all digits gives 0.26
        assert losses[1] == pytest.approx(losses[0], rel=tolerance)


def test_the_graph_engine_and_the_formats_of_a_gpu_want_cuda_in_one_sentence():
    model = build("fc")
    with pytest.raises(
        ScratchaeError, match="the graph engine needs CUDA, but the model is on cpu"
    ):
        GraphEngine(model, Adam(model.parameters()))
    with pytest.raises(ScratchaeError, match="the eager engine computes in float32"):
        make_engine("eager", model, Adam(model.parameters()), "bf16")
    with pytest.raises(ScratchaeError, match="no precision 'fp8': use float32 or bf16"):
        make_engine("graph", model, Adam(model.parameters()), "fp8")
    for wrong in ({"tf32": True}, {"precision": "bf16", "engine": "compile"}, {"engine": "graph"}):
        with pytest.raises(ScratchaeError, match="CUDA"):
            fit("fc", few_digits(), epochs=1, device="cpu", progress=False, **wrong)


def test_a_loss_of_minus_infinity_is_not_finite_either():
    class Unbounded(Loss):
        def forward(self, prediction, target):
            return self.remember(-(target / 0.0).abs().mean() + 0 * prediction.sum(), prediction)

        def backward(self):
            return torch.zeros_like(*self.recall())

    model = small()
    model.loss = Unbounded()
    device = DeviceEngine(model, Adam(model.parameters()))
    before = state_of(device)
    with pytest.raises(NotFiniteError, match="the loss is -inf in step 1"):
        device.epoch(numbers(8), torch.arange(8).split(4))
    assert same_bits(before, state_of(device)) and device.optimizer.steps == 0
