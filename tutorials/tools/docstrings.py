"""Convert docstrings, which are plain text, to what Sphinx expects, so that the site shows them unchanged."""

import re

LISTED = re.compile(r"\s*([-*]|\d+\.|>>>|\.\.) ")
CODE = re.compile(r"(`[^`]*`)")


def as_rst(app, what, name, obj, options, lines: list[str]) -> None:
    """Convert the lines of a docstring in place; a hook of Sphinx.

    Indented lines become blocks of plain text. Stars and bars, as in |x|, lose their special meaning.

    >>> lines = ["(N, *shape).", "", "    y = x * w", "", "Two lists:", "    a    first"]
    >>> as_rst(None, "module", "", None, None, lines)
    >>> lines[0], lines[2:5]
    ('(N, \\\\*shape).', ['.. code-block:: text', '', '    y = x * w'])
    >>> lines[-3:]
    ['.. code-block:: text', '', '    a    first']
    """
    result, inside, before = [], False, ""
    for line in lines:
        indented = line.startswith("    ") and not line.lstrip().startswith(">>>")
        if indented and not inside and not LISTED.match(before):
            result += [] if not result or not result[-1] else [""]
            result += [".. code-block:: text", ""]
            inside = True
        elif line.strip() and not indented:
            result += [""] if inside and result[-1] else []
            inside = False
        example = LISTED.match(before) and before.lstrip().startswith((">>>", "..."))
        plain = not inside and not line.lstrip().startswith((">>>", "...")) and not example
        result.append(escape(line) if plain else line)
        before = line if line.strip() else before if indented else ""
    lines[:] = result


def escape(line: str) -> str:
    """Return the line with stars and bars escaped, except in `code`."""
    parts = CODE.split(line)
    return "".join(p if i % 2 else re.sub(r"([*|])", r"\\\1", p) for i, p in enumerate(parts))
