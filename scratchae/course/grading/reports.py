"""Reports: the feedback to one student, and the report on a whole class."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from scratchae.checking import mistakes
from scratchae.checking.render import Block, Checklist, Heading, Paragraph, Picture, Table
from scratchae.course.assignment import Assignment
from scratchae.course.blanked_sources import blanked_sources, master_sources
from scratchae.course.grading.flags import near_identical
from scratchae.course.sandbox.inside.static_analysis import analyse
from scratchae.plots import save
from scratchae.plots.style import BLUE, RED, headline, styled

MAX_BARS, MAX_MISTAKES, MAX_PAIRS = 15, 50, 200
COLUMNS = 3


def feedback(assignment: Assignment, result: dict, isolation: str) -> list[Block]:
    """Return the feedback to a student. isolation: a sentence about how the submission was isolated."""
    score = f"{result['score']:g} of {result['points']:g} points"
    blocks: list[Block] = [Heading(assignment.title, level=1)]
    blocks.append(Heading(result["student"], score, level=2))
    blocks += [Paragraph(problem, "wrong") for problem in result["problems"]]
    for task in result["tasks"]:
        points = f"{task['earned']:g} of {task['points']:g}"
        blocks.append(Heading(task["name"], points, level=2))
        blocks.append(Checklist([(row["test"], row["sentence"]) for row in task["rows"]]))
    if assignment.kind == "contest":
        remark = "The error was measured on other digits than in your own check."
    else:
        hidden = sum(task.hidden_cases for task in assignment.tasks)
        remark = f"{hidden} of the cases were hidden. They are like those of your own check, with other numbers."
    return [*blocks, Paragraph(f"{remark} {isolation}", "note")]


def class_report(
    assignment: Assignment,
    results: list[dict],
    not_graded: dict[str, str],
    isolation: str,
    pictures: dict[str, str],
) -> list[Block]:
    """Return the report to the instructor. pictures: {file: description}."""
    blocks: list[Block] = [Heading(assignment.title, level=1)]
    blocks.append(Paragraph(f"{len(results)} submissions graded."))
    blocks += [Picture(file, description) for file, description in pictures.items()]
    for title, columns, rows in report_tables(assignment, results, not_graded):
        if rows:
            blocks += [Heading(title, level=2), Table(columns, rows)]
    return [*blocks, Paragraph(isolation, "note")]


def report_tables(
    assignment: Assignment, results: list[dict], not_graded: dict[str, str]
) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return (title, names of the columns, rows) of every table."""
    sentence = {(m.exercise, m.name): m.sentence for m in mistakes()}
    exercise = {task.name: task.exercise for task in assignment.tasks}
    points = [
        points_row(name, full, earned)
        for name, (full, earned) in points_by_task(assignment, results).items()
    ]
    ranked = [result for result in results if result.get("leaderboard")]
    ranked.sort(key=lambda result: [entry["value"] for entry in result["leaderboard"]])
    ranking = [
        [str(i), result["student"], *(f"{entry['value']:g}" for entry in result["leaderboard"])]
        for i, result in enumerate(ranked, 1)
    ]
    made = [
        [str(n), task, mistake, sentence.get((exercise[task], mistake), "")]
        for task, mistake, n in mistakes_made(results)[:MAX_MISTAKES]
    ]
    alike = [
        [a, b, file, f"{similarity:.0%}"]
        for file, a, b, similarity in near_identical(results, known_fingerprints(assignment))
    ]
    return [
        ("Points", ["task", "of", "mean", "median", "full marks", "none"], points),
        ("Ranking", ["rank", "student", "error", "parameters", "code"], ranking),
        ("Mistakes", ["students", "task", "mistake", "what it is"], made),
        ("Flagged: a person has to look", ["student", "what"], sentences(results, "flags")),
        ("Nearly identical", ["student", "student", "file", "similarity"], alike[:MAX_PAIRS]),
        ("Problems with files", ["student", "what"], sentences(results, "problems")),
        (
            *("NOT graded: trouble of the machine", ["student", "why"]),
            [[student, not_graded[student]] for student in sorted(not_graded)],
        ),
    ]


def sentences(results: list[dict], kind: str) -> list[list[str]]:
    return [[result["student"], sentence] for result in results for sentence in result[kind]]


