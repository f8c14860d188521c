"""M ordinary models into one stacked model, and the numbers of one of them out again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from scratchae.errors import ScratchaeError
from scratchae.layers import (
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    Layer,
    LeakyReLU,
    Linear,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
    Unflatten,
)
from scratchae.sweep.batched_layers import StackedLinear
from scratchae.sweep.batchnorm import StackedBatchNorm
from scratchae.sweep.convolution import StackedConv2d, StackedConvTranspose2d


def flatten(layers: Sequence[Flatten]) -> Flatten:
    """A Flatten of the same axes, which come one later now; those from the end stay."""
    start, end = layers[0].start_dim, layers[0].end_dim
    return Flatten(start + (start >= 0), end + (end >= 0))


def unflatten(layers: Sequence[Unflatten]) -> Unflatten:
    """An Unflatten of the same axis."""
    dim = layers[0].dim
    return Unflatten(dim + (dim >= 0), layers[0].unflattened_size)


FORMS: dict[type[Layer], Callable[[Sequence], Layer]] = {
    Linear: StackedLinear,
    Conv2d: StackedConv2d,
    ConvTranspose2d: StackedConvTranspose2d,
    BatchNorm1d: StackedBatchNorm,
    BatchNorm2d: StackedBatchNorm,
    Flatten: flatten,
    Unflatten: unflatten,
    ReLU: lambda layers: ReLU(),
    Tanh: lambda layers: Tanh(),
    Sigmoid: lambda layers: Sigmoid(),
    LeakyReLU: lambda layers: LeakyReLU(layers[0].negative_slope),
}


def stack(models: Sequence[Layer], name: str = "") -> Layer:
    """One layer, or Sequential, that does for (M, N, ...) what each of M models does for its (N, ...).

    The models have to be built alike; their numbers are copied. Parameters and buffers keep their
    names and get a first axis of length M. Raises ScratchaeError where models differ, and for a
    layer that has no stacked form; name: where it stands, for that sentence.

    >>> from scratchae.models import build
    >>> family = stack([build("fc", seed) for seed in range(5)])
    >>> family.state_dict()["encoder.0.weight"].shape
    torch.Size([5, 128, 784])
    """
    first, where = models[0], f" {name}" if name else ""
    if different := next((model for model in models if outline(model) != outline(first)), None):
        raise ScratchaeError(
            f"only models that are built alike can be trained as one, but layer{where} is "
            f"{outline(first)} in one and {outline(different)} in another: train each shape by itself"
        )
    if isinstance(first, Sequential):
        prefix = f"{name}." if name else ""
        return Sequential(
            {key: stack([m.layers[key] for m in models], prefix + key) for key in first.layers}
        )
    if type(first) not in FORMS:
        raise ScratchaeError(
            f"layer{where}, {first!r}, has no form for many models at once: train such models one "
            "by one, with `scratchae train`"
        )
    return FORMS[type(first)](models)


def outline(layer: Layer) -> str:
    """A layer with its arguments; of a Sequential the names of its layers."""
    if isinstance(layer, Sequential):
        return f"Sequential({', '.join(layer.layers)})"
    return repr(layer)


def unstack(family: Layer, index: int, model: Layer) -> None:
    """Copy the numbers of model `index` of the family into an ordinary model.

    >>> from scratchae.layers import Linear
    >>> models, copy = [Linear(3, 2) for _ in range(4)], Linear(3, 2)
    >>> unstack(stack(models), 2, copy)
    >>> bool((copy.weight == models[2].weight).all())
    True
    """
    model.load_state_dict({key: own[index] for key, own in family.state_dict().items()})
