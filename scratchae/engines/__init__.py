"""Engines: ways to carry out a training step. `eager` runs the layers as they are written."""

from scratchae.engines.base import Engine, NotFiniteError
from scratchae.engines.buffered import BufferedEngine, FrugalEngine
from scratchae.engines.compiled import CompiledEngine
from scratchae.engines.graph import GraphEngine
from scratchae.engines.registry import ENGINES, make_engine, register_engine

__all__ = [
    "ENGINES",
    "BufferedEngine",
    "CompiledEngine",
    "Engine",
    "FrugalEngine",
    "GraphEngine",
    "NotFiniteError",
    "make_engine",
    "register_engine",
]
