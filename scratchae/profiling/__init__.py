"""Profiling: where the time and memory of a training step go, and how short the time could be."""

from scratchae.profiling.counting import Count, Counter
from scratchae.profiling.profile import profile
from scratchae.profiling.rates import Rates, measure_rates
from scratchae.profiling.result import Profile

__all__ = ["Count", "Counter", "Profile", "Rates", "measure_rates", "profile"]
