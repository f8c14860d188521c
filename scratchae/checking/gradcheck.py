"""gradcheck: is a backward pass the derivative of its forward pass? Asked of values of f alone.

With a random upstream gradient dy (never ones: they hide a BatchNorm whose dx is zero) the loss
is L = ⟨dy, f(x)⟩, and the elements of every gradient are compared with numeric derivatives of L in
float64 (differences.py): by the complex step where f takes complex numbers and a random
direction agrees with central differences, else by central differences. What is right by then is
asked once more, with dy lying in memory in other ways (memory.py). A forward pass that draws random
numbers is given the same ones each time (randomness.py).

Never a false alarm: an element is wrong only if the whole ladder of steps says so, by ten times
its own estimate of its error. All is done on copies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from scratchae.checking.analytic import analytic_pass, same, unusable
from scratchae.checking.deviation import describe
from scratchae.checking.differences import Complex
from scratchae.checking.layout_check import mind_of_layout
from scratchae.checking.numeric_compare import Finding, Function, compare
from scratchae.checking.result import GradcheckResult, GradientRow
from scratchae.checking.target import ProblemError, Subject

MOST = 300  # elements of one tensor that are compared,
MOST_IN_ALL = 450  # and of all tensors together, but at least
LEAST = 20  # of each


def gradcheck(
    target: Any, *inputs: Any, backward: Callable | None = None, seed: int = 0
) -> GradcheckResult:
    """Check the gradients of `target` at these inputs: a layer, a model, a loss, or a function.

    A layer or model has forward(*inputs) and backward(dy), which gives the gradients of the inputs
    and adds to its parameters' `.grad`; a loss has backward() without dy, and gives the gradient of
    its first input. A function comes with `backward`, called as backward(dy, *inputs), which gives
    one gradient for each floating-point input, in order. inputs: tensors of any layout and dtype
    (checked in float64), and whatever else forward takes. seed: of dy and of the samples.

    Large tensors are sampled, and compared along a random direction as a whole. The result is
    true when all is well. Raises ScratchaeError where there is nothing that could be checked.

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
    subject = Subject(target, inputs, backward)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad(), torch.random.fork_rng():
        try:
            rows, sentences = check(subject, generator)
        except ProblemError as problem:
            rows, sentences = [], [str(problem)]
        finally:
            subject.start()  # the caller's generators are where they were
    return GradcheckResult(subject.title, rows, " ".join(sentences[:3]))


def check(subject: Subject, generator: torch.Generator) -> tuple[list[GradientRow], list[str]]:
    """The rows, and a sentence for every wrong one."""
    checked = [slot for slot in subject.slots if slot.checked]
    y, dy, gradients = analytic_pass(subject, generator)
    if len(gradients) != len(checked):
        more = len(subject.held) and "of the inputs "
        n = len(gradients) - sum(s.checked for s in subject.held)
        wanted = [s.name for s in subject.inputs if s.checked]
        raise ProblemError(
            f"backward gave {n} gradient{'s' * (n != 1)} {more or ''}but should give {len(wanted)}, "
            f"in this order: {', '.join('d' + name for name in wanted)}."
        )
    points = [s.tensor.double().clone(memory_format=torch.contiguous_format) for s in subject.slots]
    forward, _ = subject.bind(points)
    if not same(forward(), y):
        raise ProblemError(
            "forward gives another result for contiguous copies of the same numbers: it must not "
            "depend on how they lie in memory."
        )
    complexes = [point.to(torch.complex128) for point in points]
    complex_forward, _ = subject.bind([point.as_subclass(Complex) for point in complexes])
    most = max(LEAST, min(MOST, MOST_IN_ALL // len(checked)))
    rows, sentences = [], []
    places = [i for i, slot in enumerate(subject.slots) if slot.checked]
    for slot, i, got in zip(checked, places, gradients, strict=True):
        if sentence := unusable(slot, got, y.dtype):
            rows.append(GradientRow(slot.name, ok=False, size=slot.tensor.numel()))
            sentences.append(sentence)
        elif got.numel() == 0:
            rows.append(GradientRow(slot.name, ok=True))
        else:
            real = Function(forward, points[i], points)
            analytic = Function(complex_forward, complexes[i], complexes)
            finding = compare(got, real, analytic, dy, most, generator)
            rows.append(row_of(slot.name, got.shape, finding))
            if not rows[-1].ok:
                batch = next((s.tensor.shape[0] for s in subject.inputs if s.tensor.ndim), 1)
                sentences.append(describe(slot.gradient, finding, got.shape, batch))
    if not sentences:
        names, sentence = mind_of_layout(subject, y, generator)
        sentences += [sentence] if sentence else []
        blank = dict.fromkeys(("error", "where", "got", "expected"))
        rows = [replace(r, ok=False, **blank) if r.name in names else r for r in rows]
    return rows, sentences


def row_of(name: str, shape: torch.Size, finding: Finding) -> GradientRow:
    """The row of a gradient of this shape."""
    f, size = finding, shape.numel()
    largest = f.scale or float(f.got.abs().max()) or 1.0
    worst = int(f.error.where(~f.kink, -1.0).argmax())
    where = tuple(int(i) for i in torch.unravel_index(f.places[worst], shape))
    row = GradientRow(
        name,
        ok=not f.wrong.any() and f.direction is None,
        error=float(f.error[worst]) / largest,
        where=where,
        got=float(f.got[worst]),
        expected=float(f.expected[worst]),
        method=f.method,
        step=f.step,
        size=size,
        checked=len(f.places),
        kinks=int(f.kink.sum()),
        uncertainty=f.blunt if f.blunt > 1e-6 * f.scale else None,
    )
    if f.kink.all():
        row = replace(row, error=None, where=None, got=None, expected=None)
    if f.direction and not f.wrong.any():
        got, expected = f.direction
        error = abs(got - expected) / (abs(expected) or 1.0)
        row = replace(row, error=error, where=None, got=got, expected=expected)
    return row
