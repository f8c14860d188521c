"""The class report: how the points lie, the commonest mistakes by name, what needs a look."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import mean, median

from scratchae.checking import mistakes
from scratchae.course.assignment import Assignment
from scratchae.course.blanked_sources import blanked_sources, master_sources
from scratchae.course.grading.feedback import page, plain, safe
from scratchae.course.grading.pictures import commonest, distribution
from scratchae.course.grading.similar import near_identical
from scratchae.course.sandbox.inside.static_analysis import analyse
from scratchae.plots import save

MOST_MISTAKES, MOST_PAIRS = 15, 200


def mistakes_made(results: list[dict]) -> list[tuple[str, str, int]]:
    """(task, mistake, how many students made it), the commonest first."""
    count: Counter[tuple[str, str]] = Counter()
    for result in results:
        made = {(t["name"], row["mistake"]) for t in result["tasks"] for row in t["rows"]}
        count.update(pair for pair in made if pair[1])
    ordered = sorted(count.items(), key=lambda item: (-item[1], item[0]))
    return [(task, mistake, n) for (task, mistake), n in ordered]


def known_prints(assignment: Assignment) -> set[int]:
    """Hashes of what everybody was given, and of the answers."""
    if assignment.kind == "contest":
        return set()
    sources = [*master_sources(assignment).values(), *blanked_sources(assignment).values()]
    return {p for source in sources for p in analyse(source).get("prints", ())}


def write_pictures(assignment: Assignment, results: list[dict], folder: Path) -> list[str]:
    """Write the pictures; returns their names."""
    if not results:
        return []
    points = {
        task.name: (task.points, [result["tasks"][i]["earned"] for result in results])
        for i, task in enumerate(assignment.tasks)
    }
    points["all tasks"] = (assignment.points, [result["score"] for result in results])
    save(distribution(points), folder / "points.png", dpi=120)
    names = ["points.png"]
    if made := mistakes_made(results):
        bars = [(f"{task}: {mistake}", n) for task, mistake, n in made[:MOST_MISTAKES]]
        save(commonest(bars), folder / "mistakes.png", dpi=120)
        names.append("mistakes.png")
    return names


def sections(
    assignment: Assignment, results: list[dict], troubled: dict[str, str]
) -> list[tuple[str, list[str], list[list[str]]]]:
    """(headline, names of columns, rows) of every table."""
    sentence = {(m.exercise, m.name): m.sentence for m in mistakes()}
    exercise = {task.name: task.exercise for task in assignment.tasks}
    found = []
    scores = []
    for i, task in enumerate(assignment.tasks):
        earned = [result["tasks"][i]["earned"] for result in results]
        scores.append(line_of(task.name, task.points, earned))
    scores.append(line_of("all tasks", assignment.points, [r["score"] for r in results]))
    found.append(("Points", ["task", "of", "mean", "median", "full marks", "none"], scores))
    boards = [r for r in results if r.get("leaderboard")]
    boards.sort(key=lambda r: [entry["value"] for entry in r["leaderboard"]])
    ranks = [
        [str(i), r["student"], *(f"{entry['value']:g}" for entry in r["leaderboard"])]
        for i, r in enumerate(boards, 1)
    ]
    found.append(("Ranking", ["rank", "student", "error", "parameters", "code"], ranks))
    made = [
        [str(n), task, mistake, sentence.get((exercise[task], mistake), "")]
        for task, mistake, n in mistakes_made(results)
    ]
    found.append(("Mistakes", ["students", "task", "mistake", "what it is"], made[:50]))
    flags = [[r["student"], flag] for r in results for flag in r["flags"]]
    found.append(("Flagged: a person has to look", ["student", "what"], flags))
    pairs = near_identical(results, known_prints(assignment))
    alike = [[a, b, name, f"{share:.0%}"] for name, a, b, share in pairs[:MOST_PAIRS]]
    found.append(("Nearly identical", ["student", "student", "file", "alike"], alike))
    problems = [[r["student"], problem] for r in results for problem in r["problems"]]
    found.append(("Problems with files", ["student", "what"], problems))
    trouble = [[student, troubled[student]] for student in sorted(troubled)]
    found.append(("NOT graded: trouble of the machine", ["student", "why"], trouble))
    return [section for section in found if section[2]]


def line_of(name: str, full: float, earned: list[float]) -> list[str]:
    """A row of the table of points."""
    all_of = sum(e >= full for e in earned)
    none = sum(e == 0 for e in earned)
    middle = [f"{mean(earned):.1f}", f"{median(earned):g}"] if earned else ["", ""]
    return [name, f"{full:g}", *middle, str(all_of), str(none)]


def to_html(
    assignment: Assignment,
    results: list[dict],
    troubled: dict[str, str],
    said: str,
    names: list[str],
) -> str:
    """The report as a page; its pictures lie beside it."""
    texts = {"points.png": "Histograms of points", "mistakes.png": "Bars of the commonest mistakes"}
    parts = [f"<h1>{safe(assignment.title)}</h1>", f"<p>{len(results)} submissions graded.</p>"]
    parts += [f'<p><img src="pictures/{name}" alt="{texts[name]}"></p>' for name in names]
    for title, head, rows in sections(assignment, results, troubled):
        parts.append(f'<h2>{safe(title)}</h2>\n<div class="wide"><table><tr>')
        parts.append("".join(f"<th>{safe(h)}</th>" for h in head) + "</tr>")
        for row in rows:
            parts.append("<tr>" + "".join(f"<td>{safe(text)}</td>" for text in row) + "</tr>")
        parts.append("</table></div>")
    parts.append(f'<p class="note">{safe(said)}</p>')
    return page(f"{assignment.title}: the class", "\n".join(parts) + "\n")


def to_markdown(
    assignment: Assignment,
    results: list[dict],
    troubled: dict[str, str],
    said: str,
    names: list[str],
) -> str:
    """The report as Markdown."""
    lines = [f"# {plain(assignment.title)}", "", f"{len(results)} submissions graded.", ""]
    lines += [f"![]({'pictures/' + name})" for name in names]
    for title, head, rows in sections(assignment, results, troubled):
        lines += ["", f"## {plain(title)}", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        lines += [f"| {' | '.join(plain(text) for text in row)} |" for row in rows]
    return "\n".join([*lines, "", plain(said)]) + "\n"
