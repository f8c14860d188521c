"""Subject: what gradcheck differentiates, and every tensor that it depends on."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError


class ProblemError(Exception):
    """What keeps f from being differentiated, in one sentence."""


class Slot(NamedTuple):
    """A floating-point tensor of the caller's that f depends on; only checked ones have gradients."""

    name: str
    tensor: Tensor
    checked: bool

    @property
    def gradient(self) -> str:
        """dweight, or "the gradient of 0.weight"."""
        return f"d{self.name}" if self.name.isidentifier() else f"the gradient of {self.name}"


class Subject:
    """f, its backward pass, and its tensors: `inputs` first, then those that a layer holds."""

    def __init__(self, target: Any, inputs: tuple, backward: Callable | None) -> None:
        self.target, self.given, self.backward = target, inputs, backward
        self.fresh = False  # whether every forward pass has to start from the same state
        self.drawn: list[tuple[torch.Generator, Tensor]] = []  # from which state, by forward
        forward = target if backward else getattr(target, "forward", None)
        if not callable(forward) or not (backward or hasattr(target, "backward")):
            raise ScratchaeError(
                f"gradcheck wants a layer or loss with forward and backward, or a function, but got "
                f"{target!r} alone: give backward=, called as backward(dy, *inputs)"
            )
        self.is_loss = not backward and not inspect.signature(target.backward).parameters
        plain = getattr(target, "__name__", "a function").replace("<lambda>", "a function")
        whole = f"{type(target).__name__}(...)" if "\n" in repr(target) else repr(target)
        self.title = plain if backward else whole
        self.inputs = [
            Slot(name, tensor, checked=not (self.is_loss and i))
            for i, (name, tensor) in enumerate(named_arguments(forward, inputs))
            if is_real(tensor)
        ]
        self.held = [] if backward else held_by(target)
        self.slots = [*self.inputs, *self.held]
        if not any(slot.checked for slot in self.slots):
            raise ScratchaeError(
                f"gradcheck of {self.title} got no tensor of floating-point numbers to differentiate "
                "by: give the inputs after the target, as in gradcheck(layer, x)"
            )
        for slot in self.slots:
            if not slot.tensor.isfinite().all():
                raise ScratchaeError(
                    f"gradcheck of {self.title} got {slot.name} with numbers that are not finite: "
                    "a derivative needs finite ones"
                )

    def bind(self, values: list[Tensor]) -> tuple[Callable[[], Tensor], Callable]:
        """forward() and gradients(dy) on these tensors, one for each slot, in place of the caller's."""
        of_inputs, held = values[: len(self.inputs)], values[len(self.inputs) :]
        rest = iter(of_inputs)
        arguments = [next(rest) if is_real(value) else value for value in self.given]
        if self.backward:

            def call() -> Tensor:
                self.start()
                return self.target(*arguments)

            return call, lambda dy: as_list(self.backward(dy, *arguments))
        swapped = {id(slot.tensor): value for slot, value in zip(self.held, held, strict=True)}
        live = template = copy.deepcopy(self.target, dict(swapped))
        trained = [v for slot, v in zip(self.held, held, strict=True) if slot.checked]

        def forward() -> Tensor:
            nonlocal live
            self.start()
            if self.fresh:
                live = copy.deepcopy(template, {id(value): value for value in trained})
            return live.forward(*arguments)

        def gradients(dy: Tensor) -> list:
            for value in trained:
                value.grad = torch.zeros_like(value)
            dinputs = as_list(live.backward() if self.is_loss else live.backward(dy))
            return [*dinputs, *(value.grad for value in trained)]

        return forward, gradients

    def start(self) -> None:
        """The same random numbers for every forward pass."""
        if self.fresh:
            torch.manual_seed(0)
        for generator, state in reversed(self.drawn):  # the state before its first draw comes last
            generator.set_state(state)


def is_real(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def same_layout(tensor: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """A copy of the numbers with the same strides, overlaps included."""
    if tensor.numel() == 0:
        return tensor.detach().to(dtype, copy=True)
    span = 1 + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
    memory = tensor.detach().as_strided((span,), (1,)).to(dtype, copy=True)
    return memory.as_strided(tensor.shape, tensor.stride(), 0)


def named_arguments(forward: Callable, inputs: tuple) -> list[tuple[str, Any]]:
    """(name, value) of every input, by the names in the signature of forward, else x0, x1, ..."""
    try:
        names = list(inspect.signature(forward).bind(*inputs).arguments)
    except (TypeError, ValueError):  # a builtin has no signature
        names = []
    if len(names) != len(inputs):  # *args is one name
        names = ["x"] if len(inputs) == 1 else [f"x{i}" for i in range(len(inputs))]
    return list(zip(names, inputs, strict=True))


def held_by(layer: Any) -> list[Slot]:
    """The floating-point tensors of a layer: parameters, which are checked, and the others.

    A user's own class without named_parameters: those among its attributes that have a `.grad`.
    """
    if hasattr(layer, "named_parameters"):
        parameters = dict(layer.named_parameters())
        others = layer.state_dict() if hasattr(layer, "state_dict") else {}
    else:
        others = vars(layer)
        parameters = {k: v for k, v in others.items() if is_real(v) and v.grad is not None}
    slots = {}
    for name, tensor in (*parameters.items(), *others.items()):
        if is_real(tensor):
            slots.setdefault(id(tensor), Slot(name, tensor, name in parameters))
    return list(slots.values())


def as_list(gradients: object) -> list:
    return list(gradients) if isinstance(gradients, tuple | list) else [gradients]
