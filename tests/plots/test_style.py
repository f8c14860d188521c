"""What holds of every picture: how it is refused, styled and saved, and that it can be read."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from scratchae import plots
from scratchae.errors import ScratchaeError
from scratchae.layers import Linear, ReLU, Sequential
from scratchae.models import build
from tests.helpers.figures import digits, history

REFUSED = {
    "no epochs": (lambda: plots.visualize_outputs([]), "at least one kept epoch"),
    "step 0": (lambda: plots.visualize_outputs([(1, digits(1), digits(1))], 0), "step of 0"),
    "783": (lambda: plots.visualize_outputs([(1, digits(2, (783,)), digits(2))]), "(2, 783)"),
    "bytes": (
        lambda: plots.visualize_outputs([(1, digits(2).to(torch.uint8), digits(2))]),
        "uint8",
    ),
    "array": (lambda: plots.visualize_outputs([(1, np.zeros((2, 784)), digits(2))]), "ndarray"),
    "no digit": (lambda: plots.visualize_outputs([(1, digits(0), digits(0))]), "(0, 784)"),
    "uneven": (lambda: plots.visualize_outputs([(7, digits(2), digits(3))]), "epoch 7"),
    "columns": (lambda: plots.loss_curves(pd.DataFrame({"epoch": [1]})), "train_loss"),
    "no epoch": (lambda: plots.loss_curves(pd.DataFrame({"train_loss": [1.0]})), "epoch"),
    "empty": (lambda: plots.loss_curves(history([])), "finite"),
    "all NaN": (lambda: plots.loss_curves(history([float("nan")])), "finite"),
    "rows": (lambda: plots.loss_curves([{"epoch": 1, "train_loss": 1.0}]), "got a list"),
    "one number": (lambda: plots.latent_cloud(torch.randn(5, 1)), "5 codes of 1 numbers"),
    "flat": (lambda: plots.latent_cloud(torch.randn(5)), "(N, 2)"),
    "no codes": (lambda: plots.latent_cloud(torch.randn(0, 3)), "(N, 2)"),
    "too few": (lambda: plots.latent_cloud(torch.randn(2, 12)), "2 codes of 12"),
    "NaN": (lambda: plots.latent_cloud(torch.full((5, 3), float("nan"))), "15 not finite"),
    "labels": (lambda: plots.latent_cloud(torch.randn(5, 3), torch.zeros(4)), "5 codes"),
    "label 10": (lambda: plots.latent_cloud(torch.randn(2, 3), torch.tensor([1, 10])), "10"),
    "no filters": (lambda: plots.filters(Sequential(ReLU())), "Conv2d"),
    "not pixels": (lambda: plots.filters(Sequential(Linear(12, 3))), "Linear(12, 3)"),
    "two digits": (lambda: plots.feature_maps(build("fc"), digits(2)), "one digit"),
    "no model": (lambda: plots.feature_maps(Sequential(ReLU()), digits(1)), "Autoencoder"),
    "no end": (lambda: plots.interpolation(build("fc"), digits(1), digits(1, (3,))), "(1, 3)"),
    "one step": (lambda: plots.interpolation(build("fc"), digits(1), digits(1), 1), "2 steps"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_in_one_sentence(what):
    ask, words = REFUSED[what]
    with pytest.raises(ScratchaeError) as refusal:
        ask()
    sentence = str(refusal.value)
    assert words in sentence and "\n" not in sentence and ". " not in sentence


def test_nothing_written_overlaps_or_leaves_the_figure():
    outputs = [(e, digits(10), digits(10, seed=e)) for e in range(1, 13)]
    figures = [
        plots.visualize_outputs(outputs),
        plots.visualize_outputs([(1, digits(1), digits(1))]),
        plots.interpolation(build("fc"), digits(1), digits(1, seed=1), steps=2),
        plots.feature_maps(build("conv"), digits(1)),
    ]
    for figure in figures:
        figure.draw_without_rendering()
        boxes = [t.get_window_extent() for ax in figure.axes for t in (*ax.texts, ax.title)]
        boxes = [b for b in [*boxes, figure._suptitle.get_window_extent()] if b.width > 1]
        for i, box in enumerate(boxes):
            assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
            assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1
            assert not any(box.overlaps(other) for other in boxes[:i])


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_save_writes_what_the_name_says(tmp_path, ending, start):
    path = tmp_path / f"curves.{ending}"
    plots.save(plots.loss_curves(history([0.5])), path)
    assert path.read_bytes().startswith(start) and list(tmp_path.iterdir()) == [path]


def test_dpi_is_the_size(tmp_path):
    import PIL.Image

    plots.save(plots.loss_curves(history([0.5])), tmp_path / "a.png", dpi=50)
    assert PIL.Image.open(tmp_path / "a.png").size == (350, 200)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch, error):
    path, figure = tmp_path / "a.png", plots.loss_curves(history([0.5]))
    path.write_bytes(b"old")

    def half(where, **_):
        where.write_bytes(b"half")
        raise error

    monkeypatch.setattr(figure, "savefig", half)
    with pytest.raises(ScratchaeError if isinstance(error, OSError) else KeyboardInterrupt):
        plots.save(figure, path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a", "a.picture"])
def test_an_unknown_ending_is_refused(tmp_path, name):
    with pytest.raises(ScratchaeError, match=r"end in one of .*\.png"):
        plots.save(plots.loss_curves(history([0.5])), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_no_display_and_no_pyplot(tmp_path):
    program = (
        "import sys, torch; from scratchae import plots\n"
        "x = torch.zeros(1, 784)\n"
        f"plots.save(plots.visualize_outputs([(1, x, x)]), {str(tmp_path / 'a.png')!r})\n"
        "plots.latent_cloud(torch.randn(5, 3)).draw_without_rendering()\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    environment = {k: v for k, v in os.environ.items() if "DISPLAY" not in k and k != "MPLBACKEND"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert (tmp_path / "a.png").exists()


def test_the_readers_own_style_is_left_alone():
    import matplotlib

    with matplotlib.rc_context({"font.size": 31, "axes.grid": False}):
        figure = plots.loss_curves(history([0.5]))
        assert matplotlib.rcParams["font.size"] == 31
    assert figure.axes[0].texts[0].get_size() == 9
