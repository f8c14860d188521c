"""Steps recorded as a CUDA graph, several a replay.

A CUDA graph is a recording of kernels with the addresses that they read and write. Replaying it
costs no Python and no launch from the host for each kernel, which is most of the time of a small
model's step. So everything that changes between steps has to lie at a fixed place on the device.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from scratchae.engines.device.step import Step, copies
from scratchae.errors import ScratchaeError

STEPS_A_REPLAY = 8  # the cost of starting a replay is spread over them


class Recording:
    """A recorded step, with all that it reads and writes at fixed places.

    tensors: as `device_step` takes them. They stay as they are, because recording carries nothing
    out. addresses: where the tensors lie that `run` does not copy in. Raises ScratchaeError if the
    step asks for a number that is on the device, which a recording cannot do.
    """

    def __init__(self, step: Step, tensors: dict[str, Tensor], addresses: list[int]) -> None:
        self.addresses = addresses
        self.inputs = {name: tensors[name].clone() for name in ("order", "lr", "done")}
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
        """Make two steps on copies, in a stream of their own: libraries set themselves up in the first ones."""
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(2):
                step(copies(self.tensors))
        torch.cuda.current_stream().wait_stream(aside)

    def run(self, tensors: dict[str, Tensor], progress: Callable[[], object]) -> Tensor:
        """Make the steps of all rows of order; return the loss of the last, valid until the next run.

        progress is called ahead of the device, which nobody waits for.
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
