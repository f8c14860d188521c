"""Run a function on a case, and record its outputs and side effects."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from scratchae.checking.exercises import FLOAT32, Case, Exercise

OURS = tuple(str(Path(__file__).parents[1] / part) for part in ("checking", "course"))


@dataclass(frozen=True)
class ExecutionResult:
    """The result of a function on a case.

    values: the outputs by name. trouble: a sentence that says why there are no outputs, or "". changed:
    arguments that were changed in place, although they belong to the caller. shared: pairs of tensors
    that share memory. repeatable: whether a second call on the same case gave the same outputs.
    """

    values: dict[str, Tensor]
    trouble: str = ""
    changed: tuple[str, ...] = ()
    shared: tuple[tuple[str, str], ...] = ()
    repeatable: bool = True


def run(function: Callable, exercise: Exercise, case: Case) -> ExecutionResult:
    """Run the function on the case. An exception becomes `trouble`.

    Torch's own generator is seeded before the first call. So a function that draws random numbers which it
    should not draw gives the same result as a mistake of the catalogue that draws them too.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return run_seeded(function, exercise, case)


def run_seeded(function: Callable, exercise: Exercise, case: Case) -> ExecutionResult:
    arguments, untouched = case.arguments(), tensors_of(case.arguments())
    values, trouble = call(function, exercise, arguments)
    given = tensors_of(arguments)
    mine = set(exercise.outputs) if exercise.in_place else set()
    changed = tuple(
        name
        for name, tensor in given.items()
        if name not in mine and not same_bits(tensor, untouched[name])
    )
    shared = () if exercise.in_place else shared_memory(values, given)
    again, trouble_again = call(function, exercise, case.arguments())
    repeatable = trouble == trouble_again and all(
        same_bits(values[name], again[name]) for name in values if name in again
    )
    if trouble:
        values = {}
    return ExecutionResult(values, trouble, changed, shared, repeatable)


def call(function: Callable, exercise: Exercise, arguments: dict) -> tuple[dict[str, Tensor], str]:
    """Call the function. Return (outputs by name, "") or ({}, what went wrong)."""
    try:
        result = (exercise.call or call_by_position)(function, arguments)
    except NotImplementedError as error:
        return {}, not_written(str(error))
    except Exception as error:  # a learner's function may raise anything
        return {}, stopped(type(error).__name__, line_of(error), first_line(error))
    return name_outputs(result, exercise, arguments)


def not_written(text: str) -> str:
    return f"not written yet: {text}" if text else "not written yet: your turn"


def stopped(kind: str, line: int | str | None, text: str) -> str:
    return f"it stopped with {kind} in line {line}: {text}"


def name_outputs(
    result: object, exercise: Exercise, arguments: dict
) -> tuple[dict[str, Tensor], str]:
    """Return (outputs by name, ""), or ({}, what is wrong with their number)."""
    if exercise.in_place:
        result = tuple(arguments[name] for name in exercise.outputs)
    elif not isinstance(result, tuple | list):
        result = (result,)
    if len(result) != len(exercise.outputs):
        names = ", ".join(exercise.outputs)
        if len(result) == 1 and result[0] is None:
            return {}, f"it returned None: end it with `return {names}`"
        count = f"{len(result)} value{'s' * (len(result) != 1)}"
        return {}, f"it returned {count}, expected {len(exercise.outputs)} in this order: {names}"
    return dict(zip(exercise.outputs, result, strict=True)), ""


def call_by_position(function: Callable, arguments: dict) -> object:
    """Call the function by position, so that a learner may choose the names of the arguments."""
    return function(*arguments.values())


def tensors_of(arguments: dict) -> dict[str, Tensor]:
    """Return the tensors among the arguments, by name."""
    return {name: value for name, value in arguments.items() if isinstance(value, Tensor)}


def shared_memory(values: dict, given: dict[str, Tensor]) -> tuple[tuple[str, str], ...]:
    """Return the pairs of an output and an input, or of two outputs, that share memory."""
    outputs = [(name, t) for name, t in values.items() if type(t) is Tensor and not t.is_meta]
    pairs = []
    for i, (name, tensor) in enumerate(outputs):
        for other, second in [*given.items(), *outputs[i + 1 :]]:
            if tensor.numel() and place(tensor) == place(second):
                pairs.append((name, other))
    return tuple(pairs)


def place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def same_bits(a: object, b: object) -> bool:
    """Compare the shape, dtype and numbers of two tensors (NaN equals NaN). Other values count as equal."""
    if type(a) is not Tensor or type(b) is not Tensor:
        return True
    if a.shape != b.shape or a.dtype != b.dtype or a.device != b.device:
        return False
    return a.is_meta or bool(((a == b) | ((a != a) & (b != b))).all())


def agree(got: object, expected: Tensor, tolerance: float) -> bool:
    """Return whether `got` is a plain tensor of the same shape, dtype and device, equal up to rounding."""
    if type(got) is not Tensor or got.shape != expected.shape or got.dtype != expected.dtype:
        return False
    if got.device != expected.device:
        return False
    if not got.isfinite().all() or not expected.isfinite().all():
        return same_bits(got, expected)
    if expected.numel() == 0:
        return True
    return bool((got - expected).abs().max() <= tolerance * max(1e-3, float(expected.abs().max())))


def tolerance_of(exercise: Exercise, case: Case) -> float:
    """Return the tolerance, relative to the largest element. It is larger for float32."""
    return max(exercise.tolerance, 2e-4) if FLOAT32 in case.corner else exercise.tolerance


def line_of(error: Exception) -> int | str | None:
    """Return the number of the line in the learner's own file that caused the error."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    own = [frame for frame in frames if not frame.filename.startswith(OURS)]
    return own[0].lineno if own else "?"


def first_line(error: Exception) -> str:
    return (str(error).strip().split("\n") or [""])[0][:160]
