"""Whole models trained beside their torch.nn twins, and the comparison itself put to the test."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from reference.lockstep import lockstep, run
from reference.twins import twin
from scratchae.layers import BatchNorm2d, Conv2d, Flatten, Linear, ReLU, Sequential
from scratchae.optim import SGD, Adam
from tests.helpers.tensors import DEVICES

BATCH = {"fc": 64, "conv": 8}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["fc", "conv"])
def test_200_steps_in_float64_keep_every_tensor_within_1e_9(name, device):
    """Relative to the largest element of each tensor, or to a thousandth of the largest element of
    its kind where that is more: the conv biases before a BatchNorm have no gradient at all."""
    result = run(name, steps=200, dtype=torch.float64, batch=BATCH[name], device=device)
    assert result and result.steps == 200, result
    assert set(result.largest) == {"activation", "loss", "gradient", "parameter"}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["fc", pytest.param("conv", marks=pytest.mark.slow)])
def test_200_steps_in_float32_keep_the_losses_within_1e_4(name, device, monkeypatch):
    """Pixels are in [-1, 1] and losses between 1 and 0.1. The difference is an absolute one: relative
    to its loss, torch.nn's conv in float32 is itself 1e-4 away from float64 after some 60 steps."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # ten bits are no float32
    result = run(name, 200, torch.float32, batch=64, device=device, tolerances={"loss": 1.0})
    losses = torch.tensor(result.losses, dtype=torch.float64)
    assert losses.shape == (200, 2)
    assert (losses[:, 0] - losses[:, 1]).abs().max() <= 1e-4


@pytest.mark.slow
def test_200_steps_of_conv_in_float32_stray_from_float64_no_further_than_torch_does():
    exact = run("conv", 200, torch.float64, batch=8).losses
    single = run("conv", 200, torch.float32, batch=8, tolerances={"loss": 1.0}).losses
    exact, single = torch.tensor(exact, dtype=torch.float64), torch.tensor(single)
    ours, theirs = ((single[:, i] - exact[:, 1]).abs() / exact[:, 1] for i in (0, 1))
    assert len(exact) == len(single) == 200
    assert ours.max() <= 10 * theirs.max()


def test_a_layer_of_every_kind_of_the_small_model_stays_in_lockstep_with_sgd():
    assert compare(small_model())


def small_model() -> Sequential:
    torch.manual_seed(0)
    encoder = Sequential(Conv2d(1, 2, 3), BatchNorm2d(2), ReLU(), Flatten(), Linear(30, 7))
    return Sequential(
        {"encoder": encoder, "decoder": Sequential(ReLU(), Linear(7, 35)), "shape": Image()}
    ).to(dtype=torch.float64)


class Image(Flatten):
    """(N, 35) -> (N, 1, 5, 7); as a Flatten of its own so that the twin is given by hand."""

    def forward(self, x):
        return self.remember(x.reshape(len(x), 1, 5, 7), x.shape)


def compare(model: Sequential, steps: int = 3, tolerances=None):
    encoder, decoder, _ = model
    modules = {
        "encoder": twin(encoder),
        "decoder": twin(decoder),
        "shape": nn.Unflatten(1, (1, 5, 7)),
    }
    module = nn.Sequential()
    for name, child in modules.items():
        module.add_module(name, child)
    generator = torch.Generator().manual_seed(1)
    batches = [torch.randn(3, 1, 5, 7, generator=generator).double() for _ in range(steps)]
    return lockstep(
        *(model, module),
        lambda parameters: SGD(parameters, lr=0.1, momentum=0.9),
        lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
        *(batches, steps, tolerances),
    )


def forgets_the_shift(layer):
    """Forward without the bias."""
    forward = layer.forward
    layer.forward = lambda x: forward(x) - layer.bias


def averages_the_bias(layer):
    """dbias over the batch instead of its sum."""
    backward = layer.backward

    def wrong(dy):
        before = layer.bias.grad.clone()
        dx = backward(dy)
        layer.bias.grad.copy_(before + (layer.bias.grad - before) / len(dy))
        return dx

    layer.backward = wrong


def scales_dx(layer):
    """dx a millionth too large; the layer's own parameters are right."""
    backward = layer.backward
    layer.backward = lambda dy: backward(dy) * (1 + 1e-6)


@pytest.mark.parametrize(
    ("place", "mistake", "kind", "name"),
    [
        (("encoder", 4), forgets_the_shift, "activation", "encoder.4 (output)"),
        (("encoder", 4), averages_the_bias, "gradient", "encoder.4.bias"),
        (("encoder", 1), averages_the_bias, "gradient", "encoder.1.bias"),
        (("decoder", 1), scales_dx, "activation", "decoder.1 (gradient of its input)"),
        (("encoder", 1), scales_dx, "activation", "encoder.1 (gradient of its input)"),
    ],
)
def test_an_injected_mistake_is_found_and_the_first_wrong_tensor_is_named(
    place, mistake, kind, name
):
    model = small_model()
    mistake(model.layers[place[0]][place[1]])
    result = compare(model)
    assert not result
    assert (result.first.step, result.first.kind, result.first.name) == (1, kind, name)
    assert f"step 1: {kind} {name} differs by" in str(result)


def test_without_activations_the_first_wrong_gradient_is_named():
    model = small_model()
    scales_dx(model.layers["decoder"][1])
    result = compare(model, tolerances={"gradient": 1e-9, "parameter": 1e-9})
    assert (result.first.kind, result.first.name) == ("gradient", "encoder.4.weight")


def test_a_wrong_optimiser_shows_in_the_first_parameter(monkeypatch):
    monkeypatch.setattr(Adam, "decoupled_weight_decay", True)
    result = run("fc", steps=2, batch=3)
    assert (result.first.kind, result.first.name) == ("parameter", "encoder.0.weight")


def test_a_wrong_loss_is_named_before_any_gradient(monkeypatch):
    monkeypatch.setattr(
        "scratchae.losses.mse.mse_forward", lambda p, t: (p - t).square().sum() / (p.numel() - 1)
    )
    assert run("fc", steps=1, batch=3).first.kind == "loss"


def test_not_a_number_counts_as_a_difference(monkeypatch):
    monkeypatch.setattr("scratchae.losses.mse.mse_backward", lambda p, t: (p - t) * float("nan"))
    assert not run("fc", steps=1, batch=3)


def test_the_command_prints_the_verdict():
    command = [sys.executable, "-m", "reference.lockstep", "fc", "--steps", "2", "--batch", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 steps in lockstep; largest relative differences: activation")
