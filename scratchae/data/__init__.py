"""Digits in, tensors out: `load` a data set, `Batches` of it, a digit from a picture."""

from scratchae.data.batches import Batches
from scratchae.data.dataset import Dataset, Images, denormalise, normalise
from scratchae.data.images import digit_from_picture
from scratchae.data.loading import NAMES, load, where

__all__ = [
    "NAMES",
    "Batches",
    "Dataset",
    "Images",
    "denormalise",
    "digit_from_picture",
    "load",
    "normalise",
    "where",
]
