"""Evaluate a model: compute its loss and its reconstructions, and find the first tensor with NaN or inf."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from scratchae.layers import Layer, observed
from scratchae.losses import check_targets
from scratchae.models import VAE, Autoencoder
from scratchae.noise import noise_keys
from scratchae.step import compute_loss, loss_of


def evaluate(
    model: Layer,
    x: Tensor,
    target: Tensor | None = None,
    batch_size: int = 500,
    keys: Tensor | None = None,
) -> float:
    """Return the model's loss over all of x (N, ...), in evaluation mode.

    target: the expected output (N, ...); None means x itself. The loss is the model's own loss, or the
    mean squared error if it has none, plus the penalties of its layers. keys: int64 (N,), for a layer that
    samples also in evaluation mode, as in a VAE; None means the keys of seed 0. Raises ScratchaeError
    if the targets are outside of the range that the loss is made for.

    >>> from scratchae.layers import ReLU
    >>> evaluate(ReLU(), torch.tensor([[1.0], [-2.0]]))  # the output is 1 and 0: (0² + 2²) / 2
    2.0
    """
    return loss_and_penalty(model, x, target, batch_size, keys)[0]


def loss_and_penalty(
    model: Layer,
    x: Tensor,
    target: Tensor | None = None,
    batch_size: int = 500,
    keys: Tensor | None = None,
) -> tuple[float, float]:
    """Return the loss that `evaluate` returns, and the part of it that is the layers' penalties.

    The second is NaN if no layer has a penalty.

    >>> from scratchae.layers import ReLU
    >>> loss_and_penalty(ReLU(), torch.tensor([[1.0], [-2.0]]))
    (2.0, nan)
    """
    target = x if target is None else target
    check_targets(loss_of(model), target)
    if keys is None:
        keys = noise_keys(0, 0, len(x), x.device)
    total = torch.zeros(2, dtype=torch.float64, device=x.device)
    with evaluating(model):
        batches = (tensor.split(batch_size) for tensor in (x, target, keys))
        for batch, expected, own_keys in zip(*batches, strict=True):
            total[0] += compute_loss(model, batch, expected, own_keys).double() * len(batch)
            penalties = list(model.penalties())
            own = torch.stack(penalties).sum() if penalties else torch.tensor(float("nan"))
            total[1] += own.double() * len(batch)
    loss, penalty = (total / len(x)).tolist()
    return loss, penalty


def loss_name(model: Layer) -> str:
    """Return what the model's loss measures, such as "mean squared error".

    >>> from scratchae.models import build
    >>> loss_name(build("fc")), loss_name(build("vae")), loss_name(build("vae,beta=4"))
    ('mean squared error', '−ELBO (nats per image)', 'reconstruction + 4 KL (nats per image)')
    """
    if isinstance(model, VAE):
        what = "−ELBO" if model.beta == 1 else f"reconstruction + {model.beta:g} KL"
        return f"{what} (nats per image)"
    loss = repr(loss_of(model))
    return "mean squared error" if loss == "MSELoss()" else loss


def loss_label(model: Layer) -> str:
    """Return `loss_name` for the axis of a picture: a mean squared error has the range of the pixels.

    >>> from scratchae.models import build
    >>> loss_label(build("fc"))
    'mean squared error of pixels in [-1, 1]'
    """
    name = loss_name(model)
    if name != "mean squared error" or not isinstance(model, Autoencoder):
        return name
    low, high = model.pixel_range
    return f"{name} of pixels in [{low:g}, {high:g}]"


@contextmanager
def evaluating(model: Layer) -> Iterator[None]:
    """Put the model into evaluation mode inside the block.

    After the block, the model is in its old mode again, and what `forward` saved is deleted.

    >>> from scratchae.layers import Sequential
    >>> model = Sequential()
    >>> with evaluating(model):
    ...     model.training
    False
    >>> model.training
    True
    """
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)
        model.forget()


def reconstruct(model: Layer, images: Tensor) -> Tensor:
    """Return the model's images (N, *input_shape) for images (N, *input_shape), on the CPU.

    These are the pixels that its output stands for (`Autoencoder.expected`).

    >>> from scratchae.layers import ReLU, Sequential
    >>> reconstruct(Sequential(ReLU()), torch.tensor([[1.0, -2.0]])).tolist()
    [[1.0, 0.0]]
    """
    first = next(iter(model.parameters()), images)
    with evaluating(model):
        y = model.forward(images.to(first.device))
        y = model.expected(y).cpu() if isinstance(model, Autoencoder) else y.cpu()
    return y.clone()  # outside of inference mode, so it is an ordinary tensor


def psnr(prediction: Tensor, target: Tensor, peak: float) -> float:
    """Return the peak signal-to-noise ratio in decibels, 10 log₁₀(peak² / mean squared error).

    peak: the highest minus the lowest possible pixel: 1 for pixels in [0, 1], and 2 for [-1, 1]. The
    error is the mean over all pixels of all images. Equal tensors give infinity.

    >>> round(psnr(torch.tensor([0.1, 0.9]), torch.tensor([0.0, 1.0]), peak=1), 4)  # the error is 0.01
    20.0
    >>> psnr(torch.ones(3), torch.ones(3), peak=2)
    inf
    """
    error = (prediction.double() - target.double()).square().mean().item()
    return 10 * math.log10(peak**2 / error) if error else math.inf


@torch.inference_mode()
def first_bad_tensor(model: Layer, x: Tensor) -> str:
    """Run a forward pass on x (N, ...); return the name of the first tensor that contains NaN or infinity.

    >>> from scratchae.layers import Linear, Sequential
    >>> model = Sequential(Linear(2, 1), Linear(1, 2))
    >>> model[1].bias[0] = float("nan")
    >>> first_bad_tensor(model, torch.zeros(3, 2))
    '1.bias of Linear(1, 2)'
    """
    model.set_keys(None)
    if not x.isfinite().all():
        return "the batch itself"
    inside = {name: layer for name, layer in model.modules() if name}
    found: list[str] = []

    def look(name: str, _: str, call: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        layer = inside[name]
        for key in (*layer.parameter_names, *layer.buffer_names):
            tensor = getattr(layer, key)
            if tensor is not None and not tensor.isfinite().all():
                found.append(f"{name}.{key} of {layer!r}")
        y = call(x)
        if not y.isfinite().all():
            found.append(f"the output of {name}, {layer!r}")
        return y

    with observed(inside.items(), look):
        model.forward(x)
    return found[0] if found else "the loss itself: it is too large for the number format"
