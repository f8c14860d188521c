"""Assignment: which functions a student writes, for how many points, tried on how many cases.

An assignment is a TOML file. Those of this library lie in scratchae/course/assignments, so that an
installed library has them too; an instructor's own is given by its path. The library itself is
the answer key: an assignment only names functions.
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
    "mend": "functions with a fault in them, drawn by the student's name",
    "contest": "a model of one's own, ranked by its error on digits",
}


@dataclass(frozen=True)
class Task:
    """One function to write (or to mend, or for a contest the whole model).

    exercise: a key of scratchae.checking.EXERCISES, or "autoencoder" in a contest. public, hidden:
    cases of every corner that the student's check tries, and that only the grader tries. whole:
    points only where every corner is right. keep: blanked functions that this task may use after
    all, since its inputs are made with them. tests: what is scored, where these are no corners.
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
        """Where the function stands, relative to the folder of the library.

        >>> Task("dW", "linear_backward", 10).file
        'scratchae/layers/linear.py'
        """
        if self.exercise == "autoencoder":
            return "model.py"
        return file_of(EXERCISES[self.exercise])

    @property
    def corners(self) -> tuple[str, ...]:
        """Where the function is tried, each scored by itself."""
        return self.tests or EXERCISES[self.exercise].corners

    @property
    def hidden_cases(self) -> int:
        """How many cases the grader tries that the student's check does not."""
        return self.hidden if self.tests else self.hidden * len(self.corners)


@dataclass(frozen=True)
class Assignment:
    """A set of tasks. also: dotted names of functions blanked besides, unscored: they hold an answer.

    kind: one of KINDS. path: the TOML file. settings: of a contest.

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
        """Of all tasks together."""
        return sum(task.points for task in self.tasks)

    @property
    def files(self) -> tuple[str, ...]:
        """The files that hold the tasks, relative to the library's folder, in order."""
        return tuple(dict.fromkeys(task.file for task in self.tasks))

    @property
    def submitted(self) -> dict[str, str]:
        """{name in the student's folder: that file}; the student's folder is flat."""
        names = {Path(file).name: file for file in self.files}
        return names | {name: name for name in self.settings.get("extra_files", ())}

    def task(self, name: str) -> Task:
        """The task of that name."""
        found = [task for task in self.tasks if task.name == name]
        if not found:
            raise ScratchaeError(
                f"{self.name} has no task {name!r}: it has {', '.join(t.name for t in self.tasks)}"
            )
        return found[0]


def load_assignment(name_or_path: str | Path) -> Assignment:
    """The assignment of that name, or of a TOML file (or a folder with one, assignment.toml) elsewhere.

    Raises ScratchaeError, one sentence, where there is none or where it cannot be.

    >>> [task.exercise for task in load_assignment("hw2").tasks]
    ['adam_update', 'train_step']
    """
    path = find(name_or_path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScratchaeError(f"{path} is no TOML file: {error}") from error
    except OSError as error:
        raise ScratchaeError(f"cannot read {path}: {error.strerror}") from error
    if "checks" in table or "recorded" in table:
        from scratchae.course.custom_exercises import enter

        enter(path, table)
    try:
        return read(path, table)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        if isinstance(error, ScratchaeError):
            raise
        what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ScratchaeError(f"{path} is no assignment: {what}") from error


def names() -> list[str]:
    """The assignments of this library.

    >>> names()
    ['hw1', 'hw2', 'hw3', 'hw4', 'hw5', 'hw6']
    """
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def find(name_or_path: str | Path) -> Path:
    """The TOML file of an assignment."""
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


def read(path: Path, table: dict) -> Assignment:
    """The assignment that a TOML table describes."""
    kind = table.get("kind", "write")
    if kind not in KINDS:
        raise ScratchaeError(f"{path}: there is no kind {kind!r}: there are {', '.join(KINDS)}")
    if not table.get("task"):
        raise ScratchaeError(f"{path} has no tasks: add a [[task]] with exercise and points")
    settings = table.get("contest", {})
    tests = tuple(f"error below {error:g}" for error in settings.get("errors", ()))
    tasks = tuple(read_task(path, entry, kind, tests) for entry in table["task"])
    twice = {task.name for task in tasks if [t.name for t in tasks].count(task.name) > 1}
    if twice:
        raise ScratchaeError(f"{path} has two tasks {min(twice)!r}: give one another name")
    return Assignment(
        name=table.get("name", path.stem),
        title=table["title"],
        tasks=tasks,
        deadline=moment(table.get("deadline")),
        about=table.get("about", "").strip(),
        also=tuple(table.get("also", ())),
        kind=kind,
        path=path,
        settings=settings,
    )


def read_task(path: Path, entry: dict, kind: str, tests: tuple[str, ...]) -> Task:
    """One [[task]]: exercise and points are wanted, the rest has defaults."""
    exercise = entry["exercise"]
    if kind != "contest":
        exercise = find_exercise(exercise).name
    entry = {"name": exercise, "whole": kind == "mend"} | entry | {"exercise": exercise}
    task = Task(**entry | {"keep": tuple(entry.get("keep", ())), "tests": tests})
    if not task.points > 0 or min(task.public, task.hidden) < 0 or task.public + task.hidden < 1:
        raise ScratchaeError(
            f"{path}: {task.name} wants points above 0 and at least one case, got {task.points!r} "
            f"points, {task.public!r} public and {task.hidden!r} hidden cases"
        )
    return task


def moment(value: date | None) -> datetime | None:
    """A deadline; a day alone means its end."""
    if value is None or isinstance(value, datetime):
        return value
    return datetime.combine(value, time(23, 59, 59))


def file_of(exercise: Exercise) -> str:
    """The file of an exercise's function: 'scratchae/layers/linear.py', or 'softmax.py' of one's own."""
    return exercise.reference.__module__.replace(".", "/") + ".py"
