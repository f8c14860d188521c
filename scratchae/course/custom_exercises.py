"""Custom exercises: an instructor's own functions, with a reference and with test cases.

The instructor's file of checks registers them with `add_exercise` and stays with the instructor. The
student's folder has the recorded results of the public cases instead.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scratchae.checking import EXERCISES, Case, Exercise, mistakes
from scratchae.checking.execution import ExecutionResult, run
from scratchae.checking.exercises import Draw
from scratchae.checking.mistake import forget
from scratchae.errors import ScratchaeError

_custom: dict[str, bool] = {}  # {exercise: whether its reference is here}
_recorded: dict[Case, ExecutionResult] = {}


def add_exercise(exercise: Exercise, cases: Callable[[Draw], dict]) -> None:
    """Register your own function. cases: draws its arguments, {name: value}, in the order of the function.

    The reference is in a file beside the assignment; that file is blanked and released. Raises
    ScratchaeError if the library has an exercise of the same name.
    """
    if exercise.name in EXERCISES and exercise.name not in _custom:
        raise ScratchaeError(
            f"the library has an exercise {exercise.name!r}: give yours another name"
        )
    _custom[exercise.name] = True
    EXERCISES[exercise.name] = replace(exercise, draw=cases)
    for known in mistakes(exercise.name):  # from an earlier reading of the same file
        forget(known.exercise, known.name)


def register(path: Path, table: dict) -> None:
    """Register the exercises of an assignment's file of checks, or those recorded for a student."""
    if "checks" in table:
        run_checks(path.parent / table["checks"])
    else:
        load_recorded(path.parent / table["recorded"])


def run_checks(path: Path) -> None:
    """Run an instructor's file, which calls `add_exercise`. It may import files beside it."""
    if not path.is_file():
        raise ScratchaeError(
            f"there is no {path}: write it, or correct the name in `checks` of the assignment"
        )
    spec = importlib.util.spec_from_file_location(f"checks of {path}", path)
    assert spec and spec.loader
    before, written = set(sys.modules), sys.dont_write_bytecode
    sys.path.insert(0, str(path.parent))
    sys.dont_write_bytecode = True  # no caches beside the answers
    try:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    except ScratchaeError:
        raise
    except Exception as error:
        raise ScratchaeError(f"{path} stopped with {type(error).__name__}: {error}") from error
    finally:
        sys.dont_write_bytecode = written
        sys.path.remove(str(path.parent))
        for name in set(sys.modules) - before:  # two courses may each have a softmax.py
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(path.parent)):
                del sys.modules[name]


def expected_of(exercise: Exercise, case: Case) -> ExecutionResult:
    """Return the expected result of a case: the recorded one, or that of the reference."""
    return _recorded.get(case) or run(exercise.reference, exercise, case)


def is_custom(name: str) -> bool:
    return name in _custom


def record_cases(exercises: list[tuple[Exercise, int]]) -> str:
    """Return JSON of (exercise, number of public cases for each corner), with the cases' results."""
    entries = []
    for exercise, each in exercises:
        if exercise.call is not None:
            raise ScratchaeError(
                f"{exercise.name} has a `call` of its own, which cannot be recorded for students: "
                "omit it"
            )
        entries.append(
            {
                "name": exercise.name,
                "module": exercise.reference.__module__,
                "function": exercise.reference.__name__,
                "arguments": exercise.arguments,
                "outputs": exercise.outputs,
                "corners": exercise.corners,
                "in_place": exercise.in_place,
                "tolerance": exercise.tolerance,
                "cases": [
                    {
                        "corner": case.corner,
                        "seed": case.seed,
                        "arguments": {k: to_json(v) for k, v in case.arguments().items()},
                        "values": {
                            k: to_json(v) for k, v in expected_of(exercise, case).values.items()
                        },
                    }
                    for case in exercise.cases(0, each)
                ],
            }
        )
    return json.dumps(entries, indent=1) + "\n"


def load_recorded(path: Path) -> None:
    """Register the exercises of a student's folder."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ScratchaeError(f"{path} cannot be read: release the assignment again") from error
    for entry in entries:
        if _custom.get(entry["name"]):
            continue  # the reference itself is in this process
        exercise = Exercise(
            entry["name"],
            placeholder(entry),
            tuple(entry["outputs"]),
            tuple(entry["corners"]),
            entry["in_place"],
            entry["tolerance"],
        )
        inputs = {(c["corner"], c["seed"]): c["arguments"] for c in entry["cases"]}
        add_exercise(exercise, recorded_arguments(inputs))
        _custom[exercise.name] = False
        for case in entry["cases"]:
            values = {k: from_json(v) for k, v in case["values"].items()}
            _recorded[Case(exercise.name, case["corner"], case["seed"])] = ExecutionResult(values)


def placeholder(entry: dict) -> Callable:
    """Return a stand-in with the name, file and signature of a reference that is not in this folder."""

    def stand_in(*arguments: object) -> None:
        raise ScratchaeError(
            f"the answer to {entry['name']} is not in this folder: ask your instructor"
        )

    stand_in.__name__, stand_in.__module__ = entry["function"], entry["module"]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind) for name in entry["arguments"]]
    stand_in.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return stand_in


def recorded_arguments(inputs: dict) -> Callable[[Draw], dict]:
    """Return a function that gives a recorded case's arguments instead of drawing new ones."""

    def make(draw: Draw) -> dict:
        found = inputs[draw.corner, draw.generator.initial_seed()]
        return {name: from_json(value) for name, value in found.items()}

    return make


def to_json(value: object) -> object:
    """Return a tensor as plain JSON values. Other values stay as they are."""
    if not isinstance(value, Tensor):
        return value
    return {
        "tensor": value.flatten().tolist(),
        "shape": list(value.shape),
        "dtype": str(value.dtype).removeprefix("torch."),
        "strided": not value.is_contiguous(),
    }


def from_json(value: object) -> Any:
    """Do the inverse of `to_json`.

    >>> from_json(to_json(torch.tensor([[1.0, 2.0]])))
    tensor([[1., 2.]])
    """
    if not isinstance(value, dict):
        return tuple(value) if isinstance(value, list) else value
    dtype = getattr(torch, value["dtype"])
    numbers = torch.tensor(value["tensor"], dtype=dtype).reshape(value["shape"])
    if value["strided"]:
        wide = numbers.new_zeros([2 * n + 1 for n in numbers.shape])
        view = wide[tuple(slice(1, None, 2) for _ in numbers.shape)]
        return view.copy_(numbers)
    return numbers
