"""A model's tensors as views of a few flat ones, so that a step is a function of a few tensors.

The parameters lie in the optimiser's `value` already. The statistics of BatchNorm are brought
together in the same way, one flat tensor for each number format: a step that must not move
anything then has a handful of tensors to put back, not several for each layer.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from scratchae.layers import Layer


def places(layer: Layer, kind: str) -> Iterator[tuple[Layer, str]]:
    """(layer, attribute) of every tensor of a kind, in the order of `named_parameters`.

    kind: "parameter_names" or "buffer_names".

    >>> from scratchae.layers import Linear, Sequential
    >>> [name for _, name in places(Sequential(Linear(2, 1), Linear(1, 2)), "parameter_names")]
    ['weight', 'bias', 'weight', 'bias']
    """
    for name in getattr(layer, kind):
        if getattr(layer, name) is not None:
            yield layer, name
    for _, child in layer.children():
        yield from places(child, kind)


def buffers_by_dtype(model: Layer) -> dict[str, list[tuple[Layer, str]]]:
    """The places of the buffers, those of one dtype together: "float32 buffers", "int64 buffers"."""
    found: dict[str, list] = {}
    for layer, name in places(model, "buffer_names"):
        dtype = str(getattr(layer, name).dtype).removeprefix("torch.")
        found.setdefault(f"{dtype} buffers", []).append((layer, name))
    return found


def flatten_buffers(model: Layer) -> dict[str, Tensor]:
    """Bring the model's buffers together: one flat tensor a dtype, into which they are views now.

    >>> from scratchae.layers import BatchNorm1d, Sequential
    >>> model = Sequential(BatchNorm1d(2), BatchNorm1d(1))
    >>> flat = flatten_buffers(model)
    >>> flat["float32 buffers"].tolist()  # means and variances in turn
    [0.0, 0.0, 1.0, 1.0, 0.0, 1.0]
    >>> flat["int64 buffers"] += 7
    >>> model[1].num_batches_tracked.item()
    7
    """
    flat = {}
    for key, found in buffers_by_dtype(model).items():
        buffers = [getattr(layer, name) for layer, name in found]
        flat[key] = torch.cat([b.reshape(-1) for b in buffers])
        for b, view in zip(buffers, cut(flat[key], [b.shape for b in buffers]), strict=True):
            b.data = view
    return flat


def cut(flat: Tensor, shapes: list[torch.Size]) -> list[Tensor]:
    """Views of flat (P,), one behind the other, of these shapes.

    >>> [view.tolist() for view in cut(torch.arange(5), [(2, 2), (1,)])]
    [[[0, 1], [2, 3]], [4]]
    """
    pieces = flat.split([torch.Size(shape).numel() for shape in shapes])
    return [piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)]


class Net:
    """A copy of a model that owns no numbers: `link` says where they lie.

    >>> from scratchae.layers import Linear, Sequential
    >>> net, x = Net(Sequential(Linear(1, 1))), torch.tensor([[10.0]])
    >>> net.link({"value": torch.tensor([2.0, 3.0])})
    >>> net.forward(x).item()  # 2 · 10 + 3
    23.0
    >>> net.backward(torch.ones(1, 1))
    >>> net.gradient().tolist()  # dweight = x, dbias = 1
    [10.0, 1.0]
    """

    def __init__(self, model: Layer) -> None:
        self.model = copy.deepcopy(model)
        found = {"value": list(places(self.model, "parameter_names"))}
        found |= buffers_by_dtype(self.model)
        self.places = {
            key: [(layer, name, getattr(layer, name).shape) for layer, name in there]
            for key, there in found.items()
        }

    def link(self, tensors: dict[str, Tensor]) -> None:
        """Take parameters from tensors["value"] (P,), and buffers as `flatten_buffers` calls them."""
        for key, there in self.places.items():
            views = cut(tensors[key], [shape for _, _, shape in there])
            for (layer, name, _), view in zip(there, views, strict=True):
                setattr(layer, name, view)

    def forward(self, x: Tensor) -> Tensor:
        """y for x."""
        return self.model.forward(x)

    def backward(self, dy: Tensor) -> None:
        """Leave every parameter's gradient where `gradient` finds it."""
        self.model.backward(dy)

    def gradients(self) -> list[Tensor]:
        """Each parameter's gradient, as a row of numbers, of the backward pass since `link`."""
        parameters = [getattr(layer, name) for layer, name, _ in self.places["value"]]
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        return [grad.reshape(-1) for grad in grads]

    def gradient(self) -> Tensor:
        """All of them, flat (P,)."""
        return torch.cat(self.gradients())

    def forget(self) -> None:
        """Drop what forward kept, so that its memory can be used again."""
        self.model.forget()
