"""A training step of scratchae and one of autograd, each with a list of all its tensors.

Both lists contain (kind, name, tensor) in the order of computation: the outputs, the loss, then the
gradients of each layer from the last to the first, and the state after the step.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from scratchae.layers import Sequential
from scratchae.losses import MSELoss

Recorded = list[tuple[str, str, Tensor]]


def our_step(model: Sequential, optimizer, x: Tensor) -> Recorded:
    """Make a training step of scratchae with the target x."""
    optimizer.zero_grad()
    seen, loss, y, leaves = [], MSELoss(), x, list(model.leaves())
    for name, leaf in leaves:
        y = leaf.forward(y)
        seen.append(("activation", f"{name} (output)", y.clone()))
    seen.append(("loss", "MSELoss", loss(y, x)))
    dy = loss.backward()
    for name, leaf in reversed(leaves):
        dy = leaf.backward(dy)
        for key, parameter in leaf.named_parameters(f"{name}."):
            seen.append(("gradient", key, parameter.grad.clone()))
        seen.append(("activation", f"{name} (gradient of its input)", dy.clone()))
    optimizer.step()
    return seen + state(model)


def their_step(module: nn.Module, optimizer, x: Tensor) -> Recorded:
    """Make the same step with autograd."""
    optimizer.zero_grad()
    leaves = list(module_leaves(module))
    activations = [x.clone().requires_grad_()]
    for _, leaf in leaves:
        activations.append(leaf(activations[-1]))
        activations[-1].retain_grad()
    loss = nn.functional.mse_loss(activations[-1], x)
    loss.backward()
    outputs = zip(leaves, activations[1:], strict=True)
    seen = [("activation", f"{name} (output)", y.detach()) for (name, _), y in outputs]
    seen.append(("loss", "MSELoss", loss.detach()))
    for (name, leaf), y in reversed(list(zip(leaves, activations[:-1], strict=True))):
        for key, parameter in leaf.named_parameters(name):
            seen.append(("gradient", key, parameter.grad.clone()))
        seen.append(("activation", f"{name} (gradient of its input)", y.grad))
    optimizer.step()
    return seen + state(module)


def module_leaves(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Iterate over (dotted name, module) of all modules that are not an nn.Sequential, in order."""
    for name, child in module.named_children():
        if isinstance(child, nn.Sequential):
            yield from module_leaves(child, f"{prefix}{name}.")
        else:
            yield prefix + name, child


def state(model) -> Recorded:
    """Return every parameter and running statistic."""
    return [
        ("parameter", key, tensor.detach().double()) for key, tensor in model.state_dict().items()
    ]
