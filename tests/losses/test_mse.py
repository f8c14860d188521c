"""MSE equals torch.nn.MSELoss, value and gradient."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scratchae.checking.layouts import LAYOUTS, on, random_tensor
from scratchae.engines import make_engine
from scratchae.errors import ScratchaeError
from scratchae.layers import Linear, ReLU, Sequential
from scratchae.losses import MSELoss
from scratchae.optim import SGD
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


@pytest.mark.filterwarnings("ignore:the buffered engine does not support")
@pytest.mark.parametrize("engine", ["eager", "buffered"])
def test_training_takes_the_sum_and_refuses_single_losses(engine):
    def model(reduction: str) -> Sequential:
        torch.manual_seed(0)
        made = Sequential(Linear(4, 3), ReLU(), Linear(3, 4))
        made.loss = MSELoss(reduction=reduction)
        return made

    x = torch.randn(5, 4)
    after = {}
    for reduction in ("mean", "sum"):
        own = model(reduction)
        lr = 0.1 if reduction == "mean" else 0.1 / x.numel()
        make_engine(engine, own, SGD(own.parameters(), lr=lr)).step(x)
        after[reduction] = own.state_dict()
    for key, value in after["mean"].items():
        assert torch.allclose(value, after["sum"][key], atol=1e-6)
    own = model("none")
    with pytest.raises(
        ScratchaeError, match=r"one number as the loss, but MSELoss\(reduction='none'\)"
    ):
        make_engine(engine, own, SGD(own.parameters(), lr=0.1)).step(x)
