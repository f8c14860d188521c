"""A layer declares its arguments once, in its constructor; its text and its twin are made of them."""

import inspect

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import twins
from scratchae import layers
from scratchae.errors import ScratchaeError
from scratchae.layers import (
    BatchNorm1d,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    Layer,
    LeakyReLU,
    Linear,
    Sequential,
    Unflatten,
)
from tests.helpers.cases import CASES, IN_TORCH


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=50)
@given(data=st.data())
def test_a_layer_made_from_the_arguments_of_another_has_the_same(name, data):
    layer = data.draw(CASES[name]).layer()
    again = type(layer)(**layer.arguments())
    assert again.arguments() == layer.arguments()
    assert [key for key, _ in again.named_parameters()] == [
        key for key, _ in layer.named_parameters()
    ]
    assert str(twins.build(again)) == str(twins.build(layer))


@pytest.mark.parametrize("name", [name for name in CASES if name != "Residual"])  # it holds layers
@settings(max_examples=50)
@given(data=st.data())
def test_the_text_of_a_layer_is_the_code_that_makes_it(name, data):
    layer = data.draw(CASES[name]).layer()
    again = eval(repr(layer), {name: type(layer)})
    assert repr(again) == repr(layer)
    assert again.arguments() == layer.arguments()


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (Linear(3, 2), "Linear(3, 2)"),
        (Linear(3, 2, bias=False), "Linear(3, 2, bias=False)"),
        (Conv2d(1, 8, (3, 3), padding=(1, 1)), "Conv2d(1, 8, 3, padding=1)"),
        (Conv2d(1, 8, (3, 5), padding="same"), "Conv2d(1, 8, (3, 5), padding='same')"),
        (
            ConvTranspose2d(4, 2, 3, stride=2, output_padding=1, groups=2, bias=False),
            "ConvTranspose2d(4, 2, 3, stride=2, output_padding=1, groups=2, bias=False)",
        ),
        (BatchNorm1d(3), "BatchNorm1d(3)"),
        (BatchNorm1d(3, momentum=None), "BatchNorm1d(3, momentum=None)"),
        (LeakyReLU(), "LeakyReLU(negative_slope=0.01)"),
        (Flatten(), "Flatten(start_dim=1, end_dim=-1)"),
        (Unflatten(1, (2, 2)), "Unflatten(dim=1, unflattened_size=(2, 2))"),
    ],
)
def test_the_text_shows_what_differs_from_the_defaults(layer, text):
    assert repr(layer) == text


class Scale(Layer):
    def __init__(self, factor: float, size=(2, 2), *, shift: float, generator=None) -> None:
        super().__init__()
        self.factor, self.size, self.shift = factor, size, shift


class Residual(Layer):
    def __init__(self, inner: Layer, factor: float = 1.0) -> None:
        super().__init__()
        self.inner, self.factor = inner, factor


class Forgetful(Layer):
    def __init__(self, size: int) -> None:
        super().__init__()


def test_a_layer_of_ones_own_has_its_text_for_free():
    assert repr(Scale(3.0, shift=1.0)) == "Scale(3.0, shift=1.0)"
    assert repr(Scale(3.0, (3, 3), shift=1.0)) == "Scale(3.0, size=(3, 3), shift=1.0)"
    assert Scale(3.0, shift=0.5).arguments() == {"factor": 3.0, "size": (2, 2), "shift": 0.5}


def test_the_layers_that_a_layer_holds_are_shown_one_on_a_line():
    assert repr(Residual(Linear(2, 2))) == "Residual(\n  (inner): Linear(2, 2)\n)"
    nested = Residual(Sequential(Linear(2, 2)), factor=0.5)
    assert repr(nested) == (
        "Residual(\n  factor=0.5\n  (inner): Sequential(\n    (0): Linear(2, 2)\n  )\n)"
    )
    assert nested.arguments() == {"inner": nested.inner, "factor": 0.5}


def test_an_argument_that_is_not_kept_is_named_and_does_not_break_the_text():
    assert repr(Forgetful(3)) == "Forgetful(...)"
    with pytest.raises(ScratchaeError, match=r"Forgetful .*'size'.*self\.size = size"):
        Forgetful(3).arguments()


def test_a_layer_without_a_torch_namesake_has_no_twin():
    with pytest.raises(TypeError, match=r"torch\.nn\.Scale"):
        twins.build(Scale(3.0, shift=1.0))


@pytest.mark.parametrize("name", IN_TORCH)
def test_every_argument_of_a_layer_is_one_of_its_torch_namesake(name):
    ours = inspect.signature(getattr(layers, name)).parameters.values()
    theirs = list(inspect.signature(getattr(torch.nn, name)).parameters)
    by_position = [a.name for a in ours if a.kind is not a.KEYWORD_ONLY]
    by_name = {a.name for a in ours if a.kind is a.KEYWORD_ONLY} - {"generator"}
    assert by_position == theirs[: len(by_position)]
    assert by_name <= set(theirs)


def test_arguments_that_are_gathered_into_one_are_not_kept_by_name():
    assert Sequential(Linear(2, 2)).arguments() == {}
