"""Checks that explain what is wrong with a gradient, and where to look."""

from scratchae.checking import cases as _cases  # noqa: F401 - declares the exercises
from scratchae.checking import catalogue as _catalogue  # noqa: F401 - fills the catalogue
from scratchae.checking.check import check
from scratchae.checking.diagnose import diagnose
from scratchae.checking.exercises import EXERCISES, Case, Exercise, exercise, find_exercise
from scratchae.checking.gradcheck import gradcheck
from scratchae.checking.mistake import Mistake, mistake, mistakes
from scratchae.checking.report import GradcheckResult, Report, Row
from scratchae.checking.trace import Trace, trace

__all__ = [
    "EXERCISES",
    "Case",
    "Exercise",
    "GradcheckResult",
    "Mistake",
    "Report",
    "Row",
    "Trace",
    "check",
    "diagnose",
    "exercise",
    "find_exercise",
    "gradcheck",
    "mistake",
    "mistakes",
    "trace",
]
