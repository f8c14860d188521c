"""Tables of the results in Markdown."""

from __future__ import annotations

import re

from reference.benchmark.contenders import REFERENCE
from reference.benchmark.goals import fastest, goal_lines


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table. Columns of numbers are aligned to the right.

    >>> print(markdown(["step by", "ms"], [["torch.nn", "9.56"], ["JAX", "25.32"]]))
    | step by | ms |
    |---|---:|
    | torch.nn | 9.56 |
    | JAX | 25.32 |
    """
    lines = [f"| {' | '.join(cells)} |" for cells in (header, *rows)]
    rule = "|"
    for k in range(len(header)):
        numbers = all(not cells[k] or cells[k][0].isdigit() for cells in rows)
        rule += "---:|" if numbers else "---|"
    return "\n".join([lines[0], rule, *lines[1:]])


def readme_table(results: dict) -> str:
    """Return the milliseconds per step of torch.nn, the fastest of each other kind, and ours."""
    kinds = {
        "torch.nn": lambda row: REFERENCE,
        "torch.nn, fastest Adam": lambda row: fastest(row, "torch.nn"),
        "torch.compile": lambda row: fastest(row, "torch.compile"),
        "JAX jit": lambda row: fastest(row, "JAX jit"),
        "JAX scan": lambda row: fastest(row, "JAX scan"),
    }
    rows = results["steps"]["rows"]
    engines = list(dict.fromkeys(n for row in rows for n in row["ms"] if n.startswith("scratchae")))
    kinds |= {engine: lambda row, engine=engine: engine for engine in engines}
    kinds = {
        kind: of
        for kind, of in kinds.items()
        if any(of(row) in row["ms"] for row in rows)
        and (kind != "torch.nn, fastest Adam" or any(of(row) != REFERENCE for row in rows))
    }
    lines = []
    for row in rows:
        times = [row["ms"].get(of(row)) for of in kinds.values()]
        best = row["ms"][REFERENCE] / row["ms"][fastest(row, "scratchae")]
        lines.append(
            [f"{row['model']}, {row['batch_size']}, {row['threads']}"]
            + ["" if ms is None else f"{ms:.2f}" for ms in times]
            + [f"{best:.2f}"]
        )
    return markdown(["model, batch, threads", *kinds, "ratio"], lines)


def steps_table(results: dict) -> str:
    """Return the median, quartiles, ratio and loss difference of every contender and case."""
    lines = []
    for row in results["steps"]["rows"]:
        for name, ms in row["ms"].items():
            low, _, high = row["ms_quartiles"][name]
            case = [row["model"], str(row["batch_size"]), str(row["threads"]), name]
            numbers = [f"{ms:.3f}", f"{low:.3f} to {high:.3f}", f"{row['ratio'][name]:.2f}"]
            lines.append([*case, *numbers, f"{row['loss_difference'][name]:.0e}"])
    header = ["model", "batch", "threads", "step by", "ms", "quartiles", "ratio", "loss difference"]
    return markdown(header, lines)


def memory_table(results: dict) -> str:
    """Return the megabytes of a step, and their ratio to torch.nn."""
    lines = []
    for row in results["memory"]["rows"]:
        for name, count in row["bytes"].items():
            share = f"{count / row['bytes'][REFERENCE]:.2f}" if REFERENCE in row["bytes"] else ""
            lines.append([row["model"], str(row["batch_size"]), name, f"{count / 1e6:.2f}", share])
    return markdown(["model", "batch", "step by", "MB", "of torch.nn's"], lines)


def whole_table(results: dict) -> str:
    """Return the seconds of whole runs."""
    lines = []
    for row in results["whole"]["rows"]:
        for name, seconds in row["seconds"].items():
            case = [row["model"], str(row["epochs"]), str(row["threads"]), name]
            numbers = [f"{seconds:.1f}", f"{row['read_seconds'][name]:.2f}"]
            lines.append(
                [*case, *numbers, f"{row['ratio'][name]:.2f}", f"{row['losses'][name][-1]:.4f}"]
            )
    header = [
        "model",
        "epochs",
        "threads",
        "run by",
        "s",
        "of it reading",
        "ratio to ours",
        "last loss",
    ]
    return markdown(header, lines)


def growth_table(results: dict) -> str:
    """Return the milliseconds and megabytes at every point."""
    rows = results["growth"]["rows"]
    names = list(dict.fromkeys(name for row in rows for name in row["ms"]))
    lines = [
        [f"{row['axis']} {row['value']}", str(row["threads"])]
        + [f"{row['ms'][name]:.2f}" for name in names]
        + [f"{row['bytes'][name] / 1e6:.2f}" for name in names]
        for row in rows
    ]
    units = [f"{name}, {unit}" for unit in ("ms", "MB") for name in names]
    return markdown(["at", "threads", *units], lines)


def in_words(about: dict) -> str:
    """Return a sentence with the facts about a measurement."""
    jax = f", JAX {about['jax']}" if about.get("jax") else ""
    return (
        f"{about['device']}, {about['processors']} processors, torch {about['torch']}{jax}, "
        f"Python {about['python']}, float32, {about['date']}; denormals: {about['denormals']}."
    )


SHORT = "Milliseconds per step. The ratio is torch.nn's time divided by that of our fastest engine."

PARTS = {
    "steps": (
        "Training steps",
        steps_table,
        "Medians of short bursts of steps. The contenders take turns, each in its own process. The ratio "
        "is torch.nn's time (with its defaults) divided by the contender's. All start with the same "
        "weights and batches. The last column is the largest relative difference of the losses of the "
        "first steps to torch.nn's.",
    ),
    "memory": (
        "Memory of a step",
        memory_table,
        "The peak memory without the images, the weights and Adam's two averages: gradients, buffers, "
        "activations and temporary memory, as torch's allocator reports. For JAX: the memory that its "
        "compiler reports for the step, without its arguments.",
    ),
    "whole": (
        "Whole runs",
        whole_table,
        "Seconds from the CSV on the disk to the end of the last epoch. As published: images scaled one "
        "at a time, a DataLoader, denormals not flushed. All start with the same weights and batches.",
    ),
    "growth": (
        "Growth",
        growth_table,
        "One step of `fc` for different batch sizes, and of a stack of Linear and ReLU layers "
        "784-width-...-width-784 with a batch of 64 for different depths (width 128) and widths (depth "
        "4). If a line of the picture is flat, the time goes into calling operators, whose cost does not "
        "depend on their size. If it rises as fast as its axis, the time goes into arithmetic. The "
        "arithmetic grows with the square of the width.",
    ),
}


def missing_lines(rows: list[dict]) -> list[str]:
    """Return lines that say which contenders are missing, in which cases, and why.

    >>> here = {"model": "fc", "batch_size": 64, "missing": {}}
    >>> late = {"JAX jit": "took too long", "JAX scan": "took too long"}
    >>> there = {"model": "fc", "batch_size": 512, "missing": late}
    >>> missing_lines([here, there])
    ['- Missing: JAX jit; JAX scan, fc 512: took too long.']
    >>> missing_lines([there])
    ['- Missing: JAX jit; JAX scan: took too long.']
    """
    absent: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for name, why in row.get("missing", {}).items():
            case = f"{row['model']} {row.get('batch_size', '')}".strip()
            absent.setdefault((name, why), []).append(case)
    names: dict[tuple[str, str], list[str]] = {}  # missing in the same cases for the same reason
    for (name, why), cases in absent.items():
        where = "" if len(cases) == len(rows) else f", {' and '.join(dict.fromkeys(cases))}"
        names.setdefault((where, why), []).append(name)
    lines = []
    for (where, why), missing in names.items():
        why = re.sub(
            r"--\w+", r"`\g<0>`", why
        )  # otherwise the website turns two hyphens into a dash
        lines.append(f"- Missing: {'; '.join(missing)}{where}: {why}.")
    return lines


def report(results: dict, device: str) -> str:
    """Return the whole page: a summary, the goals, then a table for each part."""
    sections = ["# Benchmark"]
    if "steps" in results:
        sections += ["## In short", SHORT, readme_table(results)]
    sections += ["## Goals", "\n".join(f"- {x}" for x in goal_lines(results, device))]
    for part, (title, table, words) in PARTS.items():
        if part in results:
            found = results[part]
            missing = missing_lines(found["rows"])
            data = [f"Images: {found['about']['data']}."] if "data" in found["about"] else []
            sections += [f"## {title}", words, in_words(found["about"]), *data]
            sections += ["\n".join(missing)] if missing else []
            sections += [table({part: found})]
    return "\n\n".join(sections) + "\n"
