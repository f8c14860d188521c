"""Node: one layer in a step whose memory is fixed."""

from __future__ import annotations

from scratchae.engines.buffered.buffers import Buffers
from scratchae.engines.buffered.place import Place
from scratchae.layers import Layer


class NoFormError(Exception):
    """Something has no buffered form. The text names it, so that it can follow "does not support".

    >>> print("the buffered engine does not support", NoFormError("an empty batch"))
    the buffered engine does not support an empty batch
    """


class Node:
    """A layer whose input x, output y and gradients dx and dy have fixed places in memory.

    A plan makes its nodes in the order of the forward pass. Then it calls `link` of each node in the
    order of the backward pass. After that, `forward` and `backward` can be called in every step.
    """

    layer: Layer
    y: Place
    needs_output = False  # True if backward reads y

    def __init__(self, layer: Layer, x: Place, buffers: Buffers, free: bool) -> None:
        """Choose the place of y, and the memory that the layer needs.

        x: the place of the input. free: True if no other node reads x later, so that this node may
        overwrite it. Raises NoFormError if the layer has no buffered form.
        """
        raise NotImplementedError

    def link(self, dy: Place, buffers: Buffers, wanted: bool) -> Place | None:
        """Store the place of dy, and return the place of dx.

        wanted: False if nothing reads dx; then the node may return None.
        """
        raise NotImplementedError

    def forward(self) -> None:
        """Fill y from x."""
        raise NotImplementedError

    def refill(self) -> None:
        """Fill y again, from what the node has kept. Change nothing else."""
        self.forward()

    def backward(self) -> None:
        """Fill dx and every parameter's `.grad` from dy."""
        raise NotImplementedError
