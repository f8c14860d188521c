"""Observe a model while it runs: call a function around every forward and backward pass.

The profiler measures the passes and `trace` records their tensors. The step itself is unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor


@contextmanager
def observed(parts: Iterable[tuple[str, Any]], around: Callable[..., Tensor]) -> Iterator[None]:
    """Inside the block, call around(name, which, call, *arguments) instead of every forward and backward.

    parts: pairs (name, layer). Instead of a layer, a pair may have another object with the methods forward
    and backward, such as a loss. which: "forward" or "backward". call: the method that is replaced. around
    must call it and return its result.

    >>> import torch
    >>> from scratchae.layers import ReLU, Sequential
    >>> model = Sequential(ReLU(), ReLU())
    >>> def around(name, which, call, *arguments):
    ...     print(name, which)
    ...     return call(*arguments)
    >>> with observed(model.leaves(), around):
    ...     model.backward(model.forward(torch.ones(1)))
    0 forward
    1 forward
    1 backward
    0 backward
    tensor([1.])
    """
    parts = list(parts)
    for name, part in parts:
        for which in ("forward", "backward"):
            # an attribute of the object is found before the method of its class
            setattr(part, which, partial(around, name, which, getattr(part, which)))
    try:
        yield
    finally:
        for _, part in parts:
            del part.forward, part.backward
