"""BCE with logits: the negative log-likelihood of a Bernoulli variable, one for each pixel.

A pixel t is 1 with probability π and 0 otherwise. The network gives the logit z, and π = σ(z) with
σ(z) = 1 / (1 + e⁻ᶻ). The negative log-likelihood of a pixel is

    ℓ = −t log π − (1 − t) log(1 − π)

Here −log σ(z) = log(1 + e⁻ᶻ) = softplus(−z), and −log(1 − σ(z)) = −log σ(−z) = softplus(z). Since
softplus(z) = z + softplus(−z),

    ℓ = t softplus(−z) + (1 − t) softplus(z) = (1 − t) z + softplus(−z)

Stable form: e⁻ᶻ overflows if z is far below 0. So take the larger of the two exponents out of the
logarithm, log(e⁰ + e⁻ᶻ) = max(−z, 0) + log(1 + e^−|z|). No exponent is positive any more:

    softplus(−z) = max(−z, 0) + log1p(e^−|z|)

Backward: the derivative of softplus(−z) is −e⁻ᶻ / (1 + e⁻ᶻ) = −σ(−z) = σ(z) − 1, so

    dz = (1 − t) + σ(z) − 1 = σ(z) − t

`pos_weight` p counts the pixels that are 1 p times: ℓ = p t softplus(−z) + (1 − t) softplus(z). With
a = 1 + (p − 1) t, which is p t + (1 − t),

    ℓ = (1 − t) z + a softplus(−z)        dz = (1 − t) − a σ(−z)

t between 0 and 1, a grey pixel, is allowed: ℓ is then the cross-entropy. It is smallest at σ(z) = t, but not
0 there. If t is outside of [0, 1], ℓ has no lower bound: for t = −1 it is z + softplus(z), which falls for
ever as z goes to −∞.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.activations import sigmoid_forward
from scratchae.layers.base import check_tensor
from scratchae.losses.base import Loss, reduce_terms, term_weight


def bce_with_logits_forward(
    logits: Tensor, target: Tensor, pos_weight: Tensor | None = None
) -> Tensor:
    """Return −log p(target) of every element, in the shape of logits.

    pos_weight: broadcast against logits.

    >>> bce_with_logits_forward(torch.tensor([0.0, 1e4]), torch.tensor([1.0, 0.0])).tolist()  # log 2
    [0.6931471824645996, 10000.0]
    """
    softplus = (-logits).clamp(min=0) + torch.log1p(torch.exp(-logits.abs()))  # of −z
    if pos_weight is not None:
        softplus = softplus * (1 + (pos_weight - 1) * target)
    return (1 - target) * logits + softplus


def bce_with_logits_backward(
    logits: Tensor, target: Tensor, pos_weight: Tensor | None = None
) -> Tensor:
    """Return the derivative of every term with respect to its logit, in the shape of logits.

    >>> bce_with_logits_backward(torch.tensor([0.0, 1e4]), torch.tensor([1.0, 0.0])).tolist()
    [-0.5, 1.0]
    """
    if pos_weight is None:
        return sigmoid_forward(logits) - target
    return (1 - target) - (1 + (pos_weight - 1) * target) * sigmoid_forward(-logits)


class BCEWithLogitsLoss(Loss):
    """The binary cross-entropy of logits and targets in [0, 1], as torch.nn.BCEWithLogitsLoss.

    weight: a factor for every term, broadcast against the prediction. pos_weight: a factor for the part of
    the term with target 1, such as one number for each of the last axis. reduction: as in torch, and
    "batchmean" for an ELBO.

    >>> loss = BCEWithLogitsLoss(reduction="batchmean")
    >>> loss(torch.zeros(2, 784), torch.ones(2, 784)).item()  # 784 log 2
    543.427490234375
    >>> loss.backward()[0, 0].item()  # (1/2 − 1) / 2
    -0.25
    """

    target_range = (0.0, 1.0)

    def __init__(
        self,
        weight: Tensor | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(reduction)
        self.weight, self.pos_weight = weight, pos_weight

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        self.check(prediction, target)
        check_weight(self, "weight", prediction)
        check_weight(self, "pos_weight", prediction)
        terms = bce_with_logits_forward(prediction, target, self.pos_weight)
        if self.weight is not None:
            terms = terms * self.weight
        return self.remember(reduce_terms(terms, self.reduction), prediction, target)

    def backward(self) -> Tensor:
        logits, target = self.recall()
        dlogits = bce_with_logits_backward(logits, target, self.pos_weight)
        if self.weight is not None:
            dlogits = dlogits * self.weight
        return dlogits * term_weight(logits, self.reduction)

    def expected(self, prediction: Tensor) -> Tensor:
        """Return σ(logits), the probability that the pixel is 1."""
        return sigmoid_forward(prediction)


def check_weight(loss: Loss, name: str, prediction: Tensor) -> None:
    """Raise ScratchaeError if an optional weight of the loss cannot be multiplied with the prediction.

    >>> check_weight(BCEWithLogitsLoss(weight=torch.ones(2, 1)), "weight", torch.zeros(2, 784))
    """
    weight = getattr(loss, name)
    if weight is None:
        return
    who, shape = f"{type(loss).__name__}'s {name}", tuple(prediction.shape)
    check_tensor(who, weight, prediction.dtype, prediction.device)
    pairs = zip(reversed(weight.shape), reversed(shape), strict=False)
    if weight.ndim > len(shape) or any(n not in (1, size) for n, size in pairs):
        raise ScratchaeError(
            f"{who} has the shape {tuple(weight.shape)}, which cannot be broadcast to that of the "
            f"prediction, {shape}: give one number for each of the last axis, or the shape (N, 1, ...)"
        )
