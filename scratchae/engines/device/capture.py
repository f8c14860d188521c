"""Steps recorded as a CUDA graph, several a replay.

A CUDA graph is a recording of kernels with the addresses that they read and write. Replaying it
costs no Python and no launch from the host for each kernel, which is most of the time of a small
model's step. All that changes between steps therefore has to lie at fixed places on the device.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from scratchae.engines.device.step import Step
from scratchae.errors import ScratchaeError

STEPS_A_REPLAY = 8  # the cost of starting a replay is spread over them


class Recording:
    """A step recorded for good, with all that it reads and writes at its place.

    step: of tensors, images (N, ...) and order (K, B), as `device_step`. tensors are left as they
    were: recording carries nothing out. addresses: where all of it lay. Raises ScratchaeError
    where a step asks for a number that is on the device, which a recording cannot.
    """

    def __init__(
        self, step: Step, tensors: dict[str, Tensor], images: Tensor, order: Tensor, addresses: list
    ) -> None:
        self.images, self.order, self.addresses = images, order.clone(), addresses
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}  # by the number of steps
        self.rehearse(step, tensors)
        pool = torch.cuda.graph_pool_handle()
        counts = [1, STEPS_A_REPLAY] if len(order) > STEPS_A_REPLAY else [1]
        try:
            for count in counts:
                self.graphs[count] = torch.cuda.CUDAGraph()
                with torch.cuda.graph(self.graphs[count], pool=pool):
                    for _ in range(count):
                        loss = step(tensors, images, self.order)
                if count == 1:
                    self.loss = loss
        except RuntimeError as error:
            raise ScratchaeError(
                f"a step of this model cannot be recorded as a CUDA graph ({error}): "
                "use the eager engine"
            ) from error

    def rehearse(self, step: Step, tensors: dict[str, Tensor]) -> None:
        """Two steps aside, taken back: libraries set themselves up in the first ones."""
        before = {name: tensor.clone() for name, tensor in tensors.items()}
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(aside):
                for _ in range(2):
                    tensors["row"].zero_()
                    step(tensors, self.images, self.order)
        finally:
            torch.cuda.current_stream().wait_stream(aside)
            for name, tensor in before.items():
                tensors[name].copy_(tensor)

    def run(self, order: Tensor, progress: Callable[[], object]) -> Tensor:
        """Make the steps of all rows of order; the loss of the last, good until the next run.

        progress runs ahead of the device, which is not waited for.
        """
        self.order.copy_(order)
        left = len(order)
        while left:
            count = STEPS_A_REPLAY if left > STEPS_A_REPLAY else 1  # the last alone, for its loss
            self.graphs[count].replay()
            for _ in range(count):
                progress()
            left -= count
        return self.loss
