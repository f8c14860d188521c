"""Models by name: `register` adds a name, `build` builds the model.

A builder may have options, which are numbers with defaults. A name can set them: "fc,latent=8" is fc
with a code of 8 numbers. An option is an integer if its default is one. A run folder stores this name, so
that the model can be built again.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable

import torch

from scratchae.errors import ScratchaeError
from scratchae.models.autoencoder import Autoencoder

Builder = Callable[..., Autoencoder]

_builders: dict[str, Builder] = {}


def register(name: str, builder: Builder) -> None:
    """Register a function `builder(generator, **options)`, which returns a new model, under a name.

    Raises ScratchaeError if another builder has this name.

    >>> from scratchae.models import fc
    >>> register("fc", fc)  # the same builder again is accepted
    >>> register("fc", lambda generator: None)
    Traceback (most recent call last):
    scratchae.errors.ScratchaeError: there is already a model called 'fc': choose another name
    """
    if name in _builders and _builders[name] is not builder:
        raise ScratchaeError(f"there is already a model called {name!r}: choose another name")
    _builders[name] = builder


def build(name: str, seed: int = 0, **options: float) -> Autoencoder:
    """Build a new model. The same seed gives the same weights on every device.

    options: the options of the builder. `model.name` contains the options that differ from their
    defaults, and can be passed to `build` again. Raises ScratchaeError if a name or an option is
    unknown.

    >>> model, again = build("fc", seed=1), build("fc", seed=1)
    >>> model.name, model.input_shape, torch.equal(model.parameters()[0], again.parameters()[0])
    ('fc', (784,), True)
    >>> build("fc", latent=8).name, len(build("fc,latent=8").encode(torch.zeros(784)))
    ('fc,latent=8', 8)
    """
    base = name.partition(",")[0]
    defaults, chosen = options_of(base), options_of(name)
    for key, value in options.items():
        check_option(base, key, defaults)
        chosen[key] = value
    model = _builders[base](torch.Generator().manual_seed(seed), **chosen)
    changed = [f"{key}={value}" for key, value in chosen.items() if value != defaults[key]]
    model.name = ",".join([base, *changed])
    return model


def options_of(name: str) -> dict[str, float]:
    """Return {option: value} of a model. Options that the name does not set have their defaults.

    Raises ScratchaeError if there is no such model or option, if an option is given twice, or if a value is
    not a number of the option's type.

    >>> options_of("fc"), options_of("fc,latent=8"), options_of("conv")
    ({'latent': 3}, {'latent': 8}, {})
    """
    name, *settings = name.split(",")
    if name not in _builders:
        near = difflib.get_close_matches(name, _builders, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the models are {', '.join(names())}"
        raise ScratchaeError(f"there is no model called {name!r}: {hint}")
    _, *parameters = inspect.signature(_builders[name]).parameters.values()
    options = {parameter.name: parameter.default for parameter in parameters}
    for text in settings:
        key, _, value = text.partition("=")
        check_option(name, key, options)
        if [other.partition("=")[0] for other in settings].count(key) > 1:
            raise ScratchaeError(f"{key} is given more than once for {name}: give it once")
        kind = type(options[key])
        try:
            options[key] = kind(value)
            fits = 0 <= options[key] < math.inf
        except ValueError:
            fits = False
        if not fits:
            what, such_as = ("an integer >= 0", "8") if kind is int else ("a number >= 0", "0.5")
            raise ScratchaeError(
                f"{name} expects {key} to be {what}, such as {name},{key}={such_as}, but got {value!r}"
            )
    return options


def check_option(name: str, key: str, options: dict[str, float]) -> None:
    """Raise ScratchaeError if the model has no such option."""
    if key not in options:
        has = (
            f"its options are {', '.join(options)}"
            if options
            else "omit it, the model has no options"
        )
        raise ScratchaeError(f"{name} has no option {key!r}: {has}")


def names() -> list[str]:
    """Return the names of all models, in the order of registration.

    >>> names()[:2]
    ['fc', 'conv']
    """
    return list(_builders)


def description(name: str) -> str:
    """Return the first line of the builder's docstring.

    >>> description("conv")
    'Three convolutions and three transposed convolutions, with BatchNorm after all but the last.'
    """
    return (_builders[name].__doc__ or "").strip().split("\n")[0]
