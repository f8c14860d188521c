"""Grading the contest: the same model has the same error, however it is written."""

import pytest
import torch
from safetensors.torch import save

from scratchae.course.assignment import load_assignment
from scratchae.course.grading.grader import ContestGrader
from scratchae.course.grading.self_check import REFERENCE_MODEL, check_contest
from scratchae.course.grading.submissions import Submission
from scratchae.course.release import student_files
from tests.helpers.grading import needs_sandbox


@needs_sandbox
def test_a_contest_is_ranked_by_error_and_budget(grader):
    hw6 = grader("hw6", ContestGrader)
    check_contest(hw6)
    weights = {
        "encoder.0.weight": torch.zeros(2, 784),
        "encoder.0.bias": torch.zeros(2),
        "decoder.0.weight": torch.zeros(784, 2),
        "decoder.0.bias": torch.full((784,), -0.8),
    }
    files = {"model.py": REFERENCE_MODEL.encode(), "weights.safetensors": save(weights)}
    result = hw6.grade(Submission("ada", files))
    board = {entry["name"]: entry["value"] for entry in result["leaderboard"]}
    assert board["parameters"] == sum(w.numel() for w in weights.values()) and board["code"] == 2
    assert 0.2 < board["error"] < 0.6 and result["score"] == 0 and not result["problems"]
    cheat = "import os\nos._exit(0)\n"
    assert (
        "exit code 0"
        in hw6.grade(Submission("eve", files | {"model.py": cheat.encode()}))["problems"][0]
    )


OWN_LAYERS = """
import torch


class Half:
    def __init__(self, rows, columns):
        self.weight, self.training = torch.zeros(rows, columns), True

    def forward(self, x):
        return x.reshape(len(x), -1) @ self.weight.T


class Model:
    input_shape = (1, 28, 28)

    def __init__(self):
        self.halves = Half(2, 784), Half(784, 2)

    def load_state_dict(self, state):
        for half, name in zip(self.halves, ("encoder.0.weight", "decoder.0.weight"), strict=True):
            half.weight = state[name]

    def eval(self):
        return self

    def encode(self, x):
        return self.halves[0].forward(x)

    def decode(self, code):
        return self.halves[1].forward(code)


def build(generator=None):
    return Model()
"""
ON_IMAGES = (
    REFERENCE_MODEL.replace("(784,)", "(1, 28, 28)")
    .replace("Linear(784, 2,", "Flatten(), Linear(784, 2,")
    .replace("import Linear", "import Flatten, Linear")
)


@needs_sandbox
def test_a_contest_measures_the_same_model_alike_however_it_is_written(grader):
    hw6 = grader("hw6", ContestGrader)
    g = torch.Generator().manual_seed(1)
    shapes = {"encoder.0.weight": (2, 784), "encoder.0.bias": (2,)}
    shapes |= {"decoder.0.weight": (784, 2), "decoder.0.bias": (784,)}
    state = {name: torch.randn(shape, generator=g) / 28 for name, shape in shapes.items()}
    state = {k: v if v.ndim == 2 else torch.zeros_like(v) for k, v in state.items()}
    flattened = {name.replace("encoder.0", "encoder.1"): value for name, value in state.items()}
    boards = []
    for source, weights in ((REFERENCE_MODEL, state), (OWN_LAYERS, state), (ON_IMAGES, flattened)):
        files = {"model.py": source.encode(), "weights.safetensors": save(weights)}
        result = hw6.grade(Submission("ada", files))
        assert not result["problems"]
        boards.append({entry["name"]: entry["value"] for entry in result["leaderboard"]})
    assert boards[0]["error"] > 0 and boards[0]["parameters"] == 3922
    for board in boards[1:]:
        assert board["error"] == pytest.approx(boards[0]["error"], rel=1e-4)


@needs_sandbox
def test_what_is_handed_out_for_the_contest_earns_nothing(grader):
    blank = student_files(load_assignment("hw6"))["model.py"]
    weights = save({"w": torch.zeros(1)})
    files = {"model.py": blank.encode(), "weights.safetensors": weights}
    result = grader("hw6", ContestGrader).grade(Submission("ada", files))
    assert result["score"] == 0 and not result["leaderboard"]
    assert "not written yet" in result["problems"][0]
