"""The one exception that scratchae raises on purpose."""


class ScratchaeError(ValueError):
    """Something a person asked for that cannot be.

    Its text is one sentence to that person: what was wrong, where, and the likely cure.
    The command line prints it and exits with 2; everything else is a bug of ours.

    >>> from scratchae.models import build
    >>> build("fcc")
    Traceback (most recent call last):
    scratchae.errors.ScratchaeError: there is no model called 'fcc': did you mean 'fc'?
    """
