"""We refuse the arguments and images that torch.nn refuses, in one sentence, and no others.

An argument that is omitted has the default of torch.
"""

import inspect

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scratchae import layers, optim
from scratchae.errors import ScratchaeError
from scratchae.layers.convolution import Geometry
from scratchae.layers.geometry import padding_of
from tests.helpers.cases import IN_TORCH

small = st.integers(0, 4)
number = st.integers(-1, 3)
geometry = {
    "in_channels": small,
    "out_channels": small,
    "kernel_size": small | st.tuples(small, small),
    "stride": st.integers(0, 3) | st.tuples(number, number),
    "padding": number | st.tuples(number, number),
    "dilation": st.integers(0, 2),
    "groups": st.integers(0, 3),
}
shapes = st.lists(st.integers(1, 6), min_size=2, max_size=5)
windows = {
    "kernel_size": small | st.tuples(small, small),
    "stride": st.none() | st.integers(0, 3) | st.tuples(number, number),
    "padding": number | st.tuples(number, number),
    "ceil_mode": st.booleans(),
}
ARGUMENTS = {
    "MaxPool2d": st.fixed_dictionaries(windows | {"dilation": st.integers(0, 2)}),
    "AvgPool2d": st.fixed_dictionaries(
        windows
        | {"count_include_pad": st.booleans(), "divisor_override": st.none() | st.integers(-1, 1)}
    ),
    "Upsample": st.fixed_dictionaries(
        {
            "size": st.none() | small | st.tuples(small, small),
            "scale_factor": st.none() | st.sampled_from([0.1, 0.5, 2, 2.5, (2, 0.3)]),
            "align_corners": st.none() | st.booleans(),
            "recompute_scale_factor": st.none() | st.booleans(),
        }
    ),
    "Conv2d": st.fixed_dictionaries(
        geometry | {"padding": geometry["padding"] | st.sampled_from(["same", "valid", "sam"])}
    ),
    "ConvTranspose2d": st.fixed_dictionaries(
        geometry | {"output_padding": number | st.tuples(number, number)}
    ),
    "Linear": st.fixed_dictionaries({"in_features": small, "out_features": small}),
    "BatchNorm1d": st.fixed_dictionaries(
        {"num_features": small, "momentum": st.sampled_from([0.1])}
    ),
    "BatchNorm2d": st.fixed_dictionaries({"num_features": small}),
    "GroupNorm": st.fixed_dictionaries({"num_groups": st.integers(1, 3), "num_channels": small}),
    "Flatten": st.fixed_dictionaries(
        {"start_dim": st.integers(-5, 5), "end_dim": st.integers(-5, 5)}
    ),
    "Unflatten": st.fixed_dictionaries(
        {"dim": st.integers(-5, 5), "unflattened_size": st.lists(small, max_size=3).map(tuple)}
    ),
}


SIZES = (
    *("in_channels", "out_channels", "kernel_size", "in_features", "out_features"),
    *("num_features", "num_channels", "unflattened_size"),
)


def degenerate(arguments: dict) -> bool:
    """What torch accepts and we refuse: a layer that has nothing to learn or to compute."""
    given = [arguments[key] for key in SIZES if key in arguments]
    return any(0 in size if isinstance(size, tuple) else size == 0 for size in given)


def attempt(owner, name: str, arguments: dict, x: torch.Tensor):
    """The output, or the exception."""
    try:
        return getattr(owner, name)(**arguments)(x)
    except Exception as error:
        return error


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("name", ARGUMENTS)
@given(data=st.data())
def test_what_torch_refuses_is_refused_in_one_sentence_and_nothing_else_is(name, data):
    arguments, shape = data.draw(ARGUMENTS[name]), data.draw(shapes)
    sizes = ("in_channels", "in_features", "num_features", "num_channels")
    if data.draw(st.booleans()):
        axis = {"Linear": -1, "Conv2d": -3, "ConvTranspose2d": -3}.get(name, 1)
        shape[max(axis, -len(shape))] = next(
            (max(1, arguments[size]) for size in sizes if size in arguments), shape[1]
        )
    x = torch.ones(shape)
    theirs, ours = attempt(torch.nn, name, arguments, x), attempt(layers, name, arguments, x)
    if isinstance(ours, Exception):
        assert isinstance(ours, ScratchaeError), repr(ours)
        assert "\n" not in str(ours)
        not_an_image = name == "Upsample" and x.ndim != 4  # torch repeats other samples too
        assert isinstance(theirs, Exception) or degenerate(arguments) or not_an_image, ours
    else:
        assert not isinstance(theirs, Exception), theirs
        assert ours.shape == theirs.shape


