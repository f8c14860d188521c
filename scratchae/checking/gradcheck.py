"""gradcheck: test that a backward pass gives the derivative of its forward pass, from values of forward alone.

The loss is L = ⟨dy, f(x)⟩ with a random upstream gradient dy. (A dy of ones would hide mistakes: for
ones, the dx of a BatchNorm is zero.) The elements of every gradient are compared with numeric
derivatives of L in float64 (differences.py): by the complex step if f accepts complex numbers and the
result agrees with central differences along a random direction, else by central differences. If all
gradients are right, they are computed again for a dy with other memory layouts (layouts.py). A
forward pass that draws random numbers gets the same ones each time (analytic.py).

To avoid false alarms, an element counts as wrong only if it differs by more than ten times the estimated
error of the numeric derivative, at the best of all step sizes. Everything is done on copies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from scratchae.checking.analytic import analytic_gradients, same
from scratchae.checking.diagnose import not_finite, wrong_kind, wrong_shape
from scratchae.checking.differences import Complex
from scratchae.checking.layouts import layout_mistake
from scratchae.checking.numeric_compare import Function, NumericComparison, compare
from scratchae.checking.report import GradcheckResult, GradientRow
from scratchae.checking.target import ProblemError, Target, Variable
from scratchae.errors import ScratchaeError

MOST = 300  # elements of one tensor that are compared,
MOST_IN_ALL = 450  # and of all tensors together, but at least
LEAST = 20  # of each


def gradcheck(
    target: Any, *inputs: Any, backward: Callable | None = None, seed: int = 0
) -> GradcheckResult:
    """Check the gradients of a layer, a model, a loss or a function at these inputs.

    A layer or model has forward(*inputs) and backward(dy), which returns the gradients of the inputs
    and adds to the `.grad` of its parameters. A loss has backward() without dy, which returns the
    gradient of its first input. For a function, pass `backward` too. It is called as backward(dy,
    *inputs) and returns one gradient for each floating-point input, in order. inputs: tensors of any
    layout and dtype (they are checked in float64), and any other arguments of forward. seed: decides dy
    and the samples.

    Large tensors are checked in a random sample of elements, and along a random direction as a
    whole. The result is true if nothing is wrong. Raises ScratchaeError if nothing can be checked.

    >>> from scratchae.layers import Linear
    >>> from scratchae.layers.linear import linear_backward, linear_forward
    >>> x, w, b = torch.linspace(-1, 2, 6).reshape(2, 3), torch.ones(2, 3), torch.zeros(2)
    >>> bool(gradcheck(Linear(3, 2), x))
    True
    >>> right = gradcheck(
    ...     linear_forward, x, w, b, backward=lambda dy, x, w, b: linear_backward(dy, x, w)
    ... )
    >>> [(row.name, row.ok, row.method) for row in right.rows][0]
    ('x', True, 'complex step')
    >>> wrong = gradcheck(lambda x: x.sin(), x, backward=lambda dy, x: -dy * x.cos())
    >>> bool(wrong), wrong.diagnosis
    (False, 'dx has the wrong sign.')
    """
    if not inputs:
        raise ScratchaeError("gradcheck needs an input to check at: write gradcheck(layer, x)")
    checked = Target(target, inputs, backward)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad(), torch.random.fork_rng():
        try:
            rows, sentences = check_gradients(checked, generator)
        except ProblemError as problem:
            rows, sentences = [], [str(problem)]
        finally:
            checked.reset()  # restore the caller's generators
    return GradcheckResult(checked.title, rows, " ".join(sentences[:3]))


def check_gradients(
    target: Target, generator: torch.Generator
) -> tuple[list[GradientRow], list[str]]:
    """Return a row for each gradient, and a sentence for each wrong one."""
    y, dy, gradients = analytic_gradients(target, generator)
    check_count(target, gradients)
    values = [
        v.tensor.double().clone(memory_format=torch.contiguous_format) for v in target.variables
    ]
    forward, _ = target.bind(values)
    if not same(forward(), y):
        raise ProblemError(
            "forward gives another result for contiguous copies of the same numbers: it must not "
            "depend on how they are stored in memory."
        )
    complexes = [value.to(torch.complex128) for value in values]
    complex_forward, _ = target.bind([value.as_subclass(Complex) for value in complexes])
    most = max(LEAST, min(MOST, MOST_IN_ALL // len(target.checked)))
    arguments = {variable.name: variable.tensor for variable in target.inputs}

    def compare_with_numeric(i: int, got: Tensor) -> NumericComparison:
        real = Function(forward, values[i], values)
        analytic = Function(complex_forward, complexes[i], complexes)
        return compare(got, real, analytic, dy, most, generator)

    def is_right(i: int, got: Tensor) -> bool:
        return compare_with_numeric(i, got).ok

    rows: list[GradientRow] = []
    sentences: list[str] = []
    places = [i for i, variable in enumerate(target.variables) if variable.checked]
    for variable, i, got in zip(target.checked, places, gradients, strict=True):
        if sentence := unusable(variable, got, y.dtype, partial(is_right, i)):
            rows.append(GradientRow(variable.name, ok=False, size=variable.tensor.numel()))
            sentences.append(f"{sentence}.")
        elif got.numel() == 0:
            rows.append(GradientRow(variable.name, ok=True))
        else:
            comparison = compare_with_numeric(i, got)
            rows.append(row_of(variable.name, got.shape, comparison))
            if not comparison.ok:
                sentences.append(f"{comparison.sentence(variable.gradient, got, arguments)}.")
    if not sentences:
        names, sentence = layout_mistake(target, y, generator)
        sentences += [sentence] if sentence else []
        rows = [
            replace(row, ok=False, error=None, where=None, got=None, expected=None)
            if row.name in names
            else row
            for row in rows
        ]
    return rows, sentences


def check_count(target: Target, gradients: list) -> None:
    """Raise ProblemError if backward gave too many or too few gradients."""
    if len(gradients) == len(target.checked):
        return
    n = len(gradients) - sum(variable.checked for variable in target.held)
    names = [variable.gradient for variable in target.inputs if variable.checked]
    of_inputs = "of the inputs " if target.held else ""
    raise ProblemError(
        f"backward gave {n} gradient{'s' * (n != 1)} {of_inputs}but should give {len(names)}, "
        f"in this order: {', '.join(names)}."
    )


def unusable(
    variable: Variable, got: object, dtype: torch.dtype, fits: Callable[[Tensor], bool]
) -> str:
    """Return why `got` cannot be a gradient of the variable, or "". dtype: that of y."""
    like, name = torch.empty_like(variable.tensor, dtype=dtype), variable.gradient
    if sentence := wrong_kind(got, like, name):
        return sentence
    assert isinstance(got, Tensor)
    return wrong_shape(got, like, name, fits) or not_finite(got, name)


def row_of(name: str, shape: torch.Size, comparison: NumericComparison) -> GradientRow:
    """Return the row of a gradient of this shape."""
    c = comparison
    row = GradientRow(
        name,
        ok=c.ok,
        method=c.method,
        step=c.step,
        size=shape.numel(),
        checked=len(c.places),
        kinks=int(c.kink.sum()),
        uncertainty=c.uncertainty if c.uncertainty > 1e-6 * c.scale else None,
    )
    if c.direction and not c.wrong.any():
        got, expected = c.direction
        return replace(
            row, error=abs(got - expected) / (abs(expected) or 1.0), got=got, expected=expected
        )
    if c.kink.all():
        return row
    worst = int(c.error.where(~c.kink, -1.0).argmax())
    largest = c.scale or float(c.got.abs().max()) or 1.0
    return replace(
        row,
        error=float(c.error[worst]) / largest,
        where=tuple(int(i) for i in torch.unravel_index(c.places[worst], shape)),
        got=float(c.got[worst]),
        expected=float(c.expected[worst]),
    )
