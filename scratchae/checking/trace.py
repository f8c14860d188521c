"""trace: the activations and gradients of every layer, in one forward and backward pass.

A copy of the model runs once. If training fails, the table helps to find the layer at fault: it shows
activations or gradients that shrink or grow from layer to layer, and dead units. If a second model is
given that should be equal, the trace shows the first layer in which the two differ.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from scratchae.checking.trace_findings import differences, warnings_of
from scratchae.checking.trace_table import Trace
from scratchae.errors import ScratchaeError
from scratchae.layers import Layer, ReLU, Sequential, observed
from scratchae.step import add_gradients, loss_of

__all__ = ["Trace", "trace"]


def trace(
    model: Layer,
    x: Tensor,
    other: Any = None,
    seed: int = 0,
) -> Trace:
    """Run x (N, ...) forward and backward through a copy of the model, in the model's mode; see `Trace`.

    The target is x. If the output has another shape, the target is random, drawn from `seed`. other: a
    model that should give the same outputs, by hand or of torch.nn, or a list (name, tensor) with the
    outputs of its layers. Raises ScratchaeError if the model cannot be traced or compared.

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
    if not isinstance(model, Layer):
        raise ScratchaeError(
            f"trace expects a layer or a model made of layers, but got a {type(model).__name__}"
        )
    leaves = leaves_of(model)
    if not isinstance(x, Tensor) or not x.numel() or not leaves:
        raise ScratchaeError(
            "trace expects at least one layer, and a batch (N, ...) of one or more"
        )
    theirs = None if other is None else activations(other, x)
    model = copy.deepcopy(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    leaves = leaves_of(model)
    passes: dict[str, dict[str, Tensor]] = {}  # by layer, in the order of the forward pass

    def record(name: str, which: str, call: Callable[[Tensor], Tensor], given: Tensor) -> Tensor:
        result = call(given)
        keys = ("x", "y") if which == "forward" else ("dy", "dx")
        passes.setdefault(name, {}).update(zip(keys, (given, result), strict=True))
        return result

    y = copy.deepcopy(model).forward(x)
    target, what = x, "the input"
    if y.shape != x.shape:
        generator = torch.Generator().manual_seed(seed)
        target, what = torch.randn(y.shape, generator=generator).to(y), "a random target"
    with observed(leaves.items(), record):
        loss = add_gradients(model, x, target)
    rows = [row(name, leaves[name], **seen) for name, seen in passes.items()]
    table = pd.DataFrame(rows)
    outputs = [seen["y"] for seen in passes.values()]
    parted = None
    if theirs is not None:
        table["difference"] = differences(outputs, theirs)
        far = table["difference"] > 100 * torch.finfo(y.dtype).eps
        parted = table["name"][far].iloc[0] if far.any() else None
    many = f"{len(rows)} layer{'s'[: len(rows) > 1]}"
    headline = f"{many}, a batch of {len(x)}, {loss_of(model)!r} {loss:.4g} against {what}"
    gradients = [(seen["dx"], seen["dy"]) for seen in passes.values()]
    return Trace(table, headline, parted, tuple(warnings_of(table, outputs, gradients)))


def leaves_of(model: Layer) -> dict[str, Layer]:
    """Return {name: layer} of the layers without children. If the model is one, its name is its type."""
    return {
        name or type(layer).__name__: layer
        for name, layer in model.modules()
        if not any(layer.children()) and not isinstance(layer, Sequential)
    }


def row(name: str, layer: Layer, x: Tensor, y: Tensor, dx: Tensor, dy: Tensor) -> dict:
    """Return the table's row of one layer."""
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
        gradient = math.nan if p.grad is None else p.grad.double().norm().item()
        numbers[f"d{key}/{key}"] = gradient / size if size else math.nan
    return {"name": name, "kind": type(layer).__name__, "shape": tuple(y.shape)} | numbers


def spread(x: Tensor) -> float:
    """Return the standard deviation over all numbers."""
    return x.double().std(correction=0).item()


def activations(other: Any, x: Tensor) -> list[Tensor]:
    """Return the output of every leaf layer of a copy of `other`, in order."""
    seen: list[Tensor] = []
    if isinstance(other, Layer):
        model = copy.deepcopy(other)

        def record(_: str, which: str, call: Callable[[Tensor], Tensor], given: Tensor) -> Tensor:
            seen.append(call(given))
            return seen[-1]

        with observed(leaves_of(model).items(), record):
            model.forward(x)
        return seen
    if hasattr(other, "named_modules"):  # a module of torch.nn
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
            "trace expects as `other` a model, a module of torch.nn or a list of "
            f"(name, tensor), but got a {type(other).__name__}"
        ) from error
