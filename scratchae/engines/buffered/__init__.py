"""The buffered engine: every number of a step has its place, so that nothing is allocated."""

from scratchae.engines.buffered.engine import BufferedEngine, FrugalEngine
from scratchae.engines.buffered.plan import FORMS, NoFormError, Plan

__all__ = ["FORMS", "BufferedEngine", "FrugalEngine", "NoFormError", "Plan"]
