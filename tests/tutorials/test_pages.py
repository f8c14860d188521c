"""The pages around the chapters name modules and files that exist."""

import importlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "tutorials" / "pages"
DOCUMENTED = {
    path.stem: re.findall(r"automodule:: (\S+)", path.read_text("utf-8"))
    for path in sorted((PAGES / "api").glob("*.md"))
    if path.stem != "index"
}


@pytest.mark.parametrize("page", DOCUMENTED)
def test_a_page_of_the_reference_names_modules_that_exist_under_their_names(page):
    headings = re.findall(r"^## (\S+)$", (PAGES / "api" / f"{page}.md").read_text("utf-8"), re.M)
    assert headings == DOCUMENTED[page] and headings
    for name in DOCUMENTED[page]:
        assert importlib.import_module(name).__doc__, name


@pytest.mark.parametrize(
    "part",
    sorted({p.parent.name for p in ROOT.glob("scratchae/*/__init__.py")} - {"cli", "course"}),
)
def test_the_reference_has_every_public_function_and_class(part):
    shown = {name for names in DOCUMENTED.values() for name in names}
    package = importlib.import_module(f"scratchae.{part}")
    for name in package.__all__ if package.__name__ not in shown else ():
        home = getattr(getattr(package, name), "__module__", None)
        assert home is None or home in shown, (
            f"{name} of {home} is on no page of tutorials/pages/api"
        )


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.md")), ids=lambda path: path.stem)
def test_every_file_of_the_repository_that_a_page_names_exists(path):
    for name in re.findall(
        r"`((?:tests|reference|scratchae|tutorials)/[\w/.-]+)`", path.read_text()
    ):
        assert (ROOT / name).exists(), name


def test_the_times_of_reading_a_csv_are_the_recorded_ones():
    recorded = json.loads((ROOT / "reference/results/csv.json").read_text("utf-8"))["seconds"]
    page = (PAGES / "speed.md").read_text("utf-8")
    for name in ("scratchae", "pandas, C", "pandas, pyarrow"):
        assert f"{recorded[name]:.2f} s" in page, name
