"""What a layer promises beyond its numbers: memory of its own, gradients that add up, no batch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.twins import twin
from scratchae.layers import BatchNorm1d, BatchNorm2d, Layer, Linear, Sequential, Tanh
from scratchae.layers.base import accumulate
from scratchae.layers.batchnorm import batchnorm_forward
from scratchae.optim import Adam
from tests.helpers.cases import CASES, Case
from tests.helpers.tensors import assert_close, share_memory

RESHAPES = ("Flatten", "Unflatten")  # the same numbers under another shape: views, as in torch
KEEPS_ITS_OUTPUT = (*RESHAPES, "ReLU", "Tanh", "Sigmoid")
ACTIVATIONS = ("ReLU", "LeakyReLU", "Tanh", "Sigmoid", "SiLU", "GELU", "Softplus")


@pytest.mark.parametrize("name", [name for name in CASES if name not in RESHAPES])
@settings(max_examples=60)
@given(data=st.data())
def test_outputs_and_gradients_share_no_memory_with_anything(name, data):
    case = data.draw(CASES[name])
    layer, _ = case.pair()
    for tensor in layer.parameters():
        tensor.grad = None  # the first backward then has to make it
    x = case.x(case.shapes[0])
    y = layer.train(case.training[0]).forward(x)
    dy = case.dy(y)
    dx = layer.backward(dy)
    gradients = [tensor.grad for tensor in layer.parameters()]
    tensors = [x, y, dy, dx, *layer.state_dict().values(), *gradients]
    for i, a in enumerate(tensors):
        for b in tensors[i + 1 :]:
            assert not share_memory(a, b)


@pytest.mark.parametrize("name", [name for name in CASES if name not in KEEPS_ITS_OUTPUT])
@settings(max_examples=60)
@given(data=st.data())
def test_editing_the_output_and_the_last_dx_in_place_does_not_change_backward(name, data):
    case = data.draw(CASES[name])
    layer, _ = case.pair()
    y = layer.train(case.training[0]).forward(case.x(case.shapes[0]))
    dy = case.dy(y)
    first = layer.backward(dy)
    kept = first.clone()
    y.fill_(7.0), first.fill_(7.0)
    assert torch.equal(layer.backward(dy), kept)


@pytest.mark.parametrize("name", ["BatchNorm1d", "BatchNorm2d"])
@settings(max_examples=60)
@given(data=st.data())
def test_backward_of_a_batch_is_its_own_after_the_running_statistics_have_moved(name, data):
    case = data.draw(CASES[name].filter(lambda c: c.arguments["track_running_stats"]))
    layer, _ = case.pair()
    y = layer.eval().forward(case.x(case.shapes[0]))
    dy = case.dy(y)
    before = layer.backward(dy)
    layer.running_mean.fill_(3.0), layer.running_var.fill_(9.0)
    assert torch.equal(layer.backward(dy), before)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=20)
@given(data=st.data())
def test_the_gradients_of_a_new_layer_are_there_and_zero(name, data):
    for tensor in data.draw(CASES[name]).layer().parameters():
        assert tensor.grad.shape == tensor.shape and not tensor.grad.any()


@pytest.mark.parametrize("name", ["Linear", "Conv2d", "ConvTranspose2d", "BatchNorm2d"])
@settings(max_examples=60)
@given(data=st.data())
def test_gradients_add_up_until_zero_grad_empties_them_in_place(name, data):
    case = data.draw(CASES[name])
    layer, _ = case.pair()
    y = layer.train(case.training[0]).forward(case.x(case.shapes[0]))
    dy = case.dy(y)
    layer.backward(dy)
    once = [tensor.grad.clone() for tensor in layer.parameters()]
    places = [tensor.grad.data_ptr() for tensor in layer.parameters()]
    layer.backward(dy)
    for tensor, gradient in zip(layer.parameters(), once, strict=True):
        assert_close("accumulated", tensor.grad, 2 * gradient, 1e-15)
    layer.zero_grad()
    assert not any(tensor.grad.any() for tensor in layer.parameters())
    layer.backward(dy)
    assert [tensor.grad.data_ptr() for tensor in layer.parameters()] == places
    for tensor, gradient in zip(layer.parameters(), once, strict=True):
        assert torch.equal(tensor.grad, gradient)


def test_a_gradient_that_torch_optim_has_set_to_none_comes_back_in_one_piece():
    """Contiguous, whatever layout the layer's arithmetic leaves: optimisers take flat views of it."""
    weight = torch.zeros(3, 5)
    accumulate(weight, torch.ones(5, 3).T)
    assert weight.grad.is_contiguous()
    accumulate(weight, torch.ones(5, 3).T)
    assert (weight.grad == 2).all()


def test_the_buffers_of_children_are_found_under_the_names_of_torch():
    model = Sequential(BatchNorm2d(3), Sequential(BatchNorm2d(2)))
    names = [name for name, _ in twin(model).named_buffers()]
    assert [name for name, _ in model.named_buffers()] == names
    theirs = [name for name, _ in twin(model).named_buffers("model")]
    assert [name for name, _ in model.named_buffers("model.")] == theirs
    theirs = [name for name, _ in twin(model).named_parameters("model")]
    assert [name for name, _ in model.named_parameters("model.")] == theirs


