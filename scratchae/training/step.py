"""Around the training step: a look at the test images, and care for numbers that go astray."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from scratchae.layers import Layer, Sequential
from scratchae.losses import mse_forward


def evaluate(model: Layer, x: Tensor, batch_size: int = 500) -> float:
    """The mean squared error of giving back x, over all of it, in evaluation mode.

    >>> from scratchae.layers import ReLU
    >>> evaluate(ReLU(), torch.tensor([[1.0], [-2.0]]))  # gives back 1 and 0: (0² + 2²) / 2
    2.0
    """
    total = torch.zeros((), dtype=torch.float64, device=x.device)
    with evaluating(model):
        for batch in x.split(batch_size):
            total += mse_forward(model.forward(batch), batch).double() * len(batch)
    return (total / len(x)).item()


@contextmanager
def evaluating(model: Layer) -> Iterator[None]:
    """Evaluation mode inside; afterwards the mode is as before and nothing is kept for backward.

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


@contextmanager
def flushing_denormals() -> Iterator[None]:
    """Numbers below 1.2e-38 count as 0 inside.

    Weights of dead units and their Adam moments shrink into that range, where each
    operation costs a hundred times more on x86. The losses stay the same. Threads take the setting
    over when they start, so enter before the first parallel operation where you can.
    """
    tiny = torch.finfo(torch.float32).tiny
    was_on = (torch.tensor([tiny]) / 2 == 0).item()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(was_on)


@torch.inference_mode()
def first_bad_tensor(model: Sequential, x: Tensor) -> str:
    """The first tensor with NaN or infinity in it, in the order of a forward pass, in words.

    >>> from scratchae.layers import Linear
    >>> model = Sequential(Linear(2, 1), Linear(1, 2))
    >>> model[1].bias[0] = float("nan")
    >>> first_bad_tensor(model, torch.zeros(3, 2))
    '1.bias of Linear(1, 2)'
    """
    if not x.isfinite().all():
        return "the batch itself"
    for name, layer in model.leaves():
        for key, tensor in layer.state_dict().items():
            if not tensor.isfinite().all():
                return f"{name}.{key} of {layer!r}"
        x = layer.forward(x)
        if not x.isfinite().all():
            return f"the output of {name}, {layer!r}"
    return "the loss itself: its square is too large for the number format"
