"""`import scratchae as sa` gives the public names, loads nothing before it is used, and is typed."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import scratchae as sa

SOURCE = Path(sa.__file__)


def names_for_type_checkers() -> dict[str, str]:
    """The module of each name that scratchae/__init__.py imports for type checkers."""
    (block,) = [node for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.If)]
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    lines = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert all(name.name == name.asname for line in lines for name in line.names)
    return {name.name: str(line.module) for line in lines for name in line.names}


@pytest.mark.parametrize("name", [n for n in sa.__all__ if n not in ("__version__", "sweep")])
def test_a_public_name_is_the_one_of_its_package(name):
    home = importlib.import_module(names_for_type_checkers()[name])
    assert getattr(sa, name) is getattr(home, name)


def test_type_checkers_see_the_same_names():
    assert {*names_for_type_checkers(), "__version__"} == set(sa.__all__)
    assert set(sa.__all__) <= set(dir(sa))


@pytest.mark.parametrize("part", ["layers", "losses", "optim"])
def test_every_layer_loss_and_optimiser_is_there(part):
    home = importlib.import_module(f"scratchae.{part}")
    names = getattr(home, "__all__", None) or [
        name
        for name, value in vars(home).items()
        if getattr(value, "__module__", "") == home.__name__
    ]
    classes = {name for name in names if inspect.isclass(getattr(home, name))}
    assert classes and classes <= set(sa.__all__)


def test_every_package_is_an_attribute_too():
    for found in pkgutil.iter_modules(sa.__path__):
        if found.ispkg and found.name != "cli":
            assert getattr(sa, found.name) is importlib.import_module(f"scratchae.{found.name}")


def test_the_package_of_sweeps_can_be_called(monkeypatch):
    monkeypatch.setattr(sa.sweep, "sweep", lambda *args, **kwargs: (args, kwargs))
    assert sa.sweep("fc", epochs=1) == (("fc",), {"epochs": 1})
    assert sa.sweep.numbers("1..3", "--lr")


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Lineal'"):
        _ = sa.Lineal


@pytest.mark.parametrize(
    "code",
    [
        "import scratchae as sa; dir(sa); sa.__all__; sa.__version__; sa.ScratchaeError",
        "import scratchae.cli",
        "from typer.testing import CliRunner; from scratchae.cli import app;"
        "assert 'train' in CliRunner().invoke(app, ['--help']).stdout",
    ],
)
def test_torch_is_not_loaded_before_it_is_needed(code):
    code += "; import sys; assert not {'torch', 'numpy', 'pandas', 'PIL'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_says_that_it_is_typed():
    assert (SOURCE.parent / "py.typed").is_file()
