"""The pictures of a training show its digits, its errors and its losses, each where it belongs."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from scratchae import plots
from tests.helpers.figures import SHAPES, digits, drawn, history, pictures, words


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_outputs_are_the_digits_themselves(shape, dtype):
    outputs = [(e, digits(3, shape, dtype), digits(3, shape, dtype, seed=e)) for e in (1, 2)]
    figure = plots.visualize_outputs(outputs)
    assert isinstance(figure, Figure) and len(figure.axes) == 2
    for ax, (epoch, above, below) in zip(figure.axes, outputs, strict=True):
        np.testing.assert_array_equal(drawn(ax), pictures(torch.cat([above, below])))
        error = (above.double() - below.double()).square().mean()
        assert ax.texts[0].get_text() == f"epoch {epoch}\nMSE {error:.4f}"
        assert {image.get_clim() for image in ax.images} == {(-1, 1)}
        assert not ax.axison


@pytest.mark.parametrize(
    ("kept", "step", "epochs"),
    [
        (1, 1, [1]),
        (5, 2, [1, 3, 5]),
        (6, 2, [1, 3, 5, 6]),
        (3, 9, [1, 3]),
        (21, 1, list(range(1, 22))),
    ],
)
def test_every_step_th_epoch_and_the_last(kept, step, epochs):
    outputs = [(e, digits(1), digits(1, seed=e)) for e in range(1, kept + 1)]
    figure = plots.visualize_outputs(outputs, step=step)
    shown = [int(ax.texts[0].get_text().split()[1]) for ax in figure.axes]
    assert sorted(shown) == epochs


def test_noisy_inputs_stand_above_the_originals():
    noisy, above, below = (digits(12, seed=seed) for seed in range(3))
    figure = plots.visualize_outputs([(1, above, below)], inputs=noisy)
    (ax,) = figure.axes
    expected = torch.cat([noisy[:10], above[:10], below[:10]])
    np.testing.assert_array_equal(drawn(ax), pictures(expected))
    assert f"{(above - below)[:10].square().mean():.4f}" in ax.texts[0].get_text()
    assert "Noisy inputs" in words(figure)


def test_at_most_ten_digits_and_their_error():
    above, below = digits(64), digits(64, seed=1)
    (ax,) = plots.visualize_outputs([(1, above, below)]).axes
    assert len(ax.images) == 20
    assert f"{(above - below)[:10].square().mean():.4f}" in ax.texts[0].get_text()


def test_curves_are_the_history():
    train, test = [0.5, 0.3, 0.2341], [0.4, 0.31, 0.2777]
    figure = plots.loss_curves(history(train, test))
    (ax,) = figure.axes
    for line, losses in zip(ax.lines, (train, test), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        np.testing.assert_array_equal(line.get_ydata(), losses)
    assert [t.get_text() for t in ax.texts] == ["train 0.2341", "test 0.2777"]
    assert ax.get_yscale() == "linear" and "epoch" in ax.get_xlabel() and ax.get_ylabel()
    figure.draw_without_rendering()
    train_box, test_box = (t.get_window_extent() for t in ax.texts)
    assert not train_box.overlaps(test_box)


def test_last_values_that_are_equal_do_not_overlap():
    figure = plots.loss_curves(history([0.3, 0.2], [0.3, 0.2]))
    figure.draw_without_rendering()
    one, other = (t.get_window_extent() for t in figure.axes[0].texts)
    assert not one.overlaps(other) and max(one.x1, other.x1) <= figure.bbox.x1


def test_more_than_a_decade_is_logarithmic():
    (ax,) = plots.loss_curves(history([0.5, 0.04])).axes
    assert ax.get_yscale() == "log"
    (ax,) = plots.loss_curves(history([0.5, 0.0])).axes
    assert ax.get_yscale() == "linear"


@pytest.mark.parametrize("test", [None, [float("nan")] * 2, [float("inf")] * 2])
def test_no_test_loss_no_line(test):
    (ax,) = plots.loss_curves(history([0.5, 0.4], test)).axes
    assert len(ax.lines) == len(ax.texts) == 1


def test_a_gap_is_left_out_and_the_last_number_named():
    (ax,) = plots.loss_curves(history([0.5, 0.4, float("nan")], [0.6, float("nan"), 0.3])).axes
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), [1, 3])
    assert [t.get_text() for t in ax.texts] == ["train 0.4", "test 0.3"]


def test_one_epoch_has_one_tick():
    figure = plots.loss_curves(history([0.5]))
    figure.draw_without_rendering()
    left, right = figure.axes[0].get_xlim()
    assert [t for t in figure.axes[0].get_xticks() if left <= t <= right] == [1]
