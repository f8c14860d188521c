"""Sitting: one submission's trials, run in the sandbox until each has an answer or a reason for having none.

What ends a child costs only the trial at which it ended, and that only after it ended again in a fresh
child by itself; the trials behind it go on in another child.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from scratchae.checking.execution import Outcome
from scratchae.course.assignment import Task
from scratchae.course.grading.serialization import Answer, outcome, question
from scratchae.course.grading.test_cases import Trial
from scratchae.course.sandbox import Sandbox
from scratchae.course.sandbox.inside.protocol import Packer, frame

GAVE_UP = (
    "not tried: other cases of this function had used up its time, {seconds:g} seconds, without an "
    "answer"
)
TOO_SLOW = (
    "not tried: other cases of this function had taken {seconds:g} seconds of CPU time together"
)


class Sitting:
    """Runs trials of one student's sources in a sandbox.

    sources: {name of a file: its text}. operators: the names of those that really ran, by task.
    """

    def __init__(self, sandbox: Sandbox, sources: dict[str, str]) -> None:
        self.sandbox, self.sources = sandbox, sources
        self.operators: dict[str, set[str]] = {}
        self.wasted: Counter[str] = Counter()  # seconds without an answer, or all memory, by task
        self.spent: Counter[str] = Counter()  # CPU seconds with an answer, by task
        self.unloadable: dict[str, str] = {}  # file: why
        self.deaths: dict[str, int] = {}  # of children while a file was loaded

    def run(self, trials: Sequence[Trial]) -> dict[Trial, list[Outcome]]:
        """The outcome of every case of every trial."""
        found: dict[Trial, list[Outcome]] = {}
        libraries = dict.fromkeys(self.library(trial) for trial in trials)
        for library in libraries:
            waiting = [trial for trial in trials if self.library(trial) == library]
            while waiting:
                done, reason = self.attempt(waiting, library)
                found |= done
                waiting = [trial for trial in waiting if trial not in found]
                if waiting and reason:
                    found[waiting[0]] = self.once_more(waiting[0], reason)
                waiting = [trial for trial in waiting if trial not in found]
        return found

    def alone(self, trial: Trial) -> list[Outcome]:
        """The trial again, in a fresh child by itself."""
        done, reason = self.attempt([trial], self.library(trial))
        return done[trial] if trial in done else without_answer(trial, reason)

    def once_more(self, trial: Trial, reason: str) -> list[Outcome]:
        """After a child ended at this trial: what it does by itself."""
        if self.given_up(trial):
            return without_answer(trial, reason)
        return self.alone(trial)

    def library(self, trial: Trial) -> str:
        return self.sandbox.files.libraries[trial.task.name]

    def given_up(self, trial: Trial) -> str:
        """Why a trial is not even tried, or ""."""
        if reason := self.unloadable.get(file_of(trial)):
            return reason
        if self.wasted[trial.task.name] > self.sandbox.limits.task:
            return GAVE_UP.format(seconds=self.sandbox.limits.task)
        if self.spent[trial.task.name] > self.sandbox.limits.function:
            return TOO_SLOW.format(seconds=self.sandbox.limits.function)
        return ""

    def attempt(
        self, trials: Sequence[Trial], library: str
    ) -> tuple[dict[Trial, list[Outcome]], str]:
        """(what was found, why the child ended at the first trial that is not among it)."""
        found = {t: without_answer(t, why) for t in trials if (why := self.given_up(t))}
        trials = [trial for trial in trials if trial not in found]
        if not trials:
            return found, ""
        job, asked = self.job(trials, library)
        answers: list[Answer] = []
        loaded: set[str] = set()
        drained: set[Trial] = set()
        forged, before = "", 0.0
        for header, body in self.sandbox.run(job):
            if "loaded" in header:
                loaded.add(str(header["loaded"]))
            elif header.get("id") == len(answers):
                trial = asked[len(answers)][0]
                answers.append(Answer(header, body))
                self.note(trial, header)
                self.spent[trial.task.name] += self.sandbox.used - before
                before = self.sandbox.used
                if out_of_memory(header) and trial not in drained:
                    drained.add(trial)
                    self.wasted[trial.task.name] += self.sandbox.limits.cpu
            else:
                forged = "its answers were not those that were asked for"
                break
            if len(answers) == len(asked) or self.given_up(asked[len(answers)][0]):
                break
        for trial in trials:
            mine = [k for k, (other, _) in enumerate(asked) if other is trial]
            if mine[-1] < len(answers):
                found[trial] = [outcome(trial.exercise, asked[k][1], answers[k]) for k in mine]
        if len(answers) == len(asked):
            return found, ""
        ended_at = asked[len(answers)][0]
        if slow := self.given_up(ended_at):
            return found, slow
        reason = forged or self.sandbox.ending.reason
        if (file := file_of(ended_at)) not in loaded:
            reason = f"{file} could not be loaded: {reason}"
            self.deaths[file] = self.deaths.get(file, 0) + 1
            if self.deaths[file] > 1:
                self.unloadable[file] = reason
        if "seconds" in reason:
            self.wasted[ended_at.task.name] += self.sandbox.limits.cpu
        return found, reason

    def note(self, trial: Trial, header: dict) -> None:
        names = header.get("operators", [])
        if type(names) is list:
            known = {name for name in names[:200] if type(name) is str and name.isidentifier()}
            self.operators.setdefault(trial.task.name, set()).update(known)

    def job(self, trials: Sequence[Trial], library: str) -> tuple[bytes, list]:
        """The job, and which (trial, case) each of its tests is."""
        packer, tests, asked = Packer(), [], []
        for trial in trials:
            for case in trial.cases:
                test = question(trial.exercise, case, packer)
                tests.append(
                    test
                    | {
                        "id": len(tests),
                        "file": file_of(trial),
                        "function": trial.exercise.reference.__name__,
                    }
                )
                asked.append((trial, case))
        names = dict.fromkeys(file_of(trial) for trial in trials)
        packages = {
            PurePosixPath(t.task.file).name: ".".join(PurePosixPath(t.task.file).parts[:-1])
            for t in trials
        }
        header = {
            "library": library,
            "files": {name: self.sources[name] for name in names},
            "packages": packages,
            "tests": tests,
        }
        return frame(header, bytes(packer.body)), asked


def file_of(part: Trial | Task) -> str:
    """The name of the file that the student hands in."""
    return PurePosixPath((part.task if isinstance(part, Trial) else part).file).name


def out_of_memory(header: dict) -> bool:
    """Whether a case took all the memory that there is: like a loop, it is slow to fail."""
    raised = header.get("raised")
    if type(raised) is not dict:
        return False
    return raised.get("kind") == "MemoryError" or "allocate memory" in str(raised.get("text"))


def without_answer(trial: Trial, reason: str) -> list[Outcome]:
    return [Outcome({}, reason) for _ in trial.cases]
