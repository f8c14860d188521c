"""SiLU, GELU and Softplus at the ends of the number line.

(tests/layers/test_against_torch.py and the other tests of all layers draw their random cases.)
"""

import pytest
import torch

from scratchae.layers import GELU, SiLU, Softplus
from tests.helpers.tensors import assert_close

ALL = [SiLU(), GELU(), GELU("tanh"), Softplus(), Softplus(0.5, 3.0)]


def with_torch(layer, x):
    """y and dx of the layer, and those of torch.nn, for a random dy."""
    leaf = x.clone().requires_grad_()
    theirs = getattr(torch.nn, type(layer).__name__)(**layer.arguments())(leaf)
    y = layer(x)
    dy = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    theirs.backward(dy)
    return (y, layer.backward(dy)), (theirs.detach(), leaf.grad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layer", ALL, ids=repr)
def test_large_and_tiny_numbers_give_those_of_torch(layer, dtype):
    sizes = torch.tensor([0.0, 1e-30, 1e-8, 1e-3, 3.0, 6.0, 9.0, 38.0, 90.0, 800.0, 1e6])
    x = torch.cat([sizes, -sizes]).to(dtype)
    precision = 1e-15 if dtype == torch.float64 else 1e-6
    for name, got, expected in zip(("y", "dx"), *with_torch(layer, x), strict=True):
        for i in range(len(x)):  # one by one: the largest would hide the others
            assert_close(f"{name} at {x[i]}", got[i], expected[i], precision, scale=1.0)


@pytest.mark.parametrize("layer", ALL, ids=repr)
def test_infinity_and_nan_give_those_of_torch(layer):
    x = torch.tensor([torch.inf, -torch.inf, torch.nan], dtype=torch.float64)
    for got, expected in zip(*with_torch(layer, x), strict=True):
        assert torch.equal(got.isnan(), expected.isnan())
        assert torch.equal(got.nan_to_num(), expected.nan_to_num())


def test_their_shapes_are_known():
    x = torch.linspace(-8, 8, 1001, dtype=torch.float64)
    for layer in (SiLU(), GELU(), GELU("tanh")):
        y = layer(x)
        assert -0.3 < y.min() < -0.15
        assert torch.equal(y > 0, x > 0)  # the sign of x, as in ReLU
    y = Softplus()(x)
    assert (y > x).all() and (y > 0).all()
    assert_close("difference", y - y.flip(0), x, 1e-14)
    assert_close("sum", GELU()(x) + GELU()(x).flip(0), x * torch.erf(x / 2**0.5))
    sharp = Softplus(50.0)(x)
    assert (sharp - x.clamp(min=0)).abs().max() <= 0.6932 / 50
