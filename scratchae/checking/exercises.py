"""Exercises: the functions that a learner writes. The library's own function is the answer.

An exercise is declared once, in the file of its layer in the folder cases/. The declaration decorates
the function that draws its random inputs:

    @exercise(linear_backward, "dx", "dweight", "dbias", corners=(*PLAIN, "leading axes"))
    def backward_inputs(draw): ...

The inputs are made to show mistakes. Sizes differ from each other, so that a transposed result has a
wrong shape. The upstream gradient `dy` is random, never all ones. Each corner is a kind of input that
shows some mistakes: one sample, a stride that does not divide the size, exact zeros, strided memory. The
same seed gives the same case.
"""

from __future__ import annotations

import difflib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError

if TYPE_CHECKING:  # hypothesis is an extra: the library itself works without it
    from hypothesis.strategies import SearchStrategy

STRIDED, FLOAT32 = "strided inputs", "float32"
PLAIN = ("random sizes", "one sample", STRIDED, FLOAT32)


class Draw:
    """The random numbers of one case.

    corner: which kind of case it is. pick: draws sizes and settings. generator: draws tensors.
    """

    def __init__(self, corner: str, seed: int) -> None:
        self.corner = corner
        self.pick = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)

    def size(self) -> int:
        """Return a small prime number."""
        return self.pick.choice([3, 5, 7])

    def batch(self) -> int:
        """Return the number of samples: 1 in the corner "one sample"."""
        return 1 if self.corner == "one sample" else self.pick.choice([2, 4, 6])

    def normal(self, *shape: int) -> Tensor:
        """Return standard normal float64 numbers, strided or float32 in a corner of that name."""
        if self.corner == STRIDED:
            twice = [2 * n + 1 for n in shape]
            wide = torch.randn(twice, generator=self.generator, dtype=torch.float64)
            return wide[tuple(slice(1, None, 2) for _ in shape)]
        numbers = torch.randn(shape, generator=self.generator, dtype=torch.float64)
        return numbers.float() if FLOAT32 in self.corner else numbers

    def positive(self, *shape: int) -> Tensor:
        """Return random numbers above 0.1."""
        return self.normal(*shape).abs() + 0.1


@dataclass(frozen=True)
class Case:
    """One random input of an exercise.

    >>> case = Case("linear_backward", "one sample", 3)
    >>> {name: tuple(tensor.shape) for name, tensor in case.arguments().items()}
    {'dy': (1, 7), 'x': (1, 5), 'weight': (7, 5)}
    """

    exercise: str
    corner: str
    seed: int

    def arguments(self) -> dict[str, Any]:
        """Make new arguments: {name: value}, in the order of the function."""
        draw = EXERCISES[self.exercise].draw
        assert draw, f"{self.exercise} has no inputs"
        return draw(Draw(self.corner, self.seed))


@dataclass(frozen=True)
class Exercise:
    """A function to write.

    outputs: the names of its results, in order. If it works in place, the names of the arguments that it
    changes. corners: the kinds of cases, each scored by itself. tolerance: relative to the largest
    element, in float64. call: how to call the function with the arguments. None: function(*arguments).
    draw: makes the arguments of a case. parameters: the names of the function's arguments, if `call`
    passes other arguments than those of a case.

    >>> EXERCISES["relu_backward"].outputs, EXERCISES["relu_backward"].corners[-1]
    (('dx',), 'exact zeros')
    """

    name: str
    reference: Callable
    outputs: tuple[str, ...]
    corners: tuple[str, ...] = PLAIN
    in_place: bool = False
    tolerance: float = 1e-9
    call: Callable[[Callable, dict], tuple] | None = None
    draw: Callable[[Draw], dict] | None = None
    parameters: tuple[str, ...] = ()

    def cases(self, seed: int = 0, each: int = 3) -> list[Case]:
        """Return `each` cases of every corner.

        >>> len(EXERCISES["linear_backward"].cases())
        15
        """
        return [
            Case(self.name, corner, 1000 * seed + 100 * i + j)
            for i, corner in enumerate(self.corners)
            for j in range(each)
        ]

    @property
    def arguments(self) -> tuple[str, ...]:
        """Return the names of the arguments that a learner's function needs.

        >>> EXERCISES["train_step"].arguments
        ('model', 'optimizer', 'x')
        """
        return self.parameters or tuple(self.cases()[0].arguments())


EXERCISES: dict[str, Exercise] = {}


def exercise(
    reference: Callable, *outputs: str, **options: Any
) -> Callable[[Callable[[Draw], dict]], Callable[[Draw], dict]]:
    """Declare an exercise: to write the function `reference`. Use it to decorate the function that draws inputs.

    outputs: the names of the results. options: the other fields of Exercise.

    >>> @exercise(torch.sin, "y")
    ... def sin_inputs(draw):
    ...     return {"x": draw.normal(draw.batch(), draw.size())}
    >>> EXERCISES.pop("sin").outputs
    ('y',)
    """

    def declare(draw: Callable[[Draw], dict]) -> Callable[[Draw], dict]:
        name = reference.__name__
        EXERCISES[name] = Exercise(name, reference, outputs, draw=draw, **options)
        return draw

    return declare


def find_exercise(name: str) -> Exercise:
    """Return the exercise of that name, or the one whose name is a part of it, as in my_linear_backward.

    Raises ScratchaeError if there is none.

    >>> find_exercise("my_linear_backward").name
    'linear_backward'
    """
    inside = [known for known in EXERCISES if known in name]
    if inside:
        return EXERCISES[max(inside, key=len)]
    near = difflib.get_close_matches(name, EXERCISES, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(EXERCISES)}"
    raise ScratchaeError(f"there is no exercise {name!r}: {hint}")


def case_strategy(name: str) -> SearchStrategy[Case]:
    """Return a hypothesis strategy for the cases of an exercise; needs the package hypothesis.

    >>> cases = case_strategy("tanh_forward")
    """
    from hypothesis import strategies as st

    corners = st.sampled_from(EXERCISES[name].corners)
    return st.builds(Case, st.just(name), corners, st.integers(0, 2**32))
