"""The optimizer of a run: `fit` makes it and configures what a step does besides the update."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.models import Autoencoder
from scratchae.optim import Adam, Optimizer, Schedule, named_schedule

LR, WEIGHT_DECAY = 1e-3, 1e-5  # for Adam, the default optimizer


def make_optimizer(
    optimizer: Optimizer | Callable[[list[Tensor]], Optimizer] | None,
    model: Autoencoder,
    device: torch.device,
    lr: float | None,
    weight_decay: float | None,
) -> Optimizer:
    """Move the model to the device and return the optimizer of its parameters.

    The arguments are those of `fit`. Raises ScratchaeError if they contradict one another.
    """
    if optimizer is None:
        return Adam(
            model.to(device).parameters(),
            lr=LR if lr is None else lr,
            weight_decay=WEIGHT_DECAY if weight_decay is None else weight_decay,
        )
    if lr is not None or weight_decay is not None:
        raise ScratchaeError(
            "fit got an optimizer, and also lr or weight_decay, which belong to the default optimizer: "
            "pass them to your optimizer instead"
        )
    if not isinstance(optimizer, Optimizer):
        optimizer = optimizer(model.to(device).parameters())
    own = {id(parameter) for parameter in model.parameters()}
    if not isinstance(optimizer, Optimizer) or own != set(map(id, optimizer.parameters)):
        raise ScratchaeError(
            "fit expects an optimizer of scratchae.optim with all of the model's parameters: pass a "
            "function that makes it, such as lambda parameters: SGD(parameters, lr=0.1)"
        )
    if optimizer.value.device != device:
        raise ScratchaeError(
            f"the optimizer was made on {optimizer.value.device}, but training is on {device}: pass a "
            "function that makes it, such as lambda parameters: SGD(parameters, lr=0.1)"
        )
    return optimizer


def configure(
    optimizer: Optimizer,
    epochs: int,
    steps_per_epoch: int,
    schedule: Schedule | str | None,
    clip_norm: float | None,
    clip_value: float | None,
    ema: float | None,
) -> str:
    """Configure the optimizer as the arguments of `fit` say; return the text of its schedule, or "none".

    What is None stays as the optimizer has it. Raises ScratchaeError if an argument is wrong.
    """
    text = None
    if isinstance(schedule, str):
        if schedule == "none":
            schedule = None
        else:
            text, schedule = named_schedule(schedule, epochs, steps_per_epoch)
    if schedule is None:
        schedule = optimizer.schedule
    if (schedule, clip_norm, clip_value, ema) != (None, None, None, None):
        optimizer.configure(
            copy.deepcopy(schedule),  # it may take note of losses: the caller's stays as it is
            optimizer.clip_norm if clip_norm is None else clip_norm,
            optimizer.clip_value if clip_value is None else clip_value,
            optimizer.ema if ema is None else ema,
        )
    return text or ("none" if schedule is None else repr(schedule))
