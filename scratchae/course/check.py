"""A student's own check: what is right, what is wrong and why, and the points so far.

Each submission runs in a separate process without isolation, with the blanked library. So the check
needs neither Linux nor a sandbox, and it survives an endless loop or a crash. It compares the results as
the grader does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from scratchae.checking import EXERCISES
from scratchae.checking.execution import ExecutionResult
from scratchae.checking.render import Block, Checklist, Heading, Paragraph, Rendered
from scratchae.checking.report import Report, Row
from scratchae.course.assignment import Assignment, Task, load_assignment
from scratchae.course.contest import Measured, judge_contest, measure, public_digits, read_weights
from scratchae.course.custom_exercises import expected_of
from scratchae.course.grading.submission_run import SubmissionRun
from scratchae.course.grading.test_cases import CaseGroup
from scratchae.course.sandbox import Limits, PlainProcess, SandboxFiles
from scratchae.course.sandbox.inside.static_analysis import analyse
from scratchae.course.scoring import NOT_YET, points_of, scored_rows, shown_rows
from scratchae.course.submission import SubmissionError, read_source
from scratchae.errors import ScratchaeError

LIMITS = Limits()
MAX_PRINTED = 2000  # characters kept of what a task prints


@dataclass(frozen=True)
class TaskResult:
    """The results of one task.

    problem: the reason, if all cases failed for the same reason. printed: the beginning of the output
    that the student's code printed. measured: the measurements of a contest.
    """

    task: Task
    rows: list[Row] = field(default_factory=list)
    problem: str = ""
    printed: str = ""
    measured: Measured | None = None

    @property
    def points(self) -> float:
        """Return the points for these cases alone."""
        return points_of(self.task, self.rows)

    @property
    def not_yet(self) -> bool:
        """Return whether the function is still as it was released."""
        return bool(self.rows) and all(row.sentence.startswith(NOT_YET) for row in self.rows)

    @property
    def wrong(self) -> list[str]:
        """Return the tests that failed, in order."""
        return [row.test for row in self.rows if not row.passed]

    @property
    def first_sentence(self) -> str:
        """Return the first sentence about what is wrong, or "all is right"."""
        return next((row.text for row in self.rows if not row.passed), "all is right")


def examine(
    assignment: Assignment, folder: Path, *, only: str = "", seed: int = 0, hidden: bool = False
) -> list[TaskResult]:
    """Return every task's result, in order.

    only: the name of a single task. hidden: try as many cases as the grader adds.
    """
    files = SandboxFiles(assignment, isolated=False)
    try:
        process = PlainProcess(files, LIMITS)
        if assignment.kind == "contest":
            return [examine_contest(assignment, folder, process)]
        tasks = (assignment.task(only),) if only else assignment.tasks
        return examine_functions(tasks, folder, process, seed, hidden)
    finally:
        files.close()


def examine_functions(
    tasks: Sequence[Task], folder: Path, process: PlainProcess, seed: int, hidden: bool
) -> list[TaskResult]:
    """Return the results of the tasks of an assignment that is not a contest."""
    sources, unreadable = {}, {}
    for name in dict.fromkeys(Path(task.file).name for task in tasks):
        try:
            sources[name] = read_source(folder / name)
        except SubmissionError as error:
            unreadable[name] = str(error)
    groups = []
    for task in tasks:
        cases = EXERCISES[task.exercise].cases(seed, task.hidden if hidden else task.public)
        groups.append(CaseGroup(task, "", tuple(cases), ()))
    run = SubmissionRun(process, sources, unreadable, retry=False)
    outcomes = run.run(groups)
    return [
        task_result(group, outcomes[group], run.printed[group.task.name][:MAX_PRINTED])
        for group in groups
    ]


def task_result(group: CaseGroup, outcomes: list[ExecutionResult], printed: str) -> TaskResult:
    """Compare a task's outcomes with the expected ones."""
    exercise = group.exercise
    seen = [
        (case, got, expected_of(exercise, case))
        for case, got in zip(group.cases, outcomes, strict=True)
    ]
    rows = shown_rows(group.task, scored_rows(exercise, seen))
    problems = {got.trouble for got in outcomes}
    problem = problems.pop() if len(problems) == 1 else ""
    return TaskResult(group.task, rows, problem, printed)