def points_row(name: str, full: float, earned: Sequence[float]) -> list[str]:
    """Return a row of the table of points."""
    averages = [f"{mean(earned):.1f}", f"{median(earned):g}"] if earned else ["", ""]
    counts = [sum(e >= full for e in earned), sum(e == 0 for e in earned)]
    return [name, f"{full:g}", *averages, *map(str, counts)]


def points_by_task(
    assignment: Assignment, results: list[dict]
) -> dict[str, tuple[float, list[float]]]:
    """Return {task: (its points, what each student earned)}, and the same for all tasks together."""
    points: dict[str, tuple[float, list[float]]] = {
        task.name: (task.points, [result["tasks"][i]["earned"] for result in results])
        for i, task in enumerate(assignment.tasks)
    }
    return points | {"all tasks": (assignment.points, [result["score"] for result in results])}


def mistakes_made(results: list[dict]) -> list[tuple[str, str, int]]:
    """Return (task, mistake, how many students made it), the most common first."""
    count: Counter[tuple[str, str]] = Counter()
    for result in results:
        made = {(t["name"], row["mistake"]) for t in result["tasks"] for row in t["rows"]}
        count.update(pair for pair in made if pair[1])
    ordered = sorted(count.items(), key=lambda item: (-item[1], item[0]))
    return [(task, mistake, n) for (task, mistake), n in ordered]


def known_fingerprints(assignment: Assignment) -> set[int]:
    """Return the fingerprints of what was handed out and of the reference."""
    if assignment.kind == "contest":
        return set()
    sources = [*master_sources(assignment).values(), *blanked_sources(assignment).values()]
    return {f for source in sources for f in analyse(source).get("fingerprints", ())}


def write_pictures(assignment: Assignment, results: list[dict], out: Path) -> dict[str, str]:
    """Write the report's pictures to out/pictures. Returns {file: description}."""
    pictures = {}
    if results:
        points = points_by_task(assignment, results)
        save(points_figure(points), out / "pictures" / "points.png", dpi=120)
        pictures["pictures/points.png"] = "Histograms of points"
    if made := mistakes_made(results)[:MAX_BARS]:
        bars = [(f"{task}: {mistake}", n) for task, mistake, n in made]
        save(mistakes_figure(bars), out / "pictures" / "mistakes.png", dpi=120)
        pictures["pictures/mistakes.png"] = "Bars of the most common mistakes"
    return pictures


@styled
def points_figure(points: dict[str, tuple[float, list[float]]]) -> Figure:
    """Draw a histogram for every task. points: {task: (its points, what each student earned)}."""
    rows = math.ceil(len(points) / COLUMNS)
    figure = Figure((9, 0.6 + 1.9 * rows))
    headline(figure, "How many students earned how many points")
    axes = figure.subplots(rows, COLUMNS, squeeze=False).flatten()
    highest = 1.0
    for ax, (task, (full, earned)) in zip(axes, points.items(), strict=False):
        bins = [full * i / 10 for i in range(10)] + [full, full * 1.1]
        counts, _, _ = ax.hist([min(e, full) for e in earned], bins, color=BLUE, rwidth=0.9)
        highest = max(highest, *counts)
        ax.set_title(f"{task}, {full:g} points")
        ax.set_xticks([full * 0.05, full * 0.55, full * 1.05], ["0", f"{full / 2:g}", f"{full:g}"])
        ax.grid(axis="x", visible=False)
        ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    for ax in axes[: len(points)]:
        ax.set_ylim(0, highest * 1.05)
    for ax in axes[len(points) :]:
        ax.remove()
    for ax in axes[: len(points) : COLUMNS]:
        ax.set_ylabel("students")
    return figure


@styled
def mistakes_figure(mistakes: Sequence[tuple[str, int]]) -> Figure:
    """Draw a bar for each (mistake, how many students made it), the most common at the top."""
    figure = Figure((9, 0.8 + 0.28 * max(1, len(mistakes))))
    headline(figure, "The most common mistakes, and how many students made them")
    ax = figure.subplots()
    names, counts = [m[0] for m in mistakes], [m[1] for m in mistakes]
    bars = ax.barh(range(len(names)), counts, color=RED, height=0.7)
    ax.bar_label(bars, padding=3)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.set_xlabel("students")
    return figure
