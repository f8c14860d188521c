"""The sandbox: where submissions run. Inputs go in as arrays, arrays come out; nothing else does."""

from scratchae.course.sandbox.files import SandboxFiles
from scratchae.course.sandbox.isolation import DESCRIPTIONS, choose_isolation, why_no_bubblewrap
from scratchae.course.sandbox.limits import Limits
from scratchae.course.sandbox.sandbox import Ending, InfrastructureError, Sandbox

__all__ = [
    "DESCRIPTIONS",
    "Ending",
    "InfrastructureError",
    "Limits",
    "Sandbox",
    "SandboxFiles",
    "choose_isolation",
    "why_no_bubblewrap",
]
