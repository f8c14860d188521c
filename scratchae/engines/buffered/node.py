"""Node: one layer's place in a laid-out step."""

from __future__ import annotations

from scratchae.engines.buffered.buffers import Buffers
from scratchae.engines.buffered.place import Place
from scratchae.layers import Layer


class NoFormError(Exception):
    """What has no buffered form, in words that follow "has no form".

    >>> print("the buffered engine has no form", NoFormError("of Linear(2, 2)"))
    the buffered engine has no form of Linear(2, 2)
    """


class Node:
    """A layer whose input, output and gradients have fixed places.

    Nodes are made in the order of the forward pass and linked in that of the backward pass; from
    then on `forward` fills y from x, and `backward` fills dx and every parameter's `.grad` from dy.
    """

    layer: Layer
    y: Place
    needs_output = False  # does backward read y?

    def __init__(self, layer: Layer, x: Place, buffers: Buffers, free: bool) -> None:
        """x: the place of the input. free: x may be written over, nobody reads it later on."""
        raise NotImplementedError

    def link(self, dy: Place, buffers: Buffers, wanted: bool) -> Place | None:
        """Take dy's place, return that of dx; `wanted` is false where nobody will read dx."""
        raise NotImplementedError

    def forward(self) -> None:
        raise NotImplementedError

    def refill(self) -> None:
        """Fill y anew, from what is kept: nothing else changes."""
        self.forward()

    def backward(self) -> None:
        raise NotImplementedError
