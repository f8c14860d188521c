"""Exchange: cases as jobs for the sandbox, and answers from it as outcomes that can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from scratchae.checking.cases import Case
from scratchae.checking.execution import (
    Outcome,
    name_outputs,
    not_written,
    same_bits,
    stopped,
    tensors_of,
)
from scratchae.checking.exercises import Exercise
from scratchae.course.sandbox.inside.protocol import (
    Other,
    Packer,
    ProtocolError,
    Unsent,
    natural,
    unpack,
    word,
)

LONGEST_TEXT, MOST_NUMBERS = 160, 1_000_000


class TooLargeError(Exception):
    """More numbers than any right answer has: the diagnosis would take for ever over them."""


@dataclass
class Answer:
    """What came back for one case: the header of its frame, and its numbers."""

    header: dict
    body: bytes


def question(exercise: Exercise, case: Case, packer: Packer) -> dict:
    """The calls that the child has to make, their inputs as arrays."""
    arguments = case.arguments()
    if exercise.name == "train_step":
        return session(arguments, packer)
    if exercise.name == "kaiming_uniform":
        seed = arguments["generator"].initial_seed()
        packed = {name: pack(value, packer) for name, value in arguments.items()}
        seeds = (seed, seed, seed + 1)
        return {"calls": [packed | {"generator": {"generator": s}} for s in seeds], "by_name": True}
    packed = {name: pack(value, packer) for name, value in arguments.items()}
    return {"calls": [packed, packed]}


def pack(value: object, packer: Packer) -> object:
    return packer.pack_tensor(value, memory=True) if type(value) is Tensor else packer.pack(value)


def session(arguments: dict, packer: Packer) -> dict:
    """A model and an optimiser that live through all calls."""
    model, optimizer = arguments["model"], arguments["optimizer"]
    layers = [[type(layer).__name__, layer.arguments()] for layer in model]
    spec = {
        "layers": layers,
        "state": {name: packer.pack(value) for name, value in model.state_dict().items()},
        "optimizer": type(optimizer).__name__,
        "settings": {"lr": optimizer.lr, "weight_decay": optimizer.weight_decay},
    }
    both = {"model": {"object": "model"}, "optimizer": {"object": "optimizer"}}
    return {"session": spec, "calls": [both | {"x": packer.pack(x)} for x in arguments["batches"]]}


def outcome(exercise: Exercise, case: Case, answer: Answer) -> Outcome:
    """What the function did on the case, as far as the answer tells; a forged one is trouble."""
    try:
        return read(exercise, case, answer)
    except ProtocolError as error:
        return Outcome({}, str(error))
    except TooLargeError as error:
        return Outcome({}, str(error))
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, RuntimeError):
        return Outcome({}, "its answer does not hold what was asked for")


def read(exercise: Exercise, case: Case, answer: Answer) -> Outcome:
    header = answer.header
    if "absent" in header:
        return Outcome({}, f"there is no function {word(header['absent'])}: is it named otherwise?")
    calls = header.get("calls", [])
    raised = trouble_of(header["raised"]) if "raised" in header else ""
    if raised and (exercise.call is not None or not calls):
        return Outcome({}, raised)
    if exercise.call is not None:
        return replayed(exercise, case, answer)
    arguments, first = case.arguments(), calls[0]
    values, trouble = returned(exercise, arguments, first, answer.body)
    if trouble:
        return Outcome({}, trouble)
    repeatable = not raised and len(calls) == 2
    if repeatable:
        again, trouble = returned(exercise, case.arguments(), calls[1], answer.body)
        repeatable = not trouble and all(same_bits(values[n], again[n]) for n in values)
    untouched = tensors_of(case.arguments())
    mine = set(exercise.outputs) if exercise.in_place else set()
    after = after_call(first, answer.body)
    changed = tuple(
        name
        for name, tensor in untouched.items()
        if name not in mine
        and not (same_shape(after.get(name), tensor) and same_bits(after[name], tensor))
    )
    return Outcome(values, "", changed, shared(exercise, untouched, first), repeatable)


def trouble_of(raised: dict) -> str:
    """The sentence of what a function raised."""
    kind, line, text = word(raised["kind"]), natural(raised["line"]), str(raised["text"])
    text = text[:LONGEST_TEXT]
    if kind == "NotImplementedError":
        return not_written(text)
    return stopped(kind, line or "?", text)


def returned(
    exercise: Exercise, arguments: dict, call: dict, body: bytes
) -> tuple[dict[str, object], str]:
    """The outputs by name, or why there are none."""
    if exercise.in_place:
        arguments = arguments | after_call(call, body)
    values, trouble = name_outputs(unpack(call["result"], body), exercise, arguments)
    return {name: stand_in(value) for name, value in values.items()}, trouble


def after_call(call: dict, body: bytes) -> dict[str, object]:
    """The tensors among the arguments, as the call left them."""
    return {str(name): stand_in(unpack(spec, body)) for name, spec in call["after"].items()}


def stand_in(value: object) -> object:
    """Something that the diagnosis describes as what could not be sent."""
    if isinstance(value, Other):
        return type(value.name or "object", (), {})()
    if not isinstance(value, Unsent):
        return value
    if prod(value.shape) > MOST_NUMBERS:
        raise TooLargeError(
            f"it returned a tensor of {prod(value.shape)} numbers: see to its shape"
        )
    dtype = getattr(torch, value.dtype, None)
    if value.kind == "sparse" or not isinstance(dtype, torch.dtype):
        return type(f"{value.kind}_tensor", (), {})()
    if value.kind in ("cpu", "large"):  # another dtype, or too many bytes
        return torch.zeros((), dtype=dtype).expand(value.shape)
    return torch.empty(value.shape, dtype=dtype, device="meta")


def same_shape(value: object, tensor: Tensor) -> bool:
    return type(value) is Tensor and value.shape == tensor.shape and value.dtype == tensor.dtype


def shared(exercise: Exercise, arguments: dict, call: dict) -> tuple[tuple[str, str], ...]:
    """Pairs of names that the child found in one memory; only names that there are."""
    if exercise.in_place:
        return ()
    names, pairs = exercise.outputs, []
    for first, second in call["shared"][:64]:
        other = names[natural(second)] if type(second) is int else second
        if other in arguments or other in names:
            pairs.append((names[natural(first)], other))
    return tuple(pairs)


def replayed(exercise: Exercise, case: Case, answer: Answer) -> Outcome:
    """The exercise's own way of calling, with a function that returns what was recorded."""
    results = [unpack(call["result"], answer.body) for call in answer.header["calls"]]
    arguments, waiting = case.arguments(), list(results)
    state = {k: unpack(v, answer.body) for k, v in answer.header.get("state", {}).items()}

    def replay(*positional: object, **named: object) -> object:
        result = waiting.pop(0)
        if not waiting and "model" in arguments:
            arguments["model"].load_state_dict(state)
        return result

    for value in results:
        if not isinstance(value, Tensor | float):
            kind = value.name if isinstance(value, Other) else type(value).__name__
            if value is None:
                return Outcome({}, "it returned None: what is wanted is a tensor")
            return Outcome({}, f"it returned a {kind}: what is wanted is a tensor")
    values, trouble = name_outputs(exercise.call(replay, arguments), exercise, arguments)
    return Outcome(values if not trouble else {}, trouble)
