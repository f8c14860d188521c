"""Turn a chapter, `chNN_name.py` in jupytext's py:percent format, into a page and a student notebook.

- A cell with the tag `write-it` holds complete functions. The comment `# your turn: what to do` starts
  the part that the reader writes. `blank` replaces the comment and the rest of its block by one line
  that raises NotImplementedError. The page shows the blank, with the solution folded below it.
- A cell with the tag `predict` has its output folded, and a cell with the tag `picture` its code.
- Comment lines at the head of a cell, from `# alt:` on, describe its figure to readers who cannot see it.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import jupytext
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

FOLDER = Path(__file__).parents[1]
YOUR_TURN = re.compile(r"^( *)# (your turn: .*)$")
ALT = re.compile(r"\A# alt: ((?:.*\n)(?:#.*\n)*)")
INSTALL = """\
# If scratchae is not installed, as in Google Colab, install it from a wheel beside the notebook. No package
# index has it: run `pip wheel --no-deps .` in the repository and upload the wheel that it writes.
import importlib.util
from pathlib import Path

if importlib.util.find_spec("scratchae") is None:
    wheels = sorted(Path().glob("scratchae-*.whl"))
    assert wheels, "upload the wheel of scratchae beside this notebook: pip wheel --no-deps . makes it"
    %pip install --quiet {wheels[-1]}"""
MOVED = {  # a link as the site needs it, and what replaces it in a notebook
    r"\]\((ch\d\d_\w+)\.py\)": r"](\1.ipynb)",
    r'href="\.\./_static/': 'href="../pages/_static/',
    r'<a href="\.\./(\w+)\.html">([^<]+)</a>': r"\2 (`make serve` shows it at /\1.html)",
    r"\[([^]]+)\]\(\.\./(\w+)\.md\)": r"\1 (`make serve` shows it at /\2.html)",
}


def chapters() -> list[Path]:
    """Return the chapters' files, in order."""
    return sorted(FOLDER.glob("ch[0-9][0-9]_*.py"))


def cells(text: str) -> list[NotebookNode]:
    """Return the cells of a chapter's text, with the description of a figure in the metadata `alt`."""
    found = jupytext.reads(text, fmt="py:percent").cells
    for cell in found:
        if cell.cell_type == "code" and (alt := ALT.match(cell.source)):
            cell.metadata["alt"] = " ".join(re.sub(r"^#", "", alt[1], flags=re.M).split())
            cell.source = cell.source[alt.end() :]
        if "picture" in tags(cell) and "plt." in cell.source:
            cell.source += ";"  # show the figure, not what the last line returns
    return found


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def to_write(cell: NotebookNode) -> list[str]:
    """Return the names of the functions and classes that a `write-it` cell defines."""
    kinds = ast.FunctionDef | ast.ClassDef
    return [node.name for node in ast.parse(cell.source).body if isinstance(node, kinds)]


def blank(source: str) -> str:
    """Return the source without the solution.

    >>> print(blank("def double(x):\\n    # your turn: twice x\\n    y = 2 * x\\n    return y"))
    def double(x):
        raise NotImplementedError("your turn: twice x")
    """
    kept, hidden = [], None  # hidden: the indentation of the block that is being omitted
    for line in source.split("\n"):
        indentation = len(line) - len(line.lstrip())
        if hidden is not None and (not line.strip() or indentation >= hidden):
            continue
        if hidden is not None:
            kept += [""] * (2 if indentation == 0 else 1)
            hidden = None
        if turn := YOUR_TURN.match(line):
            hidden = indentation
            line = f'{turn[1]}raise NotImplementedError("{turn[2]}")'
        kept.append(line)
    return "\n".join(kept)


def page(text: str) -> NotebookNode:
    """Return the chapter as the site shows it."""
    shown = []
    for cell in cells(text):
        options = {}
        if "alt" in cell.metadata:
            options["image"] = {"alt": cell.metadata.pop("alt")}
        if "write-it" in tags(cell):
            shown.append(new_markdown_cell(f"```python\n{blank(cell.source)}\n```"))
            cell.source = re.sub(r"^ *# your turn: .*\n", "", cell.source, flags=re.M)
            cell.metadata.tags = [*tags(cell), "hide-input"]
            options |= prompts("Show a solution", "Hide the solution")
        if "picture" in tags(cell):
            cell.metadata.tags = [*tags(cell), "hide-input"]
            options |= prompts("Show the code of the picture", "Hide the code")
        if "predict" in tags(cell):
            cell.metadata.tags = [*tags(cell), "hide-output"]
            options |= prompts("Show what happens", "Hide what happens")
        if options:
            cell.metadata["mystnb"] = options
        shown.append(cell)
    return notebook(shown)


def student(text: str, name: str) -> NotebookNode:
    """Return the chapter without solutions and outputs, with cell ids that are always the same."""
    found = [new_code_cell(INSTALL), *cells(text)]
    for i, cell in enumerate(found):
        if "write-it" in tags(cell):
            cell.source = blank(cell.source)
        for link, there in MOVED.items():
            cell.source = re.sub(link, there, cell.source)
        cell.id = f"{name.split('_')[0]}-{i:02d}"
    return notebook(found)


def prompts(show: str, hide: str) -> dict[str, str]:
    return {"code_prompt_show": show, "code_prompt_hide": hide}


def notebook(found: list[NotebookNode]) -> NotebookNode:
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return new_notebook(cells=found, metadata={"kernelspec": kernel})
