"""A contest: a model of one's own, judged by its budget and its error on digits it has not seen.

Encoder and decoder are asked apart, and between the two the code is rounded to float16, so that
nothing but those few numbers tells the digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from scratchae.checking.report import Row
from scratchae.course.assignment import Assignment, Task
from scratchae.course.submission import SubmissionError, first_line, load_function

LONGEST = 20_000  # bytes of model.py: weights belong into their file, where they are counted


@dataclass(frozen=True)
class Measured:
    """What the ranking needs. error: mean squared, pixels in [-1, 1]. parameters: numbers in the file of
    weights. code: numbers that a digit is told in."""

    error: float
    parameters: int
    code: int


def judge_contest(task: Task, settings: dict, measured: Measured) -> list[Row]:
    """A row for every error to beat; over the budget all of them are lost.

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
    for test, wanted in zip(task.tests, settings["errors"], strict=True):
        short = "" if measured.error < wanted else f"the error is {measured.error:.4f}"
        rows.append(Row(task.exercise, test, over or short))
    return rows


def measure(folder: Path, task: Task, digits: Tensor) -> Measured:
    """Load a student's model and its weights and try them on digits (N, 28, 28) in [-1, 1].

    Runs the student's code: call it inside `submission.library`. Raises SubmissionError; what `build`
    raises comes out as it is. The decoder is another model than the encoder; a grader has them in two
    processes, so that nothing but the code gets from one to the other.
    """
    if (folder / "model.py").is_file() and (folder / "model.py").stat().st_size > LONGEST:
        raise SubmissionError(
            f"model.py is longer than {LONGEST:,} bytes: keep weights in their file"
        )
    build = load_function(folder, task, "build", ["generator"])
    encoder, decoder = (build(torch.Generator().manual_seed(0)) for _ in range(2))
    state = read_weights(folder / "weights.safetensors")
    try:
        for model in (encoder, decoder):
            model.load_state_dict(state)
            model.eval()
        x = digits.reshape(-1, *encoder.input_shape)
        code = rounded(encoder.encode(x))
        y = decoder.decode(code)
    except SubmissionError:
        raise
    except Exception as error:
        raise SubmissionError(f"the model cannot be used: {first_line(error)}") from error
    return measured_of(x, code, y, sum(tensor.numel() for tensor in state.values()))


def rounded(code: Tensor) -> Tensor:
    """The code as it is passed on from the encoder to the decoder."""
    if type(code) is not Tensor or not code.is_floating_point():
        raise SubmissionError("encode has to give a plain floating-point tensor")
    return code.half().to(code.dtype)


def measured_of(x: Tensor, code: Tensor, y: Tensor, parameters: int) -> Measured:
    """The numbers of a ranking from digits, codes and reconstructions."""
    if type(y) is not Tensor or y.numel() != x.numel() or len(code) != len(x):
        raise SubmissionError(
            f"decode has to give as many numbers as encode got, {tuple(x.shape)}, one row a digit"
        )
    error = (y.reshape(x.shape).double() - x.double()).square().mean().item()
    if not error < float("inf"):
        raise SubmissionError("the reconstructions have NaN or infinity in them")
    return Measured(error, parameters, code.numel() // len(code))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights that a student hands in."""
    from safetensors.torch import load

    if not path.is_file():
        raise SubmissionError(f"{path.name} is missing: train.py writes it")
    try:
        return load(path.read_bytes())
    except Exception as error:
        raise SubmissionError(f"{path.name} cannot be read: write it with train.py") from error


def public_digits(assignment: Assignment) -> Tensor:
    """The digits of a student's own check: the first of the sample's test digits."""
    from scratchae import data

    images = data.load("sample").test
    assert images is not None
    return images.normalised("cpu")[: assignment.settings["public_digits"]]
