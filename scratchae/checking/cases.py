"""Cases: random inputs for every function that a learner writes, by exercise, corner and seed.

Sizes are primes, so that a transposition shows; the upstream gradient `dy` is random, never
all ones; the corners are where wrong functions hide: one sample, strides that leave a rest, exact
zeros, strided memory. The same seed gives the same case. Random layers, for tests with hypothesis,
are in layer_cases.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from scratchae.layers import BatchNorm1d, Linear, ReLU, Sequential
from scratchae.optim import SGD, Adam

if TYPE_CHECKING:  # an extra: the library itself does without it
    from hypothesis.strategies import SearchStrategy

STRIDED, FLOAT32 = "strided inputs", "float32"


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


class Draw:
    """Random numbers of one case: sizes from `random`, tensors from a torch.Generator."""

    def __init__(self, corner: str, seed: int) -> None:
        self.corner = corner
        self.pick = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)

    def size(self) -> int:
        return self.pick.choice([3, 5, 7])

    def batch(self) -> int:
        return 1 if self.corner == "one sample" else self.pick.choice([2, 4, 6])

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers; strided or float32 where the corner asks for it."""
        if self.corner == STRIDED:
            twice = [2 * n + 1 for n in shape]
            wide = torch.randn(twice, generator=self.generator, dtype=torch.float64)
            return wide[tuple(slice(1, None, 2) for _ in shape)]
        numbers = torch.randn(shape, generator=self.generator, dtype=torch.float64)
        return numbers.float() if self.corner == FLOAT32 else numbers

    def positive(self, *shape: int) -> Tensor:
        return self.normal(*shape).abs() + 0.1


def linear_forward(draw: Draw) -> dict:
    I, O = draw.pick.sample([3, 5, 7, 11], 2)
    lead = (2, 3) if draw.corner == "leading axes" else (draw.batch(),)
    x, weight = draw.normal(*lead, I), draw.normal(O, I)
    return {"x": x, "weight": weight, "bias": None if draw.corner == "no bias" else draw.normal(O)}


def linear_backward(draw: Draw) -> dict:
    I, O = draw.pick.sample([3, 5, 7, 11], 2)
    lead = (2, 3) if draw.corner == "leading axes" else (draw.batch(),)
    return {"dy": draw.normal(*lead, O), "x": draw.normal(*lead, I), "weight": draw.normal(O, I)}


def activation_forward(draw: Draw) -> dict:
    return {"x": with_zeros(draw, draw.normal(draw.batch(), draw.size(), draw.size()))}


def activation_backward(squash: Callable[[Tensor], Tensor]) -> Callable[[Draw], dict]:
    def make(draw: Draw) -> dict:
        shape = draw.batch(), draw.size(), draw.size()
        return {"dy": draw.normal(*shape), "y": squash(with_zeros(draw, draw.normal(*shape)))}

    return make


def with_zeros(draw: Draw, x: Tensor) -> Tensor:
    if draw.corner == "exact zeros":
        x.view(-1)[::3] = 0
    return x


def pair(draw: Draw, *choices: int) -> tuple[int, int]:
    return draw.pick.choice(choices), draw.pick.choice(choices)


def geometry(draw: Draw) -> tuple[dict, tuple[int, int], tuple[int, int]]:
    """Stride, padding, dilation, groups; the kernel's size; the number of positions."""
    kernel = draw.pick.choice([(3, 2), (2, 3), (3, 3)])
    settings = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    if draw.corner == "stride":
        settings |= {"stride": draw.pick.choice([2, (2, 1), (1, 2), (3, 2)])}
    elif draw.corner == "padding":
        settings |= {"padding": draw.pick.choice([1, (2, 1), (1, 0)])}
    elif draw.corner == "dilation":
        settings |= {"dilation": draw.pick.choice([2, (2, 1), (1, 3)])}
    elif draw.corner == "groups":
        settings |= {"groups": 2}
    elif draw.corner != "one sample":
        settings |= {"stride": pair(draw, 1, 2), "padding": pair(draw, 0, 1)}
    return settings, kernel, (draw.pick.choice([3, 4]), draw.pick.choice([2, 5]))


def channels(draw: Draw, groups: int) -> tuple[int, int]:
    """(C, O), differing; with groups at least two channels in each, so that their order shows."""
    return tuple(groups * per for per in draw.pick.sample([1, 2, 3] if groups == 1 else [2, 3], 2))


