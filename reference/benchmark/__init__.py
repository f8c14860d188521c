"""The benchmark: a training step by hand beside all that one might pick instead, in one run.

    python -m reference.benchmark [steps memory whole growth] [--help]

In the order in which it reads: cases.py (what is trained), contenders.py and jax_step.py (by
whom), worker.py (a process for each), steps.py, memory.py, whole.py, growth.py (what is measured),
results.py, goals.py, tables.py, pictures.py (what is made of it).
"""

from reference.benchmark.machine import device_name
from reference.benchmark.results import RESULTS

__all__ = ["RESULTS", "device_name"]
