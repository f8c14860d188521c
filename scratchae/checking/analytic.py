"""The analytic gradients, which backward computes, and the problems found before numbers are compared."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from scratchae.checking.target import ProblemError, Target, Variable, is_real, same_layout


class RandomnessRecorder(TorchDispatchMode):
    """Notice every operator that draws random numbers while the recorder is active.

    seen: whether any operator did. drawn: a list that receives (generator, its state before) for every
    draw from a torch.Generator, so that the same numbers can be drawn again.

    >>> generator, drawn = torch.Generator().manual_seed(3), []
    >>> with RandomnessRecorder(drawn) as recorder:
    ...     first = torch.rand(2, generator=generator)
    >>> state = generator.set_state(drawn[0][1])
    >>> recorder.seen, torch.equal(torch.rand(2, generator=generator), first)
    (True, True)
    """

    def __init__(self, drawn: list[tuple[torch.Generator, Tensor]]) -> None:
        super().__init__()
        self.seen, self.drawn = False, drawn

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        values = (*args, *(kwargs or {}).values())
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.seen = True
            self.drawn += [(g, g.get_state()) for g in values if isinstance(g, torch.Generator)]
        return func(*args, **(kwargs or {}))


def analytic_gradients(target: Target, generator: torch.Generator) -> tuple[Tensor, Tensor, list]:
    """Return y, a random dy, and the gradients that backward gave.

    Everything is computed on copies with the memory layout of the caller's tensors. Raises ProblemError if
    forward or backward cannot be checked.
    """
    for target.from_start in (False, True):
        values = [same_layout(variable.tensor) for variable in target.variables]
        before = [value.clone() for value in values]
        kept = list(zip(target.variables, values, before, strict=True))
        forward, gradients = target.bind(values)
        with RandomnessRecorder(target.drawn) as recorder:
            first = checked_output(forward()).clone()
        second = checked_output(forward())
        forbid_changes("forward", target, kept)
        if same(first, second) and (target.from_start or not recorder.seen):
            break
    else:
        raise ProblemError(
            "forward gives another result if it is called again with the same input: draw its "
            "random numbers from a torch.Generator that the layer holds, or pass them as an "
            "argument."
        )
    if target.is_loss and first.numel() != 1:
        raise ProblemError(
            f"the loss has shape {tuple(first.shape)}, but it must be one number, shape (): "
            "average or sum it."
        )
    dy = torch.randn(first.shape, generator=generator, dtype=torch.float64).to(first.device)
    dy = torch.ones_like(dy) if target.is_loss else dy
    if target.shape is not None:
        dy[-1] = 1.0  # the penalties are a part of the loss
    passed = dy.to(first.dtype)
    got = [g.clone() if isinstance(g, Tensor) else g for g in gradients(passed)]
    forbid_changes("backward", target, kept)
    if not torch.equal(passed, dy.to(first.dtype)):
        raise ProblemError(
            "backward changes its dy in place, but the caller may still need it: work on a copy of it."
        )
    return first, dy, got


def checked_output(y: object) -> Tensor:
    """Return y if it is a finite floating-point tensor; else raise ProblemError."""
    if not is_real(y):
        kind = f"{y.dtype} numbers" if isinstance(y, Tensor) else f"a {type(y).__name__}"
        raise ProblemError(
            f"forward gave {kind}, but gradcheck needs one floating-point tensor: wrap it, as in "
            "lambda x: forward(x)[0]."
        )
    if bad := int((~y.isfinite()).sum()):
        raise ProblemError(
            f"forward gave NaN or infinity in {bad} of {y.numel()} elements: look for a division by 0, "
            "or try smaller inputs."
        )
    return y


def forbid_changes(who: str, target: Target, kept: list[tuple[Variable, Tensor, Tensor]]) -> None:
    """Raise ProblemError if an input or a parameter has changed. kept: (variable, now, before)."""
    for variable, now, before in kept:
        if (variable.checked or variable in target.inputs) and not torch.equal(now, before):
            raise ProblemError(f"{who} changes {variable.name} in place: work on a copy of it.")


def same(a: Tensor, b: Tensor) -> bool:
    """Return whether a and b are equal up to rounding, with a generous tolerance."""
    if a.shape != b.shape:
        return False
    return bool(((a - b).abs() <= 1e-3 * a.abs().max().clamp(min=1)).all() if a.numel() else True)
