"""Sequential: layers in a row. Forward runs them in order, backward in the reverse order.

This is the chain rule: each layer turns the gradient of its output into the gradient of its input.
Its input is the output of the previous layer.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.base import Layer


class Sequential(Layer):
    """Layers that run one after the other: `Sequential(a, b, ...)`, or `Sequential({"name": a, ...})`.

    A layer may be a Sequential, too. Like a list, a Sequential supports indices, slices, iteration and
    `len`. The keys of its state are those of torch.nn.Sequential: "0.weight", or "name.weight".

    >>> from scratchae.layers import Linear, ReLU
    >>> model = Sequential(Linear(4, 3), ReLU(), Linear(3, 2))
    >>> model(torch.zeros(5, 4)).shape, model.backward(torch.zeros(5, 2)).shape
    (torch.Size([5, 2]), torch.Size([5, 4]))
    >>> list(model.state_dict())
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    def __init__(self, *layers: Layer | Mapping[str, Layer]) -> None:
        super().__init__()
        self.layers: dict[str, Layer] = {}
        only = layers[0] if len(layers) == 1 else None
        in_order = {str(i): layer for i, layer in enumerate(layers)}
        named = only if isinstance(only, Mapping) else in_order
        for name, layer in named.items():
            if not isinstance(layer, Layer):
                cure = f": write {layer.__name__}()" if isinstance(layer, type) else ""
                raise ScratchaeError(f"Sequential holds layers, but {name} is {layer!r}{cure}")
            self.layers[name] = layer
        places: dict[int, str] = {}
        for name, layer in self.leaves():
            if (first := places.setdefault(id(layer), name)) != name:
                raise ScratchaeError(
                    f"Sequential holds one {layer!r} twice, as {first} and {name}, but a layer "
                    "remembers only its last forward pass: make a new one for each place"
                )

    def children(self) -> Iterator[tuple[str, Layer]]:
        yield from self.layers.items()

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers.values():
            x = layer.forward(x)
        return x

    def backward(self, dy: Tensor) -> Tensor:
        for layer in reversed(self.layers.values()):
            dy = layer.backward(dy)
        return dy

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers.values())

    def __getitem__(self, index: int | slice) -> Layer:
        if isinstance(index, slice):
            return Sequential(dict(list(self.layers.items())[index]))
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no layer {index} in a Sequential of {len(self)}")
        return list(self.layers.values())[index]

    def extra_repr(self) -> str:
        return ""  # the layers follow, one per line

    def leaves(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """Yield (name, layer) of every layer inside that is not a Sequential, in order.

        The names are paths with dots, such as "encoder.0", after `prefix`.
        """
        for name, layer in self.layers.items():
            if isinstance(layer, Sequential):
                yield from layer.leaves(f"{prefix}{name}.")
            else:
                yield prefix + name, layer

    def summary(self, input_shape: tuple[int, ...]) -> str:
        """Return a table of every layer's output shape and number of parameters.

        input_shape: the shape of one sample, without the batch axis, such as (784,) or (1, 28, 28). To
        find the shapes, a copy of the model runs on zeros in evaluation mode.
        """
        first = next(iter(self.parameters()), torch.zeros(()))
        x = torch.zeros(1, *input_shape, dtype=first.dtype, device=first.device)
        rows = [("", "input", tuple(x.shape), "")]
        for name, layer in copy_for_evaluation(self).leaves():
            x = layer.forward(x)
            count = sum(p.numel() for p in layer.parameters())
            rows.append((name, repr(layer), tuple(x.shape), f"{count:,}" if count else ""))
        cells = [("name", "layer", "output shape", "parameters")]
        cells += [(a, b, "(" + ", ".join(["N", *map(str, c[1:])]) + ")", d) for a, b, c, d in rows]
        total = sum(p.numel() for p in self.parameters())
        cells.append(("", "", "total", f"{total:,}"))
        widths = [max(len(row[i]) for row in cells) for i in range(4)]
        lines = [
            "  ".join(
                [
                    *(text.ljust(w) for text, w in zip(row[:3], widths, strict=False)),
                    row[3].rjust(widths[3]),
                ]
            )
            for row in cells
        ]
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def copy_for_evaluation(model: Sequential) -> Sequential:
    """Return a copy in evaluation mode. Running the copy does not change the model.

    >>> model = Sequential()
    >>> copy_for_evaluation(model).training, model.training
    (False, True)
    """
    return copy.deepcopy(model).eval()
