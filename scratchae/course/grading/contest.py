"""Grading of a contest: the model is built in the sandbox, once to encode and once more to decode.

Two children that share nothing: what the decoder knows of a digit are the few numbers of its code,
rounded here, on the trusted side.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from scratchae import data
from scratchae.checking.report import Row
from scratchae.course.contest import LONGEST, Measured, judge_contest, measured_of, rounded
from scratchae.course.grading.grader import Grader, Submission, row_table
from scratchae.course.grading.policy import flags_of
from scratchae.course.grading.serialization import trouble_of
from scratchae.course.sandbox import InfrastructureError
from scratchae.course.sandbox.inside.protocol import DTYPES, Packer, ProtocolError, frame, unpack
from scratchae.course.scoring import points_of
from scratchae.course.submission import SubmissionError, first_line

MOST_DIGITS = 500
CANARY = """\
import functools

import torch
from scratchae.layers import Linear, Sequential
from scratchae.models import Autoencoder


def build(generator=None):
    encoder = Sequential(Linear(784, 2, generator=generator))
    return Autoencoder(encoder, Sequential(Linear(2, 784, generator=generator)), (784,))
"""


class ContestGrader(Grader):
    """Grades models of students' own by their error on digits that are not in their check."""

    def attempt(self, submission: Submission) -> dict:
        task, settings = self.assignment.tasks[0], self.assignment.settings
        sources, missing = self.sources(submission)
        analysed = self.analyse(sources)
        problems = [*submission.problems, *missing.values()]
        board: list[dict] = []
        try:
            if missing:
                raise SubmissionError(next(iter(missing.values())))
            if analysed["model.py"]["error"]:
                raise SubmissionError(f"model.py cannot be read: {analysed['model.py']['error']}")
            if len(sources["model.py"]) > LONGEST:
                raise SubmissionError(f"model.py is longer than {LONGEST:,} letters")
            measured = self.measure(sources["model.py"], weights_of(submission))
            rows = judge_contest(task, settings, measured)
            board = leaderboard(measured)
        except SubmissionError as error:
            problems.append(str(error))
            rows = [Row(task.exercise, test, str(error)) for test in task.corners]
        earned = points_of(task, rows)
        table = {"name": task.name, "points": task.points, "earned": earned}
        return {
            "student": submission.student,
            "score": earned,
            "points": self.assignment.points,
            "tasks": [table | {"rows": [row_table(row, hidden=False) for row in rows]}],
            "problems": list(dict.fromkeys(problems)),
            "flags": flags_of(analysed, {}),
            "prints": {name: found["prints"] for name, found in analysed.items()},
            "leaderboard": board,
        }

    def measure(self, source: str, state: dict[str, Tensor]) -> Measured:
        """Encode and decode those digits, each in a child of its own."""
        digits = hidden_digits(self.assignment.settings["public_digits"])
        code = rounded(self.step("encode", source, state, digits))
        y = self.step("decode", source, state, code)
        return measured_of(digits, code, y, sum(tensor.numel() for tensor in state.values()))

    def step(self, step: str, source: str, state: dict[str, Tensor], x: Tensor) -> Tensor:
        """What the model makes of x; failed only after it failed twice."""
        try:
            return self.step_once(step, source, state, x)
        except SubmissionError:
            return self.step_once(step, source, state, x)

    def step_once(self, step: str, source: str, state: dict[str, Tensor], x: Tensor) -> Tensor:
        packer = Packer()
        header = {
            "model": step,
            "library": next(iter(self.sandbox.files.libraries.values())),
            "files": {"model.py": source},
            "state": {
                name: packer.pack_tensor(value, memory=True) for name, value in state.items()
            },
            "x": packer.pack_tensor(x, memory=True),
        }
        for reply, body in self.sandbox.run(frame(header, bytes(packer.body))):
            try:
                if "raised" in reply:
                    raise SubmissionError(f"{step}: {trouble_of(reply['raised'])}")
                value = unpack(reply.get("result"), body)
            except (ProtocolError, KeyError, TypeError) as error:
                raise SubmissionError(f"{step}: its answer is none") from error
            if not isinstance(value, Tensor):
                raise SubmissionError(f"{step} has to give a plain floating-point tensor")
            return value
        raise SubmissionError(f"{step}: {self.sandbox.ending.reason}")


def weights_of(submission: Submission) -> dict[str, Tensor]:
    """The weights as tensors; the format holds numbers and nothing else."""
    from safetensors.torch import load

    raw = submission.files.get("weights.safetensors")
    if raw is None:
        raise SubmissionError("weights.safetensors is missing: train.py writes it")
    try:
        state = load(raw)
    except Exception as error:  # whatever the reader says of a damaged file
        raise SubmissionError(f"weights.safetensors cannot be read: {first_line(error)}") from error
    return {k: v if v.dtype in DTYPES.values() else v.float() for k, v in state.items()}


@functools.cache
def hidden_digits(public: int) -> Tensor:
    """Test digits of the bundled sample (N, 28, 28) in [-1, 1] that the student's own check does not use."""
    return data.load("sample").test.normalised("cpu")[public:][:MOST_DIGITS]


def leaderboard(measured: Measured) -> list[dict]:
    """In Gradescope's form: the error first, then the size."""
    return [
        {"name": "error", "value": round(measured.error, 6), "order": "asc"},
        {"name": "parameters", "value": measured.parameters, "order": "asc"},
        {"name": "code", "value": measured.code, "order": "asc"},
    ]


def contest_is_well(grader: ContestGrader) -> None:
    """Raise InfrastructureError unless a small model has the error here that its formula gives."""
    g = torch.Generator().manual_seed(1)
    state = {
        "encoder.0.weight": torch.randn(2, 784, generator=g) / 28,
        "encoder.0.bias": torch.zeros(2),
        "decoder.0.weight": torch.randn(784, 2, generator=g) / 28,
        "decoder.0.bias": torch.zeros(784),
    }
    x = hidden_digits(grader.assignment.settings["public_digits"]).reshape(-1, 784)
    code = rounded(x @ state["encoder.0.weight"].T)
    wanted = (code @ state["decoder.0.weight"].T - x).double().square().mean().item()
    try:
        found = grader.measure(CANARY, state)
    except SubmissionError as error:
        raise InfrastructureError(f"a model that is right cannot be used here: {error}") from error
    if abs(found.error - wanted) > 1e-3 * wanted or found.code != 2:
        raise InfrastructureError(
            f"a model of known error {wanted:.6f} has {found.error:.6f} here, so nothing can be graded"
        )
