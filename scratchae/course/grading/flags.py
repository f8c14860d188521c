"""Flags: what an instructor must look at. A flag takes no points; a person decides.

Two things are flagged: use of what the student should write by hand, and nearly identical submissions.
Each can have an innocent reason. For example, a short correct answer can only be written in a few ways.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import combinations

# Parts of the names of operators that compute what the student should write by hand.
TAUGHT = (
    *("convolution", "conv2d", "conv_transpose", "unfold_backward", "im2col", "col2im"),
    *("batch_norm", "_backward", "mse_loss", "aten_linear", "_fused", "native_"),
)
MIN_SHARED, MIN_SIMILARITY = 12, 0.8
COMMON = 0.1  # share of the class; if more students share a fingerprint, it comes from the task


def policy_flags(analysis: dict[str, dict], operators: dict[str, set[str]]) -> list[str]:
    """Return sentences about the use of ready-made functions, in a fixed order.

    Two sources are used, because a student can avoid either of them. analysis: the static analysis of
    each file. operators: the names of the operators that really ran, by task.

    >>> policy_flags({}, {"conv2d_forward": {"add", "mkldnn_convolution"}})
    ['conv2d_forward really ran mkldnn_convolution']
    """
    flags = [f"{file}: {what}" for file in sorted(analysis) for what in analysis[file]["policy"]]
    for task in sorted(operators):
        taught = sorted(o for o in operators[task] if any(part in o for part in TAUGHT))
        if taught:
            flags.append(f"{task} really ran {', '.join(taught[:6])}")
    return flags


def near_identical(
    results: list[dict], known: Iterable[int] = ()
) -> list[tuple[str, str, str, float]]:
    """Return (file, student, student, similarity) of pairs of students whose own code is nearly the same.

    Files are compared by fingerprints, hashes of their syntax without names and comments. known: the
    fingerprints of what was handed out and of the reference. These are omitted, and so are fingerprints
    that many students share.
    """
    pairs = []
    files = sorted({name for result in results for name in result["fingerprints"]})
    for file in files:
        own = {r["student"]: set(r["fingerprints"].get(file, ())) - set(known) for r in results}
        count = Counter(f for fingerprints in own.values() for f in fingerprints)
        common = {f for f, n in count.items() if n > max(4, COMMON * len(results))}
        own = {student: fingerprints - common for student, fingerprints in own.items()}
        students_with = defaultdict(list)
        for student in sorted(own):
            for f in own[student]:
                students_with[f].append(student)
        shared = Counter(pair for who in students_with.values() for pair in combinations(who, 2))
        for (a, b), n in sorted(shared.items()):
            similarity = n / len(own[a] | own[b])
            if n >= MIN_SHARED and similarity >= MIN_SIMILARITY:
                pairs.append((file, a, b, round(similarity, 3)))
    return pairs
