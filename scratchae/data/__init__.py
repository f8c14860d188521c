"""Data: load a data set, cut it into batches, read a digit from a picture."""

from scratchae.data.augmentation import Augmentation
from scratchae.data.batches import Batches
from scratchae.data.corruption import Corruption
from scratchae.data.dataset import Dataset, Images, denormalise, normalise
from scratchae.data.images import digit_from_picture
from scratchae.data.loading import NAMES, load, location

__all__ = [
    "NAMES",
    "Augmentation",
    "Batches",
    "Corruption",
    "Dataset",
    "Images",
    "denormalise",
    "digit_from_picture",
    "load",
    "location",
    "normalise",
]
