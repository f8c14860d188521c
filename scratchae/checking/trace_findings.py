"""Findings in a trace: where two models differ, dead units, vanishing gradients."""

from __future__ import annotations

import math

import pandas as pd
import torch
from torch import Tensor

from scratchae.errors import ScratchaeError

MANY_DEAD = 0.7  # a larger share gives a warning; in many new networks half of the units are dead
FACTOR = 1000.0  # the factor by which a spread may change from one end of the model to the other


def differences(ours: list[Tensor], theirs: list[Tensor]) -> list[float]:
    """Return |ours - theirs| / |theirs| of every layer; NaN equals NaN; infinity for another shape."""
    if len(ours) != len(theirs):
        raise ScratchaeError(
            f"trace compares layer by layer, so both models need the same number of layers, but got "
            f"{len(ours)} and {len(theirs)}"
        )
    found = []
    for y, z in zip(ours, theirs, strict=True):
        if y.shape != z.shape or not torch.equal(y.isnan(), z.to(y.device).isnan()):
            found.append(math.inf)
            continue
        z = z.to(y.device).double().nan_to_num(0)
        apart = (y.double().nan_to_num(0) - z).norm().item()
        found.append(apart / norm if (norm := z.norm().item()) else math.inf if apart else 0.0)
    return found


def warnings_of(
    table: pd.DataFrame, outputs: list[Tensor], gradients: list[tuple[Tensor, Tensor]]
) -> list[str]:
    """Return warnings in the order of a forward pass. gradients: (dx, dy) of each layer."""
    said, names = [], list(table["name"])
    bad = [name for name, y in zip(names, outputs, strict=True) if not y.isfinite().all()]
    if bad:
        return [f"{bad[0]}: its output contains NaN or infinity: look here first"]
    for name, shape, dead in zip(names, table["shape"], table["dead"], strict=True):
        if dead == 1 or (dead >= MANY_DEAD and shape[0] >= 8):
            said.append(
                f"{name}: {round(dead * shape[1])} of {shape[1]} units are dead: lower the learning "
                "rate or look at the initialisation"
            )
    for name, (dx, dy) in zip(names, gradients, strict=True):
        if dy.any() and not dx.any():
            said.append(
                f"{name}: its dx is 0 everywhere: no layer before it can learn: look here first"
            )
    for column, what in [("spread", "activations"), ("dy_spread", "gradients")]:
        sizes = table[table[column] > 0].set_index("name")[column]
        ends = [sizes.idxmin(), sizes.idxmax()] if len(sizes) else []
        if ends and sizes.max() > FACTOR * sizes.min():
            first, last = sorted(ends, key=names.index)
            said.append(
                f"the standard deviation of the {what} is {sizes[first]:.1g} at {first} and "
                f"{sizes[last]:.1g} at {last}: look at the initialisation, or put BatchNorm layers "
                "between them"
            )
    return said
