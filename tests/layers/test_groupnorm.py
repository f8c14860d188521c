"""GroupNorm lies between LayerNorm and the normalisation of each channel alone.

(tests/layers/test_against_torch.py and the other tests of all layers draw its random cases.)
"""

import inspect

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scratchae.errors import ScratchaeError
from scratchae.layers import GroupNorm, LayerNorm, groupnorm_forward
from tests.helpers.tensors import assert_close

sizes = st.sampled_from([1, 2, 3, 5])


@given(N=sizes, groups=sizes, width=sizes, H=sizes, W=sizes, seed=st.integers(0, 2**32))
def test_a_group_is_a_sample_of_layernorm(N, groups, width, H, W, seed):
    generator = torch.Generator().manual_seed(seed)
    x, dy = torch.randn(2, N, groups * width, H, W, generator=generator, dtype=torch.float64)
    if x.numel() == groups:
        return
    layer = GroupNorm(groups, groups * width, affine=False)
    other = LayerNorm((width, H, W), elementwise_affine=False)
    as_samples = (N * groups, width, H, W)
    assert torch.equal(layer(x).view(as_samples), other(x.view(as_samples)))
    dx = other.backward(dy.view(as_samples))
    assert_close("dx", layer.backward(dy).view(as_samples), dx, 1e-14)


def test_no_sample_sees_another_one_and_evaluation_is_like_training():
    layer, x = GroupNorm(2, 6), torch.randn(4, 6, 3, 3)
    y = layer(x)
    assert torch.equal(layer.eval()(x), y)
    for i in range(4):
        assert torch.allclose(layer(x[i : i + 1]), y[i])


@pytest.mark.parametrize("shape", [(1,), (2, 1), (2, 3)])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_it_equals_torch_when_nearly_nothing_is_left_of_dx(shape, groups):
    x = torch.randn(4, 4, *shape, dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    layer = GroupNorm(groups, 4, eps=1e-12, dtype=torch.float64)
    y, theirs = layer(x), torch.nn.functional.group_norm(leaf, groups, eps=1e-12)
    dy = torch.randn_like(y)
    theirs.backward(dy)
    assert_close("y", y, theirs, scale=1.0)
    spread = x.unflatten(1, (groups, -1)).flatten(2).var(2, correction=0).min().item()
    assert_close("dx", layer.backward(dy), leaf.grad, 1e-12, scale=1e3 / (spread + 1e-12) ** 0.5)


def test_its_arguments_are_those_of_torch():
    ours, theirs = inspect.signature(GroupNorm), inspect.signature(torch.nn.GroupNorm)
    assert list(ours.parameters) == list(theirs.parameters)
    for name, argument in ours.parameters.items():
        assert argument.default == theirs.parameters[name].default
    assert inspect.signature(groupnorm_forward).parameters["eps"].default == 1e-5
    assert repr(GroupNorm(2, 4, bias=False)) == "GroupNorm(2, 4, bias=False)"
    assert repr(GroupNorm(2, 4, affine=False, bias=False)) == "GroupNorm(2, 4, affine=False)"
    layer = GroupNorm(2, 4, device="meta", dtype=torch.float64)
    for tensor in (layer.weight, layer.bias):
        assert tensor.device.type == "meta" and tensor.dtype == torch.float64


def test_eps_may_be_zero_but_not_negative():
    assert GroupNorm(2, 4, eps=0.0)(torch.randn(3, 4, 5)).isfinite().all()
    with pytest.raises(ScratchaeError, match="eps >= 0, got -1"):
        GroupNorm(2, 4, eps=-1.0)
