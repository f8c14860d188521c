"""The continuous Bernoulli distribution: a likelihood for grey pixels, which lie between 0 and 1.

BCE is the likelihood of a pixel that is 0 or 1. For grey pixels λ^x (1 − λ)^(1−x) is no density: its integral
over x from 0 to 1 is not 1. The continuous Bernoulli multiplies it with the normaliser C(λ), which makes
it 1. In the logit z, with λ = σ(z) = eᶻ / (1 + eᶻ),

    λ^x (1 − λ)^(1−x) = e^(z x) / (1 + eᶻ)        ∫ e^(z x) dx = (eᶻ − 1) / z

    C = z (eᶻ + 1) / (eᶻ − 1) = z / tanh(z / 2)   p(x) = z e^(z x) / (eᶻ − 1)

So this is an exponential distribution that is cut off at 0 and 1. The negative log-likelihood of a pixel is
BCE − log C, and the parts with 1 + eᶻ cancel:

    ℓ = A(z) − z x        A(z) = log((eᶻ − 1) / z)

Backward: the derivative of A is the mean of the distribution, m(z), as for every density e^(z x − A(z)):

    dz = m(z) − x         m(z) = 1 / (1 − e⁻ᶻ) − 1 / z

This is the gradient of BCE with m in the place of σ. The expected pixel is m(z), not σ(z).

Stable forms: eᶻ overflows for large z. (eᶻ − 1) / z = eᶻ (1 − e⁻ᶻ) / z, so with the positive a = |z|

    A(z) = max(z, 0) + log((1 − e⁻ᵃ) / a)

where 1 − e⁻ᵃ = −expm1(−a). At z = 0, λ = 1/2, the quotient is 0 / 0, and near 0 the logarithm of nearly 1
loses digits. There the two parts of m cancel too: both are near 1/z, but their difference is 1/2. So for
|z| < 1/2 m is the Taylor series, with the Bernoulli numbers B, and A is its integral:

    m(z) = 1/2 + z/12 − z³/720 + z⁵/30240 − ... = 1/2 + Σₖ B₂ₖ z^(2k−1) / (2k)!
    A(z) = z/2 + z²/24 − z⁴/2880 + ...          = z/2 + Σₖ B₂ₖ z^(2k) / (2k (2k)!)

Each term is less than (z / 2π)² < 1/157 times the term before it; seven terms give 17 exact digits.
Source: Loaiza-Ganem and Cunningham 2019.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from scratchae.losses.base import Loss, reduce_terms, term_weight

SERIES = (  # B₂ₖ / (2k)! for k = 1, 2, ...
    *(1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160),
    *(-691 / 1307674368000, 1 / 74724249600),
)
INTEGRAL = tuple(c / (2 * k) for k, c in enumerate(SERIES, start=1))  # B₂ₖ / (2k (2k)!)
NEAR = 0.5  # |z| below this uses the series


def continuous_bernoulli_forward(logits: Tensor, target: Tensor) -> Tensor:
    """Return −log p(target) of every element, in the shape of logits.

    >>> continuous_bernoulli_forward(torch.tensor([0.0, 1e4]), torch.tensor([0.3, 0.0])).tolist()
    [0.0, 9990.7900390625]
    """
    near = logits.abs() < NEAR
    square = torch.where(near, logits, 0.0).square()
    a = torch.where(near, NEAR, logits.abs())
    far = logits.clamp(min=0) - logits * target + torch.log(-torch.expm1(-a) / a)
    return torch.where(near, logits * (0.5 - target) + square * horner(INTEGRAL, square), far)


def continuous_bernoulli_backward(logits: Tensor, target: Tensor) -> Tensor:
    """Return the derivative of every term with respect to its logit, in the shape of logits.

    >>> continuous_bernoulli_backward(torch.tensor([0.0, 1e4]), torch.tensor([0.25, 0.0])).tolist()
    [0.25, 0.9998999834060669]
    """
    return continuous_bernoulli_mean(logits) - target


def continuous_bernoulli_mean(logits: Tensor) -> Tensor:
    """Return the mean m of the distribution of every element, in the shape of logits.

    >>> [round(mean, 4) for mean in continuous_bernoulli_mean(torch.tensor([0.0, -10.0])).tolist()]
    [0.5, 0.1]
    """
    near = logits.abs() < NEAR
    series = horner(SERIES, torch.where(near, logits, 0.0).square())
    z = torch.where(near, NEAR, logits)
    return torch.where(near, 0.5 + logits * series, -1 / torch.expm1(-z) - 1 / z)


def horner(coefficients: Sequence[float], x: Tensor) -> Tensor:
    """Return c₀ + c₁ x + c₂ x² + ... by Horner's scheme.

    >>> horner([1.0, 2.0, 3.0], torch.tensor(10.0)).item()
    321.0
    """
    total = torch.zeros_like(x)
    for coefficient in reversed(coefficients):
        total = total * x + coefficient
    return total


class ContinuousBernoulliLoss(Loss):
    """The negative log-likelihood of targets in [0, 1] under the continuous Bernoulli distribution.

    The prediction is the logit. reduction: "batchmean" is the default, since the loss is meant for an ELBO:
    a sum over pixels and a mean over images. The numbers cannot be compared with those of BCE: this is the
    logarithm of a density, and it is usually negative.

    >>> loss = ContinuousBernoulliLoss()
    >>> round(loss(torch.full((2, 784), 5.0), torch.ones(2, 784)).item(), 1)
    -1267.1
    >>> loss.expected(torch.tensor([0.0])).item()
    0.5
    """

    target_range = (0.0, 1.0)

    def __init__(self, reduction: str = "batchmean") -> None:
        super().__init__(reduction)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        self.check(prediction, target)
        terms = continuous_bernoulli_forward(prediction, target)
        return self.remember(reduce_terms(terms, self.reduction), prediction, target)

    def backward(self) -> Tensor:
        logits, target = self.recall()
        weight = term_weight(logits, self.reduction)
        return continuous_bernoulli_backward(logits, target) * weight

    def expected(self, prediction: Tensor) -> Tensor:
        """Return the mean of the distribution. It is closer to 1/2 than σ(logits)."""
        return continuous_bernoulli_mean(prediction)
