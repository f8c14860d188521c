"""Describe the layers of a network for the page: kind, arguments, tensors and output shape.

The description is generic: it reads `Layer.arguments()` and the layer's tensors. What a layer
computes is written in network.js, once for each kind of layer.
"""

from __future__ import annotations

import re
from importlib.resources import files

import torch
from torch import Tensor

from scratchae import layers
from scratchae.errors import ScratchaeError
from scratchae.explorer.quantise import base64_of, quantise
from scratchae.layers import Layer, Sequential
from scratchae.layers.sequential import copy_for_evaluation

# Weights of a smaller layer are stored in two bytes instead of one. The small layers are those around
# the code, and all layers behind them amplify their rounding errors.
SMALL = 10_000


def describe(network: Sequential, input_shape: tuple[int, ...], prefix: str) -> list[dict]:
    """Return one dict per layer, in order: its kind, name, output shape, arguments and tensors.

    prefix: what to put before the names of the layers, such as "encoder.". Raises ScratchaeError
    if network.js cannot run a layer, or if a layer mixes the samples of a batch.

    >>> from scratchae.layers import Linear, ReLU
    >>> found = describe(Sequential(Linear(4, 3), ReLU()), (4,), "encoder.")
    >>> [(layer["name"], layer["kind"], layer["shape"]) for layer in found]
    [('encoder.0', 'Linear', [3]), ('encoder.1', 'ReLU', [3])]
    """
    found = []
    x = torch.zeros(2, *input_shape)
    with torch.inference_mode():
        for name, layer in copy_for_evaluation(network).to("cpu", torch.float32).leaves(prefix):
            check(name, layer)
            x = layer.forward(x)
            if x.ndim < 2 or len(x) != 2:
                raise ScratchaeError(
                    f"the page runs one image at a time, but {name}, {layer!r}, mixes the images of a "
                    "batch: leave axis 0 unchanged"
                )
            found.append(
                {
                    "kind": type(layer).__name__,
                    "name": name,
                    "shape": list(x.shape[1:]),
                    "arguments": layer.arguments(),
                    "tensors": {
                        key: packed(tensor, name, layer)
                        for key, tensor in layer.state_dict().items()
                        if tensor.ndim > 0  # without num_batches_tracked
                    },
                }
            )
    return found


def known_kinds() -> list[str]:
    """Return the names of the layers that network.js can run.

    >>> "Linear" in known_kinds()
    True
    """
    script = (files("scratchae.explorer") / "network.js").read_text(encoding="utf-8")
    makers = script[script.index("const MAKERS = {") :]
    return re.findall(r"^  (\w+): ", makers[: makers.index("\n};")], re.MULTILINE)


def check(name: str, layer: Layer) -> None:
    """Raise ScratchaeError if the page cannot run this layer."""
    kind = type(layer).__name__
    # A subclass, or a class of the same name, may compute something else.
    if kind not in known_kinds() or getattr(layers, kind, None) is not type(layer):
        raise ScratchaeError(
            f"the page cannot run {name}, {layer!r}: it can run {', '.join(known_kinds())}, and "
            "Sequentials of these"
        )
    if layer.arguments().get("track_running_stats") is False:
        raise ScratchaeError(
            f"the page runs one image at a time, but {name}, {layer!r}, has no running statistics and "
            "needs a batch: build the model with track_running_stats=True"
        )


def packed(tensor: Tensor, name: str, layer: Layer) -> str | dict:
    """Return a vector as float32 in base64, and any other tensor as quantised rows with scales."""
    if not tensor.isfinite().all():
        raise ScratchaeError(
            f"{name}, {layer!r}, has weights or statistics that are not finite: train again with a "
            "lower learning rate"
        )
    if tensor.ndim == 1:
        return base64_of(tensor)
    bits = 16 if tensor.numel() <= SMALL else 8
    q, scale = quantise(tensor, torch.int16 if bits == 16 else torch.int8)
    return {"bits": bits, "values": base64_of(q), "scale": base64_of(scale)}
