"""The benchmark: compare scratchae's training step with torch.nn, torch.compile and JAX.

    python -m reference.benchmark [steps memory whole growth] [--help]

Reading order: cases.py (what is trained), contenders.py and jax_step.py (the implementations),
worker.py (one process for each), steps.py, memory.py, whole.py and growth.py (the measurements),
results.py, goals.py, tables.py and pictures.py (the reports).
"""

from reference.benchmark.machine import device_name
from reference.benchmark.results import RESULTS

__all__ = ["RESULTS", "device_name"]
