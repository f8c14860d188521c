"""Residual: what it refuses. Its numbers are compared with torch.nn in test_against_torch.py."""

import pytest
import torch

from scratchae.errors import ScratchaeError
from scratchae.layers import Linear, Residual


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
