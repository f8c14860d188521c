"""A model's BatchNorm layers become SyncBatchNorm for training on several workers, and back."""

from __future__ import annotations

from collections.abc import Iterator

from scratchae.distributed.batchnorm import SyncBatchNorm, SyncBatchNorm1d, SyncBatchNorm2d
from scratchae.distributed.workers import Workers
from scratchae.layers import BatchNorm1d, BatchNorm2d, Layer, Sequential
from scratchae.layers.batchnorm import BatchNorm

SYNCHRONISED: dict[type[BatchNorm], type[SyncBatchNorm]] = {
    BatchNorm1d: SyncBatchNorm1d,
    BatchNorm2d: SyncBatchNorm2d,
}


def convert_sync_batchnorm(model: Sequential, workers: Workers) -> Sequential:
    """Put a SyncBatchNorm in the place of each BatchNorm, with its tensors; returns the model.

    >>> model = Sequential(Sequential(BatchNorm1d(3)))
    >>> convert_sync_batchnorm(model, Workers())[0]
    Sequential(
      (0): SyncBatchNorm1d(3)
    )
    >>> list(model.state_dict())[:2]
    ['0.0.weight', '0.0.bias']
    """
    for row, name, layer in places(model):
        if type(layer) in SYNCHRONISED:
            row[name] = SYNCHRONISED[type(layer)](layer, workers)
    return model


def revert_sync_batchnorm(model: Sequential) -> Sequential:
    """Put a BatchNorm in the place of each SyncBatchNorm, with its tensors; returns the model.

    >>> revert_sync_batchnorm(convert_sync_batchnorm(Sequential(BatchNorm1d(3)), Workers()))
    Sequential(
      (0): BatchNorm1d(3)
    )
    """
    for plain, synchronised in SYNCHRONISED.items():
        for row, name, layer in places(model):
            if type(layer) is synchronised:
                row[name] = plain(layer.num_features)
                vars(row[name]).update({key: getattr(layer, key) for key in vars(row[name])})
    return model


def places(model: Sequential) -> Iterator[tuple[dict[str, Layer], str, Layer]]:
    """Every layer that is no Sequential, behind the dict that holds it and its name in there."""
    for name, layer in list(model.layers.items()):
        if isinstance(layer, Sequential):
            yield from places(layer)
        else:
            yield model.layers, name, layer
