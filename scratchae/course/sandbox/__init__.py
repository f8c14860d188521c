"""The sandbox: where submissions run. Arrays go in and arrays come out, nothing else.

`Sandbox` is for the grader: it trusts nothing. `PlainProcess` has the same interface, but no isolation:
it is for a student's own check, also on Windows and macOS.
"""

from scratchae.course.sandbox.files import SandboxFiles
from scratchae.course.sandbox.isolation import DESCRIPTIONS, choose_isolation, why_no_bubblewrap
from scratchae.course.sandbox.limits import Limits
from scratchae.course.sandbox.listen import Ending
from scratchae.course.sandbox.plain_process import PlainProcess
from scratchae.course.sandbox.sandbox import InfrastructureError, Sandbox

__all__ = [
    "DESCRIPTIONS",
    "Ending",
    "InfrastructureError",
    "Limits",
    "PlainProcess",
    "Sandbox",
    "SandboxFiles",
    "choose_isolation",
    "why_no_bubblewrap",
]
