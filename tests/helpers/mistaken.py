"""The catalogue's mistakes as files that students could hand in: on the blanked library, and whole."""

import ast
import inspect
import sys
from pathlib import Path

from scratchae.checking import EXERCISES
from scratchae.course.blanked_sources import blanked_functions, master_sources

CATALOGUE = "scratchae.checking.catalogue."


def handed_in_with(assignment, mistake):
    """{file: text}: the answers, except for one function, which is the mistake's."""
    files = {Path(file).name: text for file, text in master_sources(assignment).items()}
    (task,) = (t for t in assignment.tasks if t.exercise == mistake.exercise)
    function = EXERCISES[task.exercise].reference.__name__
    blank = {name for names in blanked_functions(assignment).values() for name in names}
    text = f"{helpers(mistake.names['__name__'], blank)}\n{mistake.source}"
    # the helpers have names of their own: they must not take the place of ours
    files[Path(task.file).name] += (
        f"\n\nnames = dict(globals(), right={function})\nexec({text!r}, names)\n"
        f"{function} = names[{mistake.name!r}]\n"
    )
    return files


def helpers(module, blank):
    """What a file of the catalogue defines for its rows, without imports of what is blanked."""
    parts = []
    for node in ast.parse(inspect.getsource(sys.modules[module])).body:
        if isinstance(node, ast.ImportFrom):
            if node.module.startswith(CATALOGUE):
                parts.append(helpers(node.module, blank))
                continue
            node.names = [alias for alias in node.names if alias.name not in blank]
            if node.module == "__future__" or not node.names:
                continue
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)):
            parts.append(ast.unparse(node))
    return "\n".join(parts)
