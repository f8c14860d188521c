"""Loss: the base class of all losses, and how their terms become one number.

A loss compares a prediction with a target element by element. Each element gives one term ℓᵢ, and the
reduction says what becomes of the terms:

    reduction       value         ∂L/∂ℓᵢ
    "mean"          Σ ℓᵢ / n      1 / n      n is the number of all terms
    "sum"           Σ ℓᵢ          1
    "batchmean"     Σ ℓᵢ / N      1 / N      N is the size of the batch, the first axis
    "none"          all ℓᵢ        1

So the gradient of the loss is the derivative of the terms times ∂L/∂ℓ. A log-likelihood is a sum over the
pixels of an image. Use "batchmean" for it, above all if a KL divergence is added: with "mean" the KL would
count n / N times too much.
"""

from __future__ import annotations

from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.base import LossFunction, check_tensor, constructor_parameters

REDUCTIONS = ("mean", "sum", "none", "batchmean")


def reduce_terms(terms: Tensor, reduction: str) -> Tensor:
    """Return the value of a loss with these terms: of shape (), or the terms for "none".

    >>> import torch
    >>> terms = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 9.0]])
    >>> [reduce_terms(terms, reduction).item() for reduction in ("mean", "sum", "batchmean")]
    [4.0, 24.0, 12.0]
    """
    if reduction == "none":
        return terms
    if reduction == "mean":
        return terms.mean()
    return terms.sum() if reduction == "sum" else terms.sum() / len(terms)


def term_weight(terms: Tensor, reduction: str) -> float:
    """Return ∂L/∂ℓ, the weight of one term in the value of the loss.

    >>> import torch
    >>> [term_weight(torch.ones(2, 4), reduction) for reduction in ("mean", "sum", "batchmean")]
    [0.125, 1.0, 0.5]
    """
    if reduction == "mean":
        return 1 / terms.numel()
    return 1 / len(terms) if reduction == "batchmean" else 1.0


def check_targets(loss: LossFunction, target: Tensor) -> None:
    """Raise ScratchaeError if a target lies outside of the loss's `target_range`.

    This reads numbers from the device. So it is done once for a set of images, not in every step.

    >>> import torch
    >>> from scratchae.losses import BCEWithLogitsLoss
    >>> check_targets(BCEWithLogitsLoss(), torch.tensor([-1.0, 1.0]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    scratchae.errors.ScratchaeError: BCEWithLogitsLoss expects targets in [0, 1] but got -1 to 1: ...
    """
    allowed = getattr(loss, "target_range", None)
    if allowed is None or target.numel() == 0:
        return
    low, high = target.min().item(), target.max().item()
    if not (allowed[0] <= low and high <= allowed[1]):
        raise ScratchaeError(
            f"{type(loss).__name__} expects targets in [{allowed[0]:g}, {allowed[1]:g}] but got "
            f"{low:.4g} to {high:.4g}: scale the images to that range, for example with "
            f"pixel_range=({allowed[0]}, {allowed[1]}) of the model, or use MSELoss"
        )


class Loss:
    """Base of all losses: `value = loss(prediction, target)`, then `dprediction = loss.backward()`.

    A subclass defines `forward`, which ends with `return self.remember(value, *saved)`, and
    `backward`, which begins with `saved = self.recall()`.

    reduction: "mean", "sum", "none" or "batchmean", as in the text above. Training needs one
    number, so it does not accept "none". With "none", `backward` returns the derivative of each term with
    respect to its own element of the prediction.
    target_range: the smallest and the largest number that a target may be; None allows any.

    >>> class L1Loss(Loss):
    ...     def forward(self, prediction, target):
    ...         difference = prediction - target
    ...         return self.remember(reduce_terms(difference.abs(), self.reduction), difference)
    ...     def backward(self):
    ...         (difference,) = self.recall()
    ...         return difference.sign() * term_weight(difference, self.reduction)
    >>> import torch
    >>> loss = L1Loss()
    >>> loss(torch.tensor([1.0, 5.0]), torch.tensor([0.0, 2.0])).item(), loss.backward().tolist()
    (2.0, [0.5, 0.5])
    """

    saved: tuple | None = None
    reduction: str = "mean"
    target_range: tuple[float, float] | None = None

    def __init__(self, reduction: str = "mean") -> None:
        self.set_reduction(reduction)

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        return self.forward(prediction, target)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a tensor of shape (); save what `backward` needs."""
        raise NotImplementedError

    def backward(self) -> Tensor:
        """Return the gradient of the last loss with respect to its prediction."""
        raise NotImplementedError

    def expected(self, prediction: Tensor) -> Tensor:
        """Return the pixels that a prediction stands for. Here it is the prediction itself."""
        return prediction

    def is_mean_over_images(self) -> bool:
        """Return whether the loss of a batch is the mean of those of its samples."""
        return self.reduction in ("mean", "batchmean")

    def remember(self, value: Tensor, *saved: object) -> Tensor:
        """Save these values for the backward pass and return the value of the loss."""
        self.saved = saved
        return value

    def recall(self) -> tuple:
        """Return what `remember` saved. Raises ScratchaeError if there was no forward pass."""
        if self.saved is None:
            raise ScratchaeError(
                f"{type(self).__name__}.backward was called before forward: call "
                "loss(prediction, target) first"
            )
        return self.saved

    def forget(self) -> None:
        """Delete what `forward` saved for `backward`."""
        self.saved = None

    # ------------------------------------------------------------------------------ checks
    def set_reduction(self, reduction: str) -> None:
        """Set `reduction`. Raises ScratchaeError if there is no such reduction."""
        if reduction not in REDUCTIONS:
            raise ScratchaeError(
                f"{type(self).__name__} expects reduction to be 'mean', 'sum', 'none' or "
                f"'batchmean', got {reduction!r}"
            )
        self.reduction = reduction

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Raise ScratchaeError if prediction and target differ in shape, dtype or device.

        Raises it also if they are empty and the reduction is a mean.
        """
        name = type(self).__name__
        check_tensor(name, prediction, None, None)
        check_tensor(f"{name}'s target", target, prediction.dtype, prediction.device)
        if prediction.shape != target.shape:
            raise ScratchaeError(
                f"{name} expects two tensors of one shape but got prediction "
                f"{tuple(prediction.shape)} and target {tuple(target.shape)}: reshape one of them, "
                "nothing is broadcast"
            )
        self.check_batch(prediction)

    def check_batch(self, prediction: Tensor) -> None:
        """Raise ScratchaeError if the reduction is a mean over nothing."""
        if self.reduction == "batchmean" and prediction.ndim == 0:
            raise ScratchaeError(
                f"{self!r} divides by the size of the batch, but the prediction is a single number: "
                "give it an axis for the batch, or use reduction='sum'"
            )
        if "mean" in self.reduction and prediction.numel() == 0:
            raise ScratchaeError(
                f"{type(self).__name__} got an empty batch, which has no mean: omit it"
            )

    def __repr__(self) -> str:
        written = [
            f"{name}={value!r}"
            for name, argument in constructor_parameters(type(self)).items()
            if repr(value := getattr(self, name, argument.default)) != repr(argument.default)
        ]
        return f"{type(self).__name__}({', '.join(written)})"