def examine_contest(assignment: Assignment, folder: Path, process: PlainProcess) -> TaskResult:
    """Return the result of the student's own model."""
    (task,) = assignment.tasks
    try:
        source = read_source(folder / "model.py")
        if "build" in analyse(source).get("unwritten", ()):
            raise SubmissionError(f"{NOT_YET}: your turn: build")
        file = folder / "weights.safetensors"
        weights = read_weights(file.read_bytes() if file.is_file() else None)
        measured = measure(process, source, weights, public_digits(assignment))
    except SubmissionError as error:
        rows = [Row(task.exercise, test, str(error)) for test in task.corners]
        return TaskResult(task, rows, str(error))
    return TaskResult(task, judge_contest(task, assignment.settings, measured), measured=measured)


@dataclass(frozen=True, repr=False)
class Checked(Rendered):
    """A student's folder, checked. It prints as text, and a notebook shows it as HTML."""

    assignment: Assignment
    results: list[TaskResult]

    @property
    def points(self) -> float:
        """Return the points for the public cases."""
        return round(sum(result.points for result in self.results), 2)

    @property
    def hidden(self) -> int:
        """Return the number of cases that only the grader tries."""
        return sum(result.task.hidden_cases for result in self.results)

    def blocks(self) -> list[Block]:
        """Return the title, each task with what is wrong in it, and the points."""
        blocks: list[Block] = [Heading(self.assignment.title, level=1)]
        for result in self.results:
            blocks += self.task_blocks(result)
        total = f"{self.points:g} of {self.assignment.points:g} points by the public cases."
        return [*blocks, Paragraph(f"{total} {self.what_comes_later()}")]

    def task_blocks(self, result: TaskResult) -> list[Block]:
        """Return the points of a task, and every sentence once, with the tests that it is about."""
        points = f"{result.points:g} of {result.task.points:g} points"
        if result.not_yet:
            return [Heading(result.task.name, f"{points}, not yet")]
        blocks: list[Block] = [Heading(result.task.name, points)]
        if result.measured is not None:
            m = asdict(result.measured)
            blocks.append(
                Paragraph(
                    f"error {m['error']:.4f}, {m['parameters']:,} parameters, a code of {m['code']} numbers"
                )
            )
        failed = [(row.test, row.text) for row in result.rows if not row.passed]
        if self.assignment.kind == "mend" and not result.problem:
            failed = [(test, "the fault is still there") for test, _ in failed]
        if len(failed) == len(result.rows) and len({sentence for _, sentence in failed}) == 1:
            failed = [("every test", failed[0][1])]
        blocks += [Checklist(failed)] if failed else []
        if first := result.printed.strip():
            line = first.splitlines()[0][:60]
            blocks.append(
                Paragraph(f"It prints, which does not change the points: {line!r}", "note")
            )
        return blocks

    def what_comes_later(self) -> str:
        """Return a sentence about what the grader does and this check does not."""
        if self.assignment.kind == "contest":
            return "The ranking is made later, on other digits of the same test set."
        return (
            f"{self.hidden} hidden cases run later, when the work is graded: other numbers, same "
            "corners. The score may still fall."
        )


def check_folder(folder: str | Path = ".", assignment: str | Path | None = None) -> Checked:
    """Check a student's folder. assignment: needed if the folder has no assignment.toml.

    Raises ScratchaeError if there is no such folder or assignment.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ScratchaeError(f"there is no folder {folder}: give the one with your files")
    if assignment is None and not (folder / "assignment.toml").is_file():
        raise ScratchaeError(
            f"{folder} has no assignment.toml, so its assignment is not known: change to the "
            "folder that you were given, or name the assignment: scratchae course check DIR "
            "--assignment hw1"
        )
    loaded = load_assignment(assignment or folder)
    return Checked(loaded, examine(loaded, folder))


def check_task(name: str, folder: str | Path = ".") -> Report:
    """Check one task of a student's folder. The report shows every test."""
    loaded = load_assignment(Path(folder))
    rows = examine(loaded, Path(folder), only=name)[0].rows
    if loaded.kind == "mend":
        rows = [replace(row, sentence=row.sentence and "still wrong", mistake=None) for row in rows]
    return Report(rows)
