"""Averaged weights equal those of torch.optim.swa_utils, and training does not notice them."""

import copy

import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from scratchae.layers import BatchNorm1d, Linear, Sequential, Tanh
from scratchae.optim import SGD, Adam, AdamW, averaged, ema_update
from scratchae.step import train_step
from tests.helpers.tensors import assert_close


def small() -> Sequential:
    g = torch.Generator().manual_seed(0)
    layers = [Linear(3, 4, generator=g), BatchNorm1d(4), Tanh(), Linear(4, 3, generator=g)]
    return Sequential(*layers).to(dtype=torch.float64)


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999])
def test_a_thousand_steps_equal_torchs_average(decay):
    generator = torch.Generator().manual_seed(1)
    value = torch.randn(6, generator=generator, dtype=torch.float64)
    module = torch.nn.Linear(3, 2, bias=False).double()
    theirs = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(decay))
    ours = torch.randn(6, dtype=torch.float64)  # what was there before does not count
    of_tensors = ours.clone()
    for t in range(1, 1001):
        value += 0.1 * torch.randn(6, generator=generator, dtype=torch.float64)
        module.weight.data.copy_(value.view(2, 3))
        theirs.update_parameters(module)
        ema_update(ours, value, t, decay)
        ema_update(of_tensors, value, torch.tensor(float(t), dtype=torch.float64), decay)
    assert_close("average", ours.view(2, 3), theirs.module.weight, 1e-12)
    assert_close("average", of_tensors, ours, 1e-12)


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
def test_training_is_the_same_with_and_without_an_average(kind, monkeypatch):
    monkeypatch.setattr("scratchae.optim.base.PIECE", 7)
    plain, with_average = small(), small()
    module = torch.nn.Linear(1, 1, bias=False).double()
    one, two = kind(plain.parameters()), kind(with_average.parameters()).configure(ema=0.9)
    module.weight = torch.nn.Parameter(two.value.view(1, -1).clone())
    theirs = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    for seed in range(20):
        x = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        assert torch.equal(train_step(plain, one, x), train_step(with_average, two, x))
        module.weight.data.copy_(two.value)
        theirs.update_parameters(module)
    assert torch.equal(one.value, two.value)
    assert_close("average", two.state["average"], theirs.module.weight.view(-1), 1e-12)


def test_inside_the_block_the_parameters_are_the_average_and_after_it_the_same_bits():
    model = small()
    optimizer = Adam(model.parameters(), lr=0.1).configure(ema=0.5)
    x = torch.randn(5, 3, dtype=torch.float64)
    for _ in range(3):
        train_step(model, optimizer, x)
    before, running = optimizer.value.clone(), model[1].running_mean.clone()
    with pytest.raises(ZeroDivisionError), averaged(optimizer):
        assert torch.equal(optimizer.value, optimizer.state["average"])
        assert not torch.equal(model[0].weight.reshape(-1), before[:12])
        assert torch.equal(model[1].running_mean, running)
        _ = 1 / 0
    assert torch.equal(optimizer.value, before)


def test_without_an_average_the_block_changes_nothing():
    optimizer = SGD([torch.ones(2)])
    with averaged(optimizer):
        optimizer.value += 1  # is not undone
    assert optimizer.value.tolist() == [2.0, 2.0]


def test_before_the_first_step_the_average_is_the_weights_and_a_late_one_starts_there():
    optimizer = SGD([torch.tensor([3.0])], lr=1.0).configure(ema=0.75)
    assert optimizer.state["average"].item() == 3.0
    optimizer.grad.fill_(1.0)
    optimizer.step()
    assert optimizer.state["average"].item() == 2.0
    optimizer.configure(ema=0.75)
    optimizer.step()
    assert optimizer.state["average"].item() == 0.75 * 2 + 0.25 * 1


def test_the_state_of_an_average_needs_an_optimizer_that_keeps_one():
    with_average = Adam([torch.ones(2)]).configure(ema=0.9)
    saved = copy.deepcopy(with_average.state_dict())
    assert list(saved["state"]) == ["exp_avg", "exp_avg_sq", "average"]
    with pytest.raises(Exception, match="does not belong to Adam"):
        Adam([torch.ones(2)]).load_state_dict(saved)
    with pytest.raises(Exception, match="exp_avg_sq, average and its settings"):
        with_average.load_state_dict(Adam([torch.ones(2)]).state_dict())
