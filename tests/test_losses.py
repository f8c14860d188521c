"""MSE equals torch.nn.MSELoss, value and gradient."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scratchae.checking.layouts import LAYOUTS, on, random_tensor
from scratchae.losses import MSELoss
from tests.helpers.cases import few
from tests.helpers.tensors import DEVICES, assert_close, share_memory, unchanged


@pytest.mark.parametrize("device", DEVICES)
@given(st.lists(few, max_size=4), st.tuples(*[st.sampled_from(LAYOUTS)] * 2), st.integers(0, 2**32))
def test_mean_squared_error_and_its_gradient_equal_torch(device, shape, layouts, seed):
    generator = torch.Generator().manual_seed(seed)
    prediction, target = (on(device, random_tensor(shape, way, generator)) for way in layouts)
    leaf = prediction.clone().requires_grad_()
    expected = torch.nn.MSELoss()(leaf, target)
    expected.backward()
    loss = MSELoss()
    with unchanged(prediction=prediction, target=target):
        value, dprediction = loss(prediction, target), loss.backward()
    assert_close("loss", value, expected, 1e-14)
    assert_close("dprediction", dprediction, leaf.grad, 1e-14)
    assert not share_memory(dprediction, prediction) and not share_memory(dprediction, target)
