"""Serialization: cases become requests to the sandbox, and its replies become outcomes to compare.

A reply comes from the untrusted side. A reply that does not have the expected form becomes an outcome
without values, with a sentence that says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import PurePosixPath
from typing import Any

import torch
from torch import Tensor

from scratchae.checking.execution import (
    ExecutionResult,
    name_outputs,
    not_written,
    same_bits,
    stopped,
    tensors_of,
)
from scratchae.checking.exercises import Case, Exercise
from scratchae.course.assignment import file_of
from scratchae.course.sandbox.inside.protocol import (
    Other,
    Packer,
    ProtocolError,
    Unsent,
    frame,
    natural,
    unpack,
    word,
)

MAX_TEXT, MAX_NUMBERS = 160, 1_000_000


class TooLargeError(Exception):
    """A tensor has far more numbers than any correct result. Comparing it would take too long."""


@dataclass
class Reply:
    """The sandbox's reply for one case: the header of the frame, and its numbers as bytes."""

    header: dict
    body: bytes


def pack_job(
    library: str,
    sources: dict[str, str],
    packages: dict[str, str],
    tests: Sequence[tuple[Exercise, Case, str, str]],
) -> bytes:
    """Return a job for one child of the sandbox.

    library: the folder of the library that the sources import. sources: {file: text}. packages: {file:
    the package that the file stands for}. tests: (exercise, case, file, name of the function).
    """
    packer = Packer()
    header = {
        "library": library,
        "files": sources,
        "packages": packages,
        "tests": [
            pack_case(exercise, case, packer) | {"id": number, "file": file, "function": function}
            for number, (exercise, case, file, function) in enumerate(tests)
        ],
    }
    return frame(header, bytes(packer.body))


def pack_case(exercise: Exercise, case: Case, packer: Packer) -> dict:
    """Return the calls that the sandbox must make, with their inputs as arrays."""
    arguments = case.arguments()
    if exercise.name == "train_step":
        return pack_training(arguments, packer)
    packed = {name: pack(value, packer) for name, value in arguments.items()}
    if exercise.name == "kaiming_uniform":
        seed = arguments["generator"].initial_seed()
        seeds = (seed, seed, seed + 1)
        return {"calls": [packed | {"generator": {"generator": s}} for s in seeds], "by_name": True}
    return {"calls": [packed, packed]}  # twice, to see whether the function is repeatable


def pack(value: object, packer: Packer) -> object:
    return packer.pack_tensor(value, memory=True) if type(value) is Tensor else packer.pack(value)


def pack_training(arguments: dict, packer: Packer) -> dict:
    """Return calls that share one model and one optimiser."""
    model, optimizer = arguments["model"], arguments["optimizer"]
    session = {
        "layers": [[type(layer).__name__, layer.arguments()] for layer in model],
        "state": {name: packer.pack(value) for name, value in model.state_dict().items()},
        "optimizer": type(optimizer).__name__,
        "settings": {"lr": optimizer.lr, "weight_decay": optimizer.weight_decay},
    }
    objects = {"model": {"object": "model"}, "optimizer": {"object": "optimizer"}}
    calls = [objects | {"x": packer.pack(x)} for x in arguments["batches"]]
    return {"session": session, "calls": calls}


def unpack_outcome(exercise: Exercise, case: Case, reply: Reply) -> ExecutionResult:
    """Return the outcome of the function on the case. A forged reply becomes an outcome without values."""
    try:
        return read_reply(exercise, case, reply)
    except (ProtocolError, TooLargeError) as error:
        return ExecutionResult({}, str(error))
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, RuntimeError):
        return ExecutionResult({}, "its answer does not contain what was asked for")


def read_reply(exercise: Exercise, case: Case, reply: Reply) -> ExecutionResult:
    header = reply.header
    file, name = PurePosixPath(file_of(exercise)).name, exercise.reference.__name__
    if problem := problem_before_call(header, file, name):
        return ExecutionResult({}, problem)
    calls = header.get("calls", [])
    raised = raised_sentence(header["raised"]) if "raised" in header else ""
    if raised and (exercise.call is not None or not calls):
        return ExecutionResult({}, raised)
    if exercise.call is not None:
        return replay_calls(exercise, case, reply)
    first = calls[0]
    values, trouble = outputs_of(exercise, case.arguments(), first, reply.body)
    if trouble:
        return ExecutionResult({}, trouble)
    repeatable = not raised and len(calls) == 2
    if repeatable:
        again, trouble = outputs_of(exercise, case.arguments(), calls[1], reply.body)
        repeatable = not trouble and all(same_bits(values[name], again[name]) for name in values)
    before, after = tensors_of(case.arguments()), tensors_after(first, reply.body)
    may_change = set(exercise.outputs) if exercise.in_place else set()
    changed = tuple(
        name
        for name, tensor in before.items()
        if name not in may_change
        and not (same_kind(after.get(name), tensor) and same_bits(after[name], tensor))
    )
    return ExecutionResult(values, "", changed, shared_pairs(exercise, before, first), repeatable)


