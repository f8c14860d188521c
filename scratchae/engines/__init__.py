"""Engines: ways to carry out a training step. The `eager` engine calls the layers one by one.

Read base.py (the eager engine, which is the base class of all engines) and registry.py first. After
that, read buffered/, or device/ and then compiled.py and graph.py. The docstring of each folder says in
which order to read its files.
"""

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
