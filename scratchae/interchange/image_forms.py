"""The ONNX forms of pooling and of Upsample.

ONNX has operators for both poolings, but with other rules for the last windows and the divisors. The shapes are
known here, so the padding at the end and the divisors are worked out and written into the file.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from scratchae import layers
from scratchae.interchange.graph import Graph, Value, form
from scratchae.layers.pooling import Pool2d, pool_geometry, window_sizes
from scratchae.layers.upsample import sources


@form(layers.MaxPool2d)
def max_pool2d(graph: Graph, layer: layers.MaxPool2d, x: Value) -> str:
    settings, pixels = windows_of(layer, x), x.name
    top, left, bottom, right = settings["pads"]
    kH, kW = layer.kernel_size
    if bottom >= kH or right >= kW:  # only with dilation; onnxruntime refuses such pads
        pads = graph.constant("pads", [0, 0, top, left, 0, 0, bottom, right])
        pixels = graph.node("Pad", pixels, pads, graph.constant("outside", -math.inf))
        settings["pads"] = [0, 0, 0, 0]
    return graph.node("MaxPool", pixels, **settings)


@form(layers.AvgPool2d)
def avg_pool2d(graph: Graph, layer: layers.AvgPool2d, x: Value) -> str:
    y = graph.node("AveragePool", x.name, count_include_pad=1, **windows_of(layer, x))
    geometry, positions = pool_geometry(x.shape[1:], *arguments_of(layer))
    included = layer.count_include_pad
    m = window_sizes(x.shape[1:], positions, geometry, included, torch.device("cpu"))  # (P, Q)
    m = torch.full_like(m, layer.divisor_override) if layer.divisor_override else m
    pixels = math.prod(layer.kernel_size)  # by which the operator has divided
    if (m == pixels).all():
        return y
    return graph.node("Mul", y, graph.constant("correction", pixels / m))


def windows_of(layer: Pool2d, x: Value) -> dict[str, Any]:
    """Return the arguments of both operators. The padding at the end is what the last window needs."""
    geometry, positions = pool_geometry(x.shape[1:], *arguments_of(layer))
    last = [
        max(s * (count - 1) + d * (k - 1) + 1 - pad - n, 0)
        for n, count, k, s, pad, d in zip(
            x.shape[1:],
            positions,
            geometry.kernel_size,
            geometry.stride,
            geometry.padding,
            geometry.dilation,
            strict=True,
        )
    ]
    settings: dict[str, Any] = {"kernel_shape": geometry.kernel_size, "strides": geometry.stride}
    if geometry.dilation != (1, 1):
        settings["dilations"] = geometry.dilation
    return {**settings, "pads": [*geometry.padding, *last]}


def arguments_of(layer: Pool2d) -> tuple:
    """Return the arguments of pool_geometry."""
    return layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode


@form(layers.Upsample)
def upsample(graph: Graph, layer: layers.Upsample, x: Value) -> str:
    factor = None if layer.recompute_scale_factor else layer.scale_factor
    size = x.shape[1:]
    rows, columns = sources(size, layer.output_size(size), factor, torch.device("cpu"))
    y = graph.node("Gather", x.name, graph.constant("rows", rows.tolist()), axis=2)
    return graph.node("Gather", y, graph.constant("columns", columns.tolist()), axis=3)
