"""Cross-entropy: how much probability the softmax of the logits gives to the right class.

C classes have the logits z (C numbers for each sample), and their probabilities are the softmax

    p_c = exp(z_c) / Σₖ exp(zₖ)

The target is a distribution q over the classes: q = 1 for the right class and 0 for the others. The loss of
a sample is

    ℓ = −Σ_c q_c log p_c        log p_c = z_c − log Σₖ exp(zₖ)

Stable form: exp(z) overflows. Softmax does not change if the same number is subtracted from all logits of a
sample. With the largest one, m, no exponent is positive: log p_c = z_c − m − log Σₖ exp(zₖ − m).

Backward: ∂ log p_c / ∂zⱼ = [c = j] − pⱼ. So with Q = Σ_c q_c

    dzⱼ = −Σ_c q_c ([c = j] − pⱼ) = Q pⱼ − qⱼ

For a distribution Q = 1, and the gradient is p − q, as for BCE, which is the case of two classes with
the logits (z, 0). All options of torch.nn.CrossEntropyLoss are other q:

    weight w            q_c becomes w_c q_c, so Q may be any number
    label smoothing ε   q becomes (1 − ε) q + ε / C, before the weights
    ignored samples     q = 0, so Q = 0: neither loss nor gradient
"""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.base import check_tensor, short
from scratchae.losses.base import Loss, reduce_terms, term_weight

IGNORED = -100  # torch's ignore_index; no class has this number


