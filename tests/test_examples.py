"""Every public name has an example in its docstring, and the doctests find every example."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import scratchae

PARTS = [p.name for p in pkgutil.iter_modules(scratchae.__path__) if p.name != "__main__"]
STUDIED = ("scratchae.layers", "scratchae.losses", "scratchae.optim", "scratchae.step")


def modules(part: str) -> list:
    """Return the module scratchae.`part` and, if it is a package, every module in it."""
    top = importlib.import_module(f"scratchae.{part}")
    inside = pkgutil.walk_packages(getattr(top, "__path__", []), f"{top.__name__}.")
    return [top, *(importlib.import_module(found.name) for found in inside)]


def public(module) -> list:
    """Return the functions and classes of `__all__`; of what students study, all of a module's own."""
    values = [getattr(module, name) for name in getattr(module, "__all__", ())]
    if module.__name__.startswith(STUDIED):
        own = [name for name in vars(module) if not name.startswith("_")]
        values += [getattr(module, name) for name in own]
        values = [v for v in values if getattr(v, "__module__", "").startswith(module.__name__)]
    kinds = [v for v in values if inspect.isclass(v) or inspect.isroutine(v)]
    return [
        v for v in kinds if not getattr(v, "_is_protocol", False)
    ]  # which only type checkers use


def has_example(value) -> bool:
    return ">>>" in (value.__doc__ or "")


@pytest.mark.parametrize("part", PARTS)
def test_every_public_name_has_a_runnable_example(part):
    values = [v for module in modules(part) for v in public(module)]
    lacking = {f"{v.__module__}.{v.__qualname__}" for v in values if not has_example(v)}
    assert not lacking, f"no example in the docstring of {', '.join(sorted(lacking))}"


@pytest.mark.parametrize("part", PARTS)
def test_every_example_is_found_where_doctests_are_looked_for(part):
    shown = [v for module in modules(part) for v in public(module) if has_example(v)]
    homes, finder = {v.__module__ for v in shown}, doctest.DocTestFinder(exclude_empty=True)
    found = {test.name for home in homes for test in finder.find(importlib.import_module(home))}
    hidden = {f"{v.__module__}.{v.__qualname__}" for v in shown} - found
    assert not hidden, f"no doctest finds the example of {', '.join(sorted(hidden))}"


@pytest.mark.parametrize(
    "name",
    [
        "checking.check.check",
        "layers.batchnorm.running_statistics",
        "layers.geometry.check_channels",
        "losses.base.Loss",
        "losses.mse.mse_backward",
        "models.registry.build",
        "optim.adam.adam_update",
        "optim.base.short_kind",
        "plots.style.save",
        "step.train_step",
        "training.loop.fit",
    ],
)
def test_the_walk_sees_functions_and_classes_wherever_they_are(name):
    values = [v for module in modules(name.partition(".")[0]) for v in public(module)]
    assert f"scratchae.{name}" in {f"{v.__module__}.{v.__name__}" for v in values}
