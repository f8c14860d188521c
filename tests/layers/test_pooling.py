"""MaxPool2d, AvgPool2d and Upsample: adjoints, ties, NaN, and what is refused.

(tests/layers/test_against_torch.py and the other tests of all layers draw their random cases.)
"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scratchae.errors import ScratchaeError
from scratchae.layers import (
    AvgPool2d,
    MaxPool2d,
    Upsample,
    avg_pool2d_forward,
    max_pool2d_backward,
    max_pool2d_forward,
    upsample_forward,
)
from scratchae.layers.pooling import pool_geometry
from scratchae.layers.upsample import checked_factors
from tests.helpers.cases import CASES
from tests.helpers.tensors import assert_close


@pytest.mark.parametrize("name", ["AvgPool2d", "Upsample", "Dropout"])  # for a fixed mask
@given(data=st.data())
def test_the_backward_pass_of_a_linear_layer_is_its_adjoint(name, data):
    case = data.draw(CASES[name])
    layer, x = case.random_layer(), case.x(case.shapes[0])
    y = layer(x)
    dy = case.dy(y)
    assert_close("⟨y, dy⟩", (y * dy).sum(), (x * layer.backward(dy)).sum(), 1e-12, scale=1.0)
    assert_close("layer(2 x)", layer(2 * x), 2 * y, 1e-14)


@given(case=CASES["MaxPool2d"])
def test_for_fixed_places_of_the_maxima_the_backward_pass_of_max_pooling_is_the_adjoint(case):
    layer, module = case.pair()
    module.return_indices = True
    x = case.x(case.shapes[0])
    x = x if x.ndim == 4 else x[None]
    _, pixels = module(x.contiguous())
    y = layer(x)
    other, dy = torch.randn_like(x), torch.randn_like(y)
    picked = other.flatten(2).gather(2, pixels.flatten(2)).view(y.shape)
    assert_close("⟨y, dy⟩", (picked * dy).sum(), (other * layer.backward(dy)).sum(), 1e-12, 1.0)


@given(case=CASES["MaxPool2d"], levels=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_of_equal_values_the_one_that_torch_chooses_gets_the_gradient(case, levels, seed):
    generator = torch.Generator().manual_seed(seed)
    layer, module = case.pair()
    x = torch.randint(levels, case.shapes[0], generator=generator).double()
    leaf = x.clone().requires_grad_()
    y, theirs = layer(x), module(leaf)
    dy = case.dy(y)
    theirs.backward(dy.contiguous())
    assert torch.equal(y, theirs)
    assert_close("dx", layer.backward(dy), leaf.grad, 1e-14, scale=1.0)


@given(case=CASES["MaxPool2d"])
def test_the_index_of_a_tap_gives_the_pixel_that_torch_names(case):
    layer, module = case.pair()
    module.return_indices = True
    x = case.x(case.shapes[0])
    x = x if x.ndim == 4 else x[None]
    windows = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    y, index = max_pool2d_forward(x, *windows, layer.ceil_mode)
    theirs, pixels = module(x.contiguous())
    assert torch.equal(y, theirs)
    picked = x.flatten(2).gather(2, pixels.flatten(2)).view(y.shape)
    assert torch.equal(picked, y)
    one = torch.zeros_like(y)
    one[0, 0, -1, -1] = 1.0
    found = max_pool2d_backward(one, index, x.shape[2:], *windows).flatten(2)
    assert found.sum() == 1 and found[0, 0, pixels[0, 0, -1, -1]] == 1


@pytest.mark.parametrize("layer", [MaxPool2d(2, 1), AvgPool2d(2, 1), Upsample(scale_factor=2)])
def test_a_nan_stays_where_it_is_in_torch_too(layer):
    x = torch.randn(1, 1, 4, 4)
    x[0, 0, 1, 2] = torch.nan
    theirs = getattr(torch.nn, type(layer).__name__)(**layer.arguments())(x)
    assert torch.equal(layer(x).isnan(), theirs.isnan()) and theirs.isnan().any()


def test_a_window_of_negative_values_beside_the_padding_has_a_negative_maximum():
    y = MaxPool2d(3, 1, padding=1)(-torch.ones(1, 4, 4))
    assert (y == -1).all()


def test_the_mean_of_ones_is_one_where_the_padding_does_not_count():
    x = torch.ones(1, 1, 5, 5)
    assert (avg_pool2d_forward(x, 3, 2, 1, True, False) == 1).all()
    assert avg_pool2d_forward(x, 3, 2, 1)[0, 0, 0].tolist() == pytest.approx([4 / 9, 6 / 9, 4 / 9])


def test_upsampling_and_the_mean_of_the_copies_undo_each_other():
    x = torch.randn(2, 3, 4, 5)
    assert torch.allclose(AvgPool2d((3, 2))(Upsample(scale_factor=(3, 2))(x)), x, atol=1e-6)
    assert torch.equal(MaxPool2d((3, 2))(Upsample(size=(12, 10))(x)), x)


@given(n=st.integers(1, 40), m=st.integers(1, 90), factor=st.sampled_from([1.1, 1.7, 2.3, 3.9]))
def test_the_copied_pixels_are_those_of_torch_for_any_sizes(n, m, factor):
    x = torch.arange(n, dtype=torch.float32).view(1, 1, 1, n)
    for arguments in (
        {"size": (1, m)},
        {"scale_factor": (1.0, factor)},
        {"scale_factor": (1.0, factor), "recompute_scale_factor": True},
    ):
        assert torch.equal(Upsample(**arguments)(x), torch.nn.Upsample(**arguments)(x)), arguments


def test_the_text_shows_the_stride_that_follows_from_the_kernel():
    assert repr(MaxPool2d(2)) == "MaxPool2d(2, stride=2)"
    assert repr(AvgPool2d((3, 2), 1)) == "AvgPool2d((3, 2), stride=1)"
    assert repr(Upsample(scale_factor=2)) == "Upsample(scale_factor=2)"
    assert repr(Upsample((7, 9))) == "Upsample(size=(7, 9))"


def test_pooling_windows_by_default_lie_inside_the_image():
    assert pool_geometry((5, 7), 2)[1] == (2, 3)


def test_an_upsampled_pixel_beyond_the_last_source_is_a_copy_of_the_last():
    x = torch.tensor([[[[1.0, 2.0]]]])
    assert upsample_forward(x, (1, 6), 2.0).flatten().tolist() == [1, 1, 2, 2, 2, 2]


def test_images_without_a_channel_are_refused():
    with pytest.raises(
        ScratchaeError, match=r"expects images \(N, C, H, W\) but got \(1, 0, 2, 2\)"
    ):
        Upsample(scale_factor=2)(torch.zeros(1, 0, 2, 2))


@pytest.mark.parametrize("factors", [(0.1, 1), (1, 0.1), [0.1, 0.1]])
def test_an_image_that_would_have_no_pixels_is_refused(factors):
    with pytest.raises(ScratchaeError, match="leaves nothing of images of 2 x 3 pixels"):
        Upsample(scale_factor=factors)(torch.zeros(1, 1, 2, 3))


@pytest.mark.parametrize(
    "factors", [(1, 0), (0, 1), (True, 2), (1, float("inf")), (1, "2"), (1, 2, 3)]
)
def test_factors_that_are_no_two_numbers_above_0_are_refused(factors):
    with pytest.raises(ScratchaeError, match="expects scale_factor to be a number > 0 or a pair"):
        Upsample(scale_factor=factors)


def test_upsample_says_its_arguments_as_they_are_usually_written():
    assert repr(Upsample(scale_factor=[2, 3])) == "Upsample(scale_factor=(2, 3))"
    assert repr(Upsample(size=4)) == "Upsample(size=4)"
    assert checked_factors([2, 3]) == (2, 3)
