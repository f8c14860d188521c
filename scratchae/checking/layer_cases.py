"""Layer cases: random arguments and random inputs for a layer, to test its promises.

Sizes are primes if possible, so that two axes seldom have the same size by chance. Every argument of
torch.nn's layer is drawn, as a pair and as a single number. The function that draws a layer's case is in
the file of the layer in the folder cases/. For a test with hypothesis:

    @given(case=layer_strategy("Conv2d"))
    def test_my_promise(case):
        layer = case.random_layer()
        y = layer.forward(case.x(case.shapes[0]))
        dx = layer.backward(case.dy(y))
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from scratchae import layers
from scratchae.checking.layouts import LAYOUTS, on, random_tensor
from scratchae.noise import noise_keys

if TYPE_CHECKING:  # hypothesis is an extra: the library itself works without it
    from hypothesis.strategies import SearchStrategy

FEW = (1, 2, 3, 5)
SIZES = (1, 2, 3, 5, 7, 11)


@dataclass
class LayerCase:
    """A layer by its name and arguments, and the shapes of its inputs.

    training: whether the layer trains, for each of the shapes. layouts: how x and dy are stored in
    memory. extremes: whether x contains zeros and large numbers.
    """

    name: str
    arguments: dict[str, Any]
    shapes: list[tuple[int, ...]]
    training: list[bool] = field(default_factory=lambda: [True])
    layouts: tuple[str, str] = ("plain", "plain")
    seed: int = 0
    extremes: bool = False

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.seed)

    def layer(self) -> layers.Layer:
        """Make the layer."""
        return getattr(layers, self.name)(**copy.deepcopy(self.arguments))  # they may hold layers

    def random_layer(self, device: str = "cpu") -> layers.Layer:
        """Make the layer in float64, with random weights and running statistics.

        A layer that draws noise gets keys, so that it draws the same noise in every forward pass.
        """
        layer = self.layer().to(device, torch.float64)
        for name, tensor in layer.state_dict().items():
            if tensor.is_floating_point():
                values = random_tensor(tuple(tensor.shape), "plain", self.generator)
                tensor.copy_(values.abs() + 0.1 if name == "running_var" else values)
        if any(inside.random for _, inside in layer.modules()):
            layer.set_keys(noise_keys(self.seed, 0, self.shapes[0][0], device))
        return layer

    def x(self, shape: tuple[int, ...], device: str = "cpu") -> Tensor:
        """Draw an input."""
        x = random_tensor(shape, self.layouts[0], self.generator)
        if self.extremes:
            x = torch.where(x.abs() < 0.3, 0.0, x)
            x = torch.where(x.abs() > 1.5, 20 * x, x)
        return on(device, x)

    def dy(self, y: Tensor) -> Tensor:
        """Draw an upstream gradient. It is random, because a gradient of ones hides many mistakes."""
        return on(str(y.device), random_tensor(tuple(y.shape), self.layouts[1], self.generator))


LAYER_CASES: dict[str, Callable[[Random], LayerCase]] = {}


def layer_case(*names: str) -> Callable[[Callable], Callable]:
    """Decorate the function that draws the cases of the layers of these names.

    The function is called as function(pick, name), with a random.Random. It returns the layer's
    arguments, and the shape of the input or a dictionary with the other fields of LayerCase.
    """

    def declare(function: Callable[[Random, str], tuple[dict, Any]]) -> Callable:
        for name in names:
            LAYER_CASES[name] = partial(completed, function, name)
        return function

    return declare


def completed(function: Callable, name: str, pick: Random) -> LayerCase:
    """Return a case with the fields that are drawn in the same way for all layers."""
    arguments, rest = function(pick, name)
    fields = rest if isinstance(rest, dict) else {"shapes": [rest]}
    layouts = (pick.choice(LAYOUTS), pick.choice(LAYOUTS))
    return LayerCase(name, arguments, layouts=layouts, seed=pick.randint(0, 2**32), **fields)


def layer_strategy(name: str) -> SearchStrategy[LayerCase]:
    """Return a hypothesis strategy for the cases of a layer; needs the package hypothesis.

    >>> cases = layer_strategy("Linear")
    """
    from hypothesis import strategies as st

    return st.randoms(use_true_random=False).map(LAYER_CASES[name])


def some(pick: Random, least: int, most: int) -> list[int]:
    """Return a list of `least` to `most` small sizes."""
    return [pick.choice(FEW) for _ in range(pick.randint(least, most))]


def flip(pick: Random) -> bool:
    """Return True or False at random."""
    return pick.choice((False, True))


def pair_or_number(pick: Random, low: int, high: int) -> int | tuple[int, int]:
    """Return one number for both axes of an image, or one number for each axis."""
    if flip(pick):
        return pick.randint(low, high), pick.randint(low, high)
    return pick.randint(low, high)


def both(value: int | tuple[int, int]) -> tuple[int, int]:
    """Return the numbers of both axes."""
    return value if isinstance(value, tuple) else (value, value)
