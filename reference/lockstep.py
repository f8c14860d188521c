"""Lockstep: train a model and its torch.nn twin side by side and compare every tensor.

    python -m reference.lockstep fc --steps 200 --dtype float64

Both sides start from the same weights and see the same batches. Their tensors are compared in the
order of computation. The comparison names the first tensor that differs, because all later tensors
inherit the difference.

Differences are relative: the largest deviation divided by the largest element of the twin's tensor.
Some tensors contain only rounding errors, such as the gradient of a bias before a BatchNorm, which
is 0. So the scale is at least a thousandth of the largest tensor of its kind so far in the step.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from reference.recorded_steps import our_step, their_step
from reference.twins import MODELS, copy_weights, twin
from scratchae.layers import Sequential
from scratchae.models import build
from scratchae.optim import Adam

TOLERANCES = {
    torch.float64: {"activation": 1e-9, "loss": 1e-9, "gradient": 1e-9, "parameter": 1e-9},
    torch.float32: {"loss": 1e-4},  # rounding is 5e8 times larger, and training amplifies it
}


@dataclass
class Divergence:
    """The first tensor that differs."""

    step: int
    kind: str
    name: str
    difference: float
    tolerance: float

    def __str__(self) -> str:
        return (
            f"step {self.step}: {self.kind} {self.name} differs by {self.difference:.1e}, "
            f"more than {self.tolerance:.0e}"
        )


@dataclass
class Lockstep:
    """The result of a comparison. It is true if no tensor differs."""

    steps: int = 0
    first: Divergence | None = None
    largest: dict[str, tuple[float, str, int]] = field(default_factory=dict)
    losses: list[tuple[float, float]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return self.first is None

    def __str__(self) -> str:
        if self.first is not None:
            return f"the two differ: {self.first}"
        worst = ", ".join(
            f"{kind} {difference:.1e} ({name}, step {step})"
            for kind, (difference, name, step) in self.largest.items()
        )
        return f"{self.steps} steps in lockstep; largest relative differences: {worst}"


def lockstep(
    model: Sequential,
    module: nn.Module,
    optimizer: Callable,
    module_optimizer: Callable,
    batches: Iterable[Tensor],
    steps: int,
    tolerances: Mapping[str, float] | None = None,
) -> Lockstep:
    """Train both models for `steps` of `batches` (targets: the inputs) until a tensor differs.

    optimizer, module_optimizer: functions from parameters to an optimiser, such as `Adam` and
        `torch.optim.Adam`.
    tolerances: by kind ("activation", "loss", "gradient", "parameter"). A missing kind is not
        compared. The gradients of activations count as activations.
    """
    copy_weights(model, module)
    tolerances = tolerances or TOLERANCES[next(module.parameters()).dtype]
    ours, theirs = optimizer(model.parameters()), module_optimizer(module.parameters())
    result = Lockstep()
    for step, x in zip(range(1, steps + 1), batches, strict=False):
        mine, others = our_step(model, ours, x), their_step(module, theirs, x)
        scales: dict[str, float] = {}
        for (kind, name, a), (_, _, b) in zip(mine, others, strict=True):
            if kind == "loss":
                result.losses.append((a.item(), b.item()))
            if kind not in tolerances:
                continue
            scale = b.abs().max().item()
            scales[kind] = max(scale, scales.get(kind, 0))
            difference = (a - b).abs().max().item()
            difference = difference and difference / max(scale, 1e-3 * scales[kind])
            if not difference <= tolerances[kind]:  # true for NaN too
                result.first = Divergence(step, kind, name, difference, tolerances[kind])
                return result
            if difference >= result.largest.get(kind, (0.0, "", 0))[0]:
                result.largest[kind] = (difference, name, step)
        result.steps = step
    return result


def run(
    name: str,
    steps: int = 200,
    dtype: torch.dtype = torch.float64,
    batch: int = 64,
    seed: int = 0,
    device: str = "cpu",
    tolerances: Mapping[str, float] | None = None,
) -> Lockstep:
    """Compare a registered model with its twin, on random images and with Adam as in the record."""
    model = build(name, seed).to(device, dtype)
    module = (MODELS[name]().to(device, dtype)) if name in MODELS else twin(model)
    generator = torch.Generator().manual_seed(seed)
    pictures = (
        (torch.rand(batch, *model.input_shape, generator=generator, dtype=dtype) * 2 - 1).to(device)
        for _ in range(steps)
    )
    settings = {"lr": 1e-3, "weight_decay": 1e-5}
    return lockstep(
        model,
        module,
        lambda parameters: Adam(parameters, **settings),
        lambda parameters: torch.optim.Adam(parameters, **settings),
        pictures,
        steps,
        tolerances,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m reference.lockstep", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("model", help="a registered model, such as fc or conv")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float64")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    result = run(
        given.model, given.steps, getattr(torch, given.dtype), given.batch, given.seed, given.device
    )
    print(result)
    sys.exit(not result)


if __name__ == "__main__":
    main()
