"""Layer: what every layer has in common. It knows nothing of any layer's mathematics.

A layer is a pair of methods, `forward(x) -> y` and `backward(dy) -> dx`, around a pair of
pure functions. Between the two calls it remembers what the backward pass will need.
Its parameters are plain tensors; the gradient of `weight` is collected in `weight.grad`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Protocol, Self

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError


class LossFunction(Protocol):
    """What a model needs from its loss. The losses of scratchae.losses have it."""

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor: ...

    def backward(self) -> Tensor: ...

    def forget(self) -> None: ...


class Layer:
    """Base of all layers and models.

    A subclass lists its tensors in `parameter_names` (trained) and `buffer_names` (kept, not
    trained). An attribute that is itself a Layer is a child, and its tensors are found under
    the attribute's name, as in torch.nn: `state_dict` has torch.nn's keys.

    loss: the loss that a model is trained with; None means the mean squared error.
    penalty: a term that a layer adds to the loss, shape (). Its forward pass sets it, and its
    backward pass adds the gradient of it to dx or to its parameters' gradients.

    >>> class Double(Layer):
    ...     def forward(self, x):
    ...         return self.remember(2 * x)
    ...     def backward(self, dy):
    ...         self.recall(dy)  # sees that dy fits
    ...         return 2 * dy
    >>> layer = Double()
    >>> layer(torch.tensor([3.0])).item(), layer.backward(torch.tensor([5.0])).item()
    (6.0, 10.0)
    """

    parameter_names: tuple[str, ...] = ()
    buffer_names: tuple[str, ...] = ()
    loss: LossFunction | None = None
    penalty: Tensor | None = None

    def __init__(self) -> None:
        self.training = True
        self.saved: tuple | None = None

    def __call__(self, input: Tensor) -> Tensor:
        return self.forward(input)

    def forward(self, x: Tensor) -> Tensor:
        """Return y for x; remember what `backward` needs."""
        raise NotImplementedError

    def backward(self, dy: Tensor) -> Tensor:
        """Return dx = ∂L/∂x, given dy = ∂L/∂y of the last forward; add to every parameter's `.grad`."""
        raise NotImplementedError

    # ------------------------------------------------- from forward to backward, with checks
    def remember(self, y: Tensor, *saved) -> Tensor:
        """Keep `saved` for the backward pass and return y."""
        self.saved = (y.shape, y.dtype, y.device, saved)
        return y

    def recall(self, dy: Tensor) -> tuple:
        """Return what `remember` kept. Raises ScratchaeError if dy does not fit the last output."""
        if self.saved is None:
            raise ScratchaeError(
                f"{self!r}.backward was called before forward: call forward(x) first, then "
                "backward(dy) with the gradient of its output"
            )
        shape, dtype, device, saved = self.saved
        check_tensor(self, dy, dtype, device, ".backward")
        if dy.shape != shape:
            raise ScratchaeError(
                f"{self!r}.backward expects dy of the shape of its last output, {tuple(shape)}, "
                f"but got {tuple(dy.shape)}: pass the gradient of that output, unsummed"
            )
        return saved

    # ------------------------------------------------------------------ parameters and state
    def children(self) -> Iterator[tuple[str, Layer]]:
        """Yield (name, layer) of the layers that this one holds, in order."""
        for name, value in vars(self).items():
            if isinstance(value, Layer):
                yield name, value

    def modules(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """Yield (dotted name, layer) of this layer and of all layers inside it, in order."""
        yield prefix, self
        for name, child in self.children():
            yield from child.modules(f"{prefix}.{name}" if prefix else name)

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Yield (name, tensor) of every parameter, own ones first, named as in torch.nn.

        A parameter that two layers share is yielded once, under its first name.
        """
        yield from self._named("parameter_names", prefix)

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Yield (name, tensor) of every buffer, such as BatchNorm's running mean."""
        yield from self._named("buffer_names", prefix)

    def _named(self, kind: str, prefix: str) -> Iterator[tuple[str, Tensor]]:
        seen: set[int] = set()
        for path, layer in self.modules():
            for name in getattr(layer, kind):
                tensor = getattr(layer, name)
                if tensor is not None and id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield f"{prefix}{path}.{name}" if path else prefix + name, tensor

    def parameters(self) -> list[Tensor]:
        """Return every parameter, in the order of `named_parameters`."""
        return [tensor for _, tensor in self.named_parameters()]

    def penalties(self) -> Iterator[Tensor]:
        """Yield the penalties of the last forward pass, of this layer and of all inside it."""
        for _, layer in self.modules():
            if layer.penalty is not None:
                yield layer.penalty

    def zero_grad(self) -> None:
        """Set every gradient to 0, in place."""
        for parameter in self.parameters():
            if parameter.grad is not None:
                parameter.grad.zero_()

    def state_dict(self) -> dict[str, Tensor]:
        """Return every parameter and buffer by torch.nn's keys: the tensors themselves, not copies."""
        return {
            f"{path}.{name}" if path else name: tensor
            for path, layer in self.modules()
            for name in (*layer.parameter_names, *layer.buffer_names)
            if (tensor := getattr(layer, name)) is not None
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Copy `state` into this layer's tensors; nothing is copied unless everything fits.

        Raises ScratchaeError if a key is missing or unknown, or if a shape differs.
        """
        own = self.state_dict()
        missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
        if missing or unknown:
            raise ScratchaeError(
                "the weights do not belong to this model: "
                + "; ".join(
                    f"{what} {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}"
                    for what, names in (("missing", missing), ("unknown", unknown))
                    if names
                )
                + ": build the model that they were saved from"
            )
        for key, tensor in own.items():
            if tensor.shape != state[key].shape:
                raise ScratchaeError(
                    f"the weights do not belong to this model: {key} is {tuple(tensor.shape)} "
                    f"here but {tuple(state[key].shape)} there: build it with the same sizes"
                )
        for key, tensor in own.items():
            tensor.copy_(state[key].detach())

    def train(self, mode: bool = True) -> Self:
        """Switch to training (BatchNorm uses the batch's statistics), here and in all children."""
        self.training = mode
        for _, child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Self:
        """Switch to evaluation (BatchNorm uses its running statistics)."""
        return self.train(False)

    def to(
        self,
        device: torch.device | str | torch.dtype | None = None,
        dtype: torch.dtype | None = None,
    ) -> Self:
        """Move to a device, a floating-point dtype, or both; `to(torch.float64)` works as in torch.

        Gradients go along; whole-number buffers keep their dtype. Make optimisers after the move:
        they hold views of where the parameters were.
        """
        if isinstance(device, torch.dtype):
            device, dtype = None, device
        for tensor in self.state_dict().values():
            grad, tensor.grad = tensor.grad, None
            tensor.data = tensor.data.to(device, dtype if tensor.is_floating_point() else None)
            if grad is not None:
                tensor.grad = grad.to(device, dtype)
        self.forget()
        return self

    def forget(self) -> None:
        """Drop what forward kept for backward, here and in all children."""
        self.saved = self.penalty = None
        if self.loss is not None:
            self.loss.forget()
        for _, child in self.children():
            child.forget()

    # ----------------------------------------------------------------------------- description
    def arguments(self) -> dict[str, object]:
        """Return the constructor's arguments by name, read from the attributes of the same names.

        The name of a parameter, such as `bias`, gives True or False. Arguments that say how the
        tensors are made (generator, device, dtype) are omitted. `repr`, the torch.nn twin and all
        other code that describes or rebuilds a layer use this.

        Raises ScratchaeError if an argument is not kept as an attribute.

        >>> from scratchae.layers import Linear
        >>> Linear(3, 2).arguments()
        {'in_features': 3, 'out_features': 2, 'bias': True}
        """
        values: dict[str, object] = {}
        for name in constructor_parameters(type(self)):
            if not hasattr(self, name):
                raise ScratchaeError(
                    f"{type(self).__name__} keeps no attribute {name!r}, so its argument of that "
                    f"name is unknown: write self.{name} = {name} in __init__"
                )
            value = getattr(self, name)
            values[name] = value is not None if name in self.parameter_names else value
        return values

    def extra_repr(self) -> str:
        """Return the arguments as one writes them: required ones by position, defaults omitted."""
        try:
            values = self.arguments()
        except ScratchaeError:
            return "..."
        written = []
        for name, argument in constructor_parameters(type(self)).items():
            value = values[name]
            if isinstance(value, Layer):
                continue  # a child: `repr` shows it on a line of its own
            by_position = argument.kind is not argument.KEYWORD_ONLY
            if argument.default is argument.empty and by_position:
                written.append(repr(value))
            elif repr(value) != repr(argument.default):
                written.append(f"{name}={value!r}")
        return ", ".join(written)

    def __repr__(self) -> str:
        lines = [f"({name}): {child!r}" for name, child in self.children()]
        inside = self.extra_repr()
        if lines:
            lines = [inside, *lines] if inside else lines
            inside = "".join("\n  " + line.replace("\n", "\n  ") for line in lines) + "\n"
        return f"{type(self).__name__}({inside})"


def constructor_parameters(kind: type[Layer]) -> dict[str, inspect.Parameter]:
    """Return the arguments that define a layer: not *args, **kwargs, generator, device or dtype.

    >>> list(constructor_parameters(Layer))
    []
    """
    return {
        name: argument
        for name, argument in inspect.signature(kind).parameters.items()
        if argument.kind not in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD)
        and name not in ("generator", "device", "dtype")
    }


def parameter(value: Tensor) -> Tensor:
    """Return the tensor as a parameter: its `.grad` exists from the start and is filled by hand.

    >>> weight = parameter(torch.tensor([1.0, 2.0]))
    >>> weight.grad.tolist(), weight.requires_grad
    ([0.0, 0.0], False)
    """
    value.grad = torch.zeros_like(value)
    return value


def accumulate(parameter: Tensor, gradient: Tensor) -> None:
    """Add the gradient to `parameter.grad`. As in torch, gradients add up until `zero_grad`.

    >>> weight = parameter(torch.tensor([1.0, 2.0]))
    >>> for gradient in (torch.tensor([3.0, 4.0]), torch.tensor([10.0, 20.0])):
    ...     accumulate(weight, gradient)
    >>> weight.grad.tolist()
    [13.0, 24.0]
    """
    if parameter.grad is None:  # torch.optim's zero_grad leaves None behind
        parameter.grad = gradient.contiguous()
    else:
        parameter.grad += gradient


def check_tensor(
    who: object,
    x: Tensor,
    dtype: torch.dtype | None,
    device: torch.device | None,
    call: str = "",
) -> None:
    """Raise ScratchaeError if x is not a floating-point tensor of this dtype on this device.

    dtype, device: None allows any. who: a layer or its name; it is turned into text only for the error.

    >>> check_tensor("ReLU()", torch.tensor([1, 2]), None, None)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    scratchae.errors.ScratchaeError: ReLU() expects floating-point numbers but got int64: ...
    """
    if not isinstance(x, Tensor):
        raise ScratchaeError(
            f"{who}{call} expects a torch.Tensor but got a {type(x).__name__}: "
            "wrap it in torch.as_tensor(...)"
        )
    if not x.is_floating_point():
        raise ScratchaeError(
            f"{who}{call} expects floating-point numbers but got {short(x.dtype)}: "
            f"convert with x.to(torch.{short(dtype or torch.float32)})"
        )
    if dtype is not None and x.dtype != dtype:
        raise ScratchaeError(
            f"{who}{call} expects {short(dtype)} but got {short(x.dtype)}: convert with "
            f"x.to(torch.{short(dtype)}), or the model with model.to(dtype=torch.{short(x.dtype)})"
        )
    if device is not None and x.device != device:
        raise ScratchaeError(
            f"{who}{call} is on {device} but got a tensor on {x.device}: "
            "move one of them with .to(...)"
        )


def short(dtype: torch.dtype) -> str:
    """'float32' for torch.float32.

    >>> short(torch.float64)
    'float64'
    """
    return str(dtype).removeprefix("torch.")
