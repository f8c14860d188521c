"""render: a report as text, as Markdown and as HTML, all three made from the same blocks.

A report is a list of blocks: `Heading`, `Paragraph`, `Table`, `Checklist`, `Picture`. A class that has
a method `blocks` and inherits from `Rendered` prints itself as text, and a notebook shows it as
HTML. The text of a block is always shown as text: control characters are removed, and markup in it is
escaped.
"""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

WIDTH = 80  # columns of the text form
UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f]")
BIDIRECTIONAL = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # marks of text direction
MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-!|~:@])")
COLOURS = {"ok": "var(--ok, #117733)", "wrong": "var(--wrong, #aa1144)"}


def harmless(text: object) -> str:
    """Return the text without control characters, terminal escapes and marks that reverse its direction.

    >>> harmless("a\\x1b[31mb\\u202ec")
    'a[31mbc'
    """
    plain = str(text).replace("\r", " ").replace("\t", " ")
    return BIDIRECTIONAL.sub("", UNFIT.sub("", plain))


def for_html(text: object) -> str:
    """Return text escaped for HTML.

    >>> for_html("<b>" + chr(27))
    '&lt;b&gt;'
    """
    return html.escape(harmless(text))


def for_markdown(text: object) -> str:
    """Return text for Markdown, with every character escaped that Markdown could read as markup.

    >>> print(for_markdown("<b> *a*"))
    &lt;b&gt; \\*a\\*
    """
    return html.escape(MARKDOWN.sub(r"\\\1", harmless(text).replace("\n", " ")), quote=False)


def wrapped(text: str, width: int, first: str = "", other: str = "") -> list[str]:
    """Return lines of at most `width` columns. first, other: the prefixes of the first and other lines."""
    return textwrap.wrap(harmless(text), width, initial_indent=first, subsequent_indent=other)


def coloured(text: str, kind: str) -> str:
    """Return HTML: the text in the colour of "ok" or "wrong"."""
    return f'<b class="{kind}" style="color:{COLOURS[kind]}">{text}</b>'


class Block(Protocol):
    """A piece of a report, which can be written in three forms."""

    def text(self, width: int) -> list[str]: ...
    def markdown(self) -> list[str]: ...
    def html(self) -> str: ...


@dataclass(frozen=True)
class Heading:
    """A heading, with a few words beside it. level: 1 for the title of a page, 3 in a notebook."""

    title: str
    beside: str = ""
    level: int = 3

    def text(self, width: int) -> list[str]:
        line = harmless(f"{self.title}: {self.beside}" if self.beside else self.title)
        return [line, ""] if self.level == 1 else [line]

    def markdown(self) -> list[str]:
        beside = f": {for_markdown(self.beside)}" if self.beside else ""
        return [f"{'#' * self.level} {for_markdown(self.title)}{beside}"]

    def html(self) -> str:
        beside = f" <span>{for_html(self.beside)}</span>" if self.beside else ""
        return f"<h{self.level}>{for_html(self.title)}{beside}</h{self.level}>"


@dataclass(frozen=True)
class Paragraph:
    """A paragraph. kind: "wrong" for what is wrong, "note" for a remark."""

    words: str
    kind: str = ""

    def text(self, width: int) -> list[str]:
        return wrapped(self.words, width)

    def markdown(self) -> list[str]:
        return [for_markdown(self.words)]

    def html(self) -> str:
        words = for_html(self.words)
        if self.kind == "wrong":
            return f"<p>{coloured(words, 'wrong')}</p>"
        return f'<p class="{self.kind}">{words}</p>' if self.kind else f"<p>{words}</p>"


