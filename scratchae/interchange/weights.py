"""Weights as safetensors files, under torch.nn's keys. A torch.nn model with the same layers can load them.

torch.save writes a pickle, and a pickle can run any program when it is loaded. A safetensors file contains only
numbers.
"""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers import Layer
from scratchae.training.run import write_tensors

# The first bytes of a file of torch.save, which is a zip file or a pickle.
PICKLES = (b"PK", b"\x80")


def save_weights(model: Layer, path: str | Path) -> None:
    """Write the parameters and buffers of a model or a layer to a safetensors file.

    The keys are those of `state_dict`, and so those of torch.nn. The file is complete or not there at all.
    Raises ScratchaeError if it cannot be written.

    >>> import tempfile
    >>> from scratchae.layers import Linear
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_weights(Linear(2, 1), f"{folder}/weights.safetensors")
    ...     sorted(read_weights(f"{folder}/weights.safetensors"))
    ['bias', 'weight']
    """
    write_tensors(Path(path), model.state_dict())


def load_weights(model: Layer, path: str | Path) -> None:
    """Load a safetensors file into a model or a layer, in place.

    The file may come from `save_weights`, from a run folder (weights.safetensors), or from the state dict of a
    torch.nn model with the same layers, saved with `safetensors.torch.save_file`. The model keeps its
    device and its dtype. Raises ScratchaeError if the file cannot be read, if it is a pickle, or if its
    tensors do not belong to this model.

    >>> import tempfile
    >>> import torch
    >>> from safetensors.torch import save_file
    >>> from scratchae.layers import Linear
    >>> layer = Linear(2, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_file(torch.nn.Linear(2, 1).state_dict(), f"{folder}/weights.safetensors")
    ...     load_weights(layer, f"{folder}/weights.safetensors")
    """
    model.load_state_dict(read_weights(path))


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Return {key: tensor} of a safetensors file, on the CPU."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ScratchaeError(
            f"cannot read the weights {path}: {error.strerror or error}: check the path"
        ) from error
    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        if content.startswith(PICKLES):
            raise ScratchaeError(
                f"{path} is a pickle, which can run any program when it is loaded: if you trust it, convert it "
                f"with safetensors.torch.save_file(torch.load({str(path)!r}, weights_only=True), "
                "'weights.safetensors')"
            ) from error
        raise ScratchaeError(
            f"{path} is not a whole safetensors file ({error}): write it again with save_weights, or with "
            "safetensors.torch.save_file"
        ) from error
