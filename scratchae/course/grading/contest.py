"""Contest: grade a student's own model by its error on digits that are not in the student's check.

The model is built twice, in two children of the sandbox that share nothing: one encodes and one
decodes. All that the decoder learns of a digit is its code, which is rounded here, on the trusted side.
"""

from __future__ import annotations

import functools

from torch import Tensor

from scratchae import data
from scratchae.checking.report import Row
from scratchae.course.contest import LONGEST, Measured, judge_contest, measured_of, rounded
from scratchae.course.grading.flags import policy_flags
from scratchae.course.grading.grader import Grader
from scratchae.course.grading.scoring import TaskScore
from scratchae.course.grading.serialization import raised_sentence
from scratchae.course.grading.submissions import Submission
from scratchae.course.sandbox.inside.protocol import DTYPES, Packer, ProtocolError, frame, unpack
from scratchae.course.submission import SubmissionError, first_line

MAX_DIGITS = 500


class ContestGrader(Grader):
    """Grades models of the students' own."""

    def grade_once(self, submission: Submission) -> dict:
        task = self.assignment.tasks[0]
        sources, unreadable = self.read_sources(submission)
        analysis = self.analyse(sources)
        problems = [*submission.problems, *unreadable.values()]
        board: list[dict] = []
        try:
            if unreadable:
                raise SubmissionError(next(iter(unreadable.values())))
            if error := analysis["model.py"]["error"]:
                raise SubmissionError(f"model.py cannot be read: {error}")
            if len(sources["model.py"]) > LONGEST:
                raise SubmissionError(f"model.py is longer than {LONGEST:,} letters")
            weights = read_weights(submission)
            measured = self.measure(sources["model.py"], weights)
            rows = judge_contest(task, self.assignment.settings, measured)
            board = leaderboard(measured)
        except SubmissionError as error:
            problems.append(str(error))
            rows = [Row(task.exercise, test, str(error)) for test in task.corners]
        scores = [TaskScore(task, rows, frozenset())]
        flags = policy_flags(analysis, {})
        result = self.result(submission, scores, list(dict.fromkeys(problems)), flags, analysis)
        return result | {"leaderboard": board}

    def measure(self, source: str, weights: dict[str, Tensor]) -> Measured:
        """Encode and decode the hidden digits, each in a child of its own."""
        digits = hidden_digits(self.assignment.settings["public_digits"])
        code = rounded(self.run_model("encode", source, weights, digits))
        y = self.run_model("decode", source, weights, code)
        return measured_of(digits, code, y, sum(tensor.numel() for tensor in weights.values()))

    def run_model(self, step: str, source: str, weights: dict[str, Tensor], x: Tensor) -> Tensor:
        """Return what the model makes of x. It fails only if it failed twice."""
        try:
            return self.run_model_once(step, source, weights, x)
        except SubmissionError:
            return self.run_model_once(step, source, weights, x)

    def run_model_once(
        self, step: str, source: str, weights: dict[str, Tensor], x: Tensor
    ) -> Tensor:
        packer = Packer()
        header = {
            "model": step,
            "library": next(iter(self.sandbox.files.libraries.values())),
            "files": {"model.py": source},
            "state": {
                name: packer.pack_tensor(value, memory=True) for name, value in weights.items()
            },
            "x": packer.pack_tensor(x, memory=True),
        }
        for reply, body in self.sandbox.run(frame(header, bytes(packer.body))):
            try:
                if "raised" in reply:
                    raise SubmissionError(f"{step}: {raised_sentence(reply['raised'])}")
                value = unpack(reply.get("result"), body)
            except (ProtocolError, KeyError, TypeError) as error:
                raise SubmissionError(f"{step}: its answer cannot be read") from error
            if not isinstance(value, Tensor):
                raise SubmissionError(f"{step} has to return a plain floating-point tensor")
            return value
        raise SubmissionError(f"{step}: {self.sandbox.ending.reason}")


def read_weights(submission: Submission) -> dict[str, Tensor]:
    """Return the weights as tensors, in dtypes that the sandbox's protocol has.

    The format safetensors holds numbers and nothing else. Raises SubmissionError.
    """
    from safetensors.torch import load

    raw = submission.files.get("weights.safetensors")
    if raw is None:
        raise SubmissionError("weights.safetensors is missing: train.py writes it")
    try:
        weights = load(raw)
    except Exception as error:  # whatever the reader raises for a damaged file
        raise SubmissionError(f"weights.safetensors cannot be read: {first_line(error)}") from error
    return {k: v if v.dtype in DTYPES.values() else v.float() for k, v in weights.items()}


@functools.cache
def hidden_digits(public: int) -> Tensor:
    """Return test digits (N, 28, 28) in [-1, 1] that the student's own check does not use."""
    images = data.load("sample").test
    assert images is not None
    return images.normalised("cpu")[public:][:MAX_DIGITS]


def leaderboard(measured: Measured) -> list[dict]:
    """Return the ranking's numbers in Gradescope's form: the error first, then the sizes."""
    return [
        {"name": "error", "value": round(measured.error, 6), "order": "asc"},
        {"name": "parameters", "value": measured.parameters, "order": "asc"},
        {"name": "code", "value": measured.code, "order": "asc"},
    ]
