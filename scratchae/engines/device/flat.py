"""Flat tensors: a model's tensors become views of a few, so that a step is a function of few tensors.

The parameters are already views of the optimiser's `value`. In the same way, the buffers, such as
BatchNorm's running statistics, become views of one flat tensor for each dtype. A step whose loss is not
finite must restore the old values. With flat tensors it restores only a few, not several for each layer.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from scratchae.layers import Layer
from scratchae.step import loss_of

# The place of one tensor: (layer, name of the attribute), for each layer that has it.
Place = list[tuple[Layer, str]]


def places(model: Layer, kind: str) -> list[Place]:
    """Return the place of every parameter or buffer, in the order of `named_parameters`.

    kind: "parameter_names" or "buffer_names". If several layers share a tensor, its place has an entry
    for each of them.

    >>> from scratchae.layers import Linear, Sequential
    >>> model = Sequential(Linear(2, 2), Linear(2, 2))
    >>> model[1].weight = model[0].weight
    >>> [[name for _, name in place] for place in places(model, "parameter_names")]
    [['weight', 'weight'], ['bias'], ['bias']]
    """
    found: dict[int, Place] = {}
    for _, layer in model.modules():
        for name in getattr(layer, kind):
            if (tensor := getattr(layer, name)) is not None:
                found.setdefault(id(tensor), []).append((layer, name))
    return list(found.values())


def tensor_at(place: Place) -> Tensor:
    """Return the tensor at a place."""
    layer, name = place[0]
    return getattr(layer, name)


def buffers_by_dtype(model: Layer) -> dict[str, list[Place]]:
    """Return the places of the buffers by dtype: {"float32 buffers": [...], "int64 buffers": [...]}."""
    found: dict[str, list[Place]] = {}
    for place in places(model, "buffer_names"):
        dtype = str(tensor_at(place).dtype).removeprefix("torch.")
        found.setdefault(f"{dtype} buffers", []).append(place)
    return found


def flatten_buffers(model: Layer) -> dict[str, Tensor]:
    """Make the model's buffers views of one flat tensor for each dtype; return the flat tensors.

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
        buffers = [tensor_at(place) for place in found]
        flat[key] = torch.cat([b.reshape(-1) for b in buffers])
        for b, view in zip(buffers, cut(flat[key], [b.shape for b in buffers]), strict=True):
            b.data = view
    return flat


def cut(flat: Tensor, shapes: list[torch.Size]) -> list[Tensor]:
    """Return consecutive views of flat (P,) with these shapes.

    >>> [view.tolist() for view in cut(torch.arange(5), [torch.Size((2, 2)), torch.Size((1,))])]
    [[[0, 1], [2, 3]], [4]]
    """
    pieces = flat.split([shape.numel() for shape in shapes])
    return [piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)]


class Net(Layer):
    """A copy of a model that computes with tensors from outside: `link` sets them.

    >>> from scratchae.layers import Linear, Sequential
    >>> net, x = Net(Sequential(Linear(1, 1))), torch.tensor([[10.0]])
    >>> net.link({"value": torch.tensor([2.0, 3.0])})
    >>> net.forward(x).item()  # 2 · 10 + 3
    23.0
    >>> net.backward(torch.ones(1, 1)).item()
    2.0
    >>> net.gradient().tolist()  # dweight = x, dbias = 1
    [10.0, 1.0]
    """

    def __init__(self, model: Layer) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        self.loss = loss_of(self.model)
        self.places = {"value": places(self.model, "parameter_names")}
        self.places |= buffers_by_dtype(self.model)
        self.shapes = {
            key: [tensor_at(place).shape for place in found] for key, found in self.places.items()
        }

    def link(self, tensors: dict[str, Tensor]) -> None:
        """Make the parameters views of tensors["value"] (P,), and the buffers views of the flat buffers.

        The flat buffers are in `tensors` under the names that `flatten_buffers` gives them.
        """
        for key, found in self.places.items():
            for place, view in zip(found, cut(tensors[key], self.shapes[key]), strict=True):
                hold(place, view)

    def forward(self, x: Tensor) -> Tensor:
        """Return the model's output for x."""
        return self.model.forward(x)

    def backward(self, dy: Tensor) -> Tensor:
        """Return dx for dy. `gradient` then returns the gradient of the parameters."""
        return self.model.backward(dy)

    def gradients(self) -> list[Tensor]:
        """Return a flat tensor for each parameter: its gradient, summed since the last `link`."""
        parameters = [tensor_at(place) for place in self.places["value"]]
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        return [grad.reshape(-1) for grad in grads]

    def gradient(self) -> Tensor:
        """Return the gradient of all parameters, in one flat tensor (P,)."""
        return torch.cat(self.gradients())


def hold(place: Place, tensor: Tensor) -> None:
    """Set the tensor at a place, in every layer that shares it."""
    for layer, name in place:
        setattr(layer, name, tensor)
