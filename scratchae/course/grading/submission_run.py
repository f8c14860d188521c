"""Run the cases of a submission in the sandbox until each has an outcome.

If a child process ends early, only the group at which it ended can fail, and only if it ends again alone
in a new child. The groups after it continue in another child.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from scratchae.checking.execution import ExecutionResult
from scratchae.checking.exercises import Case
from scratchae.course.grading.serialization import Reply, pack_job, unpack_outcome
from scratchae.course.grading.test_cases import CaseGroup
from scratchae.course.sandbox import PlainProcess, Sandbox

NO_ANSWER = "not tried: other cases of this function used {seconds:g} seconds without an answer"
TOO_SLOW = "not tried: other cases of this function took {seconds:g} seconds of CPU time together"


class SubmissionRun:
    """Runs groups of cases on one student's sources.

    sources: {file name: text}. unloadable: {file name: why it cannot be loaded}; its cases are not
    tried. retry: try a group at which the child ended once more, alone. operators:
    the names of the operators that really ran, by task. printed: the output that the student's code
    printed in a plain process, by task.
    """

    def __init__(
        self,
        sandbox: Sandbox | PlainProcess,
        sources: dict[str, str],
        unloadable: dict[str, str],
        retry: bool = True,
    ) -> None:
        self.sandbox, self.sources, self.retry = sandbox, sources, retry
        self.unloadable = dict(unloadable)
        self.operators: defaultdict[str, set[str]] = defaultdict(set)
        self.printed: defaultdict[str, str] = defaultdict(str)
        # CPU seconds with and without an answer, by task; children that ended while they loaded a file
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.seconds_lost: defaultdict[str, float] = defaultdict(float)
        self.load_crashes: defaultdict[str, int] = defaultdict(int)

    def run(self, groups: Sequence[CaseGroup]) -> dict[CaseGroup, list[ExecutionResult]]:
        """Return the outcome of every case of every group."""
        outcomes: dict[CaseGroup, list[ExecutionResult]] = {}
        for library in dict.fromkeys(self.library(group) for group in groups):
            remaining = [group for group in groups if self.library(group) == library]
            while remaining:
                done, reason = self.run_child(remaining, library)
                outcomes |= done
                remaining = [group for group in remaining if group not in outcomes]
                if remaining and reason:
                    failed = remaining.pop(0)
                    outcomes[failed] = (
                        without_answer(failed, reason)
                        if self.reason_to_skip(failed) or not self.retry
                        else self.run_alone(failed)
                    )
        return outcomes

    def run_alone(self, group: CaseGroup) -> list[ExecutionResult]:
        """Run the group in a fresh child of its own."""
        done, reason = self.run_child([group], self.library(group))
        return done[group] if group in done else without_answer(group, reason)

    def library(self, group: CaseGroup) -> str:
        return self.sandbox.files.libraries[group.task.name]

    def reason_to_skip(self, group: CaseGroup) -> str:
        """Return why the group is not tried, or ""."""
        limits, task = self.sandbox.limits, group.task.name
        if group.file in self.unloadable:
            return self.unloadable[group.file]
        if self.seconds_lost[task] > limits.task:
            return NO_ANSWER.format(seconds=limits.task)
        if self.seconds[task] > limits.function:
            return TOO_SLOW.format(seconds=limits.function)
        return ""

    def run_child(
        self, groups: Sequence[CaseGroup], library: str
    ) -> tuple[dict[CaseGroup, list[ExecutionResult]], str]:
        """Run groups in one child process.

        Returns (the outcomes, why the child ended at the first group that has none).
        """
        outcomes = {g: without_answer(g, why) for g in groups if (why := self.reason_to_skip(g))}
        groups = [group for group in groups if group not in outcomes]
        if not groups:
            return outcomes, ""
        job, tests = self.pack_job(groups, library)
        replies, loaded, broken = self.collect_replies(job, tests)
        for group in groups:
            numbers = [number for number, (other, _) in enumerate(tests) if other is group]
            if numbers[-1] < len(replies):
                outcomes[group] = [
                    unpack_outcome(group.exercise, tests[n][1], replies[n]) for n in numbers
                ]
        if len(replies) == len(tests):
            return outcomes, ""
        ended_at = tests[len(replies)][0]
        if reason := self.reason_to_skip(ended_at):
            return outcomes, reason
        reason = broken or self.sandbox.ending.reason
        if ended_at.file not in loaded:
            reason = f"{ended_at.file} could not be loaded: {reason}"
            self.load_crashes[ended_at.file] += 1
            if self.load_crashes[ended_at.file] > 1 or not self.retry:
                self.unloadable[ended_at.file] = reason
        if "seconds" in reason:
            self.seconds_lost[ended_at.task.name] += self.sandbox.limits.cpu
        return outcomes, reason

    def collect_replies(
        self, job: bytes, tests: Sequence[tuple[CaseGroup, Case]]
    ) -> tuple[list[Reply], set[str], str]:
        """Run a job in a child, and count the time of each task.

        Returns (the replies to the first tests, the files that were loaded, how the child broke the
        protocol or ""). Stop early if the child ends or a task has used all its time.
        """
        replies: list[Reply] = []
        loaded: set[str] = set()
        out_of_memory: set[CaseGroup] = set()
        before = 0.0
        for header, body in self.sandbox.run(job):
            if "loaded" in header:
                loaded.add(str(header["loaded"]))
            elif header.get("id") == len(replies):
                group = tests[len(replies)][0]
                replies.append(Reply(header, body))
                self.note_operators(group, header)
                self.printed[group.task.name] += self.sandbox.printed
                self.seconds[group.task.name] += self.sandbox.used - before
                before = self.sandbox.used
                if ran_out_of_memory(header) and group not in out_of_memory:
                    out_of_memory.add(group)
                    self.seconds_lost[group.task.name] += self.sandbox.limits.cpu
            else:
                return replies, loaded, "its answers were not those that were asked for"
            if len(replies) == len(tests) or self.reason_to_skip(tests[len(replies)][0]):
                break
        return replies, loaded, ""

    def note_operators(self, group: CaseGroup, header: dict) -> None:
        names = header.get("operators", [])
        if type(names) is list:
            known = {name for name in names[:200] if type(name) is str and name.isidentifier()}
            self.operators[group.task.name] |= known

    def pack_job(
        self, groups: Sequence[CaseGroup], library: str
    ) -> tuple[bytes, list[tuple[CaseGroup, Case]]]:
        """Return the job for a child, and the group and case of each of its tests."""
        tests = [(group, case) for group in groups for case in group.cases]
        packages = {g.file: ".".join(PurePosixPath(g.task.file).parts[:-1]) for g in groups}
        sources = {file: self.sources[file] for file in packages}
        job = pack_job(
            *(library, sources, packages),
            [(g.exercise, case, g.file, g.exercise.reference.__name__) for g, case in tests],
        )
        return job, tests


def ran_out_of_memory(header: dict) -> bool:
    """Return whether a case took all memory. Like an endless loop, that is slow to fail."""
    raised = header.get("raised")
    if type(raised) is not dict:
        return False
    return raised.get("kind") == "MemoryError" or "allocate memory" in str(raised.get("text"))


def without_answer(group: CaseGroup, reason: str) -> list[ExecutionResult]:
    return [ExecutionResult({}, reason) for _ in group.cases]
