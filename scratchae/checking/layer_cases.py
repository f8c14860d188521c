"""Layer cases: hypothesis strategies that draw the arguments of a layer and inputs for it.

Sizes are primes where they can be, so that two axes are seldom equal by chance, and every
argument of torch.nn's layer is drawn, pairs and single numbers alike. Needs the package hypothesis:

    @given(case=LAYER_CASES["Conv2d"])
    def test_my_promise(case):
        layer = case.random_layer()
        y = layer(case.x(case.shapes[0]))
        dx = layer.backward(case.dy(y))
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from hypothesis import strategies as st
from torch import Tensor

from scratchae import layers
from scratchae.checking.layouts import LAYOUTS, on, random_tensor

few = st.sampled_from([1, 2, 3, 5])
sizes = st.sampled_from([1, 2, 3, 5, 7, 11])


@dataclass
class LayerCase:
    """A layer's name and arguments, the shapes of its inputs, and how their numbers lie."""

    name: str
    arguments: dict
    shapes: list[tuple[int, ...]]
    training: list[bool] = field(default_factory=lambda: [True])  # for each of the shapes
    layouts: tuple[str, str] = ("plain", "plain")  # of x and of dy
    seed: int = 0
    extremes: bool = False  # zeros and large numbers among x

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.seed)

    def layer(self) -> layers.Layer:
        """Ours, newly made."""
        return getattr(layers, self.name)(**self.arguments)

    def random_layer(self, device: str = "cpu") -> layers.Layer:
        """Ours in float64 with random weights and running statistics."""
        layer = self.layer().to(device, torch.float64)
        for name, tensor in layer.state_dict().items():
            if tensor.is_floating_point():
                values = random_tensor(tuple(tensor.shape), "plain", self.generator)
                tensor.copy_(values.abs() + 0.1 if name == "running_var" else values)
        return layer

    def x(self, shape: tuple[int, ...], device: str = "cpu") -> Tensor:
        """An input."""
        x = random_tensor(shape, self.layouts[0], self.generator)
        if self.extremes:
            x = torch.where(x.abs() < 0.3, 0.0, x)
            x = torch.where(x.abs() > 1.5, 20 * x, x)
        return on(device, x)

    def dy(self, y: Tensor) -> Tensor:
        """A random upstream gradient: one of ones would hide half of the mistakes."""
        return on(str(y.device), random_tensor(tuple(y.shape), self.layouts[1], self.generator))


@st.composite
def case(draw, name: str, arguments: dict, *shapes: tuple[int, ...], **more) -> LayerCase:
    """What all cases have in common."""
    layouts = (draw(st.sampled_from(LAYOUTS)), draw(st.sampled_from(LAYOUTS)))
    seed = draw(st.integers(0, 2**32))
    return LayerCase(name, arguments, list(shapes), layouts=layouts, seed=seed, **more)


def pair_or_number(element: st.SearchStrategy[int]) -> st.SearchStrategy:
    return element | st.tuples(element, element)


def both(value: int | tuple[int, int]) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


@st.composite
def linear(draw) -> LayerCase:
    features, leading = draw(sizes), draw(st.lists(few, max_size=3))
    arguments = {"in_features": features, "out_features": draw(sizes), "bias": draw(st.booleans())}
    return draw(case("Linear", arguments, (*leading, features)))


@st.composite
def convolution_arguments(draw) -> dict:
    groups = draw(st.integers(1, 3))
    return {
        "in_channels": groups * draw(st.integers(1, 3)),
        "out_channels": groups * draw(st.integers(1, 3)),
        "kernel_size": draw(pair_or_number(st.integers(1, 4))),
        "stride": draw(pair_or_number(st.integers(1, 4))),
        "dilation": draw(pair_or_number(st.integers(1, 3))),
        "groups": groups,
        "bias": draw(st.booleans()),
    }


