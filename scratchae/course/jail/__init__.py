"""The jail: where submissions run. Inputs go in as arrays, arrays come out; nothing else does."""

from scratchae.course.jail.cell import Cell, Ending, InfrastructureError
from scratchae.course.jail.home import Home
from scratchae.course.jail.limits import Limits
from scratchae.course.jail.walls import SENTENCES, choose, why_no_bubblewrap

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
