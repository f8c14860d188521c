"""DeviceEngine: epochs of device steps. The host reads no number from the device between the steps."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import torch
from torch import Tensor

from scratchae.engines.base import Engine, NotFiniteError
from scratchae.engines.device.bf16 import Bf16Net
from scratchae.engines.device.cuda_graph import Recording
from scratchae.engines.device.flat import Net, flatten_buffers, places, tensor_at
from scratchae.engines.device.step import Step, counters, device_step
from scratchae.layers import Sequential
from scratchae.optim import Optimizer

NETS = {"float32": Net, "bf16": Bf16Net}  # by precision


class DeviceEngine(Engine):
    """Run device steps one by one. The subclasses compile them or record them.

    If there is no device step for the model and the optimizer (see `no_device_form`), the engine gives a
    warning and makes the steps of `eager`. The engine prepares a new device step if the shapes of the
    tensors, the mode (train or eval) or a setting of the optimizer change. Only the learning rate may
    change without a new device step.

    >>> from scratchae.layers import Linear
    >>> from scratchae.optim import SGD
    >>> model = Sequential(Linear(1, 1, bias=False))
    >>> model[0].weight.fill_(3.0)
    tensor([[3.]])
    >>> engine = DeviceEngine(model, SGD(model.parameters(), lr=0.25))
    >>> engine.step(torch.ones(1, 1)).item(), model[0].weight.item()  # (3 - 1)², 3 - 0.25 · 4
    (4.0, 2.0)
    """

    name = "device"
    in_halves = False
    precisions = ("float32", "bf16")
    captured = False  # True if steps are recorded as CUDA graphs

    def __init__(self, model: Sequential, optimizer: Optimizer, precision: str = "float32") -> None:
        super().__init__(model, optimizer, precision)
        self.net = NETS[precision]
        self.tensors: dict[str, Tensor] = {}
        self.addresses: list[int] = []  # of the model's and the optimizer's tensors
        self.steps: dict[tuple, Step | None] = {}  # by shapes, modes and settings
        self.recordings: dict[Step, Recording] = {}
        self.batches: dict[tuple[str, torch.Size], Tensor] = {}  # fixed input tensors
        self.eager = False
        if reason := no_device_form(model, optimizer):
            self.fall_back(reason)

    @torch.no_grad()
    def step(self, x: Tensor, target: Tensor | None = None, keys: Tensor | None = None) -> Tensor:
        given = named(x, target, keys)
        inputs = {name: self.at_its_place(name, batch) for name, batch in given.items()}
        order = torch.arange(len(x), device=x.device).view(1, -1)
        loss = self.replay(inputs, order, lambda: None)
        return super().step(x, target, keys) if loss is None else loss

    def at_its_place(self, name: str, batch: Tensor) -> Tensor:
        """Copy a batch (B, ...) into the fixed tensor for batches of its shape; return this tensor."""
        key = (name, batch.shape)
        if key not in self.batches:
            self.batches[key] = torch.empty_like(batch)
        return self.batches[key].copy_(batch)

    @torch.no_grad()
    def epoch(
        self,
        images: Tensor,
        batches: Iterable[Tensor],
        progress: Callable[[], object] = lambda: None,
        targets: Tensor | None = None,
        keys: Tensor | None = None,
    ) -> Tensor:
        """Make one step for each batch, as `Engine.epoch`, but check the losses only at the end.

        They are checked after the last full batch, and again after a shorter last batch. After a loss that
        is not finite, no step changes a parameter, so these steps do no harm.
        """
        inputs = named(images, targets, keys)
        total, done = torch.zeros((), dtype=torch.float64, device=images.device), 0
        for order in runs_of_equal_size(batches):
            try:
                total += self.run(inputs, order, progress)
            except NotFiniteError as error:
                raise NotFiniteError(done + error.step, error.loss, error.batch) from None
            done += len(order)
        return total

    def run(
        self, inputs: dict[str, Tensor], order: Tensor, progress: Callable[[], object]
    ) -> Tensor:
        """Make one step for each row of order (K, B); return the sum of the losses of all images.

        Raises NotFiniteError if a loss is not finite.
        """
        before, images = self.optimizer.steps, inputs["images"]
        if self.replay(inputs, order, progress) is None:
            rows = inputs.get("targets"), inputs.get("keys")
            return super().epoch(images, order, progress, *rows)
        total = self.tensors["total"]
        if not total.isfinite():
            done = self.optimizer.steps - before
            raise NotFiniteError(done + 1, total.item(), images[order[done]])
        return total

    def replay(
        self, inputs: dict[str, Tensor], order: Tensor, progress: Callable[[], object]
    ) -> Tensor | None:
        """Make one step for each row of order (K, B); return the loss of the last step.

        Return None, and make no step, if there is no device step for this model.
        """
        if self.eager:
            return None
        tensors = self.gather(inputs, order)
        step = self.laid_out(tensors)
        if step is None:
            return None
        try:
            if self.captured:
                return self.recording(step, tensors).run(tensors, progress)
            for _ in range(len(order)):
                loss = step(tensors)
                progress()
            return loss
        finally:
            self.optimizer.steps += int(tensors["row"])

    def gather(self, inputs: dict[str, Tensor], order: Tensor) -> dict[str, Tensor]:
        """Return all tensors that `device_step` needs, with the counters set for the first row of order."""
        self.settle()
        optimizer = self.optimizer
        rates = optimizer.next_rates(len(order))
        start = counters(optimizer.value.device, rates, optimizer.steps)
        lr = start.pop("lr")  # as many as rows of order
        for name, tensor in start.items():
            self.tensors.setdefault(name, tensor).copy_(tensor)
        return self.tensors | inputs | {"order": order, "lr": lr}

    def settle(self) -> None:
        """Collect the tensors of model and optimizer. If an address changed, flatten the buffers again."""
        model, optimizer = self.model, self.optimizer
        optimizer._relink()
        buffers = [tensor_at(place) for place in places(model, "buffer_names")]
        flat = [optimizer.value, optimizer.grad, *optimizer.state.values()]
        if self.addresses != [tensor.data_ptr() for tensor in (*flat, *buffers)]:
            self.tensors |= {"value": optimizer.value, "grad": optimizer.grad, **optimizer.state}
            self.tensors |= flatten_buffers(model)
            self.addresses = [tensor.data_ptr() for tensor in (*flat, *buffers)]

    def laid_out(self, tensors: dict[str, Tensor]) -> Step | None:
        """Return the step for the current shapes, modes and settings; None if it cannot be made."""
        modes = tuple(layer.training for _, layer in self.model.modules())
        o, images = self.optimizer, tensors["images"]
        chosen = [getattr(o, name) for name in o.hyperparameters if name != "lr"]
        settings = str([*chosen, o.clip_norm, o.clip_value, o.ema])
        key = (
            images.shape,
            images.dtype,
            "targets" in tensors,
            "keys" in tensors,
            tensors["order"].shape,
            modes,
            settings,
        )
        if key not in self.steps:
            self.steps[key] = self.prepare(self.net(self.model), tensors)
        return self.steps[key]

    def prepare(self, net: Net, tensors: dict[str, Tensor]) -> Step | None:
        """Return the step to run or record. A subclass can override this method to compile the step."""
        return partial(device_step, net, self.optimizer)

    def recording(self, step: Step, tensors: dict[str, Tensor]) -> Recording:
        """Return the step's CUDA graph. Record a new one if the address of a tensor has changed."""
        names = ("images", "targets", "keys")
        inputs = [tensors[name].data_ptr() for name in names if name in tensors]
        addresses = [*inputs, *self.addresses]
        found = self.recordings.get(step)
        if found is None or found.addresses != addresses:
            found = self.recordings[step] = Recording(step, tensors, addresses)
        return found

    def fall_back(self, reason: str) -> None:
        """Give a warning with the reason, and make the steps of `eager` from then on."""
        self.eager = True
        self.steps.clear()
        warnings.warn(
            f"the {self.name} engine {reason}: the eager engine is used instead", stacklevel=2
        )


