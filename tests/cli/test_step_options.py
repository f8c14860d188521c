"""`scratchae train` with schedules, clipping, averaged weights and early stopping."""

import json
from pathlib import Path

import pytest

from tests.helpers.command_line import error_sentence

OPTIONS = {
    "schedule": "cosine,warmup=1",
    "clip_norm": 0.5,
    "clip_value": 0.1,
    "ema": 0.9,
    "validation": 0.2,
    "patience": 5,
}
WORDS = [word for name, value in OPTIONS.items() for word in (f"--{name.replace('_', '-')}", value)]


def test_train_uses_and_stores_the_options_and_resume_takes_them_from_the_run(call, digits):
    code, out, err = call("train", "fc", "--data", digits, "--epochs", 2, "--out", "run", *WORDS)
    assert code == 0, err
    assert "120 training images, 30 validation images, 100 test images" in out
    assert "Kept: the weights of epoch" in out
    config = json.loads(Path("run/config.json").read_text())
    assert {name: config[name] for name in OPTIONS} == {
        **OPTIONS,
        "schedule": "cosine,warmup=1,T_max=1",
    }
    header = Path("run/history.csv").read_text().splitlines()[0]
    assert header.split(",")[-2:] == ["lr", "validation_loss"]
    assert call("train", "fc", "--out", "run", "--resume", "--epochs", 3)[0] == 0
    assert call("show", "run")[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--schedule", "cosin"], "did you mean 'cosine'?"),
        (["--schedule", "step"], "step,step_size=10"),
        (["--clip-norm", 0], "clip_norm must be a number above 0"),
        (["--clip-value", -1], "clip_value must be a number above 0"),
        (["--ema", 1], "below 1, such as 0.999"),
        (["--patience", 3], "--validation 0.1"),
        (["--validation", 0.2, "--patience", 0], "patience must be a whole number >= 1"),
        (["--validation", 1], "below 1"),
    ],
)
def test_a_wrong_option_is_one_sentence_and_nothing_is_written(words, said, call, digits):
    assert said in error_sentence(call, "train", "fc", "--data", digits, "--out", "run", *words)
    assert not Path("run").exists()
