"""Engines by name: each registers itself in its own file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scratchae.errors import ScratchaeError
from scratchae.layers import Sequential
from scratchae.optim import Optimizer

if TYPE_CHECKING:
    from scratchae.engines.base import Engine

ENGINES: dict[str, type[Engine]] = {}
PRECISIONS = ("float32", "bf16")


def register_engine(kind: type[Engine]) -> type[Engine]:
    """Register an engine under its `name`; a decorator.

    >>> from scratchae.engines import Engine
    >>> @register_engine
    ... class Careful(Engine):
    ...     name = "careful"
    >>> ENGINES.pop("careful").__name__
    'Careful'
    """
    ENGINES[kind.name] = kind
    return kind


def make_engine(
    name: str, model: Sequential, optimizer: Optimizer, precision: str = "float32"
) -> Engine:
    """Make the engine of that name for a model and the optimizer of its parameters.

    precision: "float32", or "bf16", which the engines compile and graph have. Raises ScratchaeError
    if there is no such engine, or if it does not support the precision, the model or the device.

    >>> from scratchae.layers import Linear, Sequential
    >>> from scratchae.optim import Adam
    >>> model = Sequential(Linear(3, 3))
    >>> make_engine("buffered", model, Adam(model.parameters())).name
    'buffered'
    """
    if name not in ENGINES:
        *others, last = ENGINES
        raise ScratchaeError(f"there is no engine {name!r}: use {', '.join(others)} or {last}")
    if precision not in PRECISIONS:
        raise ScratchaeError(f"there is no precision {precision!r}: use float32 or bf16")
    if precision not in ENGINES[name].precisions:
        raise ScratchaeError(
            f"the {name} engine computes in float32 only: use compile or graph for bf16"
        )
    return ENGINES[name](model, optimizer, precision)
