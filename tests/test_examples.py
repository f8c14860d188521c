"""Every public name shows what it does in an example, and none is out of sight of the doctests."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import scratchae

STUDIED = ("scratchae.layers", "scratchae.losses", "scratchae.optim", "scratchae.step")


def public(name: str) -> dict:
    """What a module gives its users: its `__all__`, or in what students study all of its own."""
    module = importlib.import_module(name)
    values = {n: getattr(module, n) for n in getattr(module, "__all__", ())}
    if name in STUDIED or name.rpartition(".")[0] in STUDIED:
        own = {n: v for n, v in vars(module).items() if getattr(v, "__module__", "") == name}
        values |= {n: v for n, v in own.items() if not n.startswith("_")}
    return {n: v for n, v in values.items() if inspect.isclass(v) or inspect.isroutine(v)}


MODULES = [
    module.name
    for module in pkgutil.walk_packages(scratchae.__path__, "scratchae.")
    if module.name != "scratchae.__main__"  # importing it runs the command line
]
GIVING = [name for name in MODULES if public(name)]


@pytest.mark.parametrize("name", GIVING)
def test_every_public_name_has_a_runnable_example(name):
    lacking = [n for n, v in public(name).items() if ">>>" not in (v.__doc__ or "")]
    assert not lacking, f"no example in the docstring of {', '.join(lacking)}"


@pytest.mark.parametrize("name", GIVING)
def test_every_example_is_found_where_doctests_are_looked_for(name):
    homes = {v.__module__ for v in public(name).values()}
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = {t.name for home in homes for t in finder.find(importlib.import_module(home))}
    shown = [v for v in public(name).values() if ">>>" in (v.__doc__ or "")]
    hidden = [v.__qualname__ for v in shown if f"{v.__module__}.{v.__qualname__}" not in found]
    assert not hidden, f"no doctest finds the example of {', '.join(hidden)}"


def test_the_walk_sees_packages_functions_and_classes():
    assert {"Linear", "conv2d_backward", "Sequential"} <= public("scratchae.layers").keys()
    assert {"check_channels", "counts"} <= public("scratchae.layers.geometry").keys()
    assert {"MSELoss", "mse_backward", "mse_forward"} == public("scratchae.losses").keys()
    assert {"Optimizer", "short_kind"} == public("scratchae.optim.base").keys()
    packages = "layers losses optim step models data training plots checking".split()
    assert {f"scratchae.{name}" for name in packages} <= set(GIVING)
