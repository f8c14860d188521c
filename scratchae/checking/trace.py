"""The X-ray: what every layer of a model makes of a batch, on the way forth and on the way back.

A copy of the model runs once. Where training goes wrong one sees in which layer: activations or
gradients that shrink or grow from layer to layer, units that are dead, and, beside a second
model that should be the same, the first layer where the two part.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from scratchae.checking.trace_findings import differences, warnings_of
from scratchae.checking.trace_table import Trace
from scratchae.errors import ScratchaeError
from scratchae.layers import Layer, ReLU, Sequential
from scratchae.losses import mse_backward, mse_forward

__all__ = ["Trace", "trace"]


def trace(
    model: Sequential,
    x: Tensor,
    other: object | Sequence[tuple[str, Tensor]] | None = None,
    seed: int = 0,
) -> Trace:
    """Send x (N, ...) forth and back through a copy of the model, in its mode; see `Trace`.

    The loss is the mean squared error of giving back x, or where the output has another shape a
    random gradient, from `seed`. other: a model that should do the same, by hand or of torch.nn,
    or the outputs of its layers as (name, tensor). Raises ScratchaeError where that cannot be.

    >>> import copy
    >>> from scratchae.layers import Linear, ReLU, Sequential
    >>> model = Sequential(Linear(5, 3), ReLU(), Linear(3, 5))
    >>> seen = trace(model, torch.randn(8, 5))
    >>> seen.table[["name", "kind", "shape"]].values.tolist()
    [['0', 'Linear', (8, 3)], ['1', 'ReLU', (8, 3)], ['2', 'Linear', (8, 5)]]
    >>> changed = copy.deepcopy(model)
    >>> changed[2].bias[4] += 1
    >>> trace(model, torch.randn(8, 5), changed).parted
    '2'
    """
    if not isinstance(model, Sequential) or type(model).forward is not Sequential.forward:
        raise ScratchaeError(
            "trace wants a Sequential or an Autoencoder, whose layers run one after the other, but "
            f"got a {type(model).__name__}"
        )
    if not isinstance(x, Tensor) or not x.numel() or not len(model):
        raise ScratchaeError("trace wants at least one layer, and a batch (N, ...) of one or more")
    theirs = None if other is None else activations(other, x)
    model = copy.deepcopy(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    leaves, outputs = list(model.leaves()), [x, *activations_by_hand(model, x)]
    y = outputs[-1]
    if y.shape == x.shape:
        gradients, loss = [mse_backward(y, x)], f"MSE {mse_forward(y, x):.4g} against the input"
    else:
        generator = torch.Generator().manual_seed(seed)
        gradients, loss = [torch.randn(y.shape, generator=generator).to(y)], "random gradient"
    for _, layer in reversed(leaves):
        gradients.insert(0, layer.backward(gradients[0]))
    rows = [row(*leaf, *outputs[i : i + 2], *gradients[i : i + 2]) for i, leaf in enumerate(leaves)]
    table = pd.DataFrame(rows)
    parted = None
    if theirs is not None:
        table["difference"] = differences(outputs[1:], theirs)
        far = table["difference"] > 100 * torch.finfo(y.dtype).eps
        parted = table["name"][far].iloc[0] if far.any() else None
    many = f"{len(leaves)} layer{'s'[: len(leaves) > 1]}"
    headline = f"{many}, a batch of {len(x)}, {loss}"
    return Trace(table, headline, parted, tuple(warnings_of(table, outputs[1:], gradients)))


def row(name: str, layer: Layer, x: Tensor, y: Tensor, dx: Tensor, dy: Tensor) -> dict:
    """The table's row of one layer."""
    dead, cuts = math.nan, x.shape == y.shape and x.min() < 0 and y.min() == 0
    if y.ndim > 1 and (isinstance(layer, ReLU) or cuts):
        dead = (y == 0).transpose(0, 1).flatten(1).all(dim=1).double().mean().item()
    numbers = {
        "mean": y.double().mean().item(),
        "spread": spread(y),
        "dead": dead,
        "dy_spread": spread(dy),
        "dx_spread": spread(dx),
    }
    for key, p in layer.named_parameters():
        size = p.double().norm().item()
        numbers[f"d{key}/{key}"] = p.grad.double().norm().item() / size if size else math.nan
    return {"name": name, "kind": type(layer).__name__, "shape": tuple(y.shape)} | numbers


def spread(x: Tensor) -> float:
    """The standard deviation over all numbers."""
    return x.double().std(correction=0).item()


def activations_by_hand(model: Sequential, x: Tensor) -> list[Tensor]:
    """The output of every leaf layer, in order."""
    return [x := layer.forward(x) for _, layer in model.leaves()]


def activations(other: object, x: Tensor) -> list[Tensor]:
    """The output of every leaf layer of a copy of `other`, in order."""
    if isinstance(other, Sequential):
        return activations_by_hand(copy.deepcopy(other), x)
    if hasattr(other, "named_modules"):  # a module of torch.nn
        seen: list[Tensor] = []
        module = copy.deepcopy(other)
        for _, part in module.named_modules():
            if not list(part.children()):
                part.register_forward_hook(lambda part, x, y: seen.append(y.detach().clone()))
        with torch.no_grad():
            module(x)
        return seen
    try:
        return [tensor.detach() for _, tensor in other]
    except (TypeError, ValueError, AttributeError) as error:
        raise ScratchaeError(
            "trace wants as `other` a Sequential, a module of torch.nn or a list of "
            f"(name, tensor), but got a {type(other).__name__}"
        ) from error
