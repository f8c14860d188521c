"""Optimizer: what all optimisers have in common, which is that they work on one flat buffer.

All parameters of a model lie one behind the other in one tensor, and so do their gradients; what
the layers hold are views into it. A step is then a handful of operations for the whole
model instead of a handful for every parameter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError


class Optimizer:
    """Moves the parameters into one flat buffer, `value`, and their gradients into `grad`.

    >>> class SignSGD(Optimizer):
    ...     def update(self, value, grad, t):
    ...         value.sub_(self.lr * grad.sign())
    >>> weight, bias = torch.tensor([[1.0, 2.0]]), torch.tensor([3.0])
    >>> optimizer = SignSGD([weight, bias], lr=0.5, weight_decay=0.0)
    >>> weight.grad += torch.tensor([[7.0, -7.0]])
    >>> optimizer.step()
    >>> weight.tolist(), optimizer.value.tolist()
    ([[0.5, 2.5]], [0.5, 2.5, 3.0])
    """

    slots: tuple[str, ...] = ()  # the names of the flat tensors that a step remembers
    hyperparameters: tuple[str, ...] = ("lr", "weight_decay")

    def __init__(self, parameters: Iterable[Tensor], lr: float, weight_decay: float) -> None:
        self.parameters = list(parameters)
        self.lr, self.weight_decay, self.steps = lr, weight_decay, 0
        self._check()
        self.value = torch.cat([p.detach().reshape(-1) for p in self.parameters])
        self.grad = torch.zeros_like(self.value)
        self.views = list(zip(self._cut(self.value), self._cut(self.grad), strict=True))
        for p, (value, grad) in zip(self.parameters, self.views, strict=True):
            if p.grad is not None:
                grad.copy_(p.grad)
            p.data, p.grad = value, grad
        self.state = {name: torch.zeros_like(self.value) for name in self.slots}

    def step(self) -> None:
        """Move the parameters once, by the gradients that have been collected."""
        self._relink()
        self.steps += 1
        self.update(self.value, self.grad, self.steps)

    def update(self, value: Tensor, grad: Tensor, t: int) -> None:
        """Change `value` (P,) in place; `grad` (P,) is left as it is; t counts from 1."""
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Empty all gradients: one operation."""
        self.grad.zero_()
        for p, (_, grad) in zip(self.parameters, self.views, strict=True):
            p.grad = grad

    def state_dict(self) -> dict:
        """{"steps": int, the hyperparameters, "state": {name: flat tensor}}."""
        settings = {name: getattr(self, name) for name in self.hyperparameters}
        return {"steps": self.steps, **settings, "state": dict(self.state)}

    def load_state_dict(self, state: dict) -> None:
        """Take up where `state_dict` was taken; raises ScratchaeError where it does not fit."""
        who = type(self).__name__
        missing = {"steps", "state", *self.hyperparameters} - state.keys()
        if missing or state["state"].keys() != self.state.keys():
            raise ScratchaeError(
                f"the state does not belong to {who}: it wants {', '.join(['steps', *self.slots])} "
                "and the settings: load it into the optimiser that it was saved from"
            )
        for name, tensor in state["state"].items():
            if tensor.shape != self.value.shape:
                raise ScratchaeError(
                    f"the state does not belong to this model: {name} has {tensor.numel():,} numbers, "
                    f"the model {self.value.numel():,} parameters: build the same model"
                )
        for name in self.hyperparameters:
            setattr(self, name, state[name])
        self.steps = state["steps"]
        for name, tensor in state["state"].items():
            self.state[name].copy_(tensor)

    def _check(self) -> None:
        who = type(self).__name__
        if not self.parameters:
            raise ScratchaeError(f"{who} got no parameters: pass model.parameters()")
        for p in self.parameters:
            if not isinstance(p, Tensor) or not p.is_floating_point():
                what = short_kind(p)
                raise ScratchaeError(
                    f"{who} wants floating-point tensors but got {what}: pass model.parameters()"
                )
        kinds = {(p.dtype, p.device) for p in self.parameters}
        if len(kinds) > 1:
            raise ScratchaeError(
                f"{who} wants parameters of one dtype on one device, got {sorted(map(str, kinds))}: "
                "move the whole model with model.to(...) first"
            )
        if len({id(p) for p in self.parameters}) < len(self.parameters):
            raise ScratchaeError(f"{who} got the same parameter twice: pass every parameter once")
        for name in self.hyperparameters:
            value = getattr(self, name, None)
            if name in ("lr", "weight_decay", "eps") and not (
                isinstance(value, int | float) and 0 <= value < math.inf
            ):
                raise ScratchaeError(f"{who} wants {name} >= 0 and finite, got {value!r}")

    def _cut(self, flat: Tensor) -> list[Tensor]:
        pieces = flat.split([p.numel() for p in self.parameters])
        return [piece.view(p.shape) for piece, p in zip(pieces, self.parameters, strict=True)]

    def _relink(self) -> None:
        """See that the layers still hold views of the flat buffers; take in gradients set by hand."""
        for i, (p, (value, grad)) in enumerate(zip(self.parameters, self.views, strict=True)):
            if p.data_ptr() != value.data_ptr() or p.dtype != value.dtype:
                raise ScratchaeError(
                    f"{type(self).__name__}: parameter {i} is no longer where this optimiser put it: "
                    "make the optimiser after model.to(...), and only one for a model"
                )
            if p.grad is None:
                raise ScratchaeError(
                    f"{type(self).__name__}.step: parameter {i}, of shape {tuple(p.shape)}, has no "
                    "gradient: call zero_grad() and backward(dy) before step()"
                )
            if p.grad is not grad:
                grad.copy_(p.grad)
                p.grad = grad


def short_kind(value: object) -> str:
    """'a list', or 'an int64 tensor'.

    >>> short_kind(torch.tensor([1, 2])), short_kind("weight")
    ('a tensor of int64', 'a str')
    """
    if isinstance(value, Tensor):
        return f"a tensor of {str(value.dtype).removeprefix('torch.')}"
    return f"a {type(value).__name__}"
