"""Assignment: the functions that a student writes, their points, and the number of test cases.

An assignment is a TOML file that only names functions: the library itself holds the answers. The
assignments of this library are in scratchae/course/assignments; an instructor can give the path of
another one.
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path

from scratchae.checking import EXERCISES, Exercise, find_exercise
from scratchae.errors import ScratchaeError

SHIPPED = Path(__file__).with_name("assignments")
KINDS = {
    "write": "functions whose bodies are blanked",
    "mend": "functions with a fault in each, chosen at random from the student's name",
    "contest": "the student's own model, ranked by its error on digits",
}


@dataclass(frozen=True)
class Task:
    """One function to write or to correct, or the whole model in a contest.

    exercise: a key of scratchae.checking.EXERCISES, or "autoencoder" in a contest. public: number of
    cases for each corner in the student's check. hidden: number of cases that only the grader adds.
    whole: points only if everything is right. keep: functions that are not blanked for this task,
    because its inputs are made with them. tests: the names of the scored tests in a contest.
    """

    name: str
    exercise: str
    points: float
    public: int = 3
    hidden: int = 3
    hint: str = ""
    whole: bool = False
    keep: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """Return the file of the function, relative to the folder of the library.

        >>> Task("dW", "linear_backward", 10).file
        'scratchae/layers/linear.py'
        """
        if self.exercise == "autoencoder":
            return "model.py"
        return file_of(EXERCISES[self.exercise])

    @property
    def corners(self) -> tuple[str, ...]:
        """Return the kinds of inputs on which the function is tried. Each is scored separately."""
        return self.tests or EXERCISES[self.exercise].corners

    @property
    def hidden_cases(self) -> int:
        """Return the number of cases that only the grader tries."""
        return self.hidden if self.tests else self.hidden * len(self.corners)


@dataclass(frozen=True)
class Assignment:
    """A set of tasks.

    also: dotted names of functions that are blanked without points, because they show an answer. kind:
    one of KINDS. path: the TOML file. settings: the settings of a contest.

    >>> hw1 = load_assignment("hw1")
    >>> hw1.points, hw1.files[0], hw1.submitted["linear.py"]
    (100, 'scratchae/layers/linear.py', 'scratchae/layers/linear.py')
    """

    name: str
    title: str
    tasks: tuple[Task, ...]
    deadline: datetime | None
    about: str
    also: tuple[str, ...]
    kind: str
    path: Path
    settings: dict

    @property
    def points(self) -> float:
        """Return the points of all tasks together."""
        return sum(task.points for task in self.tasks)

    @property
    def files(self) -> tuple[str, ...]:
        """Return the files of the tasks, in order, relative to the library's folder."""
        return tuple(dict.fromkeys(task.file for task in self.tasks))

    @property
    def submitted(self) -> dict[str, str]:
        """Return {name of a file in the student's folder: its path in the library}."""
        names = {Path(file).name: file for file in self.files}
        return names | {name: name for name in self.settings.get("extra_files", ())}

    def task(self, name: str) -> Task:
        """Return the task of that name."""
        found = [task for task in self.tasks if task.name == name]
        if not found:
            raise ScratchaeError(
                f"{self.name} has no task {name!r}: it has {', '.join(t.name for t in self.tasks)}"
            )
        return found[0]


def load_assignment(name_or_path: str | Path) -> Assignment:
    """Load an assignment by its name, the path of a TOML file, or a folder with an assignment.toml.

    Raises ScratchaeError if there is no such assignment or the file has an error.

    >>> [task.exercise for task in load_assignment("hw2").tasks]
    ['adam_update', 'train_step']
    """
    path = find_file(name_or_path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScratchaeError(f"{path} is not a TOML file: {error}") from error
    except OSError as error:
        raise ScratchaeError(f"cannot read {path}: {error.strerror}") from error
    if "checks" in table or "recorded" in table:
        from scratchae.course.custom_exercises import register

        register(path, table)
    try:
        return parse_assignment(path, table)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        if isinstance(error, ScratchaeError):
            raise
        what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ScratchaeError(f"{path} is not an assignment: {what}") from error


def names() -> list[str]:
    """Return the names of the assignments of this library.

    >>> names()
    ['hw1', 'hw2', 'hw3', 'hw4', 'hw5', 'hw6', 'hw7']
    """
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def find_file(name_or_path: str | Path) -> Path:
    """Return the TOML file of an assignment."""
    path = Path(name_or_path)
    if path.is_dir() and (path / "assignment.toml").is_file():
        return path / "assignment.toml"
    if path.suffix == ".toml" and path.is_file():
        return path
    if (known := SHIPPED / f"{name_or_path}.toml").is_file():
        return known
    near = difflib.get_close_matches(str(name_or_path), names(), n=1)
    hint = f"did you mean {near[0]!r}, or" if near else f"there are {', '.join(names())}, or give"
    raise ScratchaeError(
        f"there is no assignment {str(name_or_path)!r}: {hint} the path of a TOML file"
    )


def parse_assignment(path: Path, table: dict) -> Assignment:
    """Return the assignment that a TOML table describes."""
    kind = table.get("kind", "write")
    if kind not in KINDS:
        raise ScratchaeError(f"{path}: there is no kind {kind!r}: there are {', '.join(KINDS)}")
    if not table.get("task"):
        raise ScratchaeError(f"{path} has no tasks: add a [[task]] with exercise and points")
    settings = table.get("contest", {})
    tests = tuple(f"error below {error:g}" for error in settings.get("errors", ()))
    tasks = tuple(parse_task(path, entry, kind, tests) for entry in table["task"])
    twice = {task.name for task in tasks if [t.name for t in tasks].count(task.name) > 1}
    if twice:
        raise ScratchaeError(f"{path} has two tasks named {min(twice)!r}: rename one")
    return Assignment(
        name=table.get("name", path.stem),
        title=table["title"],
        tasks=tasks,
        deadline=as_datetime(table.get("deadline")),
        about=table.get("about", "").strip(),
        also=tuple(table.get("also", ())),
        kind=kind,
        path=path,
        settings=settings,
    )


def parse_task(path: Path, entry: dict, kind: str, tests: tuple[str, ...]) -> Task:
    """Return the task that a [[task]] table describes. Only exercise and points have no default."""
    exercise = entry["exercise"]
    if kind != "contest":
        exercise = find_exercise(exercise).name
    entry = {"name": exercise, "whole": kind == "mend"} | entry | {"exercise": exercise}
    task = Task(**entry | {"keep": tuple(entry.get("keep", ())), "tests": tests})
    if not task.points > 0 or min(task.public, task.hidden) < 0 or task.public + task.hidden < 1:
        raise ScratchaeError(
            f"{path}: {task.name} needs points above 0 and at least one case, but has {task.points!r} "
            f"points, {task.public!r} public and {task.hidden!r} hidden cases"
        )
    return task


def as_datetime(value: date | None) -> datetime | None:
    """Return a deadline as a datetime. A date without a time means the end of that day."""
    if value is None or isinstance(value, datetime):
        return value
    return datetime.combine(value, time(23, 59, 59))


def file_of(exercise: Exercise) -> str:
    """Return the file of an exercise's function: 'scratchae/layers/linear.py', or a custom 'softmax.py'."""
    return exercise.reference.__module__.replace(".", "/") + ".py"
