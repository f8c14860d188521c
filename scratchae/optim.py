"""Optimisers: what a step does with the gradient. All of them work on one flat buffer.

g is the gradient, θ the parameters, η the learning rate (`lr`), λ the `weight_decay`, t the number
of this step, from 1.

    SGD     g ← g + λθ     v ← μ v + (1 − dampening) g      (v = g in the first step)
            θ ← θ − η v,   or with nesterov  θ ← θ − η (g + μ v)

    Adam    g ← g + λθ     m ← β₁ m + (1 − β₁) g     v ← β₂ v + (1 − β₂) g²
            m̂ = m / (1 − β₁ᵗ)     v̂ = v / (1 − β₂ᵗ)     θ ← θ − η m̂ / (√v̂ + ε)

    AdamW   θ ← θ − ηλθ instead of g ← g + λθ; the rest as Adam

m and v start at 0, so the first averages are too small by 1 − βᵗ: the hats undo that. With
amsgrad, v̂ comes from the largest v so far. (Sutskever et al. 2013; Kingma and Ba 2015;
Loshchilov and Hutter 2019; Reddi et al. 2018.) Formulas and defaults are torch.optim's.

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


def sgd_update(
    value: Tensor,
    grad: Tensor,
    momentum_buffer: Tensor | None,
    t: int,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> None:
    """Step t of SGD: changes value and momentum_buffer (None without momentum), not grad; one shape."""
    g = grad.add(value, alpha=weight_decay) if weight_decay else grad
    if momentum:
        v = momentum_buffer
        if t == 1:
            v.copy_(g)
        else:
            v.mul_(momentum).add_(g, alpha=1 - dampening)
        g = g.add(v, alpha=momentum) if nesterov else v
    value.add_(g, alpha=-lr)


def adam_update(
    value: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    t: int,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    max_exp_avg_sq: Tensor | None = None,
) -> None:
    """Step t of Adam: changes value and the averages m = exp_avg and v = exp_avg_sq, not grad.

    All are of one shape. max_exp_avg_sq is the largest v so far, for amsgrad, or None.
    """
    (beta1, beta2), m, v = betas, exp_avg, exp_avg_sq
    g = grad.add(value, alpha=weight_decay) if weight_decay else grad
    m.lerp_(g, 1 - beta1)
    v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
    if max_exp_avg_sq is not None:
        v = torch.maximum(max_exp_avg_sq, v, out=max_exp_avg_sq)
    root = v.sqrt().div_(math.sqrt(1 - beta2**t)).add_(eps)  # √v̂ + ε
    value.addcdiv_(m, root, value=-lr / (1 - beta1**t))


class Optimizer:
    """Moves the parameters into one flat buffer, `value`, and their gradients into `grad`."""

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
            if p.grad is not grad and p.grad.data_ptr() != grad.data_ptr():
                grad.copy_(p.grad)
                p.grad = grad


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum; as torch.optim.SGD."""

    slots = ("momentum_buffer",)
    hyperparameters = ("lr", "momentum", "dampening", "weight_decay", "nesterov")

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        self.momentum, self.dampening, self.nesterov = momentum, dampening, nesterov
        if not momentum >= 0:
            raise ScratchaeError(f"SGD wants momentum >= 0, got {momentum!r}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ScratchaeError("SGD: nesterov=True wants a momentum above 0 and no dampening")
        if momentum == 0:
            self.slots = ()
        super().__init__(parameters, lr, weight_decay)

    def update(self, value: Tensor, grad: Tensor, t: int) -> None:
        sgd_update(
            value,
            grad,
            self.state.get("momentum_buffer"),
            t,
            self.lr,
            self.momentum,
            self.dampening,
            self.weight_decay,
            self.nesterov,
        )


class Adam(Optimizer):
    """Adam; `weight_decay` is added to the gradient, as in torch.optim.Adam."""

    slots = ("exp_avg", "exp_avg_sq")
    hyperparameters = ("lr", "betas", "eps", "weight_decay", "amsgrad")
    decoupled_weight_decay = False

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ) -> None:
        if (
            not isinstance(betas, tuple | list)
            or len(betas) != 2
            or not all(0 <= beta < 1 for beta in betas)
        ):
            raise ScratchaeError(
                f"{type(self).__name__} wants betas, two numbers from 0 to below 1, got {betas!r}: "
                "(0.9, 0.999) is usual"
            )
        self.betas, self.eps, self.amsgrad = tuple(betas), eps, amsgrad
        if amsgrad:
            self.slots = (*self.slots, "max_exp_avg_sq")
        super().__init__(parameters, lr, weight_decay)

    def update(self, value: Tensor, grad: Tensor, t: int) -> None:
        decay = self.weight_decay
        if self.decoupled_weight_decay:
            value.mul_(1 - self.lr * decay)
            decay = 0.0
        adam_update(
            value,
            grad,
            self.state["exp_avg"],
            self.state["exp_avg_sq"],
            t,
            self.lr,
            self.betas,
            self.eps,
            decay,
            self.state.get("max_exp_avg_sq"),
        )


class AdamW(Adam):
    """Adam whose `weight_decay` shrinks the parameters directly, as in torch.optim.AdamW."""

    decoupled_weight_decay = True

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay, amsgrad)


def short_kind(value: object) -> str:
    """'a list', or 'an int64 tensor'."""
    if isinstance(value, Tensor):
        return f"a tensor of {str(value.dtype).removeprefix('torch.')}"
    return f"a {type(value).__name__}"
