"""The training step as a function of tensors on the device, to be recorded and carried out whole.

In the order in which to read: flat.py (where the tensors lie), step.py (the step), engine.py (epochs
of steps), bf16.py (a step in bfloat16), cuda_graph.py (steps recorded as a CUDA graph).
"""

from scratchae.engines.device.engine import DeviceEngine

__all__ = ["DeviceEngine"]
