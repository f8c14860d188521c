"""Layers for M models at once: one layer for (M, N, ...) instead of M layers of the same kind.

The models are independent: entry m of the output depends only on entry m of the input and on the
tensors of layer m. No formula of a layer is repeated here, except Linear's. There are six ways:

    Folded           For layers with channels: one layer of the same type, with M times as many channels
                     or groups of channels. Its input (N, M·C, ...) is made from (M, N, C, ...).
    BatchedLinear    For Linear: y[m] = x[m] W[m]ᵀ + b[m], a batched matrix product.
    the same layer   For a layer that computes each element separately and has no tensors, such as ReLU:
                     the axis M makes no difference.
    OneBatch         For layers without tensors that compute each sample separately, such as MaxPool2d: the
                     same layer, for (M, N, ...) as one batch of M·N samples.
    a shifted axis   For Flatten and Unflatten: the same layer, with its axes counted after the axis M.
    Looped           For all other layers: the M layers run one after the other.

`batched` chooses among them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers import (
    GELU,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    GroupNorm,
    Layer,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
    Unflatten,
    Upsample,
    accumulate,
    parameter,
)


class BatchedLayer(Layer):
    """Base of the layers that compute M layers at once. Input and output are (M, ...).

    >>> BatchedLayer([Linear(3, 2), Linear(3, 2)])
    BatchedLayer(2 x Linear(3, 2))
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.models, self.described = len(layers), repr(layers[0])
        self.training = layers[0].training

    def forward(self, x: Tensor) -> Tensor:
        if len(x) != self.models:
            raise ScratchaeError(
                f"{self!r} expects ({self.models}, ...), a batch for each model, but got "
                f"{tuple(x.shape)}: stack the batches along a first axis"
            )
        return self.forward_all(x)

    def forward_all(self, x: Tensor) -> Tensor:
        """Return y (M, ...) for x (M, ...)."""
        raise NotImplementedError

    def state_of(self, index: int) -> dict[str, Tensor]:
        """Return {name: tensor} of layer `index`, with the names in that layer. The tensors are views."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.models} x {self.described})"


class Folded(BatchedLayer):
    """M layers with channels as one layer of the same type, which has the channels of all of them.

    channels: the names of the arguments that are numbers of channels or of groups.

    >>> layers = [Conv2d(1, 4, 3), Conv2d(1, 4, 3)]
    >>> folded = Folded(layers, channels=("in_channels", "out_channels", "groups"))
    >>> folded.layer
    Conv2d(2, 8, 3, groups=2)
    >>> y = folded(torch.ones(2, 5, 1, 8, 8))
    >>> torch.allclose(y[1], layers[1](torch.ones(5, 1, 8, 8)), atol=1e-6)
    True
    """

    def __init__(self, layers: Sequence[Layer], channels: tuple[str, ...]) -> None:
        super().__init__(layers)
        self.layer = copy.deepcopy(layers[0])
        for name in channels:
            setattr(self.layer, name, self.models * getattr(self.layer, name))
        for name, tensor in own_tensors(self.layer):
            if tensor.ndim:  # a tensor (), such as the count of batches, is the same in all layers
                joined = torch.cat([getattr(layer, name) for layer in layers])
                setattr(self.layer, name, joined)
        for tensor in self.layer.parameters():
            parameter(tensor)

    def forward_all(self, x: Tensor) -> Tensor:
        return unfold(self.layer.forward(fold(x)), self.models)

    def backward(self, dy: Tensor) -> Tensor:
        return unfold(self.layer.backward(fold(dy)), self.models)

    def state_of(self, index: int) -> dict[str, Tensor]:
        return {
            name: tensor.unflatten(0, (self.models, -1))[index] if tensor.ndim else tensor
            for name, tensor in own_tensors(self.layer)
        }


def fold(x: Tensor) -> Tensor:
    """Return x (M, N, C, ...) as (N, M·C, ...): the channels of model 0, of model 1 and so on.

    >>> fold(torch.tensor([[[1, 2]], [[3, 4]]])).tolist()  # two models, one sample, two channels
    [[1, 2, 3, 4]]
    """
    return x.transpose(0, 1).flatten(1, 2)


def unfold(y: Tensor, models: int) -> Tensor:
    """Return y (N, M·C, ...) as (M, N, C, ...): the inverse of `fold`, as a view.

    >>> unfold(torch.tensor([[1, 2, 3, 4]]), models=2).tolist()
    [[[1, 2]], [[3, 4]]]
    """
    return y.unflatten(1, (models, -1)).transpose(0, 1)


class BatchedLinear(BatchedLayer):
    """M Linear layers of one size: x (M, ..., I), weight (M, O, I), bias (M, O), y (M, ..., O).

    The gradients of each model m are those of scratchae.layers.linear:

        dx[m] = dy[m] W[m]       dW[m] = dy[m]ᵀ x[m]       db[m] = Σₙ dy[m,n]

    >>> layers = [Linear(3, 2), Linear(3, 2)]
    >>> y = BatchedLinear(layers)(torch.ones(2, 5, 3))
    >>> torch.allclose(y[1], layers[1](torch.ones(5, 3)))
    True
    """

    parameter_names = ("weight", "bias")

    def __init__(self, layers: Sequence[Linear]) -> None:
        super().__init__(layers)
        self.weight = parameter(torch.stack([layer.weight for layer in layers]))  # (M, O, I)
        biases = [layer.bias for layer in layers if layer.bias is not None]
        self.bias = parameter(torch.stack(biases)) if biases else None  # (M, O)

    def forward_all(self, x: Tensor) -> Tensor:
        rows, W = in_rows(x), self.weight.mT  # (M, N, I), (M, I, O)
        y = rows @ W if self.bias is None else torch.baddbmm(self.bias.unsqueeze(1), rows, W)
        return self.remember(y.view(*x.shape[:-1], y.shape[-1]), x)

    def backward(self, dy: Tensor) -> Tensor:
        (x,) = self.recall(dy)
        dy_rows, rows = in_rows(dy), in_rows(x)  # (M, N, O), (M, N, I)
        accumulate(self.weight, dy_rows.mT @ rows)  # (M, O, I)
        if self.bias is not None:
            accumulate(self.bias, dy_rows.sum(dim=1))  # (M, O)
        return (dy_rows @ self.weight).view(x.shape)  # (M, ..., I)

    def state_of(self, index: int) -> dict[str, Tensor]:
        return {name: tensor[index] for name, tensor in own_tensors(self)}


class OneBatch(BatchedLayer):
    """M layers without tensors as one of them: (M, N, ...) is one batch of M·N samples for it.

    >>> pools = OneBatch([MaxPool2d(2), MaxPool2d(2)])
    >>> pools(torch.zeros(2, 5, 3, 8, 8)).shape
    torch.Size([2, 5, 3, 4, 4])
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__(layers)
        self.layer = copy.deepcopy(layers[0])

    def forward_all(self, x: Tensor) -> Tensor:
        return self.layer.forward(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def backward(self, dy: Tensor) -> Tensor:
        return self.layer.backward(dy.flatten(0, 1)).unflatten(0, dy.shape[:2])

    def state_of(self, index: int) -> dict[str, Tensor]:
        return {}


def in_rows(x: Tensor) -> Tensor:
    """Return x (M, ..., I) as (M, N, I): the axes between the first and the last become one batch axis.

    >>> in_rows(torch.zeros(2, 4, 5, 3)).shape
    torch.Size([2, 20, 3])
    """
    return x.reshape(len(x), -1, x.shape[-1])


class Looped(BatchedLayer):
    """Copies of M layers, which run one after the other. They can be of any type.

    copied: False makes it run these layers themselves.

    >>> class Double(Layer):
    ...     def forward(self, x):
    ...         return self.remember(2 * x)
    ...     def backward(self, dy):
    ...         return 2 * dy
    >>> Looped([Double(), Double()])(torch.ones(2, 3)).tolist()
    [[2.0, 2.0, 2.0], [2.0, 2.0, 2.0]]
    """

    def __init__(self, layers: Sequence[Layer], copied: bool = True) -> None:
        super().__init__(layers)
        self.copies = [copy.deepcopy(layer) if copied else layer for layer in layers]

    def children(self) -> Iterator[tuple[str, Layer]]:
        for index, layer in enumerate(self.copies):
            yield str(index), layer

    def forward_all(self, x: Tensor) -> Tensor:
        return torch.stack([layer.forward(x[m]) for m, layer in enumerate(self.copies)])

    def backward(self, dy: Tensor) -> Tensor:
        return torch.stack([layer.backward(dy[m]) for m, layer in enumerate(self.copies)])

    def state_of(self, index: int) -> dict[str, Tensor]:
        return self.copies[index].state_dict()


def own_tensors(layer: Layer) -> list[tuple[str, Tensor]]:
    """Return (name, tensor) of the layer's own parameters and buffers, not of its children's."""
    names = (*layer.parameter_names, *layer.buffer_names)
    return [(name, getattr(layer, name)) for name in names if getattr(layer, name) is not None]


def itself(layers: Sequence[Layer]) -> Layer:
    """Return a copy of the first layer. For (M, ...), it computes the same as the M layers."""
    return copy.deepcopy(layers[0])


def flatten(layers: Sequence[Flatten]) -> Flatten:
    """Return a Flatten of the same axes. Axes counted from the front move back by one, for the axis M."""
    start, end = layers[0].start_dim, layers[0].end_dim
    return Flatten(start + (start >= 0), end + (end >= 0))


def unflatten(layers: Sequence[Unflatten]) -> Unflatten:
    """Return an Unflatten of the same axis. An axis counted from the front moves back by one."""
    dim = layers[0].dim
    return Unflatten(dim + (dim >= 0), layers[0].unflattened_size)


convolutions = partial(Folded, channels=("in_channels", "out_channels", "groups"))
batchnorms = partial(Folded, channels=("num_features",))
groupnorms = partial(Folded, channels=("num_groups", "num_channels"))

# By the exact type of the layer, because a subclass may compute something else.
BATCHED_FORMS: dict[type[Layer], Callable[[Sequence], Layer]] = {
    Linear: BatchedLinear,
    Conv2d: convolutions,
    ConvTranspose2d: convolutions,
    BatchNorm1d: batchnorms,
    BatchNorm2d: batchnorms,
    GroupNorm: groupnorms,
    ReLU: itself,
    LeakyReLU: itself,
    Tanh: itself,
    Sigmoid: itself,
    SiLU: itself,
    GELU: itself,
    Softplus: itself,
    MaxPool2d: OneBatch,
    AvgPool2d: OneBatch,
    Upsample: OneBatch,
    Flatten: flatten,
    Unflatten: unflatten,
}


def batched(layers: Sequence[Layer], name: str = "") -> Layer:
    """Return one layer that computes for (M, N, ...) what M layers compute for M inputs (N, ...).

    The tensors of the layers are copied. A Sequential becomes a Sequential of such layers. name: the
    place of the layers in the model, for the error text. Raises ScratchaeError if the layers differ in
    type, arguments or shapes.

    >>> batched([Sequential(Linear(3, 2), ReLU()) for _ in range(5)])
    Sequential(
      (0): BatchedLinear(5 x Linear(3, 2))
      (1): ReLU()
    )
    """
    first = layers[0]
    for other in layers[1:]:
        check_alike(first, other, name)
    if is_row(first):
        rows = [layer.layers for layer in layers if isinstance(layer, Sequential)]
        prefix = f"{name}." if name else ""
        return Sequential(
            {key: batched([row[key] for row in rows], prefix + key) for key in rows[0]}
        )
    return BATCHED_FORMS.get(type(first), Looped)(layers)


def is_row(layer: Layer) -> bool:
    """Return whether the layer is a Sequential that only calls its layers one after the other."""
    kind = type(layer)
    return (
        isinstance(layer, Sequential)
        and (kind.forward, kind.backward) == (Sequential.forward, Sequential.backward)
        and not own_tensors(layer)
    )


def check_alike(one: Layer, other: Layer, name: str) -> None:
    """Raise ScratchaeError if two layers differ in type, arguments or shapes of tensors."""
    for describe in (outline, shapes):
        if describe(one) != describe(other):
            where = f" {name}" if name else ""
            raise ScratchaeError(
                f"only models with the same layers can be trained together, but layer{where} is "
                f"{describe(one)} in one and {describe(other)} in another: train them separately"
            )


def outline(layer: Layer) -> str:
    """Return in words: a layer with its arguments, or a Sequential with the names of its layers."""
    if is_row(layer):
        return f"Sequential({', '.join(name for name, _ in layer.children())})"
    return repr(layer)


def shapes(layer: Layer) -> str:
    """Return in words: the names and shapes of a layer's tensors; "" for a Sequential.

    `check_alike` compares the layers of a Sequential one by one.
    """
    tensors = {} if is_row(layer) else layer.state_dict()
    return ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
