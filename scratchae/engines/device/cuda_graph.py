"""Steps recorded as a CUDA graph. One replay makes several steps.

A CUDA graph is a recording of GPU kernels with the addresses that they read and write. A replay runs
the kernels again. Python does not run, and the host does not launch each kernel; for a small model, these
two take most of the time of a step. The addresses are fixed, so everything that changes between steps
must be in tensors that stay at the same address on the device.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from scratchae.engines.device.step import Step, copies
from scratchae.errors import ScratchaeError

STEPS_A_REPLAY = 8  # several steps in one replay, because each replay takes time to start


class Recording:
    """A recorded step. All tensors that it reads and writes stay at fixed addresses.

    tensors: the tensors of `device_step`. Recording does not change them, because it runs no kernel.
    addresses: the addresses of those tensors that `run` does not copy into the recording. Raises
    ScratchaeError if the step reads a number from the device in Python, because this cannot be recorded.
    """

    def __init__(self, step: Step, tensors: dict[str, Tensor], addresses: list[int]) -> None:
        self.addresses = addresses
        self.inputs = {name: tensors[name].clone() for name in ("order", "lr", "done")}
        self.tensors = tensors | self.inputs
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}  # by the number of steps
        self.rehearse(step)
        # record one step, and several steps if there are enough of them
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
        """Make two steps on copies, in another stream, so that libraries initialise before the recording."""
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(2):
                step(copies(self.tensors))
        torch.cuda.current_stream().wait_stream(aside)

    def run(self, tensors: dict[str, Tensor], progress: Callable[[], object]) -> Tensor:
        """Make one step for each row of tensors["order"]; return the loss of the last step, shape ().

        The next run overwrites this loss. progress is called for each step, but before the device has
        finished the step, because the host does not wait.
        """
        for name, place in self.inputs.items():
            place.copy_(tensors[name])
        left = len(tensors["order"])
        while left:
            # the last step is replayed alone, because `run` returns its loss
            count = STEPS_A_REPLAY if left > STEPS_A_REPLAY else 1
            self.graphs[count].replay()
            for _ in range(count):
                progress()
            left -= count
        return self.loss
