"""Mistakes: wrong versions of the exercises, each with a name and a sentence for the learner.

If a learner's function gives the same results as a wrong version, the learner reads its sentence. The
sentence names the error and the cure, in at most 40 words.

The mistakes are rows of tables in the folder catalogue/. To add one, add a row to the table of its
function there, or write a new file with a CHAPTER and a table MISTAKES:

    MISTAKES = {
        "linear_backward": {  # the function
            "dbias_averaged": (  # the name of the mistake
                "...; dbias = dy.mean(dim=0)",  # what the wrong version does
                "dbias is the mean over the samples. Add them up: dy.sum(dim=0).",
            ),
        },
    }

What the wrong version does is written in one of two ways.

1. Statements. `...` stands for the right function: statements before it change the arguments, statements
   after it change the results. Without `...` the statements are the whole function. The results are
   returned at the end. Their names are the outputs in EXERCISES.
2. `old → new`, one replacement per line. The text `old`, which occurs once in the right function, is
   replaced by `new`. The right function is the library's. If the file of the table has a function of
   that name, it is used instead: some functions are repeated there in their simplest form.

Both may use every name of the catalogue's file and of the right function's own file, and `right`,
which is the right function. Then run `pytest tests/checking/test_catalogue.py -k NAME`.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from scratchae.checking.exercises import EXERCISES, Exercise
from scratchae.errors import ScratchaeError

MOST_WORDS = 40
ARROW = " → "
Row = tuple[str, str]  # what the wrong version does, and its sentence


@dataclass(frozen=True, eq=False)
class Mistake:
    """A wrong version of the function `exercise`.

    chapter: the tutorial that explains it; 0 means none. wrong: the function itself, or the text of a
    table's row that describes it. names: the names that such a text may use.

    >>> halved = Mistake("tanh_forward", "halved", "y is half of tanh x.", 3, "...; y = y / 2")
    >>> print(halved.source)
    def halved(x):
        y = right(x)
        y = y / 2
        return y
    """

    exercise: str
    name: str
    sentence: str
    chapter: int
    wrong: Callable | str
    names: Mapping[str, object] = field(default_factory=dict, repr=False)

    @cached_property
    def function(self) -> Callable:
        """Make the wrong function.

        Raises ScratchaeError if it was written as `old → new` and `old` is not in the right function.
        """
        if callable(self.wrong):
            return self.wrong
        right = EXERCISES[self.exercise].reference
        names: dict[str, Any] = {**getattr(right, "__globals__", {}), "right": right, **self.names}
        exec(compile(self.source, f"<mistake {self.name}>", "exec"), names)
        return names[self.name]

    @cached_property
    def source(self) -> str:
        """Return the text of the wrong function."""
        if callable(self.wrong):
            return inspect.getsource(self.wrong)
        try:
            written = edited if ARROW in self.wrong else stated
            return written(self.name, self.wrong, EXERCISES[self.exercise], self.names)
        except (ScratchaeError, SyntaxError) as error:
            raise ScratchaeError(
                f"the mistake {self.name} of {self.exercise} cannot be made: {error}"
            ) from error


def stated(name: str, statements: str, exercise: Exercise, _: Mapping[str, object]) -> str:
    """Return the text of a function `name` with these statements. `...` becomes a call of the right function."""
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in inspect.signature(exercise.reference).parameters.values()
        if not callable(parameter.default) or parameter.default is inspect.Parameter.empty
    ]
    results = ", ".join(exercise.outputs) if exercise.call is None else "result"
    call = f"right({', '.join(parameter.name for parameter in parameters)})"
    if not exercise.in_place:
        call = f"{results} = {call}"
    body = [
        ast.parse(call).body[0] if ast.unparse(statement) == "..." else statement
        for statement in ast.parse(inspect.cleandoc(statements)).body
    ]
    if not exercise.in_place and not isinstance(body[-1], ast.Return):
        body += ast.parse(f"return {results}", mode="exec").body
    module = ast.parse(f"def {name}{inspect.Signature(parameters)}: pass")
    module.body[0].body = body  # type: ignore[attr-defined]
    return ast.unparse(module)


def edited(name: str, edits: str, exercise: Exercise, names: Mapping[str, object]) -> str:
    """Return the text of the right function under the name `name`, with these replacements in it."""
    text = inspect.getsource(cast(Callable, names.get(exercise.name, exercise.reference)))
    for edit in inspect.cleandoc(edits).split("\n"):
        old, _, new = edit.partition(ARROW)
        text = replace_in_function(text, exercise.name, old, new)
    module = ast.parse(text)
    module.body[0].name = name  # type: ignore[attr-defined]
    return ast.unparse(module)


def replace_in_function(source: str, function: str, old: str, new: str) -> str:
    """Return the source with `old` replaced by `new` in the body of a function at its top level.

    The docstring does not count. Raises ScratchaeError if `old` does not occur exactly once.

    >>> replace_in_function("def half(x):\\n    return x / 2\\n", "half", "/ 2", "// 2")
    'def half(x):\\n    return x // 2\\n'
    """
    found = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name == function
    ]
    if not found:
        raise ScratchaeError(f"there is no function {function}")
    lines = source.split("\n")
    start = found[0].body[1 if ast.get_docstring(found[0]) else 0].lineno - 1
    body = "\n".join(lines[start : found[0].end_lineno])
    if (count := body.count(old)) != 1:
        raise ScratchaeError(f"the text of {function} has {count} times, not once: {old}")
    lines[start : found[0].end_lineno] = body.replace(old, new).split("\n")
    return "\n".join(lines)


_catalogue: dict[tuple[str, str], Mistake] = {}


def mistake(exercise: str, sentence: str, chapter: int) -> Callable[[Callable], Callable]:
    """Add the decorated function, a wrong version of `exercise`, to the catalogue.

    Raises ScratchaeError if the exercise has a mistake of this name already, or if the sentence has
    more than 40 words.

    >>> @mistake("tanh_forward", "This is 2 tanh x: omit the 2.", chapter=3)
    ... def doubled(x):
    ...     return 2 * x.tanh()
    >>> [m.sentence for m in mistakes("tanh_forward") if m.name == "doubled"]
    ['This is 2 tanh x: omit the 2.']
    >>> forget("tanh_forward", "doubled")
    """

    def enter(function: Callable) -> Callable:
        add(Mistake(exercise, function.__name__, sentence, chapter, function))
        return function

    return enter


def add_table(
    table: Mapping[str, Mapping[str, Row]], chapter: int, names: Mapping[str, object]
) -> None:
    """Add every row of a table of mistakes to the catalogue. The rows may use `names`.

    >>> import torch
    >>> rows = {"doubled": ("...; y = 2 * y", "This is 2 tanh x: omit the 2.")}
    >>> add_table({"tanh_forward": rows}, chapter=3, names={})
    >>> find_mistake("tanh_forward", "doubled").function(torch.zeros(1))
    tensor([0.])
    >>> forget("tanh_forward", "doubled")
    """
    for exercise, rows in table.items():
        for name, (wrong, sentence) in rows.items():
            add(Mistake(exercise, name, sentence, chapter, wrong, names))


def add(entry: Mistake) -> None:
    """Add a mistake to the catalogue."""
    key = entry.exercise, entry.name
    if key in _catalogue:
        raise ScratchaeError(
            f"{entry.exercise} has a mistake {entry.name} already: choose another name"
        )
    if len(entry.sentence.split()) > MOST_WORDS:
        raise ScratchaeError(
            f"the sentence of {entry.name} has more than {MOST_WORDS} words: shorten it"
        )
    _catalogue[key] = entry


def mistakes(exercise: str | None = None) -> list[Mistake]:
    """Return every known mistake of an exercise such as "linear_backward", or of all exercises.

    >>> len(mistakes("linear_backward")) >= 6
    True
    """
    return [m for m in _catalogue.values() if exercise in (None, m.exercise)]


def find_mistake(exercise: str, name: str) -> Mistake:
    """Return the mistake of that name. Raises KeyError if there is none.

    >>> find_mistake("linear_backward", "dbias_averaged").chapter
    2
    """
    return _catalogue[exercise, name]


def forget(exercise: str, name: str) -> None:
    """Remove a mistake from the catalogue."""
    del _catalogue[exercise, name]
