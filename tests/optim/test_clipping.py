"""Clipping equals torch.nn.utils.clip_grad_norm_ and clip_grad_value_, alone and in a step."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchae.layers import Linear, Sequential, Tanh
from scratchae.optim import SGD, Adam, clip_grad_norm, clip_grad_value
from scratchae.step import fill_gradients
from tests.helpers.tensors import assert_close


@given(
    size=st.integers(1, 40),
    scale=st.sampled_from([0.0, 1e-9, 0.1, 1.0, 100.0]),
    limit=st.floats(0.01, 50),
    seed=st.integers(0, 2**32),
)
def test_both_equal_torchs(size, scale, limit, seed):
    generator = torch.Generator().manual_seed(seed)
    grad = scale * torch.randn(size, 2, generator=generator, dtype=torch.float64)
    weight = torch.zeros_like(grad)
    for ours, theirs in (
        (clip_grad_norm, torch.nn.utils.clip_grad_norm_),
        (clip_grad_value, torch.nn.utils.clip_grad_value_),
    ):
        mine, weight.grad = grad.clone(), grad.clone()
        norm, expected = ours(mine, limit), theirs([weight], limit)
        assert_close("gradient", mine, weight.grad, 1e-12)
        if norm is not None:
            assert norm.shape == () and norm.item() == pytest.approx(expected.item(), rel=1e-12)


def test_a_gradient_within_the_limits_keeps_its_bits():
    grad = torch.randn(9)
    before = grad.clone()
    clip_grad_norm(grad, 100.0), clip_grad_value(grad, 100.0)
    assert torch.equal(grad, before)


@pytest.mark.parametrize("kind", [SGD, Adam])
@pytest.mark.parametrize("limits", [{"clip_norm": 0.3}, {"clip_value": 0.05}])
@settings(max_examples=1)
@given(seed=st.integers(0, 99))
def test_a_thousand_clipped_steps_equal_torchs(kind, limits, seed):
    generator = torch.Generator().manual_seed(seed)
    layers = [Linear(3, 4, generator=generator), Tanh(), Linear(4, 3, generator=generator)]
    model = Sequential(*layers).to(dtype=torch.float64)
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3))
    module.double().load_state_dict(model.state_dict())
    ours = kind(model.parameters(), lr=0.01).configure(**limits)
    theirs = getattr(torch.optim, kind.__name__)(module.parameters(), lr=0.01)
    clipped = 0
    for _ in range(1000):
        x = torch.randn(5, 3, generator=generator, dtype=torch.float64)
        fill_gradients(model, ours, x)
        before = ours.grad.clone()
        ours.step()
        clipped += not torch.equal(before, ours.grad)
        theirs.zero_grad()
        torch.nn.functional.mse_loss(module(x), x).backward()
        if "clip_norm" in limits:
            torch.nn.utils.clip_grad_norm_(module.parameters(), limits["clip_norm"])
        else:
            torch.nn.utils.clip_grad_value_(module.parameters(), limits["clip_value"])
        theirs.step()
    assert clipped > 100
    for a, b in zip(model.parameters(), module.parameters(), strict=True):
        assert_close("parameter", a, b, 1e-12)


def test_the_norm_is_that_of_all_parameters_together_and_values_are_clipped_first():
    weights = [torch.zeros(1), torch.zeros(1)]
    optimizer = SGD(weights, lr=1.0).configure(clip_norm=1.0, clip_value=4.0)
    optimizer.grad.copy_(torch.tensor([3.0, -400.0]))
    optimizer.step()
    assert [w.item() for w in weights] == pytest.approx([-0.6, 0.8], rel=1e-5)


def test_a_large_buffer_is_clipped_as_one(monkeypatch):
    monkeypatch.setattr("scratchae.optim.base.PIECE", 4)
    whole = SGD([torch.zeros(10)], lr=1.0).configure(clip_norm=1.0)
    whole.grad.fill_(1.0)
    whole.step()
    assert whole.value.norm().item() == pytest.approx(1.0, rel=1e-5)


def test_weight_decay_is_added_after_clipping():
    weight = torch.tensor([10.0])
    optimizer = SGD([weight], lr=1.0, weight_decay=0.1).configure(clip_value=0.5)
    optimizer.grad.fill_(7.0)
    optimizer.step()
    assert weight.item() == 10 - 0.5 - 1.0
