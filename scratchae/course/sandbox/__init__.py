"""The jail: where submissions run. Inputs go in as arrays, arrays come out; nothing else does."""

from scratchae.course.sandbox.files import Home
from scratchae.course.sandbox.isolation import SENTENCES, choose, why_no_bubblewrap
from scratchae.course.sandbox.limits import Limits
from scratchae.course.sandbox.sandbox import Cell, Ending, InfrastructureError

__all__ = [
    "SENTENCES",
    "Cell",
    "Ending",
    "Home",
    "InfrastructureError",
    "Limits",
    "choose",
    "why_no_bubblewrap",
]
