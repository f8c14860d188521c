"""Cases: random inputs for every function that a learner writes, by exercise, corner and seed.

Sizes are primes, so that a transposition shows; the upstream gradient `dy` is random, never
all ones; the corners are where wrong functions hide: one sample, strides that leave a rest, exact
zeros, strided memory. The same seed gives the same case. Random layers, for tests with hypothesis,
are in layer_cases.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from scratchae.checking.cases import batchnorm, convolutions, dense, training
from scratchae.checking.cases.draw import FLOAT32, STRIDED, Draw

if TYPE_CHECKING:  # an extra: the library itself does without it
    from hypothesis.strategies import SearchStrategy

__all__ = ["FLOAT32", "STRIDED", "Case", "strategy"]


@dataclass(frozen=True)
class Case:
    """One input of an exercise; `arguments()` makes it anew, by name, in the function's order.

    >>> case = Case("linear_backward", "one sample", 3)
    >>> {name: tuple(tensor.shape) for name, tensor in case.arguments().items()}
    {'dy': (1, 7), 'x': (1, 5), 'weight': (7, 5)}
    """

    exercise: str
    corner: str
    seed: int

    def arguments(self) -> dict:
        """{argument: value}; tensors are float64, or float32 in that corner."""
        draw = Draw(self.corner, self.seed)
        return MAKERS[self.exercise](draw)


def strategy(exercise: str, corners: tuple[str, ...]) -> SearchStrategy[Case]:
    """A hypothesis strategy that draws cases; needs the package hypothesis.

    >>> cases = strategy("tanh_forward", ("random sizes", "one sample"))
    """
    from hypothesis import strategies as st

    return st.builds(Case, st.just(exercise), st.sampled_from(corners), st.integers(0, 2**32))


MAKERS: dict[str, Callable[[Draw], dict]] = {
    "linear_forward": dense.linear_forward,
    "linear_backward": dense.linear_backward,
    "relu_forward": dense.activation_forward,
    "relu_backward": dense.activation_backward(lambda x: x.clamp(min=0)),
    "tanh_forward": dense.activation_forward,
    "tanh_backward": dense.activation_backward(torch.tanh),
    "sigmoid_forward": dense.activation_forward,
    "sigmoid_backward": dense.activation_backward(lambda x: 1 / (1 + torch.exp(-x))),
    "conv2d_forward": convolutions.conv2d_forward,
    "conv2d_backward": convolutions.conv2d_backward,
    "conv_transpose2d_forward": convolutions.conv_transpose2d_forward,
    "conv_transpose2d_backward": convolutions.conv_transpose2d_backward,
    "batchnorm_forward": batchnorm.batchnorm_forward,
    "batchnorm_backward": batchnorm.batchnorm_backward,
    "running_statistics": batchnorm.running_statistics,
    "mse_forward": dense.mse,
    "mse_backward": dense.mse,
    "sgd_update": training.sgd_update,
    "adam_update": training.adam_update,
    "kaiming_uniform": training.kaiming_uniform,
    "train_step": training.train_step,
}