def problem_before_call(header: dict, file: str, function: str) -> str:
    """Return why a student's function could not be called at all, or ""."""
    if "load_error" in header:
        return load_error_sentence(file, header["load_error"])
    if "absent" in header:
        return f"{file} has no function {function}: check its name"
    if "no_function" in header:
        return f"{function} in {file} is not a function but a {word(header['no_function'])}"
    if "signature" in header:
        names = [word(name) for name in header["signature"][:20]]
        return (
            f"{function} has another signature: it is called with {len(names)} arguments, "
            f"{', '.join(names)}"
        )
    return ""


def load_error_sentence(file: str, error: dict) -> str:
    """Return the sentence about an exception that was raised while a file was loaded."""
    kind, line, text = exception_parts(error)
    place = f" in line {line}" if line else ""
    if kind in ("SyntaxError", "IndentationError", "TabError"):
        return f"{file} has a syntax error{place}: {text}"
    return f"{file} stopped with {kind}{place} while it was loaded: {text}"


def raised_sentence(raised: dict) -> str:
    """Return the sentence about an exception that the function raised."""
    kind, line, text = exception_parts(raised)
    if kind == "NotImplementedError":
        return not_written(text)
    return stopped(kind, line or "?", text)


def exception_parts(error: dict) -> tuple[str, int, str]:
    """Return the kind, line and text of an exception, checked."""
    return word(error["kind"]), natural(error["line"]), str(error["text"])[:MAX_TEXT]


def outputs_of(
    exercise: Exercise, arguments: dict, call: dict, body: bytes
) -> tuple[dict[str, Any], str]:
    """Return (the outputs by name, ""), or ({}, why there are none).

    As with a function that runs here, an output need not be a tensor; the diagnosis says so.
    """
    if exercise.in_place:
        arguments = arguments | tensors_after(call, body)
    values, trouble = name_outputs(unpack(call["result"], body), exercise, arguments)
    return {name: placeholder(value) for name, value in values.items()}, trouble


def tensors_after(call: dict, body: bytes) -> dict[str, object]:
    """Return the tensors among the arguments as they are after the call."""
    return {str(name): placeholder(unpack(spec, body)) for name, spec in call["after"].items()}


def placeholder(value: object) -> object:
    """Replace a value that could not be sent by one of the same type, dtype and shape.

    The diagnosis then describes it as it would describe the value itself.
    """
    if isinstance(value, Other):
        return type(value.name or "object", (), {})()
    if not isinstance(value, Unsent):
        return value
    if prod(value.shape) > MAX_NUMBERS:
        raise TooLargeError(f"it returned a tensor of {prod(value.shape)} numbers: check its shape")
    dtype = getattr(torch, value.dtype, None)
    if value.kind == "sparse" or not isinstance(dtype, torch.dtype):
        return type(f"{value.kind}_tensor", (), {})()
    if value.kind in ("cpu", "large"):  # a dtype that is not sent, or too many bytes
        return torch.zeros((), dtype=dtype).expand(value.shape)
    return torch.empty(value.shape, dtype=dtype, device="meta")


def same_kind(value: object, tensor: Tensor) -> bool:
    return type(value) is Tensor and value.shape == tensor.shape and value.dtype == tensor.dtype


def shared_pairs(exercise: Exercise, arguments: dict, call: dict) -> tuple[tuple[str, str], ...]:
    """Return the pairs of names whose tensors share memory in the sandbox. Unknown names are ignored."""
    if exercise.in_place:
        return ()
    names, pairs = exercise.outputs, []
    for first, second in call["shared"][:64]:
        other = names[natural(second)] if type(second) is int else second
        if other in arguments or other in names:
            pairs.append((names[natural(first)], other))
    return tuple(pairs)


def replay_calls(exercise: Exercise, case: Case, reply: Reply) -> ExecutionResult:
    """Run the exercise's own `call` here, with a function that returns the recorded results."""
    assert exercise.call is not None
    results = [unpack(call["result"], reply.body) for call in reply.header["calls"]]
    for value in results:
        if not isinstance(value, Tensor | float):
            kind = value.name if isinstance(value, Other) else type(value).__name__
            kind = "None" if value is None else f"a {kind}"
            return ExecutionResult({}, f"it returned {kind}: return a tensor")
    state = {k: unpack(v, reply.body) for k, v in reply.header.get("state", {}).items()}
    arguments = case.arguments()

    def replay(*positional: object, **named: object) -> object:
        result = results.pop(0)
        if not results and "model" in arguments:
            arguments["model"].load_state_dict(state)
        return result

    values, trouble = name_outputs(exercise.call(replay, arguments), exercise, arguments)
    return ExecutionResult({} if trouble else values, trouble)
