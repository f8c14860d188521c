"""The catalogue of mistakes: wrong versions that are really written, each with a name and a sentence.

A mistake is a function with the signature of the right one. Its sentence says what is wrong and
where to look, in at most 40 words; it is what a learner reads whose function behaves alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scratchae.errors import ScratchaeError

MOST_WORDS = 40


@dataclass(frozen=True)
class Mistake:
    """A wrong version of the function `exercise`; `name` is that of the function itself.

    >>> Mistake("tanh_forward", "halved", "Half is missing.", 3, abs).name
    'halved'
    """

    exercise: str
    name: str
    sentence: str
    chapter: int
    function: Callable


_catalogue: dict[tuple[str, str], Mistake] = {}


def mistake(exercise: str, sentence: str, chapter: int) -> Callable[[Callable], Callable]:
    """Enter the decorated function into the catalogue.

    >>> @mistake("tanh_forward", "This is 2 tanh x: leave the 2 away.", chapter=3)
    ... def doubled(x):
    ...     return 2 * x.tanh()
    >>> [m.sentence for m in mistakes("tanh_forward") if m.name == "doubled"]
    ['This is 2 tanh x: leave the 2 away.']
    >>> forget("tanh_forward", "doubled")
    """

    def enter(function: Callable) -> Callable:
        key = exercise, function.__name__
        if key in _catalogue:
            raise ScratchaeError(f"the catalogue has a mistake {key[1]} in {exercise} already")
        if len(sentence.split()) > MOST_WORDS:
            raise ScratchaeError(f"the sentence of {key[1]} has more than {MOST_WORDS} words")
        _catalogue[key] = Mistake(*key, sentence, chapter, function)
        return function

    return enter


def mistakes(exercise: str | None = None) -> list[Mistake]:
    """Every known mistake of an exercise such as "linear_backward", or of all.

    >>> len(mistakes("linear_backward")) >= 6
    True
    """
    return [m for m in _catalogue.values() if exercise in (None, m.exercise)]


def forget(exercise: str, name: str) -> None:
    """Take a mistake out of the catalogue."""
    del _catalogue[exercise, name]
