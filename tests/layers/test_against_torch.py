"""Every layer equals torch.nn: forward, dx and the gradient of every parameter, in float64.

To 1e-10 of the largest element, over random shapes, all arguments, and tensors that lie in
memory in every way.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.against_torch import compare_with_torch
from tests.helpers.cases import CASES
from tests.helpers.tensors import DEVICES


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
def test_forward_and_all_gradients_equal_torch(name, device, data):
    compare_with_torch(data.draw(CASES[name]), device)
