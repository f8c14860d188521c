"""Convolution is one trilinear form T(x, w, y) = ⟨conv(x, w), y⟩, whichever way it is added up."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from scratchae.checking.layer_cases import both as pair
from scratchae.checking.layouts import on, random_tensor
from scratchae.layers import conv2d_backward, conv2d_forward, conv_transpose2d_forward
from scratchae.layers.convolution import Geometry
from tests.helpers.cases import CASES, few, pair_or_number
from tests.helpers.tensors import DEVICES


@st.composite
def images_weights_outputs(draw, device: str):
    """x, w, y whose shapes fit one convolution, its geometry, and the output_padding that makes
    the transposed one give an image as large as x."""
    groups = draw(st.integers(1, 3))
    geometry = {
        "stride": draw(pair_or_number(st.integers(1, 4))),
        "padding": draw(pair_or_number(st.integers(0, 3))),
        "dilation": draw(pair_or_number(st.integers(1, 3))),
        "groups": groups,
    }
    kernel, positions = pair(draw(pair_or_number(st.integers(1, 4)))), (draw(few), draw(few))
    extras, image = [], []
    for i in range(2):
        s, p, d = (pair(geometry[key])[i] for key in ("stride", "padding", "dilation"))
        extras.append(draw(st.integers(0, s - 1)))  # every size that the stride blurs into one
        image.append(s * (positions[i] - 1) - 2 * p + d * (kernel[i] - 1) + 1 + extras[-1])
    assume(min(image) >= 1)
    N, O, C = draw(few), groups * draw(st.integers(1, 3)), draw(st.integers(1, 3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    shapes = ((N, C * groups, *image), (O, C, *kernel), (N, O, *positions))
    tensors = [on(device, random_tensor(shape, "plain", generator)) for shape in shapes]
    return tensors, geometry, tuple(extras)


def product(a: torch.Tensor, b: torch.Tensor) -> tuple[float, float]:
    """⟨a, b⟩, and the size of what is added up in it."""
    assert a.shape == b.shape
    return (a * b).sum().item(), (a.norm() * b.norm()).item()


@pytest.mark.parametrize("device", DEVICES)
@given(data=st.data())
def test_transposed_convolution_is_the_adjoint_of_convolution(device, data):
    (x, w, y), geometry, output_padding = data.draw(images_weights_outputs(device))
    left, scale = product(conv2d_forward(x, w, None, **geometry), y)
    back = conv_transpose2d_forward(y, w, None, output_padding=output_padding, **geometry)
    right, other_scale = product(x, back)
    assert abs(left - right) <= 1e-12 * max(scale, other_scale)


@pytest.mark.parametrize("device", DEVICES)
@given(data=st.data())
def test_all_three_partial_derivatives_contract_to_the_same_number(device, data):
    (x, w, y), geometry, _ = data.draw(images_weights_outputs(device))
    partial_y = conv2d_forward(x, w, None, **geometry)
    partial_x, partial_w, _ = conv2d_backward(y, x, w, **geometry)
    contractions = [product(partial_y, y), product(partial_x, x), product(partial_w, w)]
    scale = max(scale for _, scale in contractions)
    for value, _ in contractions:
        assert abs(value - contractions[0][0]) <= 1e-12 * scale


@given(CASES["Conv2d"])
def test_the_transposed_twin_undoes_the_sizes_of_every_convolution(case):
    """For every legal image there is an output_padding below the stride that gives it back."""
    layer, _ = case.pair()
    if layer.padding in ("same", "valid"):
        return
    x = case.x(case.shapes[0])
    y = layer.forward(x)
    geometry = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
    smallest = [
        s * (n - 1) - 2 * p + d * (k - 1) + 1
        for n, s, p, d, k in zip(
            *(y.shape[2:], layer.stride, layer.padding, layer.dilation, layer.kernel_size),
            strict=True,
        )
    ]
    extras = tuple(n - least for n, least in zip(x.shape[2:], smallest, strict=True))
    assert all(0 <= extra < s for extra, s in zip(extras, layer.stride, strict=True))
    back = conv_transpose2d_forward(
        y, layer.weight, None, output_padding=extras, groups=layer.groups, **geometry
    )
    assert back.shape == x.shape


@given(*[st.tuples(st.integers(1, 5), st.integers(1, 5))] * 5, st.tuples(*[st.integers(0, 4)] * 2))
def test_the_frame_of_an_image_ends_with_its_last_pixel_or_that_of_the_last_window(
    kernel, stride, dilation, positions, size, padding
):
    last = [
        max(pad + n - 1, *(s * p + d * i for p in range(count) for i in range(k)))
        for pad, n, s, count, d, k in zip(
            *(padding, size, stride, positions, dilation, kernel), strict=True
        )
    ]
    framed = Geometry(kernel, stride, padding, dilation).padded_size(size, positions)
    assert framed == (last[0] + 1, last[1] + 1)
