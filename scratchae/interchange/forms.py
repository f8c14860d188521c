"""The ONNX form of every layer: the nodes that compute what the layer computes in evaluation mode.

The operators are described at https://onnx.ai/onnx/operators. Most have the same arguments as the layer.
"""

from __future__ import annotations

import math

import torch

from scratchae import layers
from scratchae.errors import ScratchaeError
from scratchae.interchange.graph import Graph, Value, form, shape_after
from scratchae.layers.batchnorm import BatchNorm
from scratchae.layers.geometry import padding_of
from scratchae.layers.smooth_activations import CUBIC
from scratchae.models.vae import SharedLogvar

# --------------------------------------------------------------------------------- containers


@form(layers.Sequential)
def sequential(graph: Graph, layer: layers.Sequential, x: Value) -> str:
    for name, child in layer.children():
        x = graph.add(child, x, name)
    return x.name


@form(layers.Residual)
def residual(graph: Graph, layer: layers.Residual, x: Value) -> str:
    skipped = x if layer.shortcut is None else graph.add(layer.shortcut, x, "shortcut")
    return graph.node("Add", skipped.name, graph.add(layer.body, x, "body").name)


# ------------------------------------------------------------------------- layers with weights


@form(layers.Linear)
def linear(graph: Graph, layer: layers.Linear, x: Value) -> str:
    if len(x.shape) == 1:
        return graph.node("Gemm", x.name, *weights(graph, layer), transB=1)
    y = graph.node("MatMul", x.name, graph.constant("weight_transposed", layer.weight.T))
    return y if layer.bias is None else graph.node("Add", y, graph.constant("bias", layer.bias))


@form(layers.Conv2d)
def conv2d(graph: Graph, layer: layers.Conv2d, x: Value) -> str:
    before, after = padding_of(layer.padding, layer.kernel_size, layer.dilation)
    settings = {"strides": layer.stride, "dilations": layer.dilation, "group": layer.groups}
    return graph.node("Conv", x.name, *weights(graph, layer), pads=[*before, *after], **settings)


@form(layers.ConvTranspose2d)
def conv_transpose2d(graph: Graph, layer: layers.ConvTranspose2d, x: Value) -> str:
    # The operator's output_padding is not used: onnxruntime refuses values that exceed the stride.
    # output_padding - padding: negative if rows and columns are cut off at the end, positive if some are added
    last = [e - p for e, p in zip(layer.output_padding, layer.padding, strict=True)]
    settings = {"strides": layer.stride, "dilations": layer.dilation, "group": layer.groups}
    if max(last) <= 0:
        pads = [*layer.padding, *(-n for n in last)]
        return graph.node("ConvTranspose", x.name, *weights(graph, layer), pads=pads, **settings)
    y = graph.node("ConvTranspose", x.name, graph.constant("weight", layer.weight), **settings)
    first = [-p for p in layer.padding]
    y = graph.node("Pad", y, graph.constant("pads", [0, 0, *first, 0, 0, *last]))  # negative: cuts
    if layer.bias is None:
        return y
    return graph.node("Add", y, graph.constant("bias", layer.bias.view(-1, 1, 1)))


def weights(
    graph: Graph, layer: layers.Linear | layers.Conv2d | layers.ConvTranspose2d
) -> list[str]:
    """Add the weight and, if the layer has one, the bias; return their names."""
    names = [graph.constant("weight", layer.weight)]
    return names if layer.bias is None else [*names, graph.constant("bias", layer.bias)]


# ------------------------------------------------------------------------------- normalisation


@form(BatchNorm)
def batchnorm(graph: Graph, layer: BatchNorm, x: Value) -> str:
    mean, var = layer.running_mean, layer.running_var
    if mean is None or var is None:
        raise ScratchaeError(
            f"{layer!r} normalises with the statistics of each batch, so its output is not a function of one "
            "image: make it with track_running_stats=True to export it"
        )
    weight = torch.ones_like(mean) if layer.weight is None else layer.weight
    bias = torch.zeros_like(mean) if layer.bias is None else layer.bias
    tensors = {"weight": weight, "bias": bias, "running_mean": mean, "running_var": var}
    names = [graph.constant(name, tensor) for name, tensor in tensors.items()]
    return graph.node("BatchNormalization", x.name, *names, epsilon=layer.eps)


@form(layers.LayerNorm)
def layernorm(graph: Graph, layer: layers.LayerNorm, x: Value) -> str:
    weight = torch.ones(layer.normalized_shape) if layer.weight is None else layer.weight
    names = [graph.constant("weight", weight)]
    if layer.bias is not None:
        names.append(graph.constant("bias", layer.bias))
    axis = -len(layer.normalized_shape)
    return graph.node("LayerNormalization", x.name, *names, axis=axis, epsilon=layer.eps)


