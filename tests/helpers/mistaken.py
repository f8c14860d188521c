"""The catalogue's mistakes as files that students could hand in: on the blanked library, and whole."""

import ast
import inspect
import sys
from pathlib import Path

from scratchae.checking import EXERCISES
from scratchae.course.blanked_sources import blanked_functions, master_sources

CATALOGUE = "scratchae.checking.catalogue."


def handed_in_with(assignment, mistake):
    """{file: text}: the answers, but for one function, which is the mistake's."""
    files = {Path(file).name: text for file, text in master_sources(assignment).items()}
    (task,) = (t for t in assignment.tasks if t.exercise == mistake.exercise)
    function = EXERCISES[task.exercise].reference.__name__
    blank = {name for names in blanked_functions(assignment).values() for name in names}
    text = inlined(mistake.function.__module__, blank, set())
    # the mistake has names of its own: where it calls the right function it means ours
    files[Path(task.file).name] += (
        f"\n\nnames = dict(globals())\nexec({text!r}, names)\n{function} = names[{mistake.name!r}]\n"
    )
    return files


def inlined(module, blank, seen):
    """A module of the catalogue without imports of the catalogue or of what is blanked."""
    if module in seen:
        return ""
    seen.add(module)
    parts = ["def mistake(*_, **__):\n    return lambda function: function"]
    for node in ast.parse(inspect.getsource(sys.modules[module])).body:
        if not isinstance(node, ast.ImportFrom):
            parts.append(ast.unparse(node))
        elif node.module.startswith(CATALOGUE):
            parts.append(inlined(node.module, blank, seen))
        elif node.module not in ("__future__", "scratchae.checking.mistake"):
            node.names = [alias for alias in node.names if alias.name not in blank]
            parts += [ast.unparse(node)] if node.names else []
    return "\n".join(parts)
