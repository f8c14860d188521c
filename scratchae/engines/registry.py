"""Engines by name."""

from __future__ import annotations

from scratchae.engines.base import Engine
from scratchae.engines.buffered import BufferedEngine, FrugalEngine
from scratchae.engines.compiled import CompiledEngine
from scratchae.engines.graph import GraphEngine
from scratchae.errors import ScratchaeError
from scratchae.layers import Sequential
from scratchae.optim import Optimizer

ENGINES: dict[str, type[Engine]] = {
    "eager": Engine,
    "buffered": BufferedEngine,
    "frugal": FrugalEngine,
    "compile": CompiledEngine,
    "graph": GraphEngine,
}


def make_engine(
    name: str, model: Sequential, optimizer: Optimizer, precision: str = "float32"
) -> Engine:
    """The engine of that name for a model and the optimizer of its parameters.

    precision: "float32", or "bf16", which the engines compile and graph have. Raises ScratchaeError
    for a name that is not in ENGINES, and where an engine cannot do what is asked.

    >>> from scratchae.layers import Linear, Sequential
    >>> from scratchae.optim import Adam
    >>> model = Sequential(Linear(3, 3))
    >>> make_engine("buffered", model, Adam(model.parameters())).name
    'buffered'
    """
    if name not in ENGINES:
        *others, last = ENGINES
        raise ScratchaeError(f"there is no engine {name!r}: use {', '.join(others)} or {last}")
    if precision == "float32":
        return ENGINES[name](model, optimizer)
    if precision != "bf16":
        raise ScratchaeError(f"there is no precision {precision!r}: use float32 or bf16")
    if name not in ("compile", "graph"):
        raise ScratchaeError(
            f"the {name} engine computes in float32: bf16 goes with graph or compile"
        )
    return ENGINES[name](model, optimizer, precision)
