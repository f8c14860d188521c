"""Optimizer: the base class of all optimisers. It stores all parameters in one flat tensor.

All parameters of a model are stored one after the other in one tensor, and all gradients in another.
The layers hold views of these two tensors. So a step needs a few operations for the whole model, and not
a few for every parameter.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Iterator
from typing import Self

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.optim.average import AVERAGE, ema_update
from scratchae.optim.clipping import clip_grad_norm, clip_grad_value
from scratchae.optim.plateau import ReduceLROnPlateau
from scratchae.optim.schedules import Number, Schedule

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

    slots: tuple[str, ...] = ()  # the names of the flat tensors that `update` keeps between steps
    hyperparameters: tuple[str, ...] = ("lr", "weight_decay")
    # what a step does besides the update; `configure` sets it
    schedule: Schedule | None = None
    clip_norm: float | None = None
    clip_value: float | None = None
    ema: float | None = None

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

    def configure(
        self,
        schedule: Schedule | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
    ) -> Self:
        """Set what a step does besides the update, and return the optimizer. None omits it.

        schedule: changes the learning rate from step to step. clip_norm, clip_value: the max_norm of
        `clip_grad_norm` and the limit of `clip_grad_value`; if both are given, the values are clipped
        first. ema: the decay of an average of the weights, which is then in state["average"].
        Raises ScratchaeError if a setting is wrong.

        >>> weight = torch.tensor([10.0])
        >>> optimizer = Optimizer([weight], 0.5, 0.0).configure(clip_norm=1.0, ema=0.9)
        >>> optimizer.clip_norm, optimizer.state["average"].item()
        (1.0, 10.0)
        """
        check_extras(self, schedule, clip_norm, clip_value, ema)
        self.schedule, self.clip_norm, self.clip_value = schedule, clip_norm, clip_value
        self.ema = ema
        self.state.pop(AVERAGE, None)
        if ema is not None:
            self.state[AVERAGE] = self.value.clone()
        return self

    def step(self) -> None:
        """Update the parameters once, with their gradients.

        Raises ScratchaeError if a parameter has no gradient, or is no longer a view of `value`.
        """
        self._relink()
        lr = self.rate(self.steps)
        self.steps += 1
        self.clip(self.grad)
        for value, grad, rate, state in self._pieces(lr):
            self.advance(value, grad, self.steps, rate, state)

    def rate(self, step: int) -> Number:
        """Return the learning rate of the next step, if `step` steps have been made so far."""
        return self.lr if self.schedule is None else self.schedule.rate(step, self.lr)

    def next_rates(self, count: int) -> list[float]:
        """Return the learning rates of the next `count` steps."""
        lr, steps = float(self.lr), range(self.steps, self.steps + count)
        return [lr if self.schedule is None else float(self.schedule.rate(t, lr)) for t in steps]

    def clip(self, grad: Tensor) -> None:
        """Clip the gradient of all parameters in place, as `configure` says."""
        if self.clip_value is not None:
            clip_grad_value(grad, self.clip_value)
        if self.clip_norm is not None:
            clip_grad_norm(grad, self.clip_norm)

    def advance(
        self, value: Tensor, grad: Tensor, t: Number, lr: Number, state: dict[str, Tensor]
    ) -> None:
        """Call `update`, and then update the average, if there is one. The arguments are those of `update`."""
        self.update(value, grad, t, lr, {name: state[name] for name in self.slots})
        if self.ema is not None:
            ema_update(state[AVERAGE], value, t, self.ema)

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
                f"the state does not belong to {who}, which has {', '.join(['steps', *self.state])} "
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

    def _pieces(self, lr: Number) -> Iterator[tuple[Tensor, Tensor, Number, dict[str, Tensor]]]:
        """Yield (value, grad, lr, state) as a whole; on a CPU, in pieces, because this is faster."""
        total = self.value.numel()
        size = PIECE if self.value.device.type == "cpu" else total
        for start in range(0, total, size):
            part, rate = slice(start, start + size), lr
            if isinstance(lr, Tensor) and lr.ndim:  # one rate for each parameter
                rate = lr[part]
            state = {name: tensor[part] for name, tensor in self.state.items()}
            yield self.value[part], self.grad[part], rate, state

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


def check_extras(
    optimizer: Optimizer,
    schedule: Schedule | None,
    clip_norm: float | None,
    clip_value: float | None,
    ema: float | None,
) -> None:
    """Raise ScratchaeError if an argument of `configure` is wrong.

    >>> check_extras(Optimizer([torch.ones(1)], 0.1, 0.0), None, -1.0, None, None)
    Traceback (most recent call last):
    scratchae.errors.ScratchaeError: clip_norm must be a number above 0, got -1.0: omit it to clip nothing
    """
    if schedule is not None and not isinstance(schedule, Schedule):
        raise ScratchaeError(
            f"schedule must be a schedule of scratchae.optim, got {schedule!r}: make one, such as "
            "CosineAnnealingLR(T_max=1000), or omit it"
        )
    each = isinstance(optimizer.lr, Tensor) and optimizer.lr.ndim > 0
    if each and isinstance(schedule, ReduceLROnPlateau):
        raise ScratchaeError(
            "ReduceLROnPlateau needs one learning rate for all parameters, but this optimizer has one "
            "for each: use another schedule"
        )
    for name, limit in (("clip_norm", clip_norm), ("clip_value", clip_value)):
        if limit is not None and not (is_number(limit) and 0 < limit < math.inf):
            raise ScratchaeError(
                f"{name} must be a number above 0, got {limit!r}: omit it to clip nothing"
            )
    if ema is not None and not (is_number(ema) and 0 <= ema < 1):
        raise ScratchaeError(
            f"ema must be a decay of at least 0 and below 1, such as 0.999, got {ema!r}"
        )


def is_number(value: object) -> bool:
    """Return whether a value is an int or a float, but not True or False.

    >>> is_number(0.5), is_number(True)
    (True, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool)


def short_kind(value: object) -> str:
    """Return the kind of a value in words, for an error text.

    >>> short_kind(torch.tensor([1, 2])), short_kind("weight")
    ('a tensor of int64', 'a str')
    """
    if isinstance(value, Tensor):
        return f"a tensor of {str(value.dtype).removeprefix('torch.')}"
    return f"a {type(value).__name__}"