def test_a_parameter_that_two_layers_share_counts_once_as_in_torch():
    model = Sequential(Linear(3, 3), Tanh(), Linear(3, 3)).to(torch.float64)
    model[2].weight = model[0].weight
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Tanh(), torch.nn.Linear(3, 3))
    module[2].weight = module[0].weight
    module.double().load_state_dict(model.state_dict())
    assert list(model.state_dict()) == list(module.state_dict())
    names = [name for name, _ in module.named_parameters()]
    assert [name for name, _ in model.named_parameters()] == names
    assert len(model.parameters()) == 3
    assert model.summary((3,)).split()[-1] == str(sum(p.numel() for p in module.parameters()))

    optimizer, theirs = Adam(model.parameters()), torch.optim.Adam(module.parameters())
    for _ in range(3):
        x = torch.randn(5, 3, dtype=torch.float64)
        optimizer.zero_grad(), theirs.zero_grad()
        y, y_torch = model(x), module(x)
        model.backward(2 * y)
        y_torch.square().sum().backward()
        for name, parameter in module.named_parameters():
            assert_close(name, dict(model.named_parameters())[name].grad, parameter.grad, 1e-8)
        optimizer.step(), theirs.step()
    assert model[2].weight is model[0].weight


def test_batchnorm_needs_no_eps_where_the_values_are_spread():
    x = torch.tensor([[2.0], [6.0]])
    assert BatchNorm1d(1, eps=0)(x).tolist() == [[-1.0], [1.0]]


EMPTY = [
    Case("Linear", {"in_features": 3, "out_features": 2}, [(0, 3)]),
    Case("Linear", {"in_features": 3, "out_features": 2}, [(2, 0, 3)]),
    Case("Conv2d", {"in_channels": 2, "out_channels": 4, "kernel_size": 3}, [(0, 2, 5, 7)]),
    Case(
        "ConvTranspose2d", {"in_channels": 2, "out_channels": 4, "kernel_size": 3}, [(0, 2, 5, 7)]
    ),
    Case("BatchNorm1d", {"num_features": 3}, [(0, 3)], [True]),
    Case("BatchNorm1d", {"num_features": 3}, [(0, 3)], [False]),
    Case("BatchNorm2d", {"num_features": 3}, [(0, 3, 2, 5)], [True]),
    Case("BatchNorm2d", {"num_features": 3}, [(0, 3, 2, 5)], [False]),
    *(Case(name, {}, [(0, 3)]) for name in ACTIVATIONS),
    Case("Dropout", {"p": 0.5}, [(0, 3)]),
    Case("GroupNorm", {"num_groups": 2, "num_channels": 4}, [(0, 4, 2, 5)]),
    Case("MaxPool2d", {"kernel_size": 2}, [(0, 3, 4, 4)]),
    Case("AvgPool2d", {"kernel_size": 2}, [(0, 3, 4, 4)]),
    Case("Upsample", {"scale_factor": 2}, [(0, 3, 4, 4)]),
    Case("Flatten", {}, [(0, 3, 5)]),
    Case("Unflatten", {"dim": 1, "unflattened_size": (3, 5)}, [(0, 15)]),
]


@pytest.mark.parametrize("case", EMPTY, ids=lambda c: f"{c.name}-{c.shapes[0]}-{c.training[0]}")
def test_an_empty_batch_goes_through_as_in_torch(case):
    layer, module = case.pair()
    layer.train(case.training[0]), module.train(case.training[0])
    x = torch.zeros(case.shapes[0], dtype=torch.float64)
    y = layer.forward(x)
    assert y.shape == module(x).shape
    assert layer.backward(torch.zeros_like(y)).shape == x.shape
    for tensor in layer.parameters():
        assert not tensor.grad.any()
    for name, buffer in module.named_buffers():
        assert torch.equal(getattr(layer, name), buffer)


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_layer_has_to_say_what_it_does(direction):
    with pytest.raises(NotImplementedError):
        getattr(Layer(), direction)(torch.zeros(2))


def test_batchnorm_adds_a_bias_that_comes_without_a_weight():
    x, bias = torch.randn(5, 3), torch.tensor([1.0, 2.0, 3.0])
    y, xhat, _, _ = batchnorm_forward(x, None, bias)
    assert torch.equal(y, xhat + bias)
    assert torch.allclose(y, torch.nn.functional.batch_norm(x, None, None, None, bias, True))


@pytest.mark.parametrize(
    "name",
    [
        "MaxPool2d",
        "AvgPool2d",
        "Upsample",
        "Dropout",
        "GaussianSampling",
        "SiLU",
        "GELU",
        "Softplus",
    ],
)
@settings(max_examples=20)
@given(data=st.data())
def test_everything_is_computed_on_the_device_of_the_input(name, data):
    case = data.draw(CASES[name])
    layer, _ = case.pair()
    layer.forget()
    y = layer.train(case.training[0]).forward(case.x(case.shapes[0]).to("meta"))
    assert y.device.type == layer.backward(torch.empty_like(y)).device.type == "meta"
