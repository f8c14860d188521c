"""gradcheck: is a backward pass the derivative of its forward pass? Asked of values of f alone.

With a random upstream gradient dy (never ones: they hide a BatchNorm whose dx is zero) the loss
is L = ⟨dy, f(x)⟩, and the elements of every gradient are compared with numeric derivatives of L in
float64 (differences.py): by the complex step where f takes complex numbers and a random
direction agrees with central differences, else by central differences.

Never a false alarm: an element is wrong only if the whole ladder of steps says so, by ten times
its own estimate of its error. All is done on copies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from scratchae.checking.differences import Complex
from scratchae.checking.elements import Finding, Function, compare
from scratchae.checking.result import GradcheckResult, Row
from scratchae.checking.subject import ProblemError, Slot, Subject, is_real, same_layout

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
    return GradcheckResult(subject.title, rows, " ".join(sentences[:3]))


def check(subject: Subject, generator: torch.Generator) -> tuple[list[Row], list[str]]:
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
            rows.append(Row(slot.name, ok=False, size=slot.tensor.numel()))
            sentences.append(sentence)
        elif got.numel() == 0:
            rows.append(Row(slot.name, ok=True))
        else:
            real = Function(forward, points[i], points)
            analytic = Function(complex_forward, complexes[i], complexes)
            finding = compare(got, real, analytic, dy, most, generator)
            rows.append(row_of(slot.name, got.shape, finding))
            if not rows[-1].ok:
                batch = next((s.tensor.shape[0] for s in subject.inputs if s.tensor.ndim), 1)
                sentences.append(_diagnosis(slot.gradient, finding, got.shape, batch))
    return rows, sentences


def row_of(name: str, shape: torch.Size, finding: Finding) -> Row:
    """The row of a gradient of this shape."""
    f, size = finding, shape.numel()
    largest = f.scale or float(f.got.abs().max()) or 1.0
    worst = int(f.error.where(~f.kink, -1.0).argmax())
    where = tuple(int(i) for i in torch.unravel_index(f.places[worst], shape))
    row = Row(
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
        blunt=f.blunt if f.blunt > 1e-6 * f.scale else None,
    )
    if f.kink.all():
        row = replace(row, error=None, where=None, got=None, expected=None)
    if f.direction and not f.wrong.any():
        got, expected = f.direction
        error = abs(got - expected) / (abs(expected) or 1.0)
        row = replace(row, error=error, where=None, got=got, expected=expected)
    return row


def _diagnosis(name: str, finding: Finding, shape: torch.Size, batch: int) -> str:
    """The most useful true thing about a wrong gradient, in one sentence."""
    f = finding
    got, expected = f.got[~f.kink], f.expected[~f.kink]
    if not f.wrong.any():
        return (
            f"{name} is wrong in elements that the sample does not hold: along a random direction "
            f"it comes to {f.direction[0]:.6g} instead of {f.direction[1]:.6g}."
        )
    if not got.any():
        return f"{name} is zero everywhere, but should not be."
    if float(expected.norm()) > 0:
        factor = float(got @ expected) / float(expected @ expected)
        if float((got - factor * expected).norm()) < 1e-5 * abs(factor) * float(expected.norm()):
            return f"{name} {_factor(factor, batch, shape.numel())}."
    if len(shape) == 2 and shape[0] == shape[1] and len(got) == shape.numel():
        turned = expected.reshape(shape).T.flatten()
        if float((got - turned).norm()) < 1e-5 * float(expected.norm()):
            return f"{name} is transposed."
    wrong, worst = f.wrong, int(f.error.argmax())
    where = [int(i) for i in torch.unravel_index(f.places[worst], shape)]
    if not f.got[wrong].any():
        return (
            f"{name} is zero in {int(wrong.sum())} elements where it should not be, as at {where}."
        )
    return (
        f"{name} is wrong in {int(wrong.sum())} of {len(got)} elements, most at {where}: "
        f"{f.got[worst]:.6g} instead of {f.expected[worst]:.6g}."
    )


def _factor(factor: float, batch: int, numel: int) -> str:
    """In words, how a gradient is off that is the right one times a factor."""
    if abs(factor + 1) < 1e-4:
        return "has the wrong sign"
    sign = "has the wrong sign and " if factor < 0 else ""
    size = abs(factor)
    of = ""
    for n, what in ((numel, "the number of its elements"), (batch, "the batch size")):
        if n > 1 and min(abs(size / n - 1), abs(size * n - 1)) < 1e-4:
            of = f", {what}"
    if size > 1:
        return f"{sign}is {size:.8g} times too large{of}"
    return f"{sign}is {1 / size:.8g} times too small{of}"


def analytic_pass(subject: Subject, generator: torch.Generator) -> tuple[Tensor, Tensor, list]:
    """y, dy, and the gradients as they were given, from copies that lie as the caller's tensors do."""
    for subject.fresh in (False, True):
        values = [same_layout(slot.tensor) for slot in subject.slots]
        kept = [(s, v, v.clone()) for s, v in zip(subject.slots, values, strict=True)]
        forward, gradients = subject.bind(values)
        first, second = usable(forward()).clone(), usable(forward())
        unchanged("forward", subject, kept)
        if same(first, second):
            break
    else:
        raise ProblemError(
            "forward gives another result when it is called again with the same input: draw its "
            "random numbers from a torch.Generator that it holds, or pass them in."
        )
    if subject.is_loss and first.numel() != 1:
        raise ProblemError(
            f"the loss has shape {tuple(first.shape)} where it should be one number, ()."
        )
    dy = torch.randn(first.shape, generator=generator, dtype=torch.float64).to(first.device)
    dy = torch.ones_like(dy) if subject.is_loss else dy
    passed = dy.to(first.dtype)
    got = [g.clone() if isinstance(g, Tensor) else g for g in gradients(passed)]
    unchanged("backward", subject, kept)
    if not torch.equal(passed, dy.to(first.dtype)):
        raise ProblemError("backward changes its dy in place, but the caller may need it still.")
    return first, dy, got


