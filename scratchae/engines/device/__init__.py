"""The device step: a training step as a function of tensors on the device, which can be recorded.

Read the files in this order: flat.py (where the tensors are stored), step.py (the step), engine.py
(epochs of steps), bf16.py (a step in bfloat16), cuda_graph.py (steps recorded as a CUDA graph).
"""

from scratchae.engines.device.engine import DeviceEngine

__all__ = ["DeviceEngine"]
