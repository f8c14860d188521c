"""Around the training step: a look at the test images, and care for numbers that go astray."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
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
def float32_products(tf32: bool = False) -> Iterator[None]:
    """CUDA multiplies float32 matrices as float32 inside or, with tf32, after cutting to TF32.

    TF32 keeps 10 of a number's 23 binary digits, so a product is off by about 1e-3 of itself instead
    of 1e-7, and is several times faster on GPUs since Ampere. Sums stay float32.

    >>> with float32_products(tf32=True):
    ...     torch.get_float32_matmul_precision()
    'high'
    >>> torch.get_float32_matmul_precision()
    'highest'
    """
    was_on = torch.backends.cuda.matmul.fp32_precision == "tf32"
    if was_on == tf32:
        yield
        return
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("high" if was_on else "highest")


def check_numbers(device: torch.device, tf32: bool, precision: str) -> None:
    """One sentence where a device has no use for a number format.

    >>> check_numbers(torch.device("cpu"), tf32=True, precision="float32")
    Traceback (most recent call last):
    scratchae.errors.ScratchaeError: tf32 is a number format of CUDA devices: leave it away on cpu
    """
    if device.type == "cuda":
        return
    if tf32:
        raise ScratchaeError(f"tf32 is a number format of CUDA devices: leave it away on {device}")
    if precision == "bf16":
        raise ScratchaeError(
            f"bf16 is for CUDA: on {device} the buffered engine in float32 is faster"
        )


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
