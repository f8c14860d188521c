"""The machine: its name, its software versions and its processors."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import torch

DENORMALS = {
    True: "flushed to zero on all sides of torch; XLA does so by itself",
    False: "this processor cannot flush them",
}


def device_name(device: torch.device) -> str:
    """Return the name of the GPU, or of the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((x.split(": ")[1] for x in lines if x.startswith("model name")), platform.machine())


def about(device: torch.device) -> dict:
    """Return the facts that are stored with every result: date, device, versions, denormals."""
    was_on = (torch.tensor([torch.finfo(torch.float32).tiny]) / 2 == 0).item()
    can_flush = torch.set_flush_denormal(True)
    torch.set_flush_denormal(was_on)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "device": device_name(device),
        "processors": cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "jax": version("jax"),
        "denormals": DENORMALS[can_flush],
    }


def cpu_count() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0))


def version(package: str) -> str | None:
    """Return the installed version of a package, or None.

    >>> version("no-such-package") is None
    True
    """
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def processors(count: int) -> set[int]:
    """Return the numbers of `count` processors, on different cores if possible.

    These are the last processors, because interrupts are usually handled by the first.

    >>> len(processors(1))
    1
    """
    allowed = sorted(os.sched_getaffinity(0), reverse=True)
    first_of_core: dict[str, int] = {}
    for cpu in allowed:
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        first_of_core.setdefault(siblings.read_text() if siblings.exists() else str(cpu), cpu)
    chosen = list(first_of_core.values())
    return set([*chosen, *(cpu for cpu in allowed if cpu not in chosen)][:count])