@form(layers.GroupNorm)
def groupnorm(graph: Graph, layer: layers.GroupNorm, x: Value) -> str:
    # a group is a channel of InstanceNormalization, which also normalises each sample by itself
    groups = graph.node("Reshape", x.name, graph.constant("groups", [0, layer.num_groups, -1]))
    ones = graph.constant("ones", torch.ones(layer.num_groups))
    zeros = graph.constant("zeros", torch.zeros(layer.num_groups))
    y = graph.node("InstanceNormalization", groups, ones, zeros, epsilon=layer.eps)
    y = graph.node("Reshape", y, graph.constant("shape", [0, *x.shape]))
    column = (-1, *[1] * (len(x.shape) - 1))  # (C, 1, ...)
    if layer.weight is not None:
        y = graph.node("Mul", y, graph.constant("weight", layer.weight.view(column)))
    if layer.bias is not None:
        y = graph.node("Add", y, graph.constant("bias", layer.bias.view(column)))
    return y


@form(layers.Dropout)
def dropout(graph: Graph, layer: layers.Dropout, x: Value) -> str:
    return x.name  # in evaluation mode it changes nothing


# --------------------------------------------------------------------------------- activations


@form(layers.ReLU)
def relu(graph: Graph, layer: layers.ReLU, x: Value) -> str:
    return graph.node("Relu", x.name)


@form(layers.LeakyReLU)
def leaky_relu(graph: Graph, layer: layers.LeakyReLU, x: Value) -> str:
    return graph.node("LeakyRelu", x.name, alpha=float(layer.negative_slope))


@form(layers.Tanh)
def tanh(graph: Graph, layer: layers.Tanh, x: Value) -> str:
    return graph.node("Tanh", x.name)


@form(layers.Sigmoid)
def sigmoid(graph: Graph, layer: layers.Sigmoid, x: Value) -> str:
    return graph.node("Sigmoid", x.name)


@form(layers.SiLU)
def silu(graph: Graph, layer: layers.SiLU, x: Value) -> str:
    return graph.node("Mul", x.name, graph.node("Sigmoid", x.name))


@form(layers.GELU)
def gelu(graph: Graph, layer: layers.GELU, x: Value) -> str:
    if layer.approximate == "tanh":
        cube = graph.node("Mul", graph.node("Mul", x.name, x.name), x.name)
        small = graph.node("Mul", cube, graph.constant("cubic", CUBIC))
        u = graph.node("Add", x.name, small)
        u = graph.node("Mul", u, graph.constant("scale", math.sqrt(2 / math.pi)))
        gate = graph.node("Tanh", u)
    else:
        u = graph.node("Div", x.name, graph.constant("root_of_two", math.sqrt(2)))
        gate = graph.node("Erf", u)
    gate = graph.node("Add", gate, graph.constant("one", 1.0))
    gate = graph.node("Mul", gate, graph.constant("half", 0.5))
    return graph.node("Mul", x.name, gate)


@form(layers.Softplus)
def softplus(graph: Graph, layer: layers.Softplus, x: Value) -> str:
    beta = graph.constant("beta", float(layer.beta))
    z = graph.node("Mul", x.name, beta)
    large = graph.node("Greater", z, graph.constant("threshold", float(layer.threshold)))
    return graph.node("Where", large, x.name, graph.node("Div", graph.node("Softplus", z), beta))


# ---------------------------------------------------------------------------------------- shape


@form(layers.Flatten, layers.Unflatten)
def reshape(graph: Graph, layer: layers.Layer, x: Value) -> str:
    shape = [0, *shape_after(layer, x.shape)]  # 0: the size of this axis stays, whatever it is
    return graph.node("Reshape", x.name, graph.constant("shape", shape))


# -------------------------------------------------------------------------- variational autoencoders


@form(layers.GaussianSampling)
def mean_of_posterior(graph: Graph, layer: layers.GaussianSampling, x: Value) -> str:
    mu, _ = halves(graph, x)
    return mu.name


def halves(graph: Graph, x: Value) -> tuple[Value, Value]:
    """Add the nodes that cut x (N, 2 L) into mu and logvar, (N, L) each."""
    latent = x.shape[0] // 2
    axis = graph.constant("axis", [1])
    bounds = [graph.constant(f"bound_{i}", [i * latent]) for i in range(3)]
    mu, logvar = (graph.node("Slice", x.name, *bounds[i : i + 2], axis) for i in (0, 1))
    return Value(mu, (latent,)), Value(logvar, (latent,))


@form(SharedLogvar)
def shared_logvar(graph: Graph, layer: SharedLogvar, x: Value) -> str:
    shape = graph.node("Shape", x.name)
    logvar = graph.node("Expand", graph.constant("logvar", layer.logvar), shape)
    return graph.node("Concat", x.name, logvar, axis=1)
