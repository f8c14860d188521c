"""A contest: students' own models with a limited number of parameters, ranked by their error on test digits.

The model is built twice, in two processes that share nothing: one encodes and one decodes. The decoder
gets only the code of a digit. The code is rounded to float16 outside of both processes.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from torch import Tensor

from scratchae.checking.report import Row
from scratchae.course.assignment import Assignment, Task
from scratchae.course.grading.serialization import problem_before_call, raised_sentence
from scratchae.course.sandbox import PlainProcess, Sandbox
from scratchae.course.sandbox.inside.protocol import DTYPES, Packer, ProtocolError, frame, unpack
from scratchae.course.scoring import NOT_YET
from scratchae.course.submission import SubmissionError, first_line

MAX_SOURCE = 20_000  # characters of model.py: weights belong in their file, which counts them
HIDDEN_DIGITS = 500


@dataclass(frozen=True)
class Measured:
    """The measurements that the ranking uses.

    error: the mean squared error, for pixels in [-1, 1]. parameters: the count of numbers in the file of
    weights. code: the count of numbers in the code of a digit.
    """

    error: float
    parameters: int
    code: int


def judge_contest(task: Task, settings: dict, measured: Measured) -> list[Row]:
    """Return a row for each error limit. All of them fail if the model exceeds the budget.

    >>> task = Task("own", "autoencoder", 10, tests=("error below 0.2", "error below 0.1"))
    >>> settings = {"budget": 100, "code": 3, "errors": [0.2, 0.1]}
    >>> [row.passed for row in judge_contest(task, settings, Measured(0.15, 90, 3))]
    [True, False]
    """
    over = ""
    if measured.parameters > settings["budget"]:
        over = (
            f"it has {measured.parameters:,} parameters, at most {settings['budget']:,} are allowed"
        )
    elif measured.code > settings["code"]:
        over = f"its code is {measured.code} numbers, at most {settings['code']} are allowed"
    rows = []
    for test, limit in zip(task.tests, settings["errors"], strict=True):
        short = "" if measured.error < limit else f"the error is {measured.error:.4f}"
        rows.append(Row(task.exercise, test, over or short))
    return rows


def measure(
    sandbox: Sandbox | PlainProcess, source: str, weights: dict[str, Tensor], digits: Tensor
) -> Measured:
    """Let a student's model encode and decode digits (N, 28, 28) in [-1, 1].

    source: the text of model.py. Raises SubmissionError if the model cannot be used.
    """
    if len(source) > MAX_SOURCE:
        raise SubmissionError(
            f"model.py is longer than {MAX_SOURCE:,} characters: keep weights in "
            "weights.safetensors"
        )
    code = rounded(run_model(sandbox, "encode", source, weights, digits))
    y = run_model(sandbox, "decode", source, weights, code)
    return measured_of(digits, code, y, sum(tensor.numel() for tensor in weights.values()))


def run_model(
    sandbox: Sandbox | PlainProcess, step: str, source: str, weights: dict[str, Tensor], x: Tensor
) -> Tensor:
    """Return the model's output for x. step: "encode" or "decode". If the model fails, try once more."""
    try:
        return run_model_once(sandbox, step, source, weights, x)
    except SubmissionError:
        return run_model_once(sandbox, step, source, weights, x)


def run_model_once(
    sandbox: Sandbox | PlainProcess, step: str, source: str, weights: dict[str, Tensor], x: Tensor
) -> Tensor:
    packer = Packer()
    state = {name: packer.pack_tensor(value, memory=True) for name, value in weights.items()}
    header = {
        "model": step,
        "library": next(iter(sandbox.files.libraries.values())),
        "files": {"model.py": source},
        "state": state,
        "x": packer.pack_tensor(x, memory=True),
    }
    for reply, body in sandbox.run(frame(header, bytes(packer.body))):
        try:
            if problem := problem_before_call(reply, "model.py", "build"):
                raise SubmissionError(problem)
            if "raised" in reply:
                said = raised_sentence(reply["raised"])
                raise SubmissionError(said if said.startswith(NOT_YET) else f"{step}: {said}")
            value = unpack(reply.get("result"), body)
        except (ProtocolError, KeyError, TypeError) as error:
            raise SubmissionError(f"{step}: its answer cannot be read") from error
        if not isinstance(value, Tensor):
            raise SubmissionError(f"{step} must return a plain floating-point tensor")
        return value
    raise SubmissionError(f"{step}: {sandbox.ending.reason}")


def rounded(code: Tensor) -> Tensor:
    """Return the code as the decoder gets it."""
    if type(code) is not Tensor or not code.is_floating_point():
        raise SubmissionError("encode must return a plain floating-point tensor")
    return code.half().to(code.dtype)


def measured_of(x: Tensor, code: Tensor, y: Tensor, parameters: int) -> Measured:
    """Return the numbers of the ranking for digits x, their codes and reconstructions y."""
    if type(y) is not Tensor or y.numel() != x.numel() or len(code) != len(x):
        raise SubmissionError(
            f"decode must return as many numbers as encode got, {tuple(x.shape)}, one row for each "
            "digit"
        )
    error = (y.reshape(x.shape).double() - x.double()).square().mean().item()
    if not error < float("inf"):
        raise SubmissionError(
            "the reconstructions contain NaN or infinity: train again with a lower learning rate"
        )
    return Measured(error, parameters, code.numel() // len(code))


def read_weights(data: bytes | None) -> dict[str, Tensor]:
    """Return the weights in a safetensors file, which holds numbers and nothing else.

    data: the bytes of the file, or None if there is no file. Raises SubmissionError.
    """
    from safetensors.torch import load

    if data is None:
        raise SubmissionError("weights.safetensors is missing: train.py writes it")
    try:
        weights = load(data)
    except Exception as error:  # whatever the reader raises for a damaged file
        raise SubmissionError(
            f"weights.safetensors cannot be read: write it with train.py ({first_line(error)})"
        ) from error
    return {k: v if v.dtype in DTYPES.values() else v.float() for k, v in weights.items()}


def public_digits(assignment: Assignment) -> Tensor:
    """Return the digits (N, 28, 28) that the student's own check uses, in [-1, 1]."""
    return sample_digits()[: assignment.settings["public_digits"]]


def hidden_digits(assignment: Assignment) -> Tensor:
    """Return the digits that only the grader uses."""
    return sample_digits()[assignment.settings["public_digits"] :][:HIDDEN_DIGITS]


@functools.cache
def sample_digits() -> Tensor:
    """Return the test digits of the bundled sample."""
    from scratchae import data

    images = data.load("sample").test
    assert images is not None
    return images.normalised("cpu")
