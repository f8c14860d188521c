"""Models by name: `register` adds one, `build` makes one.

A builder may have options, whole numbers with a default, and a name may set them: "fc,latent=8" is
fc with a code of 8 numbers. A run folder keeps that name, so that it can be built again.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable

import torch

from scratchae.errors import ScratchaeError
from scratchae.models.autoencoder import Autoencoder

Builder = Callable[..., Autoencoder]

_builders: dict[str, Builder] = {}


def register(name: str, builder: Builder) -> None:
    """Make `builder(generator, **options)` known as `name`; a name can be taken only once.

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


def build(name: str, seed: int = 0, **options: int) -> Autoencoder:
    """A new model of that name; the same seed gives the same weights on every device.

    options: the builder's own. `model.name` tells those that are not as usual, and `build` takes
    it. Raises ScratchaeError for a name or an option that is not known.

    >>> model, again = build("fc", seed=1), build("fc", seed=1)
    >>> model.name, model.input_shape, torch.equal(model.parameters()[0], again.parameters()[0])
    ('fc', (784,), True)
    >>> build("fc", latent=8).name, len(build("fc,latent=8").encode(torch.zeros(784)))
    ('fc,latent=8', 8)
    """
    base = name.partition(",")[0]
    usual, chosen = options_of(base), options_of(name)
    for key, value in options.items():
        check_option(base, key, usual)
        chosen[key] = value
    model = _builders[base](torch.Generator().manual_seed(seed), **chosen)
    unusual = [f"{key}={value}" for key, value in chosen.items() if value != usual[key]]
    model.name = ",".join([base, *unusual])
    return model


def options_of(name: str) -> dict[str, int]:
    """The options of a model, each with its value: the usual one, or the one that the name sets.

    >>> options_of("fc"), options_of("fc,latent=8"), options_of("conv")
    ({'latent': 3}, {'latent': 8}, {})
    """
    name, *settings = name.split(",")
    if name not in _builders:
        near = difflib.get_close_matches(name, _builders, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names())}"
        raise ScratchaeError(f"there is no model called {name!r}: {hint}")
    _, *parameters = inspect.signature(_builders[name]).parameters.values()
    options = {parameter.name: parameter.default for parameter in parameters}
    for text in settings:
        key, _, value = text.partition("=")
        check_option(name, key, options)
        if not value.isdecimal():
            raise ScratchaeError(f"{name} wants {key} to be a whole number, such as {name},{key}=8")
        options[key] = int(value)
    return options


def check_option(name: str, key: str, options: dict[str, int]) -> None:
    """One sentence where a model has no such option."""
    if key not in options:
        has = f"it has {', '.join(options)}" if options else "it has none, leave it away"
        raise ScratchaeError(f"{name} has no option {key!r}: {has}")


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