def log_softmax(logits: Tensor) -> Tensor:
    """Return log p for logits (N, C, ...); the classes are axis 1.

    >>> log_softmax(torch.tensor([[0.0, 0.0], [1e4, 0.0]])).exp().tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    shifted = logits - logits.amax(1, keepdim=True)
    return shifted - torch.log(torch.exp(shifted).sum(1, keepdim=True))


def cross_entropy_forward(logits: Tensor, target: Tensor) -> Tensor:
    """Return −Σ q log p of every sample, shape (N, ...), for logits and the distribution q (N, C, ...).

    >>> cross_entropy_forward(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]])).tolist()  # log 2
    [0.6931471824645996]
    """
    return -(target * log_softmax(logits)).sum(1)


def cross_entropy_backward(logits: Tensor, target: Tensor) -> Tensor:
    """Return the derivative of every sample's term with respect to its own logits (N, C, ...).

    >>> cross_entropy_backward(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]])).tolist()
    [[-0.5, 0.5]]
    """
    return target.sum(1, keepdim=True) * torch.exp(log_softmax(logits)) - target


def class_distribution(
    target: Tensor, like: Tensor, ignore_index: int = IGNORED
) -> tuple[Tensor, Tensor]:
    """Return q (N, C, ...) = 1 at the class target (N, ...), and (N, 1, ...), 1 for samples that count.

    like: logits (N, C, ...), which give C and the dtype. Raises ScratchaeError if there is no such class.

    >>> q, counts = class_distribution(torch.tensor([2, -100]), torch.zeros(2, 3))
    >>> q.tolist(), counts.tolist()
    ([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]], [[1.0], [0.0]])
    """
    counts = (target != ignore_index).unsqueeze(1)
    classes = torch.where(counts, target.long().unsqueeze(1), 0)
    try:
        q = torch.zeros_like(like).scatter(1, classes, 1.0)
    except (RuntimeError, IndexError) as error:
        raise ScratchaeError(
            f"CrossEntropyLoss got logits of {like.shape[1]} classes but targets from "
            f"{int(classes.min())} to {int(classes.max())}: count the classes from 0"
        ) from error
    return q * counts, counts.to(like.dtype)


class CrossEntropyLoss(Loss):
    """The cross-entropy of logits (N, C, ...) or (C,), as torch.nn.CrossEntropyLoss.

    The target is the number of the right class, an integer (N, ...) or (), or a distribution over the classes
    in the shape of the logits. weight: a factor (C,) for each class. ignore_index: samples of this class do
    not count. label_smoothing: the share of the target that is divided equally among all classes. With
    reduction "mean" and classes as targets, the sum is divided by the sum of the weights of the samples that
    count. (If none counts, the loss is NaN, as in torch.)

    >>> loss = CrossEntropyLoss()
    >>> round(loss(torch.zeros(2, 10), torch.tensor([3, 7])).item(), 4)  # log 10
    2.3026
    >>> [round(d, 4) for d in loss.backward()[0, 2:4].tolist()]  # p / 2 and (p − 1) / 2
    [0.05, -0.45]
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = IGNORED,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        if not 0 <= label_smoothing <= 1:
            raise ScratchaeError(
                f"CrossEntropyLoss expects label_smoothing between 0 and 1, got {label_smoothing!r}"
            )
        self.weight, self.ignore_index = weight, ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        self.check(prediction, target)
        single = prediction.ndim == 1
        logits, labels = (prediction[None], target[None]) if single else (prediction, target)
        q, divisor = self.distribution(logits, labels)
        terms = cross_entropy_forward(logits, q)  # (N, ...)
        if self.reduction == "mean":
            value, scale = terms.sum() / divisor, 1 / divisor
        else:
            value, scale = reduce_terms(terms, self.reduction), term_weight(terms, self.reduction)
        value = value[0] if single and self.reduction == "none" else value
        return self.remember(value, logits, q, scale, single)

    def backward(self) -> Tensor:
        logits, q, scale, single = self.recall()
        dlogits = cross_entropy_backward(logits, q) * scale
        return dlogits[0] if single else dlogits

    def is_mean_over_images(self) -> bool:
        """Return whether each sample has the same weight in the loss of a batch."""
        counts_alike = self.weight is None and self.ignore_index == IGNORED
        return self.reduction == "batchmean" or (self.reduction == "mean" and counts_alike)

    def distribution(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor | float]:
        """Return q (N, C, ...), and the number that divides the sum of the terms if the reduction is "mean"."""
        C = logits.shape[1]
        counts: Tensor | float
        divisor: Tensor | float
        weight = 1.0 if self.weight is None else self.weight.view(-1, *[1] * (logits.ndim - 2))
        q, counts, divisor = target, 1.0, logits.numel() / C
        if not target.is_floating_point():
            q, counts = class_distribution(target, logits, self.ignore_index)
            divisor = (q * weight).sum()
        if self.label_smoothing:
            q = (1 - self.label_smoothing) * q + counts * self.label_smoothing / C
        return q * weight, divisor

    def expected(self, prediction: Tensor) -> Tensor:
        """Return the softmax, the probabilities of the classes."""
        if prediction.ndim == 1:
            return torch.exp(log_softmax(prediction[None]))[0]
        return torch.exp(log_softmax(prediction))

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Raise ScratchaeError if the target is neither a class for each sample nor a distribution."""
        check_tensor("CrossEntropyLoss", prediction, None, None)
        if prediction.ndim == 0:
            raise ScratchaeError(
                "CrossEntropyLoss expects logits (N, C, ...) or (C,) but got a single number"
            )
        axis = min(prediction.ndim - 1, 1)
        shape, C = tuple(prediction.shape), prediction.shape[axis]
        if isinstance(target, Tensor) and not target.is_floating_point():
            expected = shape[:axis] + shape[axis + 1 :]
            if target.dtype == torch.bool:
                raise ScratchaeError(
                    "CrossEntropyLoss got targets that are True or False: give the numbers of the "
                    "classes, target.long()"
                )
        else:
            expected = shape
            who = "CrossEntropyLoss's target"
            check_tensor(who, target, prediction.dtype, prediction.device)
            if self.ignore_index >= 0:
                raise ScratchaeError(
                    "CrossEntropyLoss can ignore a class only if the targets are classes, not "
                    "distributions: omit ignore_index"
                )
        if target.shape != expected:
            raise ScratchaeError(
                f"CrossEntropyLoss expects targets {expected} of {short(target.dtype)} for logits "
                f"{shape}, whose classes are axis {axis}, but got {tuple(target.shape)}: reshape them"
            )
        if self.weight is not None:
            check_tensor(
                "CrossEntropyLoss's weight", self.weight, prediction.dtype, prediction.device
            )
            if self.weight.shape != (C,):
                raise ScratchaeError(
                    f"CrossEntropyLoss expects one weight for each of the {C} classes, ({C},), but "
                    f"got {tuple(self.weight.shape)}"
                )
        self.check_batch(prediction)
