"""The same start: every worker begins with rank 0's weights and moments, to the last bit."""

from __future__ import annotations

from scratchae.distributed.workers import Workers
from scratchae.layers import Layer
from scratchae.optim import Optimizer


def same_start(model: Layer, optimizer: Optimizer, workers: Workers) -> None:
    """Copy rank 0's parameters, buffers and optimizer state to all workers.

    >>> from scratchae.layers import Linear
    >>> from scratchae.optim import Adam
    >>> model = Linear(3, 3)
    >>> same_start(model, Adam(model.parameters()), Workers())
    """
    buffers = [tensor for _, tensor in model.named_buffers()]
    for tensor in (optimizer.value, *optimizer.state.values(), *buffers):
        workers.copy_first(tensor)
    optimizer.steps = workers.first(lambda: optimizer.steps)
