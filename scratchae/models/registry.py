"""Models by name: `register` adds one, `build` makes one."""

from __future__ import annotations

import difflib
from collections.abc import Callable

import torch

from scratchae.errors import ScratchaeError
from scratchae.models.autoencoder import Autoencoder

Builder = Callable[[torch.Generator | None], Autoencoder]

_builders: dict[str, Builder] = {}


def register(name: str, builder: Builder) -> None:
    """Make `builder(generator)` known as `name`; a name can be taken only once.

    >>> from scratchae.models import fc
    >>> register("fc", fc)  # the same again is no trouble
    >>> register("fc", lambda generator: None)
    Traceback (most recent call last):
    scratchae.errors.ScratchaeError: there is a model called 'fc' already: register yours by another name
    """
    if name in _builders and _builders[name] is not builder:
        raise ScratchaeError(
            f"there is a model called {name!r} already: register yours by another name"
        )
    _builders[name] = builder


def build(name: str, seed: int = 0) -> Autoencoder:
    """A new model of that name; the same seed gives the same weights on every device.

    >>> model, again = build("fc", seed=1), build("fc", seed=1)
    >>> model.name, model.input_shape, torch.equal(model.parameters()[0], again.parameters()[0])
    ('fc', (784,), True)
    """
    if name not in _builders:
        near = difflib.get_close_matches(name, _builders, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names())}"
        raise ScratchaeError(f"there is no model called {name!r}: {hint}")
    model = _builders[name](torch.Generator().manual_seed(seed))
    model.name = name
    return model


def names() -> list[str]:
    """Every known name, in the order of registration.

    >>> names()[:2]
    ['fc', 'conv']
    """
    return list(_builders)


def description(name: str) -> str:
    """The first line of the builder's docstring.

    >>> description("conv")
    'Three convolutions and their three mirrors, BatchNorm behind all but the last.'
    """
    return (_builders[name].__doc__ or "").strip().split("\n")[0]