def named(images: Tensor, targets: Tensor | None, keys: Tensor | None) -> dict[str, Tensor]:
    """Return the inputs of a device step by their names; those that are None are omitted."""
    given = {"images": images, "targets": targets, "keys": keys}
    return {name: tensor for name, tensor in given.items() if tensor is not None}


def no_device_form(model: Sequential, optimizer: Optimizer) -> str | None:
    """Return, in words, why there is no device step for these two; None if there is one.

    >>> from scratchae.layers import Linear
    >>> from scratchae.optim import SGD
    >>> model = Sequential(Linear(2, 2))
    >>> no_device_form(model, SGD(model.parameters()))
    >>> no_device_form(model, SGD([model[0].bias]))
    "needs an optimizer of all the model's parameters, in their order"
    """
    if type(optimizer).step is not Optimizer.step:
        return f"does not support {type(optimizer).__name__}, which has its own step"
    if isinstance(optimizer.lr, Tensor) and optimizer.lr.ndim:
        return "does not support one learning rate for each parameter"
    if list(map(id, optimizer.parameters)) != list(map(id, model.parameters())):
        return "needs an optimizer of all the model's parameters, in their order"
    return None


def runs_of_equal_size(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield a tensor (K, B) for each group of K consecutive batches of the same size B.

    >>> batches = torch.arange(5).split(2)
    >>> [run.tolist() for run in runs_of_equal_size(batches)]
    [[[0, 1], [2, 3]], [[4]]]
    """
    run: list[Tensor] = []
    for index in batches:
        if run and len(index) != len(run[0]):
            yield torch.stack(run)
            run = []
        run.append(index)
    if run:
        yield torch.stack(run)
