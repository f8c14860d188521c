"""Engines by name."""

from __future__ import annotations

from scratchae.engines.base import Engine
from scratchae.engines.buffered import BufferedEngine
from scratchae.errors import ScratchaeError
from scratchae.layers import Sequential
from scratchae.optim import Optimizer

ENGINES: dict[str, type[Engine]] = {"eager": Engine, "buffered": BufferedEngine}


def make_engine(name: str, model: Sequential, optimizer: Optimizer) -> Engine:
    """The engine of that name for a model and the optimizer of its parameters.

    Raises ScratchaeError for a name that is not in ENGINES.

    >>> from scratchae.layers import Linear, Sequential
    >>> from scratchae.optim import Adam
    >>> model = Sequential(Linear(3, 3))
    >>> make_engine("buffered", model, Adam(model.parameters())).name
    'buffered'
    """
    if name not in ENGINES:
        raise ScratchaeError(f"there is no engine {name!r}: use {' or '.join(ENGINES)}")
    return ENGINES[name](model, optimizer)
