"""Gaussian likelihood: the negative log-likelihood of pixels around the prediction, with one learned σ.

A pixel t is drawn from a normal distribution with the mean p, the prediction. All pixels share one standard
deviation σ. Its logarithm s = log σ is learned, so that σ is always positive. With e = (t − p) / σ,

    ℓ = −log p(t) = 1/2 e² + s + 1/2 log 2π

Backward: e = (t − p) e^(−s), so ∂e/∂p = −1/σ and ∂e/∂s = −e. Hence

    ∂ℓ/∂p = −e / σ = (p − t) / σ²        ∂ℓ/∂s = 1 − e²

Every pixel uses s, so ds is the sum of ∂ℓ/∂s over all pixels, each with the weight of its term. It is 0 if
the mean of e² is 1, that is, if σ² is the mean squared error. So s learns how the reconstruction has to be
weighted against other terms of the loss, such as a KL divergence. This works only if the terms s and
1/2 log 2π are kept: with a fixed σ = 1 the loss would be half the squared error, plus a constant.

ℓ is the logarithm of a density, so it may be negative, and it depends on the unit of t: on [-1, 1] it is log 2
larger for every pixel than on [0, 1] (543.4 for 784 pixels). Source: Rybkin, Daniilidis and Levine 2021
(σ-VAE).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from scratchae.layers.base import Layer, accumulate, check_tensor, parameter
from scratchae.losses.base import Loss, reduce_terms, term_weight


def gaussian_nll_forward(prediction: Tensor, target: Tensor, log_sigma: Tensor) -> Tensor:
    """Return −log p(target) of every element, in the shape of prediction. log_sigma has shape ().

    >>> given = torch.tensor([3.0]), torch.tensor([1.0]), torch.tensor(0.0)
    >>> round(gaussian_nll_forward(*given).item(), 4)  # 2 + log(2π) / 2
    2.9189
    """
    error = (target - prediction) * torch.exp(-log_sigma)
    return error.square() / 2 + log_sigma + math.log(2 * math.pi) / 2


def gaussian_nll_backward(
    prediction: Tensor, target: Tensor, log_sigma: Tensor
) -> tuple[Tensor, Tensor]:
    """Return (dprediction, dlog_sigma): the derivatives of every term, both in the shape of prediction.

    The gradient of log_sigma is the sum of the second over all elements.

    >>> given = torch.tensor([3.0]), torch.tensor([1.0]), torch.tensor(0.0)
    >>> [derivative.item() for derivative in gaussian_nll_backward(*given)]
    [2.0, -3.0]
    """
    error = (target - prediction) * torch.exp(-log_sigma)
    return -error * torch.exp(-log_sigma), 1 - error.square()


class GaussianNLLLoss(Loss, Layer):  # type: ignore[misc]  # a loss is called with two tensors
    """The negative log-likelihood of a normal distribution with the learned parameter `log_sigma`, shape ().

    It is a layer too, because it has a parameter: an optimiser trains it with those of the model.
    `backward` adds to `log_sigma.grad`. log_sigma starts at 0, so σ at 1. reduction: "batchmean" is the
    default, since the loss is meant for an ELBO: a sum over pixels and a mean over images.
    torch.nn.GaussianNLLLoss has no parameter. It computes the same with full=True and var=σ².

    >>> loss = GaussianNLLLoss()
    >>> round(loss(torch.zeros(2, 784), torch.ones(2, 784)).item(), 1)  # 784 (1 + log 2π) / 2
    1112.4
    >>> loss.backward()[0, 0].item(), loss.log_sigma.grad.item()  # −1 / 2, and 0: σ² is the mean of (p − t)²
    (-0.5, 0.0)
    """

    parameter_names = ("log_sigma",)

    def __init__(self, reduction: str = "batchmean") -> None:
        Layer.__init__(self)
        Loss.__init__(self, reduction)
        self.log_sigma = parameter(torch.zeros(()))

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:  # type: ignore[override]
        self.check(prediction, target)
        check_tensor(self, prediction, self.log_sigma.dtype, self.log_sigma.device)
        terms = gaussian_nll_forward(prediction, target, self.log_sigma)
        return self.remember(reduce_terms(terms, self.reduction), prediction, target)

    def backward(self) -> Tensor:  # type: ignore[override]
        prediction, target = self.recall()
        dprediction, dlog_sigma = gaussian_nll_backward(prediction, target, self.log_sigma)
        weight = term_weight(prediction, self.reduction)
        accumulate(self.log_sigma, dlog_sigma.sum() * weight)
        return dprediction * weight
