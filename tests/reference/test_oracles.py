"""Loops straight from the definition, our layers and torch.nn: three texts, one result."""

import torch
from hypothesis import assume, given, settings
from torch import Tensor

from reference import oracles
from scratchae.checking.layer_cases import both
from tests.helpers.cases import CASES, Case
from tests.helpers.tensors import assert_close


def compare_three(case: Case, layer, module, x: Tensor, y: Tensor, gradients) -> None:
    """y and (dx, dweight, dbias) of the loops against both sides."""
    # Contiguous: torch's own BatchNorm gives a wrong dx for a strided x of shape (1, C, 1, W).
    x_torch = x.clone(memory_format=torch.contiguous_format).requires_grad_()
    y_torch = module(x_torch)
    assert_close("y of torch", y_torch.detach(), y)
    assert_close("y", layer.forward(x), y)
    dy = case.dy(y)
    y_torch.backward(dy)
    dx = layer.backward(dy)
    theirs = (x_torch.grad, module.weight.grad, None if module.bias is None else module.bias.grad)
    ours = (dx, layer.weight.grad, None if layer.bias is None else layer.bias.grad)
    names = ("dx", "dweight", "dbias")
    scale = dy.abs().max().item()
    for name, got, torch_s, expected in zip(names, ours, theirs, gradients(dy), strict=True):
        if got is not None:
            assert_close(name, got, expected, scale=scale)
            assert_close(f"{name} of torch", torch_s, expected, scale=scale)


def small(case: Case) -> bool:
    """Few enough taps for loops."""
    taps = (
        torch.Size(case.shapes[0]).numel() * torch.Size(both(case.arguments["kernel_size"])).numel()
    )
    return taps * case.arguments["out_channels"] < 600


def bias_of(layer) -> Tensor:
    return layer.weight.new_zeros(layer.out_channels) if layer.bias is None else layer.bias


@settings(max_examples=60)
@given(CASES["Conv2d"].filter(lambda c: c.arguments["padding"] != "same").filter(small))
def test_convolution_equals_its_loops(case):
    layer, module = case.pair()
    padding = (0, 0) if layer.padding == "valid" else layer.padding
    geometry = (layer.stride, padding, layer.dilation, layer.groups)
    x = case.x(case.shapes[0])
    y = oracles.conv2d_forward(x, layer.weight, bias_of(layer), *geometry)
    compare_three(
        *(case, layer, module, x, y),
        lambda dy: oracles.conv2d_backward(dy, x, layer.weight, *geometry),
    )


@settings(max_examples=60)
@given(CASES["ConvTranspose2d"].filter(small))
def test_transposed_convolution_equals_its_loops(case):
    layer, module = case.pair()
    x = case.x(case.shapes[0])
    y = oracles.conv_transpose2d_forward(
        *(x, layer.weight, bias_of(layer), layer.stride, layer.padding, layer.output_padding),
        *(layer.dilation, layer.groups),
    )
    geometry = (layer.stride, layer.padding, layer.dilation, layer.groups)
    compare_three(
        *(case, layer, module, x, y),
        lambda dy: oracles.conv_transpose2d_backward(dy, x, layer.weight, *geometry),
    )


@settings(max_examples=60)
@given(CASES["BatchNorm1d"] | CASES["BatchNorm2d"])
def test_batch_norm_equals_the_loops_over_its_whole_jacobian(case):
    learned = case.arguments["affine"] and case.arguments["bias"]
    numel = torch.Size(case.shapes[0]).numel()
    assume(learned and case.training[0] and numel < 200)
    # Two numbers are normalised to -1 and 1, whatever they are: then dx is nothing but rounding.
    assume(numel / case.arguments["num_features"] > 2)
    assume(case.layouts[0] != "expanded")  # no spread, nothing but rounding
    layer, module = case.pair()
    x = case.x(case.shapes[0])
    y = oracles.batchnorm_forward(x, layer.weight, layer.bias, layer.eps)
    compare_three(
        *(case, layer, module, x, y),
        lambda dy: oracles.batchnorm_backward(dy, x, layer.weight, layer.eps),
    )
