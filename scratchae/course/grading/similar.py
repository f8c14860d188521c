"""Similar: submissions whose own parts are nearly the same, whatever their names and comments.

What many share is what the task itself asks for, so it tells nothing and is left out, and so is what
stands in the answers. A person has to look: a short right answer can only be written in few ways.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import combinations

LEAST, ALIKE, COMMON = 12, 0.8, 0.1


def near_identical(
    results: list[dict], known: Iterable[int] = ()
) -> list[tuple[str, str, str, float]]:
    """(file, student, student, share) of pairs; known: hashes of what was given or is the answer."""
    pairs = []
    files = sorted({name for result in results for name in result["prints"]})
    for name in files:
        own = {r["student"]: set(r["prints"].get(name, ())) - set(known) for r in results}
        count = Counter(p for prints in own.values() for p in prints)
        common = {p for p, n in count.items() if n > max(4, COMMON * len(results))}
        own = {student: prints - common for student, prints in own.items()}
        holders = defaultdict(list)
        for student in sorted(own):
            for p in own[student]:
                holders[p].append(student)
        together = Counter(pair for who in holders.values() for pair in combinations(who, 2))
        for (a, b), n in sorted(together.items()):
            share = n / len(own[a] | own[b])
            if n >= LEAST and share >= ALIKE:
                pairs.append((name, a, b, round(share, 3)))
    return pairs
