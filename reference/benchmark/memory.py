"""Memory: the peak memory of a step, measured in the same way for all contenders.

torch's profiler records every allocation and every free of torch's allocator, also in compiled code.
It records while the contender is made and steps three times. The result is the peak in the third
step, without the images, the weights and Adam's two averages, which all contenders need. What
remains are gradients, buffers that are kept between steps, activations and temporary memory. On a
GPU the result is torch's own peak from the time before the contender was made, because later counts
do not include the memory of a captured graph. Memory that libraries take directly from the system,
such as oneDNN's scratchpads, is not seen for any contender.

JAX does not report allocations. Its number is the memory that the compiler reports for the step,
without its arguments.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import accumulate, groupby
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from reference.benchmark.cases import Case
from reference.benchmark.contenders import Contender, Factory, UnusableError
from reference.benchmark.steps import feed
from reference.benchmark.worker import Worker

MEASURED = "the measured step"


def measure_memory(cases: list[Case], factories: dict[str, Factory], told=print) -> list[dict]:
    """Return one row per case: the bytes of every contender, and why a contender is missing."""
    rows = []
    for threads, group in groupby(cases, lambda case: case.threads):
        with Worker(threads, expected=(UnusableError,)) as worker:
            for case in group:
                found, missing = {}, {}
                for name, factory in factories.items():
                    try:
                        found[name] = worker.ask(step_bytes, factory, case)
                    except UnusableError as error:
                        missing[name] = str(error)
                row = {"model": case.model, "batch_size": case.batch_size, "bytes": found}
                rows.append(row | {"missing": missing})
                told(f"{case}: memory counted")
    return rows


def step_bytes(state: dict, factory: Factory, case: Case) -> int:
    """In the worker: return the bytes of a step without images, weights and Adam's averages."""
    images = case.images()
    shared = 3 * sum(p.numel() * p.element_size() for p in case.build().parameters())
    count = cpu_peak if case.device == "cpu" else cuda_peak
    contender, peak = count(partial(factory, case, images))
    return peak - shared if contender.compiled_bytes is None else contender.compiled_bytes()


def cpu_peak(make: Callable[[], Contender]) -> tuple[Contender, int]:
    """Return the contender and the peak bytes of its third step."""
    with (
        quiet_stderr(),
        profile(activities=[ProfilerActivity.CPU], profile_memory=True) as events,
    ):
        contender = make()
        take_steps(contender, 0, 2)
        with record_function(MEASURED):
            take_steps(contender, 2, 3)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace.json")
        events.export_chrome_trace(str(path))
        trace = json.loads(path.read_text(encoding="utf-8", errors="replace"))["traceEvents"]
    return contender, peak_during(trace, MEASURED)


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Discard stderr inside the block: the profiler's C++ library writes two lines to it."""
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def cuda_peak(make: Callable[[], Contender]) -> tuple[Contender, int]:
    """Return the contender and the peak of torch's memory since before it was made."""
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    contender = make()
    take_steps(contender, 0, 3)
    return contender, torch.cuda.max_memory_allocated() - before


def take_steps(contender: Contender, first: int, behind: int) -> None:
    for call in range(first, behind):
        contender.step(feed(contender, call))
    contender.wait()


def peak_during(trace: list[dict], name: str) -> int:
    """Return the peak of allocated bytes during the event with this name.

    >>> memory = [{"name": "[memory]", "ts": t, "args": {"Bytes": b}} for t, b in [(0, 8), (5, 4), (9, 9)]]
    >>> peak_during([{"name": "step", "ph": "X", "ts": 4, "dur": 2}, *memory], "step")
    12
    """
    span = next(e for e in trace if e["name"] == name and e.get("ph") == "X")
    changes = sorted((e for e in trace if e["name"] == "[memory]"), key=lambda e: e["ts"])
    before = [e["args"]["Bytes"] for e in changes if e["ts"] < span["ts"]]
    inside = [e["args"]["Bytes"] for e in changes if 0 <= e["ts"] - span["ts"] <= span["dur"]]
    return max(accumulate(inside, initial=sum(before)))
