"""The training step as a function of tensors on the device, to be recorded and carried out whole.

In the order in which it reads: flat.py (where the tensors lie), updates.py (optimisers that count
on the device), step.py (the step), engine.py (epochs of steps), bf16.py (a step in bfloat16),
capture.py (steps recorded as a CUDA graph), graph.py (the engine that does so).
"""

from scratchae.engines.device.engine import DeviceEngine
from scratchae.engines.device.graph import GraphEngine

__all__ = ["DeviceEngine", "GraphEngine"]
