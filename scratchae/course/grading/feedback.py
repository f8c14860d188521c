"""Feedback: what one student is told, as a page and as Markdown. Everything is escaped."""

from __future__ import annotations

import html
import re

from scratchae.course.assignment import Assignment
from scratchae.course.grading.tables import harmless

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
td:first-child, td:nth-child(2):not(:last-child) { white-space: nowrap; width: 1%; }
.wide { overflow-x: auto; } .wide td, .wide th { overflow-wrap: break-word; }
.ok { color: var(--ok); } .wrong { color: var(--wrong); } .note { opacity: 0.75; }
img { max-width: 100%; border-radius: 6px; }
@media (max-width: 36rem) {
  .rows tr { display: flex; flex-wrap: wrap; border-top: 1px solid var(--line); }
  .rows td { border: 0; width: auto; } .rows td:nth-child(2) { white-space: normal; }
  .rows td:nth-child(3) { flex-basis: 100%; padding-top: 0; } .rows td:empty { display: none; }
}
""".strip()
MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-!|~:@])")


def page(title: str, body: str) -> str:
    """An HTML page that asks nothing of the network."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src 'self' data:\">\n"
        f"<title>{safe(title)}</title>\n<style>\n{STYLE}\n</style></head>\n<body>\n{body}</body></html>\n"
    )


def safe(text: object) -> str:
    """Text for a page.

    >>> safe("<b>" + chr(27))
    '&lt;b&gt;'
    """
    return html.escape(harmless(str(text)))


def plain(text: object) -> str:
    """Text for Markdown, in which nothing of it is markup.

    >>> print(plain("<b> *a*"))
    &lt;b&gt; \\*a\\*
    """
    text = MARKDOWN.sub(r"\\\1", harmless(str(text)).replace("\n", " "))
    return html.escape(text, quote=False)


def to_html(assignment: Assignment, result: dict, said: str) -> str:
    """A student's page."""
    parts = [
        f"<h1>{safe(assignment.title)}</h1>",
        f"<p>{safe(result['student'])}: <b>{result['score']:g} of {result['points']:g} points</b></p>",
    ]
    parts += [f'<p class="wrong">{safe(problem)}</p>' for problem in result["problems"]]
    for task in result["tasks"]:
        parts.append(
            f"<h2>{safe(task['name'])} <span>{task['earned']:g} of {task['points']:g}</span></h2>"
        )
        parts.append('<table class="rows">')
        for row, sentence in told(task):
            mark, kind = ("✓ right", "ok") if row["passed"] else ("✗ wrong", "wrong")
            parts.append(
                f'<tr><td class="{kind}">{mark}</td><td>{safe(row["test"])}</td>'
                f"<td>{safe(sentence)}</td></tr>"
            )
        parts.append("</table>")
    parts.append(f'<p class="note">{safe(notes(assignment))} {safe(said)}</p>')
    return page(f"{assignment.title}: {result['student']}", "\n".join(parts) + "\n")


def to_markdown(assignment: Assignment, result: dict, said: str) -> str:
    """The same as Markdown."""
    lines = [
        f"# {plain(assignment.title)}",
        "",
        f"{plain(result['student'])}: **{result['score']:g} of {result['points']:g} points**",
    ]
    lines += ["", *(f"- {plain(problem)}" for problem in result["problems"])]
    for task in result["tasks"]:
        lines += ["", f"## {plain(task['name'])}: {task['earned']:g} of {task['points']:g}", ""]
        for row, sentence in told(task):
            mark = "✓" if row["passed"] else "✗"
            lines.append(
                f"- {mark} {plain(row['test'])}" + (f": {plain(sentence)}" if sentence else "")
            )
    lines += ["", plain(f"{notes(assignment)} {said}")]
    return "\n".join(lines) + "\n"


def told(task: dict) -> list[tuple[dict, str]]:
    """Every row with what is said of it; a sentence is said once."""
    said: set[str] = set()
    found = []
    for row in task["rows"]:
        sentence = row["sentence"]
        if sentence in said:
            sentence = "the same"
        elif sentence:
            said.add(sentence)
            sentence += f" (chapter {row['chapter']})" if row["chapter"] else ""
        found.append((row, sentence))
    return found


def notes(assignment: Assignment) -> str:
    """That there were hidden cases, or other digits."""
    if assignment.kind == "contest":
        return "The error is that on other digits than in your own check."
    hidden = sum(task.hidden_cases for task in assignment.tasks)
    return (
        f"{hidden} of the cases were hidden: other numbers of the same kinds as in your own check."
    )
