"""Mutation testing: do the tests find a small mistake in a layer, a loss or an optimiser?

    python -m reference.mutation                               # a sample; writes the results
    python -m reference.mutation --sample 0                    # all: an hour and a half on two idle cores
    python -m reference.mutation --again                       # those that are not settled yet
    python -m reference.mutation layers/linear.py --workers 1  # some files; prints the survivors

Every mutant of mutants.py is run against the tests that are closest to its file. A survivor is run
against all tests of layers, optimisers, training and lockstep.

No test can kill a mutant that does the same as the original. equivalent_mutants.toml lists those, with
the reason. They are run all the same: if one is killed, the list is wrong and the run says so. Writes
reference/results/mutation.json and mutation.md.
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
from scratchae.files import replacing

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "scratchae"
SAMPLE = 500  # about ten minutes on two idle cores
OFTEN = 50  # the results are written after so many mutants
FILES = ["layers/*.py", "losses/*.py", "optim/*.py"]


def main() -> None:
    """Run the mutants, print the survivors, and write the results if no files were named."""
    parser = argparse.ArgumentParser(description="Do the tests find small mistakes?")
    parser.add_argument("files", nargs="*", help="below scratchae/, such as layers/linear.py")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sample", type=int, default=SAMPLE, help="mutants to run; 0: all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument(
        "--again",
        action="store_true",
        help="run only the mutants that are not recorded as killed or equivalent; use it after adding "
        "tests, not after removing some",
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
        known = settled(listed) if arguments.again else {}
        rows = [{**known[key(vars(m))], "line": m.line} for m in mutants if key(vars(m)) in known]
        kept = len(rows)
        mutants = [m for m in mutants if key(vars(m)) not in known]
        for row in pool.imap(run_mutant, [(m, key(vars(m)) not in listed) for m in mutants]):
            rows.append({**row, "equivalent": listed.get(key(row))})
            if outcome(rows[-1]) != "killed":
                print(outcome(rows[-1]), f"{row['file']}:{row['line']}", row["what"], flush=True)
            if not arguments.files and len(rows) % OFTEN == 0:
                write(rows, made, kept)  # so that --again goes on where a stopped run ended
        pool.close()
        pool.join()
    for file, text, what in sorted(key for key in unknown if key[0] in texts):
        print(f"listed as equivalent, but there is no such mutant: {file} | {text} | {what}")
    minutes = (time.perf_counter() - start) / 60
    print(f"{len(rows)} mutants, {len(mutants)} run in {minutes:.1f} minutes: {rate(rows)} killed")
    if not arguments.files:
        write(rows, made, kept)


def sources(patterns: list[str]) -> dict[str, str]:
    """Return {file: its text} of the files below scratchae/ that the patterns name."""
    paths = sorted({path for pattern in patterns for path in PACKAGE.glob(pattern)})
    return {str(path.relative_to(PACKAGE)): path.read_text("utf-8") for path in paths}


def equivalents() -> dict[tuple[str, str, str], str]:
    """Return {(file, text of the line, mutation): why it makes no difference}."""
    groups = tomllib.loads((HERE / "equivalent_mutants.toml").read_text("utf-8"))["group"]
    return {tuple(mutant): group["reason"] for group in groups for mutant in group["mutants"]}


def key(row: dict) -> tuple[str, str, str]:
    return row["file"], row["text"], row["what"]


def settled(listed: dict[tuple[str, str, str], str]) -> dict[tuple[str, str, str], dict]:
    """Return {(file, text of the line, mutation): row} of every mutant recorded as killed or as equivalent.

    listed: the mutants that are listed as equivalent now.
    """
    rows = json.loads((HERE / "results" / "mutation.json").read_text("utf-8"))["mutants"]
    return {
        key(row): {**row, "equivalent": listed.get(key(row))}
        for row in rows
        if outcome(row) == "killed" or (outcome(row) == "equivalent" and key(row) in listed)
    }


def outcome(row: dict) -> str:
    """Return 'killed', 'SURVIVED', 'equivalent' (listed and survived) or 'NOT EQUIVALENT'."""
    if row["equivalent"]:
        return "NOT EQUIVALENT" if row["killed_by"] else "equivalent"
    return "killed" if row["killed_by"] else "SURVIVED"


def rate(rows: list[dict]) -> str:
    """Return the share of the killed among those that are not equivalent, in words."""
    counts = Counter(map(outcome, rows))
    alive, dead = counts["SURVIVED"], counts["killed"] + counts["NOT EQUIVALENT"]
    return f"{dead} of {alive + dead} ({100 * dead / max(alive + dead, 1):.1f} %)"


def write(rows: list[dict], made: int, kept: int) -> None:
    """Write the results: `made` mutants exist, and `kept` of the rows are those of earlier runs."""
    rows = sorted(rows, key=lambda row: (row["file"], row["line"]))
    about = {"date": datetime.now(UTC).date().isoformat(), "made": made, "kept": kept}
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    text = f'{{"about": {json.dumps(about)}, "mutants": [\n{lines}\n]}}\n'
    with replacing(HERE / "results" / "mutation.json") as beside:
        beside.write_text(text, "utf-8")
    (HERE / "results" / "mutation.md").write_text(page(rows, about), "utf-8")


def page(rows: list[dict], about: dict) -> str:
    """Return the results as a page in Markdown."""
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
        f"Of the killed, {said} gave a result that a test refused and {slow} did not end. The others "
        "raised an error in Python or torch." + f"{kept}\n",
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
