"""The one comparison of a layer with torch.nn and autograd that all layers go through."""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.layers import Layer
from tests.helpers.cases import Case
from tests.helpers.tensors import assert_close, unchanged


def compare_with_torch(case: Case, device: str = "cpu") -> None:
    """Every batch of the case forward and twice backward; outputs, gradients and buffers agree.

    Gradients are never emptied, so that they add up over all of it, as torch's do; the inputs and
    the parameters must come out as they went in. torch is given contiguous copies: with a
    channels_last dy for a plain x its own BatchNorm2d is wrong on the CPU (2.13: dx off by 1e-5).
    """
    layer, module = case.pair(device)
    for shape, mode in zip(case.shapes, case.training, strict=True):
        layer.train(mode), module.train(mode)
        x = case.x(shape, device)
        x_torch = x.clone(memory_format=torch.contiguous_format).requires_grad_()
        y_torch = module(x_torch)
        added = [m.penalty for m in module.modules() if getattr(m, "penalty", None) is not None]
        with unchanged(x=x, **dict(layer.named_parameters())):
            y = layer.forward(x)
        assert_close("y", y, y_torch, scale=scale_of_y(layer))
        for penalty, expected in zip(layer.penalties(), added, strict=True):
            assert_close("penalty", penalty, expected, scale=1.0)
        for name, buffer in module.named_buffers():
            assert_close(name, getattr(layer, name), buffer, scale=1.0)
        for _ in range(2):
            dy = case.dy(y)
            x_torch.grad = None
            ones = [torch.ones_like(penalty) for penalty in added]
            torch.autograd.backward([y_torch, *added], [dy.contiguous(), *ones], retain_graph=True)
            with unchanged(x=x, dy=dy, y=y, **dict(layer.named_parameters())):
                dx = layer.backward(dy)
            dy_scale = dy.abs().max().item()
            assert_close("dx", dx, x_torch.grad, scale=scale_of_dx(layer, x) * dy_scale)
            own = dict(layer.named_parameters())
            for name, parameter in module.named_parameters():
                assert_close(f"d{name}", own[name].grad, parameter.grad, scale=dy_scale)


def scale_of_y(layer: Layer) -> float:
    """How large the parts of y are: if they cancel, only rounding is left of y."""
    return 1.0 if hasattr(layer, "eps") else 0.0


def scale_of_dx(layer: Layer, x: Tensor) -> float:
    """How large the parts of dx/dy are: if they cancel, only rounding is left of dx.

    A layer that normalises (it has an `eps`) takes from dy what normalising undoes, which can be
    nearly everything. Sigmoid's slope y (1 − y) at large x is the rounding of 1 − y.
    """
    if not hasattr(layer, "eps"):
        return 1.0 if not list(layer.named_parameters()) else 0.0
    if hasattr(layer, "num_groups"):
        x = x.unflatten(1, (layer.num_groups, -1))
    var = x.var(normalised_axes(layer, x), correction=0)
    if not layer.training and getattr(layer, "running_var", None) is not None:
        var = layer.running_var
    weight = 1.0 if layer.weight is None else layer.weight.abs().max().item()
    return float((var + layer.eps).rsqrt().max()) * weight


def normalised_axes(layer: Layer, x: Tensor) -> list[int]:
    """The axes over which the layer takes mean and variance: its normalized_shape, the groups, or all but 1."""
    if hasattr(layer, "normalized_shape"):
        return list(range(-len(layer.normalized_shape), 0))
    if hasattr(layer, "num_groups"):
        return list(range(2, x.ndim))
    return [axis for axis in range(x.ndim) if axis != 1]
