"""The three forms of a report: the same words in each, and nothing in them is taken for markup."""

import html

import pytest

from scratchae.checking.render import (
    Checklist,
    Heading,
    Paragraph,
    Picture,
    Table,
    as_html,
    as_markdown,
    as_page,
    as_text,
)

EVIL = "<script>alert('&')</script> **b** [a](b) | c"
BLOCKS = [
    Heading(EVIL, "1 of 2", level=1),
    Paragraph(EVIL, "wrong"),
    Paragraph(EVIL, "note"),
    Table(["task", "points"], [[EVIL, "1"], ["b", "22"]], wrong=[0], right=[1]),
    Checklist([("one", EVIL), ("two", ""), ("three", EVIL)]),
    Picture("points.png", EVIL),
]


def test_html_escapes_every_text():
    page = as_page("<b>", BLOCKS)
    assert "<script" not in page and "<b>" not in page
    assert html.unescape(page).count(EVIL) == 6
    assert page.count("default-src 'none'") == 1


def test_markdown_escapes_every_text():
    text = as_markdown(BLOCKS)
    assert "<script" not in text and "**" not in text and "[a](" not in text
    assert text.startswith("# ") and "- ✗ one, three: " in text and "- ✓ two" in text


def test_text_is_wrapped_and_the_columns_of_a_table_are_aligned():
    assert all(len(line) <= 60 for line in as_text([Paragraph("word " * 50)], 60).split("\n"))
    table = Table(["task", "points"], [["a", "1"], ["longer", "22"]], right=[1])
    assert as_text([table]) == "task    points\na            1\nlonger      22"


@pytest.mark.parametrize("write", [as_text, as_markdown, as_html, lambda b: as_page("t\x1b", b)])
def test_control_characters_are_removed(write):
    text = "a\x1b[31mb\u202ec\x00"
    blocks = [
        Heading(text, text),
        Paragraph(text),
        Table([text], [[text]]),
        Checklist([(text, text)]),
    ]
    assert not set(write(blocks)) & {"\x1b", "\u202e", "\x00"}
