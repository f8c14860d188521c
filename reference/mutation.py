"""Mutation testing: do the tests see a small mistake in a layer, a loss or an optimiser?

    python -m reference.mutation                               # a sample; writes the results
    python -m reference.mutation --sample 0                    # all: half an hour on two idle cores
    python -m reference.mutation --again                       # those that the results do not show killed
    python -m reference.mutation layers/linear.py --workers 1  # some files; prints the survivors

Every mutant of mutants.py is run against the tests that are closest to its file; a survivor meets
all tests of layers, optimisers, training and lockstep.

A mutant that does the same as the original can be killed by no test. Such are listed by hand, with
the reason, in equivalent_mutants.toml; they are run all the same, and one that is killed is reported
as an error of the list. Writes reference/results/mutation.json and mutation.md.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
import time
import tomllib
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from reference.mutants import mutants_of
from reference.mutation_worker import prepare, run_mutant, run_untouched

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "scratchae"
SAMPLE = 500  # about ten minutes on two idle cores
FILES = ["layers/*.py", "losses.py", "losses/*.py", "optim.py", "optim/*.py"]


def main() -> None:
    """Run everything, print what matters, write the results of a whole run."""
    parser = argparse.ArgumentParser(description="Do the tests see small mistakes?")
    parser.add_argument("files", nargs="*", help="below scratchae/, such as layers/linear.py")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sample", type=int, default=SAMPLE, help="mutants to run; 0: all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument(
        "--again",
        action="store_true",
        help="keep the mutants that are recorded as killed; run all others. For after tests were added: "
        "that a test was taken away is not noticed.",
    )
    arguments = parser.parse_args()
    texts, listed = sources(arguments.files or FILES), equivalents()
    if not texts:
        parser.error(f"no such file below scratchae/: {' '.join(arguments.files)}")
    start = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(arguments.workers, prepare) as pool:
        failure, error = pool.apply(run_untouched)
        if failure:
            sys.exit(f"the tests fail without any mutant: {failure}, {error}")
        mutants = [mutant for file, text in texts.items() for mutant in mutants_of(file, text)]
        made, unknown = len(mutants), listed.keys() - {key(vars(m)) for m in mutants}
        if 0 < arguments.sample < made and not arguments.again:
            chosen = random.Random(arguments.seed).sample(range(made), arguments.sample)
            mutants = [mutants[i] for i in sorted(chosen)]
        known = killed_before() if arguments.again else {}
        rows = [{**known[key(vars(m))], "line": m.line} for m in mutants if key(vars(m)) in known]
        mutants = [m for m in mutants if key(vars(m)) not in known]
        for row in pool.imap(run_mutant, [(m, key(vars(m)) not in listed) for m in mutants]):
            rows.append({**row, "equivalent": listed.get(key(row))})
            if outcome(rows[-1]) != "killed":
                print(outcome(rows[-1]), f"{row['file']}:{row['line']}", row["what"], flush=True)
        pool.close()
        pool.join()
    for file, text, what in sorted(key for key in unknown if key[0] in texts):
        print(f"listed as equivalent, but there is no such mutant: {file} | {text} | {what}")
    minutes = (time.perf_counter() - start) / 60
    print(f"{len(rows)} mutants, {len(mutants)} run in {minutes:.1f} minutes: {rate(rows)} killed")
    if not arguments.files:
        rows.sort(key=lambda row: (row["file"], row["line"]))
        date, kept = datetime.now(UTC).date().isoformat(), len(rows) - len(mutants)
        write(rows, {"date": date, "made": made, "kept": kept})


def sources(patterns: list[str]) -> dict[str, str]:
    """The text of each file below scratchae/ that a pattern names."""
    paths = sorted({path for pattern in patterns for path in PACKAGE.glob(pattern)})
    return {str(path.relative_to(PACKAGE)): path.read_text("utf-8") for path in paths}


def equivalents() -> dict[tuple[str, str, str], str]:
    """(file, text of the line, mutation) -> why it makes no difference."""
    groups = tomllib.loads((HERE / "equivalent_mutants.toml").read_text("utf-8"))["group"]
    return {tuple(mutant): group["reason"] for group in groups for mutant in group["mutants"]}


def key(row: dict) -> tuple[str, str, str]:
    return row["file"], row["text"], row["what"]


def killed_before() -> dict[tuple[str, str, str], dict]:
    """(file, text of the line, mutation) -> row of every mutant that the results show killed."""
    rows = json.loads((HERE / "results" / "mutation.json").read_text("utf-8"))["mutants"]
    return {key(row): row for row in rows if outcome(row) == "killed"}


def outcome(row: dict) -> str:
    """'killed', 'SURVIVED', 'equivalent' (listed, and survived), or 'NOT EQUIVALENT'."""
    if row["equivalent"]:
        return "NOT EQUIVALENT" if row["killed_by"] else "equivalent"
    return "killed" if row["killed_by"] else "SURVIVED"


def rate(rows: list[dict]) -> str:
    """The share of the killed among those that are not equivalent."""
    counts = Counter(map(outcome, rows))
    alive, dead = counts["SURVIVED"], counts["killed"] + counts["NOT EQUIVALENT"]
    return f"{dead} of {alive + dead} ({100 * dead / max(alive + dead, 1):.1f} %)"


def write(rows: list[dict], about: dict) -> None:
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    text = f'{{"about": {json.dumps(about)}, "mutants": [\n{lines}\n]}}\n'
    (HERE / "results" / "mutation.json").write_text(text, "utf-8")
    (HERE / "results" / "mutation.md").write_text(page(rows, about), "utf-8")


def page(rows: list[dict], about: dict) -> str:
    """The results for people."""
    files = sorted({row["file"] for row in rows})
    seen = [row for row in rows if row["killed_by"]]
    said = sum(row["error"] in ("AssertionError", "Failed") for row in seen)
    minutes = sum(row["seconds"] for row in rows) / 60
    kept = f" {about['kept']} were killed in earlier runs." if about["kept"] else ""
    slow = sum(row["error"] == "Timeout" for row in seen)
    parts = [
        "# Mutation testing\n",
        f"`python -m reference.mutation`, {about['date']}: {len(rows)} mutants, "
        + ("all" if len(rows) == about["made"] else "a sample with a fixed seed")
        + f" of the {about['made']} that `reference/mutants.py` makes, {minutes:.0f} minutes of one core. "
        f"Killed: **{rate(rows)}** of those that differ from the original.\n",
        f"{said} of the killed gave a result that a test refused; {slow} ran on and on; the others "
        "ended in an error of Python or torch." + f"{kept}\n",
        "| file | mutants | equivalent | killed | of those that differ |\n|---|---|---|---|---|",
    ]
    for file in files:
        own = [row for row in rows if row["file"] == file]
        same, dead = (sum(outcome(row) == what for row in own) for what in ("equivalent", "killed"))
        parts.append(
            f"| {file} | {len(own)} | {same} | {dead} | {100 * dead / max(len(own) - same, 1):.1f} % |"
        )
    alive = [row for row in rows if outcome(row) == "SURVIVED"]
    parts.append("\n## Survived\n")
    parts += listing(alive) or ["None."]
    parts.append("\n## Equivalent: no test can tell")
    for reason in dict.fromkeys(row["equivalent"] for row in rows if row["equivalent"]):
        parts += [f"\n{reason}\n", *listing([row for row in rows if row["equivalent"] == reason])]
    return "\n".join(parts) + "\n"


def listing(rows: list[dict]) -> list[str]:
    return [
        f"- {row['file']}:{row['line']} `{row['what'].splitlines()[0]}` in `{row['text']}`"
        for row in rows
    ]


if __name__ == "__main__":
    main()
