"""BatchedModel: one model that computes M models at once, and BatchedLoss, which computes M losses."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from scratchae.layers import Layer
from scratchae.layers.base import LossFunction
from scratchae.losses import Loss
from scratchae.step import loss_of
from scratchae.sweep.batched_layers import BatchedLayer, Looped, batched, own_tensors


class BatchedModel(Layer):
    """One model that computes for (M, N, ...) what M models compute for M inputs (N, ...).

    The models must have the same layers; their tensors are copied. Losses and penalties are (M,), one for
    each model. Raises ScratchaeError if the models differ.

    >>> from scratchae.models import build
    >>> model = BatchedModel([build("fc", seed) for seed in range(5)])
    >>> model(torch.zeros(5, 64, 784)).shape
    torch.Size([5, 64, 784])
    >>> {key: tensor.shape for key, tensor in model.state_of(2).items()}["encoder.0.weight"]
    torch.Size([128, 784])
    """

    def __init__(self, models: Sequence[Layer]) -> None:
        super().__init__()
        losses: list[LossFunction]
        if any(has_shared_parameters(model) for model in models):
            looped = Looped(models)
            self.body: Layer = looped
            losses = [loss_of(model) for model in looped.copies]
        else:
            self.body = batched(models)
            losses = [copy.deepcopy(loss_of(model)) for model in models]  # models may share one
            trained: list[Layer] = [loss for loss in losses if isinstance(loss, Layer)]  # type: ignore[misc]
            if trained:  # losses with parameters
                self.trained_losses = Looped(trained, copied=False)
        self.loss = BatchedLoss(losses)
        self.training = models[0].training

    def forward(self, x: Tensor) -> Tensor:
        return self.body.forward(x)

    def backward(self, dy: Tensor) -> Tensor:
        return self.body.backward(dy)

    def penalties(self) -> Iterator[Tensor]:
        """Yield a tensor (M,) for each layer with penalties: the sum of each model's penalties in it."""
        for _, layer in self.modules():
            if isinstance(layer, Looped):
                found = [list(one.penalties()) for one in layer.copies]
                if any(found):
                    yield torch.stack([torch.stack(own).sum() for own in found])

    def set_keys(self, keys: Tensor | None, first: int = 0) -> int:
        """Give keys (M, N) to the random layers: model m gets those in row m, as it would alone."""
        for _, layer in self.modules():
            if isinstance(layer, Looped):
                rows = [None] * layer.models if keys is None else list(keys)
                pairs = zip(layer.copies, rows, strict=True)
                first = max([copy.set_keys(row, first) for copy, row in pairs])  # all are equal
        return first

    def state_of(self, index: int) -> dict[str, Tensor]:
        """Return the state of model `index`, with its own keys. The tensors are views, not copies."""
        state = dict(states(self.body, index, ""))
        if hasattr(self, "trained_losses"):
            state |= states(self.trained_losses, index, "loss.")
        return state

    def copy_to(self, index: int, model: Layer) -> None:
        """Copy the parameters and buffers of model `index` into an ordinary model.

        >>> from scratchae.layers import Linear
        >>> models, one = [Linear(3, 2) for _ in range(4)], Linear(3, 2)
        >>> BatchedModel(models).copy_to(2, one)
        >>> torch.equal(one.weight, models[2].weight)
        True
        """
        model.load_state_dict(self.state_of(index))


class BatchedLoss(Loss):
    """The losses of M models: a tensor (M,) for predictions and targets (M, ...).

    >>> from scratchae.losses import MSELoss
    >>> loss = BatchedLoss([MSELoss(), MSELoss()])
    >>> loss(torch.tensor([[1.0, 3.0], [5.0, 5.0]]), torch.ones(2, 2)).tolist()
    [2.0, 16.0]
    >>> loss.backward().tolist()
    [[0.0, 2.0], [4.0, 4.0]]
    """

    def __init__(self, losses: Sequence[LossFunction]) -> None:
        self.losses = list(losses)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        triples = zip(self.losses, prediction, target, strict=True)
        return torch.stack([loss.forward(p, t) for loss, p, t in triples])

    def backward(self) -> Tensor:
        return torch.stack([loss.backward() for loss in self.losses])

    def forget(self) -> None:
        for loss in self.losses:
            loss.forget()


def states(layer: Layer, index: int, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, tensor) of model `index`, found in a batched layer and all layers inside it.

    The names begin with `prefix`.
    """
    if isinstance(layer, BatchedLayer):
        yield from ((prefix + name, tensor) for name, tensor in layer.state_of(index).items())
        return
    for name, child in layer.children():
        yield from states(child, index, f"{prefix}{name}.")


def has_shared_parameters(model: Layer) -> bool:
    """Return whether two layers of the model share a parameter or a buffer.

    >>> from scratchae.layers import Linear, Sequential
    >>> model = Sequential(Linear(3, 3), Linear(3, 3))
    >>> has_shared_parameters(model)
    False
    >>> model[1].weight = model[0].weight
    >>> has_shared_parameters(model)
    True
    """
    held = [id(t) for _, layer in model.modules() for _, t in own_tensors(layer)]
    return len(held) > len(set(held))