@st.composite
def conv2d(draw) -> LayerCase:
    arguments = draw(convolution_arguments())
    padding = draw(pair_or_number(st.integers(0, 3)) | st.sampled_from(["same", "valid"]))
    if padding == "same":
        arguments["stride"] = 1
    reach = [
        d * (k - 1) + 1
        for d, k in zip(both(arguments["dilation"]), both(arguments["kernel_size"]), strict=True)
    ]
    pads = {"valid": (0, 0), "same": tuple(r // 2 for r in reach)}.get(padding)
    pads = pads or both(padding)
    image = [
        max(1, r - 2 * pad) + draw(st.integers(0, 5)) for r, pad in zip(reach, pads, strict=True)
    ]
    shape = (draw(few), arguments["in_channels"], *image)
    return draw(case("Conv2d", {**arguments, "padding": padding}, shape))


@st.composite
def conv_transpose2d(draw) -> LayerCase:
    arguments = draw(convolution_arguments())
    image, paddings, extras = [], [], []
    for k, s, d in zip(
        *(both(arguments[key]) for key in ("kernel_size", "stride", "dilation")), strict=True
    ):
        extras.append(draw(st.integers(0, max(s, d) - 1)))
        paddings.append(draw(st.integers(0, 5)))  # also beyond the kernel's reach
        lost = 2 * paddings[-1] - d * (k - 1) - extras[-1]  # what a first pixel does not make
        image.append(1 + max(0, -(-lost // s)) + draw(st.integers(0, 3)))
    shape = (draw(few), arguments["in_channels"], *image)
    arguments |= {"padding": tuple(paddings), "output_padding": tuple(extras)}
    return draw(case("ConvTranspose2d", arguments, shape))


@st.composite
def batchnorm(draw, name: str) -> LayerCase:
    arguments = {
        "num_features": draw(sizes),
        "eps": draw(st.sampled_from([1e-5, 1e-3, 0.1])),
        "momentum": draw(st.none() | st.sampled_from([0.0, 0.1, 0.5, 1.0])),
        "affine": draw(st.booleans()),
        "track_running_stats": draw(st.booleans()),
        "bias": draw(st.booleans()),
    }
    training = draw(st.sampled_from([[True], [False], [True, True, True, False, True]]))
    tail = draw(st.lists(few, max_size=1)) if name == "BatchNorm1d" else [draw(few), draw(few)]
    shapes = []
    for mode in training:
        N = draw(few)
        if N * torch.Size(tail).numel() < 2 and (mode or not arguments["track_running_stats"]):
            N = 2  # one value a channel has no spread
        shapes.append((N, arguments["num_features"], *tail))
    return draw(case(name, arguments, *shapes, training=training))


@st.composite
def activation(draw, name: str) -> LayerCase:
    slope = st.sampled_from([0.01, 0.2, 1, 0, -0.5, 3.0])
    arguments = {"negative_slope": draw(slope)} if name == "LeakyReLU" else {}
    shape = tuple(draw(st.lists(few, max_size=4)))
    return draw(case(name, arguments, shape, extremes=True))


@st.composite
def flatten(draw) -> LayerCase:
    shape = tuple(draw(st.lists(few, min_size=1, max_size=4)))
    start = draw(st.integers(0, len(shape) - 1))
    end = draw(st.integers(start, len(shape) - 1))
    negative = [axis - len(shape) * draw(st.booleans()) for axis in (start, end)]
    return draw(case("Flatten", {"start_dim": negative[0], "end_dim": negative[1]}, shape))


@st.composite
def unflatten(draw) -> LayerCase:
    shape = draw(st.lists(few, min_size=1, max_size=3))
    axis = draw(st.integers(0, len(shape) - 1))
    parts = tuple(draw(st.lists(few, min_size=1, max_size=3)))
    shape[axis] = torch.Size(parts).numel()
    arguments = {"dim": axis - len(shape) * draw(st.booleans()), "unflattened_size": parts}
    return draw(case("Unflatten", arguments, tuple(shape)))


LAYER_CASES: dict[str, st.SearchStrategy[LayerCase]] = {
    "Linear": linear(),
    "Conv2d": conv2d(),
    "ConvTranspose2d": conv_transpose2d(),
    "BatchNorm1d": batchnorm("BatchNorm1d"),
    "BatchNorm2d": batchnorm("BatchNorm2d"),
    "ReLU": activation("ReLU"),
    "LeakyReLU": activation("LeakyReLU"),
    "Tanh": activation("Tanh"),
    "Sigmoid": activation("Sigmoid"),
    "Flatten": flatten(),
    "Unflatten": unflatten(),
}
