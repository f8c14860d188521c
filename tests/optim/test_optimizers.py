"""SGD, Adam and AdamW equal torch.optim over 50 steps in float64, to 1e-12."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from scratchae import optim
from scratchae.errors import ScratchaeError
from scratchae.layers import Linear, ReLU, Sequential
from scratchae.losses import MSELoss
from scratchae.models import build
from tests.helpers.tensors import DEVICES, assert_close

SHAPES = [(3, 5), (5,), (2, 3, 1, 2), (), (1,)]
rate = st.floats(1e-5, 0.5)
share = st.floats(0, 0.999)


@st.composite
def sgd(draw) -> dict:
    nesterov = draw(st.booleans())
    return {
        "lr": draw(rate),
        "momentum": draw(st.floats(0.01, 0.99) if nesterov else st.just(0.0) | share),
        "dampening": 0.0 if nesterov else draw(st.just(0.0) | share),
        "weight_decay": draw(st.just(0.0) | share),
        "nesterov": nesterov,
        "maximize": draw(st.booleans()),
    }


@st.composite
def adam(draw) -> dict:
    return {
        "lr": draw(rate),
        "betas": (draw(share), draw(share)),
        "eps": draw(st.sampled_from([1e-12, 1e-8, 1e-3, 0.5])),
        "weight_decay": draw(st.just(0.0) | share),
        "amsgrad": draw(st.booleans()),
        "maximize": draw(st.booleans()),
    }


SETTINGS = {"SGD": sgd(), "Adam": adam(), "AdamW": adam()}
seeds = st.integers(0, 2**32)


def normal(shape: tuple[int, ...], generator: torch.Generator, device: str) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(device)


def gradient(shape: tuple[int, ...], generator: torch.Generator, device: str) -> Tensor:
    """Random, over six orders of magnitude, some of it exactly zero."""
    size = 10 ** (6 * torch.rand((), generator=generator).item() - 3)
    g = normal(shape, generator, device) * size
    return torch.where(g.abs() < 0.2 * size, 0.0, g)


def both_sides(generator: torch.Generator, device: str) -> tuple[list[Tensor], list[Tensor]]:
    ours = [normal(shape, generator, device) for shape in SHAPES]
    return ours, [p.clone().requires_grad_() for p in ours]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", SETTINGS)
@settings(max_examples=60)
@given(data=st.data())
def test_fifty_steps_equal_torch_optim(name, device, data):
    given_settings = data.draw(SETTINGS[name])
    generator = torch.Generator().manual_seed(data.draw(seeds))
    ours, theirs = both_sides(generator, device)
    mine = getattr(optim, name)(ours, **given_settings)
    other = getattr(torch.optim, name)(theirs, **given_settings)
    largest = [b.abs().max().item() for b in theirs]  # on its way; rounding is relative to it
    for _ in range(50):
        for a, b in zip(ours, theirs, strict=True):
            b.grad = gradient(tuple(a.shape), generator, device)
            a.grad = b.grad.clone()  # set by hand, outside the flat buffer
        mine.step(), other.step()
        largest = [max(m, b.abs().max().item()) for m, b in zip(largest, theirs, strict=True)]
        for a, b, scale in zip(ours, theirs, largest, strict=True):
            assert_close("parameter", a, b, 1e-12, scale=scale)


@pytest.mark.parametrize("name", SETTINGS)
@settings(max_examples=40)
@given(data=st.data())
def test_a_saved_state_continues_identically(name, data):
    given_settings = data.draw(SETTINGS[name])
    generator = torch.Generator().manual_seed(data.draw(seeds))
    first, _ = both_sides(generator, "cpu")
    one = getattr(optim, name)(first, **given_settings)

    def step(parameters, *optimizers):
        for p in zip(*parameters, strict=True):
            g = gradient(tuple(p[0].shape), generator, "cpu")
            for tensor in p:
                tensor.grad.copy_(g)
        for optimizer in optimizers:
            optimizer.step()

    for _ in range(5):
        step([first], one)
    second = [p.clone() for p in first]
    two = getattr(optim, name)(second)  # other settings, which the state brings along
    if name == "SGD" and given_settings["momentum"]:
        two = optim.SGD(second, momentum=0.1)
    if name != "SGD" and given_settings["amsgrad"]:
        two = getattr(optim, name)(second, amsgrad=True)
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    for _ in range(5):
        step([first, second], one, two)
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("name", SETTINGS)
def test_parameters_and_gradients_of_the_layers_become_views_of_one_buffer(name):
    model = build("fc")
    before = [p.clone() for p in model.parameters()]
    for p in model.parameters():
        p.grad.fill_(2.0)
    optimizer = getattr(optim, name)(model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    offset = 0
    for p in model.parameters():
        for tensor, flat in ((p, optimizer.value), (p.grad, optimizer.grad)):
            assert tensor.data_ptr() == flat[offset:].data_ptr() and tensor.is_contiguous()
        offset += p.numel()
    assert offset == optimizer.value.numel() and (optimizer.grad == 2).all()
    optimizer.zero_grad()
    assert not any(p.grad.any() for p in model.parameters())
    model.backward(torch.randn_like(model.forward(torch.randn(3, 784))))
    collected = torch.cat([p.grad.reshape(-1) for p in model.parameters()])
    assert torch.equal(optimizer.grad, collected) and collected.any()


def small_model() -> Sequential:
    generator = torch.Generator().manual_seed(0)
    layers = Linear(3, 5, generator=generator), ReLU(), Linear(5, 2, generator=generator)
    return Sequential(*layers).to(dtype=torch.float64)


@pytest.mark.parametrize("name", SETTINGS)
def test_torch_optim_trains_our_layers_and_our_optimisers_train_those_of_torch(name):
    generator = torch.Generator().manual_seed(1)
    ours, by_torch = small_model(), small_model()
    module = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
    module.double().load_state_dict(ours.state_dict())
    optimizers = [
        getattr(optim, name)(ours.parameters(), lr=0.1),
        getattr(torch.optim, name)(by_torch.parameters(), lr=0.1),
        getattr(optim, name)(module.parameters(), lr=0.1),
    ]
    assert not optimizers[2].value.requires_grad
    for _ in range(20):
        x, target = normal((7, 3), generator, "cpu"), normal((7, 2), generator, "cpu")
        for optimizer in optimizers:
            optimizer.zero_grad()
        for model in (ours, by_torch):
            loss = MSELoss()
            loss(model.forward(x), target)
            model.backward(loss.backward())
        torch.nn.functional.mse_loss(module(x), target).backward()
        for optimizer in optimizers:
            optimizer.step()
    for a, b, c in zip(ours.parameters(), by_torch.parameters(), module.parameters(), strict=True):
        assert_close("trained by torch.optim", b, a, 1e-12)
        assert_close("torch.nn trained by ours", c.detach(), a, 1e-12)


def test_an_optimiser_has_to_say_what_a_step_is():
    with pytest.raises(NotImplementedError):
        optim.Optimizer([torch.zeros(2)], lr=0.1, weight_decay=0.0).step()


def test_a_saved_state_is_a_dict_of_its_own():
    optimizer = optim.Adam([torch.ones(2)])
    optimizer.state_dict()["state"].clear()
    assert list(optimizer.state) == ["exp_avg", "exp_avg_sq"]


def test_sgd_without_momentum_remembers_nothing():
    assert not optim.SGD([torch.ones(2)]).state and optim.SGD([torch.ones(2)], momentum=0.1).state


@pytest.mark.parametrize("name", SETTINGS)
@settings(max_examples=40)
@given(data=st.data())
def test_the_step_number_and_the_learning_rate_may_be_tensors(name, data):
    chosen = data.draw(SETTINGS[name])
    generator = torch.Generator().manual_seed(data.draw(seeds))
    value, grad = normal((7,), generator, "cpu"), normal((7,), generator, "cpu")
    of_numbers = getattr(optim, name)([value.clone()], **chosen)
    of_tensors = getattr(optim, name)([value.clone()], **chosen)
    of_columns = getattr(optim, name)([value.clone()], **chosen)
    rates = torch.full((7,), chosen["lr"], dtype=torch.float64)  # one for each parameter
    for t in range(1, 6):
        number = torch.tensor(float(t), dtype=torch.float64)
        for optimizer, step, lr in (
            (of_numbers, t, chosen["lr"]),
            (of_tensors, number, torch.tensor(chosen["lr"], dtype=torch.float64)),
            (of_columns, t, rates),
        ):
            optimizer.update(optimizer.value, grad, step, lr, optimizer.state)
        for other in (of_tensors, of_columns):
            assert_close("value", other.value, of_numbers.value, 1e-12, scale=1.0)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_large_buffer_is_moved_in_pieces_as_if_it_were_one(name, monkeypatch):
    value = torch.randn(1000, dtype=torch.float64)
    whole = getattr(optim, name)([value.clone()], lr=0.1, weight_decay=0.1)
    monkeypatch.setattr("scratchae.optim.base.PIECE", 64)
    parts = getattr(optim, name)([value.clone()], lr=0.1, weight_decay=0.1)
    parts.lr = torch.full_like(value, 0.1)
    for _ in range(3):
        grad = torch.randn(1000, dtype=torch.float64)
        for optimizer in (whole, parts):
            optimizer.grad.copy_(grad)
        monkeypatch.setattr("scratchae.optim.base.PIECE", 10_000)
        whole.step()
        monkeypatch.setattr("scratchae.optim.base.PIECE", 64)
        parts.step()
    assert_close("value", parts.value, whole.value, 1e-12)


def test_an_optimizer_prints_its_learning_rate_and_what_is_not_usual():
    weight = torch.ones(2)
    assert repr(optim.Adam([weight])) == "Adam(lr=0.001)"
    assert repr(optim.AdamW([weight], weight_decay=0.1)) == "AdamW(lr=0.001, weight_decay=0.1)"
    chosen = optim.SGD([weight], lr=0.5, momentum=0.9, nesterov=True, maximize=True)
    assert repr(chosen) == "SGD(lr=0.5, momentum=0.9, nesterov=True, maximize=True)"


def test_a_learning_rate_in_a_tensor_may_be_changed_in_place():
    weight, lr = torch.ones(3), torch.tensor([0.5])
    optimizer = optim.SGD([weight], lr=lr)
    weight.grad += 1.0
    optimizer.step()
    lr.fill_(0.25)
    optimizer.step()
    assert weight.tolist() == [0.25] * 3
    saved = optimizer.state_dict()["lr"]
    assert saved == 0.25 and isinstance(saved, float)
    assert optimizer.lr.shape == () and optim.SGD([weight], lr=torch.tensor(0.0)).lr == 0


def test_one_rate_for_each_parameter_stays_one_for_each():
    assert optim.SGD([torch.ones(1)], lr=torch.tensor([0.5])).lr.shape == (1,)
    for rates in ([-0.1, 0.2], [math.nan, 0.1], [0.1, math.inf]):
        with pytest.raises(ScratchaeError, match="lr >= 0 and finite"):
            optim.SGD([torch.ones(2)], lr=torch.tensor(rates))
    with pytest.raises(ScratchaeError, match="weight_decay"):
        optim.SGD([torch.ones(2)], weight_decay=torch.tensor(0.1))


@pytest.mark.parametrize(
    "lr", [torch.tensor([0.1, 0.2]), torch.tensor(-0.1), torch.tensor(math.nan)]
)
def test_a_learning_rate_in_a_tensor_is_one_number_or_one_for_each_parameter(lr):
    with pytest.raises(ScratchaeError, match="lr"):
        optim.SGD([torch.ones(3)], lr=lr)
    each = optim.SGD([torch.ones(2)], lr=torch.tensor([0.5, 0.25]))
    each.grad.fill_(1.0)
    each.step()
    assert each.value.tolist() == [0.5, 0.75]
