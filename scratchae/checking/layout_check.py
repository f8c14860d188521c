"""Whether backward minds how dy lies in memory: what comes from later layers is often a view."""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.checking.layouts import on, random_tensor
from scratchae.checking.target import Subject, same_layout

KINDS = {
    "permuted": "whose axes lie in another order, as a transposed one",
    "strided": "that is a slice of a larger tensor",
    "expanded": "that is expanded along an axis, as the gradient of a sum",
    "channels_last": "in channels_last",
}
EXACT = 1e-6  # share of the largest element by which the order of a sum may change a gradient
TRUST = 1000  # times what the last digits of dy do


def mind_of_layout(
    subject: Subject, y: Tensor, generator: torch.Generator
) -> tuple[list[str], str]:
    """Where backward fails, or gives other gradients, for a dy that is not contiguous.

    The names of the tensors concerned, and a sentence; or nothing. What is right for a contiguous
    dy is taken as known. Never a false alarm: gradients may differ by what rounding does, found by
    moving the last digits of dy.
    """
    if subject.is_loss:
        return [], ""
    checked = [slot for slot in subject.slots if slot.checked]
    for layout, kind in KINDS.items():
        dy = on(str(y.device), random_tensor(tuple(y.shape), layout, generator))
        dy = same_layout(dy, y.dtype)
        if dy.is_contiguous():
            continue
        plain = dy.contiguous()
        wiggle = torch.randn(y.shape, generator=generator, dtype=torch.float64).to(dy)
        expected = gradients_at(subject, plain)
        nearby = gradients_at(subject, plain * (1 + 2 * torch.finfo(y.dtype).eps * wiggle))
        try:
            gradients = gradients_at(subject, dy)
        except Exception as error:  # whatever code raises on memory that it was not written for
            what = " ".join(str(error).split())
            return [slot.name for slot in checked], (
                f"backward fails for a dy {kind} ({type(error).__name__}: {what}), where a contiguous "
                "copy of it goes: use reshape in place of view, or dy.contiguous()."
            )
        triples = zip(gradients, expected, nearby, strict=True)
        wrong = [s for s, three in zip(checked, triples, strict=True) if not alike(*three)]
        if wrong:
            return [slot.name for slot in wrong], (
                f"{wrong[0].gradient} is wrong for a dy {kind}, though right for a contiguous copy of "
                "it: backward must not depend on how dy lies in memory."
            )
    return [], ""


def gradients_at(subject: Subject, dy: Tensor) -> list[Tensor]:
    """The gradients for this dy, from copies of everything else."""
    forward, gradients = subject.bind([same_layout(slot.tensor) for slot in subject.slots])
    forward()
    return [gradient.clone() for gradient in gradients(dy)]


def alike(got: Tensor, right: Tensor, near: Tensor) -> bool:
    """Equal but for rounding; near: the gradient for a dy with other last digits."""
    if got.shape != right.shape or not right.numel():
        return got.shape == right.shape
    unsure = EXACT * float(right.abs().max()) + TRUST * float((near - right).abs().max())
    return float((got - right).abs().max()) <= unsure  # false for NaN