def usable(y: object) -> Tensor:
    """y, seen to be one finite floating-point tensor."""
    if not is_real(y):
        kind = f"{y.dtype} numbers" if isinstance(y, Tensor) else f"a {type(y).__name__}"
        raise ProblemError(
            f"forward gave {kind} where gradcheck wants one floating-point tensor: wrap it, as in "
            "lambda x: forward(x)[0]."
        )
    if bad := int((~y.isfinite()).sum()):
        raise ProblemError(f"forward gave {bad} of {y.numel()} numbers that are not finite.")
    return y


def unchanged(who: str, subject: Subject, kept: list[tuple[Slot, Tensor, Tensor]]) -> None:
    """A problem where an input or a parameter is no longer what it was."""
    for slot, value, before in kept:
        if (slot.checked or slot in subject.inputs) and not torch.equal(value, before):
            raise ProblemError(f"{who} changes {slot.name} in place: work on a copy of it.")


def unusable(slot: Slot, got: object, dtype: torch.dtype) -> str:
    """What makes this no gradient of that tensor, in one sentence, or nothing; dtype: that of y."""
    shape, name = tuple(slot.tensor.shape), slot.gradient
    if not isinstance(got, Tensor):
        kind = "None" if got is None else f"a {type(got).__name__}"
        return f"{name} is {kind} where it should be a tensor {shape}."
    if type(got) is not Tensor:
        return f"{name} is a {type(got).__name__} where it should be a plain torch.Tensor."
    if got.device != slot.tensor.device:
        return (
            f"{name} is on {got.device} where its tensor is on {slot.tensor.device}: make it there."
        )
    if tuple(got.shape) != shape:
        cure = ""
        if got.ndim == 2 and tuple(got.mT.shape) == shape:
            cure = ": transpose it"
        elif got.ndim > len(shape):
            cure = ": sum it over the axes along which it was used again"
        return f"{name} has shape {tuple(got.shape)} where it should have {shape}{cure}."
    if not got.is_floating_point():
        return f"{name} holds {got.dtype} numbers where it should hold floating-point ones."
    if got.dtype != dtype:
        return f"{name} holds {got.dtype} numbers where the output holds {dtype}: keep the dtype."
    if bad := int((~got.isfinite()).sum()):
        first = (~got.isfinite()).nonzero()[0].tolist()
        return (
            f"{name} has {bad} of {got.numel()} numbers that are not finite, the first at {first}."
        )
    return ""


def same(a: Tensor, b: Tensor) -> bool:
    """Equal but for rounding, of whatever size rounding may come to."""
    close = a.shape == b.shape and (a - b).abs() <= 1e-3 * a.abs().max().clamp(min=1)
    return bool(close if isinstance(close, bool) else close.all())
