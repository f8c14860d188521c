"""Layouts: a tensor can be stored in memory in many ways, and a layer must be correct for all.

The gradient that comes from the next layer is often a view: transposed, sliced or expanded.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.checking.target import Target, same_layout

LAYOUTS = ("plain", "strided", "permuted", "expanded", "channels_last")
DESCRIPTIONS = {
    "permuted": "whose axes are stored in another order, like a transposed one",
    "strided": "that is a slice of a larger tensor",
    "expanded": "that is expanded along an axis, like the gradient of a sum",
    "channels_last": "in channels_last",
}
EXACT = 1e-6  # of the largest element: the order of a sum may change a gradient by this much
TRUST = 1000  # times the effect of a change in the last digits of dy is also accepted


def random_tensor(shape: tuple[int, ...], layout: str, generator: torch.Generator) -> Tensor:
    """Draw standard normal float64 numbers of this shape, in the memory layout of that name.

    strided: every second element of a larger tensor, from an offset. permuted: the axes are stored in
    reverse order. expanded: one axis has stride 0.

    >>> random_tensor((2, 3), "strided", torch.Generator()).stride()
    (14, 2)
    """

    def normal(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=generator, dtype=torch.float64)

    if layout == "strided":
        return normal(*(2 * n + 1 for n in shape))[tuple(slice(1, None, 2) for _ in shape)]
    if layout == "permuted":
        return normal(*reversed(shape)).permute(tuple(reversed(range(len(shape)))))
    if layout == "expanded" and shape:
        axis = int(torch.randint(len(shape), (), generator=generator))
        return normal(*shape[:axis], 1, *shape[axis + 1 :]).expand(shape)
    if layout == "channels_last" and len(shape) == 4:
        return normal(*shape).to(memory_format=torch.channels_last)
    return normal(*shape)


def on(device: str, tensor: Tensor) -> Tensor:
    """Return a copy on the device, with the same strides."""
    if device == "cpu":
        return tensor
    base = torch.empty(0, dtype=tensor.dtype, device=device)
    base.set_(tensor.untyped_storage().to(device=device))
    return base.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())


def layout_mistake(target: Target, y: Tensor, generator: torch.Generator) -> tuple[list[str], str]:
    """Look for a dy that is not contiguous and for which backward fails or is wrong.

    Returns the names of the variables with wrong gradients and a sentence, or ([], ""). Assumes that
    the gradients are right for a contiguous dy. The new gradients may differ from them by rounding. To
    avoid false alarms, the size of the rounding errors is measured by changing the last digits of dy.
    """
    if target.is_loss:
        return [], ""
    for layout, description in DESCRIPTIONS.items():
        dy = on(str(y.device), random_tensor(tuple(y.shape), layout, generator))
        dy = same_layout(dy, y.dtype)
        if dy.is_contiguous():
            continue
        plain = dy.contiguous()
        noise = torch.randn(y.shape, generator=generator, dtype=torch.float64).to(dy)
        expected = gradients_for(target, plain)
        nearby = gradients_for(target, plain * (1 + 2 * torch.finfo(y.dtype).eps * noise))
        try:
            gradients = gradients_for(target, dy)
        except Exception as error:  # a learner's code may raise anything
            what = " ".join(str(error).split())
            return [variable.name for variable in target.checked], (
                f"backward fails for a dy {description} ({type(error).__name__}: {what}), but not "
                "for a contiguous copy of it: use reshape instead of view, or dy.contiguous()."
            )
        triples = zip(target.checked, gradients, expected, nearby, strict=True)
        wrong = [v for v, *gradient in triples if not equal_but_for_rounding(*gradient)]
        if wrong:
            return [variable.name for variable in wrong], (
                f"{wrong[0].gradient} is wrong for a dy {description}, but right for a contiguous "
                "copy of it: backward must not depend on how dy is stored in memory."
            )
    return [], ""


def gradients_for(target: Target, dy: Tensor) -> list[Tensor]:
    """Return the gradients for this dy, computed on copies of all other tensors."""
    forward, gradients = target.bind([same_layout(v.tensor) for v in target.variables])
    forward()
    return [gradient.clone() for gradient in gradients(dy)]


def equal_but_for_rounding(got: Tensor, right: Tensor, nearby: Tensor) -> bool:
    """Compare two gradients up to rounding. nearby: the one for a dy with other last digits."""
    if got.shape != right.shape or not right.numel():
        return got.shape == right.shape
    uncertainty = EXACT * float(right.abs().max()) + TRUST * float((nearby - right).abs().max())
    return float((got - right).abs().max()) <= uncertainty  # False for NaN
