"""Target: the function that gradcheck differentiates, with every tensor that it depends on."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError


class ProblemError(Exception):
    """The target cannot be differentiated; the message says why, in one sentence."""


class Variable(NamedTuple):
    """A floating-point tensor that the target depends on. checked: whether backward gives its gradient."""

    name: str
    tensor: Tensor
    checked: bool

    @property
    def gradient(self) -> str:
        """Return the name of its gradient: "dweight", or "the gradient of 0.weight"."""
        return f"d{self.name}" if self.name.isidentifier() else f"the gradient of {self.name}"


Forward = Callable[[], Tensor]
Gradients = Callable[[Tensor], list]


class Target:
    """A layer, a loss or a function with its backward pass.

    inputs: its floating-point arguments. held: the layer's own tensors. variables: both, the inputs
    first. from_start: whether every forward pass must start in the same state, because forward draws
    random numbers or changes the layer. drawn: the generators that forward draws from, each with its
    state before the draw. shape: that of y, if the layer adds penalties to the loss. Then forward gives
    y in one row, followed by the sum of the penalties, whose dy is 1.
    """

    shape: torch.Size | None = None

    def __init__(self, function: Any, arguments: tuple, backward: Callable | None) -> None:
        self.function, self.arguments, self.backward = function, arguments, backward
        self.from_start = False
        self.drawn: list[tuple[torch.Generator, Tensor]] = []
        forward = function if backward else getattr(function, "forward", None)
        if not callable(forward) or not (backward or hasattr(function, "backward")):
            raise ScratchaeError(
                "gradcheck needs a layer or loss with forward and backward, or a function and its "
                f"backward, but got only {function!r}: give backward=, called as "
                "backward(dy, *inputs)"
            )
        self.is_loss = not backward and not inspect.signature(function.backward).parameters
        plain = getattr(function, "__name__", "a function").replace("<lambda>", "a function")
        whole = f"{type(function).__name__}(...)" if "\n" in repr(function) else repr(function)
        self.title = plain if backward else whole
        self.inputs = [
            Variable(name, value, checked=not (self.is_loss and i))
            for i, (name, value) in enumerate(named_arguments(forward, arguments))
            if is_real(value)
        ]
        self.held = [] if backward else tensors_held_by(function)
        self.variables = [*self.inputs, *self.held]
        self.checked = [variable for variable in self.variables if variable.checked]
        if not self.checked:
            raise ScratchaeError(
                f"gradcheck of {self.title} got no floating-point tensor as an input: give the "
                "inputs after the target, as in gradcheck(layer, x)"
            )
        for variable in self.variables:
            if not variable.tensor.isfinite().all():
                raise ScratchaeError(
                    f"gradcheck of {self.title} got NaN or infinity in {variable.name}: give finite "
                    "numbers, since only these have derivatives"
                )

    def bind(self, values: Sequence[Tensor]) -> tuple[Forward, Gradients]:
        """Return forward() and gradients(dy), which use these tensors instead of the variables."""
        inputs, held = values[: len(self.inputs)], values[len(self.inputs) :]
        rest = iter(inputs)
        arguments = [next(rest) if is_real(value) else value for value in self.arguments]
        if self.backward:
            return self.bind_function(arguments)
        replaced = {id(v.tensor): value for v, value in zip(self.held, held, strict=True)}
        layer = template = copy.deepcopy(self.function, dict(replaced))
        trained = [value for v, value in zip(self.held, held, strict=True) if v.checked]

        def forward() -> Tensor:
            nonlocal layer
            self.reset()
            if self.from_start:
                layer = copy.deepcopy(template, {id(value): value for value in trained})
            y = layer.forward(*arguments)
            penalties = list(layer.penalties()) if hasattr(layer, "penalties") else []
            if not penalties:
                return y
            self.shape = y.shape
            return torch.cat([y.reshape(-1), torch.stack(penalties).sum().reshape(1)])

        def gradients(dy: Tensor) -> list:
            for value in trained:
                value.grad = torch.zeros_like(value)
            dy = dy if self.shape is None else dy[:-1].view(self.shape)
            dinputs = as_list(layer.backward() if self.is_loss else layer.backward(dy))
            return [*dinputs, *(value.grad for value in trained)]

        return forward, gradients

    def bind_function(self, arguments: list) -> tuple[Forward, Gradients]:
        """Return the same for a function with a separate backward."""
        backward = self.backward
        assert backward

        def forward() -> Tensor:
            self.reset()
            return self.function(*arguments)

        return forward, lambda dy: as_list(backward(dy, *arguments))

    def reset(self) -> None:
        """Set the random generators back, so that every forward pass draws the same numbers."""
        if self.from_start:
            torch.manual_seed(0)
        for generator, state in reversed(self.drawn):  # so the state before the first draw is last
            generator.set_state(state)


def is_real(value: object) -> TypeGuard[Tensor]:
    """Return whether the value is a tensor of floating-point numbers."""
    return isinstance(value, Tensor) and value.is_floating_point()


def same_layout(tensor: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return a copy with the same strides, overlapping elements included."""
    if tensor.numel() == 0:
        return tensor.detach().to(dtype, copy=True)
    span = 1 + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
    memory = tensor.detach().as_strided((span,), (1,)).to(dtype, copy=True)
    return memory.as_strided(tensor.shape, tensor.stride(), 0)


def named_arguments(forward: Callable, arguments: tuple) -> list[tuple[str, Any]]:
    """Return (name, value) of every argument. The names are those of forward's signature, else x0, x1, ..."""
    try:
        names = list(inspect.signature(forward).bind(*arguments).arguments)
    except (TypeError, ValueError):  # a builtin has no signature
        names = []
    if len(names) != len(arguments):  # *args is one name
        names = ["x"] if len(arguments) == 1 else [f"x{i}" for i in range(len(arguments))]
    return list(zip(names, arguments, strict=True))


def tensors_held_by(layer: Any) -> list[Variable]:
    """Return the floating-point tensors of a layer: its parameters, which are checked, and the others.

    If a class has no named_parameters, its parameters are the attributes that have a `.grad`.
    """
    if hasattr(layer, "named_parameters"):
        parameters = dict(layer.named_parameters())
        others = layer.state_dict() if hasattr(layer, "state_dict") else {}
    else:
        others = vars(layer)
        parameters = {k: v for k, v in others.items() if is_real(v) and v.grad is not None}
    variables: dict[int, Variable] = {}
    for name, tensor in (*parameters.items(), *others.items()):
        if is_real(tensor):
            variables.setdefault(id(tensor), Variable(name, tensor, name in parameters))
    return list(variables.values())


def as_list(gradients: object) -> list:
    return list(gradients) if isinstance(gradients, tuple | list) else [gradients]
