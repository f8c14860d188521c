"""Random losses with random predictions and targets, each with its twin of torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor, nn
from torch.distributions import ContinuousBernoulli

from scratchae.checking.layouts import LAYOUTS, random_tensor
from scratchae.losses import (
    BCEWithLogitsLoss,
    ContinuousBernoulliLoss,
    CrossEntropyLoss,
    GaussianNLLLoss,
    Loss,
    MSELoss,
)

REDUCTIONS = ("mean", "sum", "none", "batchmean")


@dataclass
class LossCase:
    """A loss, its inputs, and twin(prediction) -> the value by torch, for autograd."""

    loss: Loss
    prediction: Tensor
    target: Tensor
    twin: Callable[[Tensor], Tensor]


class Draw:
    """Random shapes and tensors of one case."""

    def __init__(self, seed: int) -> None:
        self.pick = Random(seed)
        self.generator = torch.Generator().manual_seed(seed)

    def shape(self, at_least: int = 1) -> tuple[int, ...]:
        axes = self.pick.randint(at_least, 4)
        return tuple(self.pick.choice((1, 2, 3, 5)) for _ in range(axes))

    def normal(self, *shape: int) -> Tensor:
        return random_tensor(shape, self.pick.choice(LAYOUTS), self.generator)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers from 0 to 1; about a third of them are 0 or 1."""
        return (self.normal(*shape) * 0.6 + 0.5).clamp(0, 1)

    def some(self, value: Callable[[], Tensor]) -> Tensor | None:
        return value() if self.pick.random() < 0.5 else None


def reduced(terms: Tensor, reduction: str) -> Tensor:
    """The reductions once more, as in torch's documentation."""
    ways = {"mean": Tensor.mean, "sum": Tensor.sum, "none": Tensor.clone}
    return terms.sum() / terms.shape[0] if reduction == "batchmean" else ways[reduction](terms)


def by_module(module: type, reduction: str, **arguments) -> Callable[..., Tensor]:
    """Call a loss of torch.nn, also with the reduction that only its KLDivLoss has."""
    own = "none" if reduction == "batchmean" else reduction
    made = module(reduction=own, **arguments)
    if reduction == "batchmean":
        return lambda *given: reduced(made(*given), reduction)
    return made


def mse(draw: Draw, reduction: str) -> LossCase:
    shape = draw.shape()
    target = draw.normal(*shape)
    twin = by_module(nn.MSELoss, reduction)
    return LossCase(MSELoss(reduction), draw.normal(*shape), target, lambda p: twin(p, target))


def bce(draw: Draw, reduction: str) -> LossCase:
    shape = draw.shape()
    broadcast = tuple(draw.pick.choice((1, n)) for n in shape[draw.pick.randint(0, len(shape)) :])
    weights = {
        "weight": draw.some(lambda: draw.normal(*shape[:1], *[1] * (len(shape) - 1)).abs()),
        "pos_weight": draw.some(lambda: draw.normal(*broadcast).abs() * 3),
    }
    target = draw.uniform(*shape)
    twin = by_module(nn.BCEWithLogitsLoss, reduction, **weights)
    loss = BCEWithLogitsLoss(reduction=reduction, **weights)
    return LossCase(loss, 4 * draw.normal(*shape), target, lambda p: twin(p, target))


def gaussian(draw: Draw, reduction: str) -> LossCase:
    shape = draw.shape()
    loss, target = GaussianNLLLoss(reduction).to(torch.float64), draw.normal(*shape)
    loss.log_sigma.fill_(draw.pick.uniform(-3, 3))
    twin = by_module(nn.GaussianNLLLoss, reduction, full=True, eps=1e-300)

    def by_torch(prediction: Tensor, log_sigma: Tensor = loss.log_sigma) -> Tensor:
        return twin(prediction, target, (2 * log_sigma).exp().expand(shape))

    return LossCase(loss, draw.normal(*shape), target, by_torch)


def continuous_bernoulli(draw: Draw, reduction: str) -> LossCase:
    shape = draw.shape()
    target = draw.uniform(*shape)
    size = draw.pick.choice((0.01, 0.5, 4.0))  # 0.01: torch uses its own series there

    def by_torch(prediction: Tensor) -> Tensor:
        return reduced(-ContinuousBernoulli(logits=prediction).log_prob(target), reduction)

    prediction = size * draw.normal(*shape)
    return LossCase(ContinuousBernoulliLoss(reduction), prediction, target, by_torch)


def cross_entropy(draw: Draw, reduction: str) -> LossCase:
    N, *rest = draw.shape()
    C, single = draw.pick.choice((2, 3, 7)), not rest and draw.pick.random() < 0.3
    shape = (C,) if single else (N, C, *rest)
    arguments = {
        "weight": draw.some(lambda: draw.normal(C).abs() + 0.1),
        "label_smoothing": draw.pick.choice((0.0, 0.1, 1.0)),
    }
    if draw.pick.random() < 0.4:
        target = draw.normal(*shape).exp()
        target = target / target.sum(0 if single else 1, keepdim=True)
    else:
        target = torch.randint(C, () if single else (N, *rest), generator=draw.generator)
        if draw.pick.random() < 0.5:
            arguments["ignore_index"] = ignored = draw.pick.choice((-100, 1, -1))
            if ignored < 0 and not single:
                target[draw.normal(N, *rest) > 1] = ignored
                target.view(-1)[0] = 0  # so that one counts: else torch's mean is NaN
            else:
                target = target.where(target != ignored, 0)
    loss, own = CrossEntropyLoss(reduction=reduction, **arguments), arguments
    if reduction == "batchmean":
        terms = nn.CrossEntropyLoss(reduction="none", **own)
        N = 1 if single else N
        twin = lambda p: terms(p, target).sum() / N  # noqa: E731
    else:
        module = nn.CrossEntropyLoss(reduction=reduction, **own)
        twin = lambda p: module(p, target)  # noqa: E731
    return LossCase(loss, 3 * draw.normal(*shape), target, twin)


CASES = {
    "MSELoss": mse,
    "BCEWithLogitsLoss": bce,
    "GaussianNLLLoss": gaussian,
    "ContinuousBernoulliLoss": continuous_bernoulli,
    "CrossEntropyLoss": cross_entropy,
}