def defaults(function) -> dict:
    """Every argument with a default, except those that torch does not have."""
    arguments = inspect.signature(function).parameters.items()
    given = {name: a.default for name, a in arguments if a.default is not a.empty}
    return {name: value for name, value in given.items() if name != "generator"}


@pytest.mark.parametrize("name", IN_TORCH)
def test_every_argument_of_torch_is_an_argument_here(name):
    """Taken, or refused in the sentence that tests/layers/test_errors.py expects."""
    ours, theirs = (inspect.signature(getattr(o, name)).parameters for o in (layers, torch.nn))
    assert theirs.keys() - {"args", "kwargs"} <= ours.keys()


NO_SIZES = ["LeakyReLU", "SiLU", "GELU", "Softplus", "Dropout"]
OPTIMISERS = ["SGD", "Adam", "AdamW"]


@pytest.mark.parametrize("name", [*ARGUMENTS, *NO_SIZES, *OPTIMISERS])
def test_the_defaults_are_those_of_torch(name):
    ours, theirs = (optim, torch.optim) if name in OPTIMISERS else (layers, torch.nn)
    assert defaults(getattr(ours, name)).items() <= defaults(getattr(theirs, name)).items()


@pytest.mark.parametrize(
    ("owner", "name", "function"),
    [
        (layers, "Conv2d", "conv2d_forward"),
        (layers, "Conv2d", "conv2d_backward"),
        (layers, "ConvTranspose2d", "conv_transpose2d_forward"),
        (layers, "ConvTranspose2d", "conv_transpose2d_backward"),
        (layers, "BatchNorm2d", "batchnorm_forward"),
        (layers, "BatchNorm2d", "batchnorm_backward"),
        (layers, "BatchNorm2d", "batchnorm_eval_forward"),
        (layers, "BatchNorm2d", "batchnorm_eval_backward"),
        (layers, "BatchNorm2d", "running_statistics"),
        (layers, "LeakyReLU", "leaky_relu_forward"),
        (layers, "LeakyReLU", "leaky_relu_backward"),
        (layers, "MaxPool2d", "max_pool2d_forward"),
        (layers, "MaxPool2d", "max_pool2d_backward"),
        (layers, "AvgPool2d", "avg_pool2d_forward"),
        (layers, "AvgPool2d", "avg_pool2d_backward"),
        (layers, "Upsample", "upsample_forward"),
        (layers, "Upsample", "upsample_backward"),
        (layers, "GELU", "gelu_forward"),
        (layers, "GELU", "gelu_backward"),
        (layers, "Softplus", "softplus_forward"),
        (layers, "Softplus", "softplus_backward"),
        (optim, "SGD", "sgd_update"),
        (optim, "Adam", "adam_update"),
    ],
)
def test_the_functions_have_the_defaults_of_their_class(owner, name, function):
    ours = defaults(getattr(owner, function))
    ours.pop("bias", None)  # a tensor there, a yes or no here
    ours.pop("max_exp_avg_sq", None)
    ours.pop("join", None)  # of several workers: the class has attributes for it
    assert ours and ours.items() <= defaults(getattr(owner, name)).items()


def test_a_number_stands_for_a_pair_of_it_in_the_functions_too():
    number = {"stride": 2, "padding": 1, "dilation": 2}
    pair = {key: (value, value) for key, value in number.items()}
    x, weight = torch.randn(2, 3, 7, 9), torch.randn(3, 3, 2, 3)
    y = layers.conv2d_forward(x, weight, **number)
    assert torch.equal(y, layers.conv2d_forward(x, weight, **pair))
    back = layers.conv_transpose2d_forward(y, weight, output_padding=1, **number)
    assert torch.equal(
        back, layers.conv_transpose2d_forward(y, weight, output_padding=(1, 1), **pair)
    )
    for backward, dy, of in (
        (layers.conv2d_backward, y, x),
        (layers.conv_transpose2d_backward, back, y),
    ):
        for a, b in zip(
            backward(dy, of, weight, **number), backward(dy, of, weight, **pair), strict=True
        ):
            assert torch.equal(a, b)


def test_windows_lie_close_and_unpadded_unless_told_otherwise():
    assert Geometry((2, 3)) == Geometry((2, 3), (1, 1), (0, 0), (1, 1), 1)


def test_an_odd_pixel_of_same_goes_below_and_to_the_right():
    assert padding_of("same", (4, 3), (1, 2)) == ((1, 2), (2, 2))


def test_a_list_does_as_well_as_a_tuple():
    assert layers.Unflatten(1, [2, 3]).unflattened_size == (2, 3)
    assert layers.Conv2d(1, 1, [2, 3]).kernel_size == (2, 3)
    assert optim.Adam([torch.ones(1)], betas=[0.5, 0.9]).betas == (0.5, 0.9)
