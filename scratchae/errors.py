"""The exception that scratchae raises for a mistake of its user."""


class ScratchaeError(ValueError):
    """The user asked for something that is not possible.

    The message is one sentence: what is wrong, where, and the likely cure. The command line
    prints it and exits with code 2. Any other exception is a bug in scratchae.

    >>> from scratchae.models import build
    >>> build("fcc")
    Traceback (most recent call last):
    scratchae.errors.ScratchaeError: there is no model called 'fcc': did you mean 'fc'?
    """
