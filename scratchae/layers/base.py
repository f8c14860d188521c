"""Layer: the base class of all layers. It contains what they share, but no layer's formulas.

A layer has two methods, `forward(x) -> y` and `backward(dy) -> dx`. They call two pure functions.
`forward` also saves the tensors that `backward` needs. The parameters are plain tensors; `backward`
adds the gradient of `weight` to `weight.grad`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Protocol, Self

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.noise import split_keys


class LossFunction(Protocol):
    """The methods that a model's loss must have. All losses of scratchae.losses have them."""

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor: ...

    def backward(self) -> Tensor: ...

    def forget(self) -> None: ...


class Layer:
    """Base of all layers and models.

    A subclass lists the names of its trained tensors in `parameter_names`, and the names of its other
    tensors, such as running statistics, in `buffer_names`. An attribute that is itself a Layer is a
    child. The keys in `state_dict` are those of torch.nn: a child's keys begin with its name.

    loss: the loss that a model is trained with; None means the mean squared error.
    penalty: a term that a layer adds to the loss, shape (). The layer's forward pass sets it. The
    layer's backward pass adds the penalty's gradient to dx or to the gradients of the parameters.

    random: True for a layer that draws random numbers. `set_keys` gives such a layer its `keys`, from
    which it draws them (see scratchae.noise). Without keys it uses torch's own generator.

    >>> class Double(Layer):
    ...     def forward(self, x):
    ...         return self.remember(2 * x)
    ...     def backward(self, dy):
    ...         self.recall(dy)  # checks the shape of dy
    ...         return 2 * dy
    >>> layer = Double()
    >>> layer(torch.tensor([3.0])).item(), layer.backward(torch.tensor([5.0])).item()
    (6.0, 10.0)
    """

    parameter_names: tuple[str, ...] = ()
    buffer_names: tuple[str, ...] = ()
    loss: LossFunction | None = None
    penalty: Tensor | None = None
    random = False
    keys: Tensor | None = None

    def __init__(self) -> None:
        self.training = True
        self.saved: tuple | None = None

    def __call__(self, input: Tensor) -> Tensor:
        return self.forward(input)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output y for the input x; save what `backward` needs."""
        raise NotImplementedError

    def backward(self, dy: Tensor) -> Tensor:
        """Return dx = ∂L/∂x, given dy = ∂L/∂y for the y of the last `forward`.

        Add the gradient of every parameter to its `.grad`.
        """
        raise NotImplementedError

    # ------------------------------------------------- from forward to backward, with checks
    def remember(self, y: Tensor, *saved) -> Tensor:
        """Save these values for the backward pass and return y."""
        self.saved = (y.shape, y.dtype, y.device, saved)
        return y

    def recall(self, dy: Tensor) -> tuple:
        """Return what `remember` saved.

        Raises ScratchaeError if there was no forward pass, or if dy differs from its output in shape,
        dtype or device.
        """
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
                f"but got {tuple(dy.shape)}: pass the gradient of every element of that output"
            )
        return saved

    # ------------------------------------------------------------------ parameters and state
    def children(self) -> Iterator[tuple[str, Layer]]:
        """Yield (name, layer) of the layers directly inside this one, in order."""
        for name, value in vars(self).items():
            if isinstance(value, Layer):
                yield name, value

    def modules(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """Yield (name, layer) of this layer and of all layers inside it, in order.

        The names are paths with dots, such as "encoder.0"; this layer's own name is `prefix`.
        """
        yield prefix, self
        for name, child in self.children():
            yield from child.modules(f"{prefix}.{name}" if prefix else name)

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Yield (name, tensor) of every parameter. The names and their order are those of torch.nn.

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
        """Yield the penalties of the last forward pass, for this layer and all layers inside it."""
        for _, layer in self.modules():
            if layer.penalty is not None:
                yield layer.penalty

    def set_keys(self, keys: Tensor | None, first: int = 0) -> int:
        """Give keys to all random layers inside this one; return the number of the next unused split.

        keys: int64 (N,), a key for each sample of the next batches, or None. Each random layer gets its own
        split of them, the first one the split with the number `first`. With the same keys, a forward
        pass draws the same numbers again. `forget` removes the keys.

        >>> Layer().set_keys(torch.tensor([3, 5]))  # it is not random
        0
        """
        for _, layer in self.modules():
            if layer.random:
                layer.keys = None if keys is None else split_keys(keys, first)
                first += 1
        return first

    def check_keys(self, n: int) -> None:
        """Raise ScratchaeError if this layer has keys, but not one for each of n samples."""
        if self.keys is not None and len(self.keys) != n:
            raise ScratchaeError(
                f"{self!r} has keys for {len(self.keys)} samples but got {n}: call "
                "model.set_keys(keys) with a key for each sample of the batch, or model.forget()"
            )

    def zero_grad(self) -> None:
        """Set every gradient to 0, in place."""
        for parameter in self.parameters():
            if parameter.grad is not None:
                parameter.grad.zero_()

    def state_dict(self) -> dict[str, Tensor]:
        """Return {key: tensor} of every parameter and buffer, with torch.nn's keys and without copying."""
        return {
            f"{path}.{name}" if path else name: tensor
            for path, layer in self.modules()
            for name in (*layer.parameter_names, *layer.buffer_names)
            if (tensor := getattr(layer, name)) is not None
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Copy the values of `state` into this layer's parameters and buffers.

        Raises ScratchaeError, before anything is copied, if a key is missing or unknown, or if a shape
        differs.
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
        """Put this layer and all layers inside it into training mode; with mode=False, into evaluation mode.

        In training mode BatchNorm uses the batch's statistics. Returns this layer.
        """
        self.training = mode
        for _, child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Self:
        """Put this layer and all layers inside it into evaluation mode. Returns this layer.

        In evaluation mode BatchNorm uses its running statistics.
        """
        return self.train(False)

    def to(
        self,
        device: torch.device | str | torch.dtype | None = None,
        dtype: torch.dtype | None = None,
    ) -> Self:
        """Move the tensors to a device, convert them to a floating-point dtype, or both. Return this layer.

        `to(torch.float64)` works as in torch. Gradients are moved too. Integer buffers keep their dtype.
        Make the optimiser after this call: its flat tensors hold the parameters, and a move separates them.
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
        """Delete what `forward` saved, and the keys, in this layer and all layers inside it."""
        self.saved = self.penalty = self.keys = None
        if self.loss is not None:
            self.loss.forget()
        for _, child in self.children():
            child.forget()

    # ----------------------------------------------------------------------------- description
    def arguments(self) -> dict[str, object]:
        """Return {name: value} of the constructor's arguments, read from the attributes of the same names.

        If the name is that of a parameter, such as `bias`, the value is True or False. The arguments
        generator, device and dtype are omitted: they say only how the tensors are made. `repr` and all
        code that describes or rebuilds a layer use this method.

        Raises ScratchaeError if an argument has no attribute of its name.

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
        """Return the arguments as in a call: required ones by position, without those equal to defaults."""
        try:
            values = self.arguments()
        except ScratchaeError:
            return "..."
        written = []
        for name, argument in constructor_parameters(type(self)).items():
            value = values[name]
            if isinstance(value, Layer):
                continue  # a child: `repr` shows it on a separate line
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


def constructor_parameters(kind: type) -> dict[str, inspect.Parameter]:
    """Return the constructor's arguments, without *args, **kwargs, generator, device and dtype.

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
    """Make the tensor a parameter, with a `.grad` of zeros, and return it. Autograd is not used.

    >>> weight = parameter(torch.tensor([1.0, 2.0]))
    >>> weight.grad.tolist(), weight.requires_grad
    ([0.0, 0.0], False)
    """
    value.grad = torch.zeros_like(value)
    return value


def accumulate(parameter: Tensor, gradient: Tensor) -> None:
    """Add the gradient to `parameter.grad`. As in torch, gradients are summed until `zero_grad`.

    >>> weight = parameter(torch.tensor([1.0, 2.0]))
    >>> for gradient in (torch.tensor([3.0, 4.0]), torch.tensor([10.0, 20.0])):
    ...     accumulate(weight, gradient)
    >>> weight.grad.tolist()
    [13.0, 24.0]
    """
    if parameter.grad is None:  # torch.optim's zero_grad sets it to None
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

    dtype, device: None allows any. who: a layer or its name, for the error text. call: the method, such as
    ".backward".

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
    """Return the name of a dtype without "torch.".

    >>> short(torch.float64)
    'float64'
    """
    return str(dtype).removeprefix("torch.")