@dataclass(frozen=True)
class Table:
    """A table. wrong: the indices of the rows to mark. right: those of the right-aligned columns."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    wrong: Collection[int] = ()
    right: Collection[int] = ()

    def text(self, width: int) -> list[str]:
        lines = [[harmless(cell) for cell in line] for line in (self.head, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        marks = [">" if i in self.right else "<" for i in range(len(widths))]
        form = "  ".join(f"{{:{m}{w}}}" for m, w in zip(marks, widths, strict=True))
        return [form.format(*line).rstrip() for line in lines]

    def markdown(self) -> list[str]:
        head, *rows = (
            f"| {' | '.join(map(for_markdown, row))} |" for row in (self.head, *self.rows)
        )
        return [head, "|---" * len(self.head) + "|", *rows]

    def html(self) -> str:
        head = "".join(f"<th>{for_html(cell)}</th>" for cell in self.head)
        lines = [f"<tr>{head}</tr>"]
        for i, row in enumerate(self.rows):
            cells = [for_html(cell) for cell in row]
            if i in self.wrong:
                cells = [coloured(cell, "wrong") for cell in cells]
            lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
        return f'<div class="wide"><table>{"".join(lines)}</table></div>'


@dataclass(frozen=True)
class Checklist:
    """Tests by name. Each has a sentence about what is wrong, or "" if it passed.

    Each sentence is shown once, with all tests that have it.

    >>> tests = Checklist([("one sample", "y is late"), ("float32", ""), ("groups", "y is late")])
    >>> print(as_text([tests]))
      wrong  one sample, groups
               y is late
      ok     float32
    """

    results: Sequence[tuple[str, str]]

    def groups(self) -> list[tuple[str, str, str]]:
        """Return ("wrong" or "ok", names of tests, sentence). The tests that passed come last."""
        names: dict[str, list[str]] = {}
        for test, sentence in self.results:
            names.setdefault(sentence, []).append(test)
        groups = [("wrong", ", ".join(tests), said) for said, tests in names.items() if said]
        return groups + ([("ok", ", ".join(names[""]), "")] if "" in names else [])

    def text(self, width: int) -> list[str]:
        lines = []
        for mark, tests, sentence in self.groups():
            lines += wrapped(tests, width, f"  {mark:<7}", " " * 9)
            lines += wrapped(sentence, width, " " * 11, " " * 11)
        return lines

    def markdown(self) -> list[str]:
        return [
            f"- {'✗' if sentence else '✓'} {for_markdown(tests)}"
            + (f": {for_markdown(sentence)}" if sentence else "")
            for _, tests, sentence in self.groups()
        ]

    def html(self) -> str:
        signs = {"ok": "✓ ok", "wrong": "✗ wrong"}
        rows = [
            f"<tr><td>{coloured(signs[mark], mark)}</td>"
            f"<td>{for_html(tests)}</td><td>{for_html(sentence)}</td></tr>"
            for mark, tests, sentence in self.groups()
        ]
        return f'<table class="tests">{"".join(rows)}</table>'


@dataclass(frozen=True)
class Picture:
    """A picture in a file next to the page. The text form shows its description."""

    file: str
    description: str

    def text(self, width: int) -> list[str]:
        return wrapped(f"({self.description}: {self.file})", width)

    def markdown(self) -> list[str]:
        return [f"![{for_markdown(self.description)}]({self.file})"]

    def html(self) -> str:
        return f'<p><img src="{for_html(self.file)}" alt="{for_html(self.description)}"></p>'


def as_text(blocks: Iterable[Block], width: int = WIDTH) -> str:
    """Return the blocks as text, in lines of at most `width` columns (tables may be wider)."""
    return "\n".join(line for block in blocks for line in block.text(width))


def as_markdown(blocks: Iterable[Block]) -> str:
    """Return the blocks as Markdown.

    >>> print(as_markdown([Paragraph("It is 2 * 3.")]), end="")
    It is 2 \\* 3.
    """
    return "\n\n".join("\n".join(block.markdown()) for block in blocks) + "\n"


def as_html(blocks: Iterable[Block]) -> str:
    """Return the blocks as HTML, for a notebook or for the body of a page."""
    return "\n".join(block.html() for block in blocks)


STYLE = """
:root { color-scheme: light dark; --ok: #117733; --wrong: #882255; --line: #8884; }
@media (prefers-color-scheme: dark) { :root { --ok: #66cc88; --wrong: #ee88bb; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem;
  overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin: 1.6rem 0 0.3rem; }
h2 span { float: right; font-weight: normal; }
table { border-collapse: collapse; width: 100%; }
td, th { border-top: 1px solid var(--line); padding: 0.3rem 0.6rem 0.3rem 0; }
td, th { text-align: left; vertical-align: top; }
.tests td { width: 50%; } .tests td:first-child { white-space: nowrap; width: 1%; }
.wide { overflow-x: auto; } .wide td, .wide th { overflow-wrap: break-word; }
.note { opacity: 0.75; } img { max-width: 100%; border-radius: 6px; }
@media (max-width: 36rem) {
  .tests tr { display: flex; flex-wrap: wrap; border-top: 1px solid var(--line); }
  .tests td { border: 0; width: auto; } .tests td:nth-child(2) { flex: 1; }
  .tests td:nth-child(3) { flex-basis: 100%; padding-top: 0; } .tests td:empty { display: none; }
}
""".strip()


def as_page(title: str, blocks: Iterable[Block]) -> str:
    """Return a whole HTML page. It loads nothing from the network and runs no scripts."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src 'self' data:\">\n"
        f"<title>{for_html(title)}</title>\n<style>\n{STYLE}\n</style></head>\n"
        f"<body>\n{as_html(blocks)}\n</body></html>\n"
    )


class Rendered:
    """A base class for reports: they print as text, and a notebook shows them as HTML."""

    def blocks(self) -> list[Block]:
        """Return the blocks of the report."""
        raise NotImplementedError

    def __str__(self) -> str:
        return as_text(self.blocks())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return as_html(self.blocks())
