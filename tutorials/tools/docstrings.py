"""Docstrings are written to be read as they stand; this makes them stand so on the site."""

import re

LISTED = re.compile(r"\s*([-*]|\d+\.|>>>|\.\.) ")
CODE = re.compile(r"(`[^`]*`)")


def as_rst(app, what, name, obj, options, lines: list[str]) -> None:
    """Sphinx's hook: indented lines are text as it stands, a star is a star, and |x| a norm.

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
    """The line with its stars and bars made plain, outside of `code`."""
    parts = CODE.split(line)
    return "".join(p if i % 2 else re.sub(r"([*|])", r"\\\1", p) for i, p in enumerate(parts))
