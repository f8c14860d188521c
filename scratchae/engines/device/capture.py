"""Steps recorded as a CUDA graph, several a replay.

A CUDA graph is a recording of kernels with the addresses that they read and write. Replaying it
costs no Python and no launch from the host for each kernel, which is most of the time of a small
model's step. All that changes between steps therefore has to lie at fixed places on the device.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from scratchae.engines.device.step import Step, copies
from scratchae.errors import ScratchaeError

STEPS_A_REPLAY = 8  # the cost of starting a replay is spread over them


class Recording:
    """A step recorded for good, with all that it reads and writes at its place.

    tensors: as `device_step` takes them; they are left as they were, recording carries nothing out.
    addresses: where those lie that are not copied in by `run`. Raises ScratchaeError where a step
    asks for a number that is on the device, which a recording cannot.
    """

    def __init__(self, step: Step, tensors: dict[str, Tensor], addresses: list[int]) -> None:
        self.addresses = addresses
        self.inputs = {name: tensors[name].clone() for name in ("order", "factors")}
        self.tensors = tensors | self.inputs
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}  # by the number of steps
        self.rehearse(step)
        pool = torch.cuda.graph_pool_handle()
        counts = [1, STEPS_A_REPLAY] if len(tensors["order"]) > STEPS_A_REPLAY else [1]
        try:
            for count in counts:
                self.graphs[count] = torch.cuda.CUDAGraph()
                with torch.cuda.graph(self.graphs[count], pool=pool):
                    for _ in range(count):
                        loss = step(self.tensors)
                if count == 1:
                    self.loss = loss
        except RuntimeError as error:
            raise ScratchaeError(
                f"a step of this model cannot be recorded as a CUDA graph ({error}): "
                "use the eager engine"
            ) from error

    def rehearse(self, step: Step) -> None:
        """Two steps aside, on copies: libraries set themselves up in the first ones."""
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(2):
                step(copies(self.tensors))
        torch.cuda.current_stream().wait_stream(aside)

    def run(self, tensors: dict[str, Tensor], progress: Callable[[], object]) -> Tensor:
        """Make the steps of all rows of order; the loss of the last, good until the next run.

        progress runs ahead of the device, which is not waited for.
        """
        for name, place in self.inputs.items():
            place.copy_(tensors[name])
        left = len(tensors["order"])
        while left:
            count = STEPS_A_REPLAY if left > STEPS_A_REPLAY else 1  # the last alone, for its loss
            self.graphs[count].replay()
            for _ in range(count):
                progress()
            left -= count
        return self.loss
