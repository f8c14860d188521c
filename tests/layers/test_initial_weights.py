"""The same seed gives the same first weights as torch.nn, bit for bit, under the same keys."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import twins
from reference.twins import copy_weights
from scratchae import models
from scratchae.errors import ScratchaeError
from scratchae.layers import BatchNorm2d, Conv2d, Linear, ReLU, Sequential
from scratchae.layers.init import kaiming_uniform
from tests.helpers.cases import CASES, IN_TORCH


def assert_same_state(ours: dict, theirs: dict) -> None:
    assert list(ours) == list(theirs)
    for key, tensor in ours.items():
        assert tensor.dtype == theirs[key].dtype
        assert torch.equal(tensor, theirs[key]), key


@pytest.mark.parametrize("name", IN_TORCH)
@settings(max_examples=50)
@given(data=st.data())
def test_layers_start_with_the_weights_of_torch(name, data):
    case = data.draw(CASES[name])
    torch.manual_seed(case.seed)
    layer = case.layer()
    torch.manual_seed(case.seed)
    assert_same_state(layer.state_dict(), case.module().state_dict())


@pytest.mark.parametrize("name", ["Linear", "Conv2d", "ConvTranspose2d"])
@settings(max_examples=50)
@given(data=st.data())
def test_a_generator_gives_the_same_weights_as_the_seed_and_leaves_the_default_one_alone(
    name, data
):
    case = data.draw(CASES[name])
    torch.manual_seed(case.seed)
    expected = case.layer().state_dict()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    case.arguments["generator"] = torch.Generator().manual_seed(case.seed)
    assert_same_state(case.layer().state_dict(), expected)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["fc", "conv"])
def test_models_of_record_start_as_the_same_text_in_torch(name):
    torch.manual_seed(3)
    theirs = twins.MODELS[name]()
    assert_same_state(models.build(name, seed=3).state_dict(), theirs.state_dict())


@pytest.mark.parametrize("name", ["fc", "conv"])
def test_weights_travel_to_the_twin_and_back(name):
    ours, theirs = models.build(name, seed=1), twins.MODELS[name]()
    copy_weights(ours, theirs)
    assert_same_state(ours.state_dict(), theirs.state_dict())
    other = models.build(name, seed=2)
    copy_weights(theirs, other)
    assert_same_state(other.state_dict(), theirs.state_dict())


@pytest.mark.parametrize("name", ["fc", "conv"])
def test_the_generic_twin_has_the_keys_and_weights_of_the_written_one(name):
    ours, written = models.build(name, seed=1), twins.MODELS[name]()
    made = twins.twin(ours)
    assert str(made) == str(written)
    assert_same_state(ours.state_dict(), made.state_dict())


def test_kaiming_uniform_is_that_of_torch_with_a_slope_and_without():
    for slope in ({}, {"a": 0.5}):
        torch.manual_seed(3)
        theirs = torch.nn.init.kaiming_uniform_(torch.empty(7, 5), **slope)
        torch.manual_seed(3)
        assert torch.equal(kaiming_uniform((7, 5), fan_in=5, **slope), theirs)


def a_model() -> Sequential:
    return Sequential(Conv2d(1, 2, 3), BatchNorm2d(2), ReLU(), Sequential(Linear(5, 7)))


def missing(state):
    del state["3.0.bias"]


def unknown(state):
    state["3.0.scale"] = torch.ones(7)


def misshapen(state):
    state["3.0.bias"] = torch.ones(8)  # the last key: all others would fit


@pytest.mark.parametrize("spoil", [missing, unknown, misshapen])
def test_a_state_that_does_not_fit_is_refused_before_anything_changes(spoil):
    model = a_model()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    state = {key: tensor + 1 for key, tensor in before.items()}
    spoil(state)
    with pytest.raises(ScratchaeError):
        model.load_state_dict(state)
    assert_same_state(model.state_dict(), before)


def test_loading_copies_and_keeps_dtype_and_place():
    model, state = a_model(), a_model().to(dtype=torch.float64).state_dict()
    places = [tensor.data_ptr() for tensor in model.parameters()]
    model.load_state_dict(state)
    assert [tensor.data_ptr() for tensor in model.parameters()] == places
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[key].to(tensor.dtype))
        assert tensor.dtype in (torch.float32, torch.int64)


def test_loading_from_tensors_that_autograd_watches_leaves_ours_plain():
    model = Linear(3, 2)
    model.load_state_dict(dict(torch.nn.Linear(3, 2).named_parameters()))
    assert not any(tensor.requires_grad for tensor in model.parameters())
