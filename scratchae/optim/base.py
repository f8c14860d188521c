"""Optimizer: the base class of all optimisers. It stores all parameters in one flat tensor.

All parameters of a model are stored one after the other in one tensor, and all gradients in another.
The layers hold views of these two tensors. So a step needs a few operations for the whole model, and not
a few for every parameter.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError

Number = float | Tensor  # a number, or a tensor of shape ()
# A CPU updates this many parameters at a time, so that all tensors of such a piece fit into its cache.
PIECE = 2**17


class Optimizer:
    """Base of all optimisers. The parameters become views of the flat tensor `value`.

    Their gradients become views of the flat tensor `grad`. A subclass defines `update`. lr: a number, a
    tensor with one element, or a tensor of the shape of `value` with one learning rate for each element.
    Raises ScratchaeError if the parameters or the settings are wrong.

    >>> class SignSGD(Optimizer):
    ...     def update(self, value, grad, t, lr, state):
    ...         value.sub_(lr * grad.sign())
    >>> weight, bias = torch.tensor([[1.0, 2.0]]), torch.tensor([3.0])
    >>> optimizer = SignSGD([weight, bias], lr=0.5, weight_decay=0.0)
    >>> weight.grad += torch.tensor([[7.0, -7.0]])
    >>> optimizer.step()
    >>> weight.tolist(), optimizer.value.tolist()
    ([[0.5, 2.5]], [0.5, 2.5, 3.0])
    """

    slots: tuple[str, ...] = ()  # the names of the flat tensors that are kept between steps
    hyperparameters: tuple[str, ...] = ("lr", "weight_decay")

    def __init__(self, parameters: Iterable[Tensor], lr: Number, weight_decay: float) -> None:
        self.parameters = list(parameters)
        self.lr, self.weight_decay, self.steps = lr, weight_decay, 0
        self._check()
        self.value = torch.cat([p.detach().reshape(-1) for p in self.parameters])
        if isinstance(lr, Tensor) and lr.shape != self.value.shape:
            if lr.numel() != 1:
                raise ScratchaeError(
                    f"{type(self).__name__} expects lr as one number, or as one for each of the "
                    f"{self.value.numel():,} parameters, got a tensor {tuple(lr.shape)}"
                )
            self.lr = lr.reshape(())  # a view, so the caller can still change lr in place
        self.grad = torch.zeros_like(self.value)
        self.views = list(zip(self._cut(self.value), self._cut(self.grad), strict=True))
        for p, (value, grad) in zip(self.parameters, self.views, strict=True):
            if p.grad is not None:
                grad.copy_(p.grad)
            p.data, p.grad = value, grad
        self.state = {name: torch.zeros_like(self.value) for name in self.slots}

    def step(self) -> None:
        """Update the parameters once, with their gradients.

        Raises ScratchaeError if a parameter has no gradient, or is no longer a view of `value`.
        """
        self._relink()
        self.steps += 1
        for value, grad, lr, state in self._pieces():
            self.update(value, grad, self.steps, lr, state)

    def update(
        self, value: Tensor, grad: Tensor, t: Number, lr: Number, state: dict[str, Tensor]
    ) -> None:
        """Make step t, counted from 1: change `value` and `state` in place, but not `grad`.

        value, grad and the tensors of `state` have the same shape. They contain all parameters or only
        some of them, so each element must be updated independently of the others. t, lr: as in
        `adam_update`.
        """
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Set all gradients to 0, in one operation."""
        self.grad.zero_()
        for p, (_, grad) in zip(self.parameters, self.views, strict=True):
            p.grad = grad

    def state_dict(self) -> dict:
        """Return {"steps": int, the hyperparameters, "state": {name: flat tensor}}."""
        settings = {name: getattr(self, name) for name in self.hyperparameters}
        settings["lr"] = float(self.lr)
        return {"steps": self.steps, **settings, "state": dict(self.state)}

    def load_state_dict(self, state: dict) -> None:
        """Load a state that `state_dict` returned. Raises ScratchaeError if the state does not fit."""
        who = type(self).__name__
        missing = {"steps", "state", *self.hyperparameters} - state.keys()
        if missing or state["state"].keys() != self.state.keys():
            raise ScratchaeError(
                f"the state does not belong to {who}, which has {', '.join(['steps', *self.slots])} "
                "and its settings: load it into an optimiser like the one that it was saved from"
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

    def __repr__(self) -> str:
        usual = inspect.signature(type(self)).parameters
        names = [name for name in self.hyperparameters if name in usual]
        given = {name: getattr(self, name) for name in names}
        chosen = [f"{k}={v!r}" for k, v in given.items() if k == "lr" or v != usual[k].default]
        return f"{type(self).__name__}({', '.join(chosen)})"

    def _check(self) -> None:
        """Raise ScratchaeError if the parameters or the settings are wrong."""
        who = type(self).__name__
        if not self.parameters:
            raise ScratchaeError(f"{who} got no parameters: pass model.parameters()")
        for p in self.parameters:
            if not isinstance(p, Tensor) or not p.is_floating_point():
                what = short_kind(p)
                raise ScratchaeError(
                    f"{who} expects floating-point tensors but got {what}: pass model.parameters()"
                )
        kinds = {(p.dtype, p.device) for p in self.parameters}
        if len(kinds) > 1:
            raise ScratchaeError(
                f"{who} expects parameters of one dtype on one device, got {sorted(map(str, kinds))}: "
                "move the whole model with model.to(...) first"
            )
        if len({id(p) for p in self.parameters}) < len(self.parameters):
            raise ScratchaeError(f"{who} got the same parameter twice: pass every parameter once")
        for name in self.hyperparameters:
            value = getattr(self, name, None)
            if name == "lr" and isinstance(value, Tensor):
                value = value.min().item() if value.isfinite().all() else math.nan
            if name in ("lr", "weight_decay", "eps") and not (
                isinstance(value, int | float) and 0 <= value < math.inf
            ):
                raise ScratchaeError(f"{who} expects {name} >= 0 and finite, got {value!r}")

    def _pieces(self) -> Iterator[tuple[Tensor, Tensor, Number, dict[str, Tensor]]]:
        """Yield (value, grad, lr, state) as a whole; on a CPU, in pieces, because this is faster."""
        total = self.value.numel()
        size = PIECE if self.value.device.type == "cpu" else total
        for start in range(0, total, size):
            part, lr = slice(start, start + size), self.lr
            if isinstance(lr, Tensor) and lr.ndim:  # one rate for each parameter
                lr = lr[part]
            state = {name: tensor[part] for name, tensor in self.state.items()}
            yield self.value[part], self.grad[part], lr, state

    def _cut(self, flat: Tensor) -> list[Tensor]:
        """Return consecutive views of flat with the shapes of the parameters."""
        pieces = flat.split([p.numel() for p in self.parameters])
        return [piece.view(p.shape) for piece, p in zip(pieces, self.parameters, strict=True)]

    def _relink(self) -> None:
        """Check that the parameters are still views of `value`. Copy gradients that were set by hand to `grad`."""
        for i, (p, (value, grad)) in enumerate(zip(self.parameters, self.views, strict=True)):
            if p.data_ptr() != value.data_ptr() or p.dtype != value.dtype:
                raise ScratchaeError(
                    f"{type(self).__name__}: parameter {i} is no longer where this optimiser put it: "
                    "make the optimiser after model.to(...), and make only one for each model"
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
    """Return the kind of a value in words, for an error text.

    >>> short_kind(torch.tensor([1, 2])), short_kind("weight")
    ('a tensor of int64', 'a str')
    """
    if isinstance(value, Tensor):
        return f"a tensor of {str(value.dtype).removeprefix('torch.')}"
    return f"a {type(value).__name__}"