def conv(draw: Draw) -> tuple[dict, Tensor, Tensor, Tensor, Tensor]:
    """settings, image x (N, C, H, W), weight (O, C/G, kH, kW), y-sized dy, bias."""
    settings, kernel, positions = geometry(draw)
    groups = settings["groups"]
    C, O = channels(draw, groups)
    image = []
    for axis in (0, 1):
        s, p, d = (
            v[axis] if isinstance(v, tuple) else v
            for v in (settings["stride"], settings["padding"], settings["dilation"])
        )
        rest = draw.pick.randrange(s) if draw.corner == "stride" else 0
        image.append(max(1, s * (positions[axis] - 1) + d * (kernel[axis] - 1) + 1 - 2 * p) + rest)
    N = draw.batch()
    x, weight = draw.normal(N, C, *image), draw.normal(O, C // groups, *kernel)
    P = []
    for axis in (0, 1):
        s, p, d = (
            v[axis] if isinstance(v, tuple) else v
            for v in (settings["stride"], settings["padding"], settings["dilation"])
        )
        P.append((image[axis] + 2 * p - d * (kernel[axis] - 1) - 1) // s + 1)
    return settings, x, weight, draw.normal(N, O, *P), draw.normal(O)


def conv2d_forward(draw: Draw) -> dict:
    settings, x, weight, _, bias = conv(draw)
    return {"x": x, "weight": weight, "bias": bias, **settings}


def conv2d_backward(draw: Draw) -> dict:
    settings, x, weight, dy, _ = conv(draw)
    return {"dy": dy, "x": x, "weight": weight, **settings}


def conv_transpose2d(draw: Draw) -> tuple[dict, Tensor, Tensor, Tensor, Tensor]:
    """settings, x (N, O, P, Q), weight (O, C/G, kH, kW), dy (N, C, H, W), bias (C,)."""
    settings, kernel, positions = geometry(draw)
    groups = settings["groups"]
    C, O = channels(draw, groups)
    if draw.corner == "output_padding":
        settings |= {"stride": (2, 3), "output_padding": (1, draw.pick.choice([1, 2]))}
    else:
        settings |= {"output_padding": 0}
    size = []
    for axis in (0, 1):
        s, p, d, extra = (
            v[axis] if isinstance(v, tuple) else v
            for v in (settings[k] for k in ("stride", "padding", "dilation", "output_padding"))
        )
        size.append(s * (positions[axis] - 1) - 2 * p + d * (kernel[axis] - 1) + 1 + extra)
    N = draw.batch()
    x, weight = draw.normal(N, O, *positions), draw.normal(O, C // groups, *kernel)
    return settings, x, weight, draw.normal(N, C, *size), draw.normal(C)


def conv_transpose2d_forward(draw: Draw) -> dict:
    settings, x, weight, _, bias = conv_transpose2d(draw)
    order = ("stride", "padding", "output_padding", "groups", "dilation")
    return {"x": x, "weight": weight, "bias": bias, **{name: settings[name] for name in order}}


def conv_transpose2d_backward(draw: Draw) -> dict:
    settings, x, weight, dy, _ = conv_transpose2d(draw)
    order = ("stride", "padding", "groups", "dilation")
    return {"dy": dy, "x": x, "weight": weight, **{name: settings[name] for name in order}}


def batchnorm_shape(draw: Draw) -> tuple[int, ...]:
    C, N = draw.size(), draw.batch()
    if draw.corner == "vectors (N, C)":
        return N, C
    return (N, C, 5) if draw.corner == "signals (N, C, L)" else (N, C, 2, 3)


def batchnorm_forward(draw: Draw) -> dict:
    shape = batchnorm_shape(draw)
    x = draw.normal(*shape) * 2 + 3
    C = shape[1]
    return {
        "x": x,
        "weight": draw.normal(C),
        "bias": draw.normal(C),
        "eps": draw.pick.choice([1e-3, 0.1]),
    }


def batchnorm_backward(draw: Draw) -> dict:
    shape = batchnorm_shape(draw)
    x, C, eps = draw.normal(*shape) * 2 + 3, shape[1], draw.pick.choice([1e-3, 0.1])
    axes = [axis for axis in range(len(shape)) if axis != 1]
    var, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    xhat = (x - mean) / torch.sqrt(var + eps)
    weight = draw.normal(C)
    return {
        "dy": draw.normal(*shape),
        "xhat": xhat,
        "weight": weight,
        "var": var.flatten(),
        "eps": eps,
    }


def running_statistics(draw: Draw) -> dict:
    C = draw.size()
    return {
        "running_mean": draw.normal(C),
        "running_var": draw.positive(C),
        "mean": draw.normal(C),
        "var": draw.positive(C),
        "m": draw.pick.choice([2, 5, 12]),
        "momentum": 0.1 if draw.corner == "momentum 0.1" else draw.pick.choice([0.25, 0.7]),
    }


def mse(draw: Draw) -> dict:
    shape = draw.batch(), draw.size(), draw.size()
    return {"prediction": draw.normal(*shape), "target": draw.normal(*shape)}


def sgd_update(draw: Draw) -> dict:
    n, momentum = draw.size(), 0.0 if draw.corner == "no momentum" else 0.8
    t = 1 if draw.corner == "the first step" else draw.pick.choice([2, 5])
    buffer = torch.zeros_like(draw.normal(n)) if t == 1 else draw.normal(n)
    nesterov = draw.corner == "nesterov"
    return {
        "value": draw.normal(n),
        "grad": draw.normal(n),
        "momentum_buffer": buffer if momentum else None,
        "t": t,
        "lr": 0.1,
        "momentum": momentum,
        "dampening": 0.3 if momentum and not nesterov else 0.0,
        "weight_decay": 0.2 if draw.corner == "weight decay" else 0.0,
        "nesterov": nesterov,
    }


def adam_update(draw: Draw) -> dict:
    n, t = draw.size(), 1 if draw.corner == "the first step" else draw.pick.choice([2, 5, 20])
    value, grad = draw.normal(n), draw.normal(n)
    m, v = draw.normal(n), draw.positive(n) * 0.1
    amsgrad = draw.corner == "amsgrad"
    return {
        "value": value,
        "grad": grad,
        "exp_avg": torch.zeros_like(m) if t == 1 else m,
        "exp_avg_sq": torch.zeros_like(v) if t == 1 else v,
        "t": t,
        "lr": 0.1,
        "betas": (0.8, 0.95),
        "eps": 0.01,
        "weight_decay": 0.2 if draw.corner == "weight decay" else 0.0,
        "max_exp_avg_sq": draw.positive(n) * 0.1 if amsgrad else None,
    }


def kaiming_uniform(draw: Draw) -> dict:
    shape = draw.pick.choice([(170, 230), (60, 20, 5, 7)])
    fan_in = shape[1] * (35 if len(shape) == 4 else 1)
    a = 5**0.5 if draw.corner == "a slope a" else 0.0
    return {"shape": shape, "fan_in": fan_in, "a": a, "generator": draw.generator}


def train_step(draw: Draw) -> dict:
    g = draw.generator
    layers = [Linear(5, 4, generator=g), ReLU(), Linear(4, 5, generator=g)]
    if draw.corner == "with BatchNorm":
        layers.insert(1, BatchNorm1d(4))
    model = Sequential(*layers)
    if draw.corner != FLOAT32:
        model.to(torch.float64)
    decay = 0.1 if draw.corner == "with weight decay" else 0.0
    optimizer = SGD if draw.corner == "with SGD" else Adam
    return {
        "model": model,
        "optimizer": optimizer(model.parameters(), lr=0.05, weight_decay=decay),
        "batches": [draw.normal(6, 5) for _ in range(3)],
    }


def strategy(exercise: str, corners: tuple[str, ...]) -> SearchStrategy[Case]:
    """A hypothesis strategy that draws cases; needs the package hypothesis.

    >>> cases = strategy("tanh_forward", ("random sizes", "one sample"))
    """
    from hypothesis import strategies as st

    return st.builds(Case, st.just(exercise), st.sampled_from(corners), st.integers(0, 2**32))


MAKERS: dict[str, Callable[[Draw], dict]] = {
    "linear_forward": linear_forward,
    "linear_backward": linear_backward,
    "relu_forward": activation_forward,
    "relu_backward": activation_backward(lambda x: x.clamp(min=0)),
    "tanh_forward": activation_forward,
    "tanh_backward": activation_backward(torch.tanh),
    "sigmoid_forward": activation_forward,
    "sigmoid_backward": activation_backward(lambda x: 1 / (1 + torch.exp(-x))),
    "conv2d_forward": conv2d_forward,
    "conv2d_backward": conv2d_backward,
    "conv_transpose2d_forward": conv_transpose2d_forward,
    "conv_transpose2d_backward": conv_transpose2d_backward,
    "batchnorm_forward": batchnorm_forward,
    "batchnorm_backward": batchnorm_backward,
    "running_statistics": running_statistics,
    "mse_forward": mse,
    "mse_backward": mse,
    "sgd_update": sgd_update,
    "adam_update": adam_update,
    "kaiming_uniform": kaiming_uniform,
    "train_step": train_step,
}
