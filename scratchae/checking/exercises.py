"""Exercises: the functions that a learner writes, each with the library's own as the answer."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass

import torch

from scratchae import layers, losses, optim
from scratchae.checking.cases import FLOAT32, STRIDED, Case
from scratchae.errors import ScratchaeError
from scratchae.layers.init import kaiming_uniform
from scratchae.step import train_step

PLAIN = ("random sizes", "one sample", STRIDED, FLOAT32)
CONV = ("random sizes", "one sample", "stride", "padding", "dilation", "groups", STRIDED, FLOAT32)


@dataclass(frozen=True)
class Exercise:
    """A function to write.

    outputs: the names of what it returns, in order; of its arguments where it works in place.
    corners: where it is tried, each scored by itself. tolerance: relative, in float64.

    >>> EXERCISES["relu_backward"].outputs, EXERCISES["relu_backward"].corners[-1]
    (('dx',), 'exact zeros')
    """

    name: str
    reference: Callable
    outputs: tuple[str, ...]
    corners: tuple[str, ...] = PLAIN
    in_place: bool = False
    tolerance: float = 1e-9
    call: Callable[[Callable, dict], object] | None = (
        None  # where it is not just function(*arguments)
    )

    @property
    def arguments(self) -> list[str]:
        """The names of the arguments that a function is called with, in the reference's order.

        The reference may have further ones with a default, which an exercise does not ask for.

        >>> EXERCISES["train_step"].arguments, "maximize" in EXERCISES["adam_update"].arguments
        (['model', 'optimizer', 'x'], False)
        """
        given = {name for case in self.cases(each=1) for name in case.arguments()}
        parameters = inspect.signature(self.reference).parameters.values()
        return [p.name for p in parameters if p.name in given or p.default is p.empty]

    def cases(self, seed: int = 0, each: int = 3) -> list[Case]:
        """`each` cases of every corner.

        >>> len(EXERCISES["linear_backward"].cases())
        15
        """
        return [
            Case(self.name, corner, 1000 * seed + 100 * i + j)
            for i, corner in enumerate(self.corners)
            for j in range(each)
        ]


def call_train_step(function: Callable, arguments: dict) -> tuple:
    """Three steps: the losses, then all parameters and running statistics one behind the other."""
    model, optimizer = arguments["model"], arguments["optimizer"]
    losses = [function(model, optimizer, x) for x in arguments["batches"]]
    numbers = [t for t in model.state_dict().values() if t.is_floating_point()]
    return torch.stack([torch.as_tensor(loss) for loss in losses]), torch.cat(
        [t.flatten() for t in numbers]
    )


def call_kaiming_uniform(function: Callable, arguments: dict) -> tuple:
    """What can be said of random numbers: bounds and spread in units of the right bound, and seeds."""
    seed = arguments["generator"].initial_seed()

    def again(seed: int) -> torch.Tensor:
        return function(**{**arguments, "generator": torch.Generator().manual_seed(seed)})

    first, second, other = again(seed), again(seed), again(seed + 1)
    gain = (2 / (1 + arguments["a"] ** 2)) ** 0.5
    units = first.double() / (3**0.5 * gain / arguments["fan_in"] ** 0.5)
    same, differ = torch.equal(first, second), not torch.equal(first, other)
    quartiles = torch.quantile(units, torch.tensor([0.25, 0.75]).double())
    return (
        torch.tensor([float(n) for n in first.shape]).double(),
        torch.stack([units.min(), units.max()]),
        torch.cat([units.std().reshape(1), quartiles]),
        torch.tensor([float(same), float(differ)]).double(),
    )


GRADIENTS = ("dx", "dweight", "dbias")
KAIMING = ("shape", "range", "spread", "same seed, same numbers")

EXERCISES: dict[str, Exercise] = {
    exercise.name: exercise
    for exercise in (
        Exercise(
            "linear_forward", layers.linear_forward, ("y",), (*PLAIN, "leading axes", "no bias")
        ),
        Exercise("linear_backward", layers.linear_backward, GRADIENTS, (*PLAIN, "leading axes")),
        Exercise("relu_forward", layers.relu_forward, ("y",), (*PLAIN, "exact zeros")),
        Exercise("relu_backward", layers.relu_backward, ("dx",), (*PLAIN, "exact zeros")),
        Exercise("tanh_forward", layers.tanh_forward, ("y",), (*PLAIN, "exact zeros")),
        Exercise("tanh_backward", layers.tanh_backward, ("dx",), (*PLAIN, "exact zeros")),
        Exercise("sigmoid_forward", layers.sigmoid_forward, ("y",), (*PLAIN, "exact zeros")),
        Exercise("sigmoid_backward", layers.sigmoid_backward, ("dx",), (*PLAIN, "exact zeros")),
        Exercise("conv2d_forward", layers.conv2d_forward, ("y",), CONV),
        Exercise("conv2d_backward", layers.conv2d_backward, GRADIENTS, CONV),
        Exercise(
            *("conv_transpose2d_forward", layers.conv_transpose2d_forward, ("y",)),
            (*CONV, "output_padding"),
        ),
        Exercise(
            *("conv_transpose2d_backward", layers.conv_transpose2d_backward, GRADIENTS),
            (*CONV, "output_padding"),
        ),
        Exercise(
            *("batchnorm_forward", layers.batchnorm_forward, ("y", "xhat", "mean", "var")),
            (*PLAIN, "vectors (N, C)", "signals (N, C, L)"),
        ),
        Exercise(
            *("batchnorm_backward", layers.batchnorm_backward, GRADIENTS),
            (*PLAIN, "vectors (N, C)", "signals (N, C, L)"),
        ),
        Exercise(
            *("running_statistics", layers.running_statistics, ("running_mean", "running_var")),
            ("momentum 0.1", "other momenta", FLOAT32),
        ),
        Exercise("mse_forward", losses.mse_forward, ("loss",)),
        Exercise("mse_backward", losses.mse_backward, ("dprediction",)),
        Exercise(
            *("sgd_update", optim.sgd_update, ("value", "momentum_buffer")),
            ("no momentum", "the first step", "later steps", "weight decay", "nesterov", FLOAT32),
            in_place=True,
        ),
        Exercise(
            *(
                "adam_update",
                optim.adam_update,
                ("value", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
            ),
            ("the first step", "later steps", "weight decay", "amsgrad", FLOAT32),
            in_place=True,
        ),
        Exercise(
            *("kaiming_uniform", kaiming_uniform, KAIMING, ("no slope", "a slope a")),
            tolerance=0.06,  # of random numbers: some 40,000 are drawn
            call=call_kaiming_uniform,
        ),
        Exercise(
            *("train_step", train_step, ("losses", "weights after three steps")),
            ("with Adam", "with SGD", "with weight decay", "with BatchNorm", FLOAT32),
            call=call_train_step,
        ),
    )
}


def find_exercise(name: str) -> Exercise:
    """The exercise of that name, or of a function called like it: my_linear_backward.

    >>> find_exercise("my_linear_backward").name
    'linear_backward'
    """
    inside = [known for known in EXERCISES if known in name]
    if inside:
        return EXERCISES[max(inside, key=len)]
    near = difflib.get_close_matches(name, EXERCISES, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(EXERCISES)}"
    raise ScratchaeError(f"there is no exercise {name!r}: {hint}")
