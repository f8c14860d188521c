"""The gradients as backward gives them, and what may be wrong with them before numbers are compared."""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.checking.rng import Draws
from scratchae.checking.target import ProblemError, Slot, Subject, is_real, same_layout


def analytic_pass(subject: Subject, generator: torch.Generator) -> tuple[Tensor, Tensor, list]:
    """y, dy, and the gradients as they were given, from copies that lie as the caller's tensors do."""
    for subject.fresh in (False, True):
        values = [same_layout(slot.tensor) for slot in subject.slots]
        kept = [(s, v, v.clone()) for s, v in zip(subject.slots, values, strict=True)]
        forward, gradients = subject.bind(values)
        with Draws(subject.drawn) as draws:
            first = usable(forward()).clone()
        second = usable(forward())
        unchanged("forward", subject, kept)
        if same(first, second) and (subject.fresh or not draws.seen):
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
