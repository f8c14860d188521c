"""Residual: its adjoint, and what it refuses. Its numbers are compared with torch.nn in test_against_torch.py."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scratchae.errors import ScratchaeError
from scratchae.layers import Linear, Residual
from tests.helpers.tensors import assert_close


def test_a_sum_of_two_shapes_is_refused_in_one_sentence():
    with pytest.raises(ScratchaeError, match=r"cannot add \(1, 3\), from the input, and \(1, 2\)"):
        Residual(Linear(3, 2))(torch.ones(1, 3))
    with pytest.raises(ScratchaeError, match=r"\(1, 4\), from the shortcut, and \(1, 2\)"):
        Residual(Linear(3, 2), shortcut=Linear(3, 4))(torch.ones(1, 3))


def test_a_gradient_of_another_shape_is_refused_with_the_name_of_the_layer():
    layer = Residual(Linear(3, 3))
    layer(torch.ones(2, 3))
    with pytest.raises(ScratchaeError, match=r"^Residual"):
        layer.backward(torch.ones(2, 2))


@given(n=st.integers(1, 5), width=st.integers(1, 7), same=st.booleans(), seed=st.integers(0, 2**32))
def test_the_backward_pass_of_a_skip_around_a_linear_layer_is_its_adjoint(n, width, same, seed):
    generator = torch.Generator().manual_seed(seed)
    out = width if same else 3
    made = {"bias": False, "generator": generator, "dtype": torch.float64}
    layer = Residual(Linear(width, out, **made), None if same else Linear(width, out, **made))
    x, dy = (
        torch.randn(n, size, generator=generator, dtype=torch.float64) for size in (width, out)
    )
    y = layer(x)
    assert_close("⟨y, dy⟩", (y * dy).sum(), (x * layer.backward(dy)).sum(), 1e-12, 1.0)
    assert_close("layer(2 x)", layer(2 * x), 2 * y, 1e-14)
