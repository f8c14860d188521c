"""GraphEngine: whole training steps as a CUDA graph."""

from __future__ import annotations

from scratchae.engines.device import DeviceEngine
from scratchae.engines.registry import register_engine
from scratchae.errors import ScratchaeError
from scratchae.layers import Sequential
from scratchae.layers.batchnorm import BatchNorm
from scratchae.optim import Optimizer


@register_engine
class GraphEngine(DeviceEngine):
    """Whole steps in a CUDA graph. Raises ScratchaeError if the model is not on a CUDA device.

    The losses and weights are those of `eager`, up to rounding. The host does not wait for single steps:
    it reads the number of steps and checks the sum of the losses once after the full batches of an epoch,
    and once more after a shorter last batch. The Python code of the layers runs only while a step is
    recorded. So your own layers must not count their calls or draw random numbers in Python.

    This engine has not run on a GPU yet. On a CPU, the step that it records is tested, and the code that
    counts the replays. tests/engines/test_cuda.py contains the tests for a GPU.

    >>> from scratchae.layers import Linear
    >>> from scratchae.optim import Adam
    >>> model = Sequential(Linear(2, 2))
    >>> GraphEngine(model, Adam(model.parameters()))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    scratchae.errors.ScratchaeError: the graph engine needs CUDA, but the model is on cpu: ...
    """

    name = "graph"
    captured = True

    def __init__(self, model: Sequential, optimizer: Optimizer, precision: str = "float32") -> None:
        device = optimizer.value.device
        if device.type != "cuda":
            raise ScratchaeError(
                f"the graph engine needs CUDA, but the model is on {device}: use --device cuda if "
                "there is one, or the buffered engine, which is made for a CPU"
            )
        super().__init__(model, optimizer, precision)
        if any(averages_plainly(layer) for _, layer in model.modules()):
            self.fall_back("cannot record BatchNorm with momentum=None, which reads its own count")


def averages_plainly(layer: object) -> bool:
    """Return whether the layer is a BatchNorm with momentum=None and with running statistics.

    They are then averages of all batches, and the layer reads its count of batches in Python.

    >>> from scratchae.layers import BatchNorm1d
    >>> averages_plainly(BatchNorm1d(2)), averages_plainly(BatchNorm1d(2, momentum=None))
    (False, True)
    """
    return isinstance(layer, BatchNorm) and layer.momentum is None and layer.track_running_stats
