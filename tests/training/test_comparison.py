"""Runs side by side: groups of seeds, what may be compared, and the numbers and digits of each."""

import json
import math
import shutil

import pandas as pd
import pytest
import torch

from scratchae.data import Dataset
from scratchae.errors import ScratchaeError
from scratchae.losses import MSELoss
from scratchae.plots import compared_digits, compared_losses
from scratchae.training import compare, fit, open_run
from tests.helpers.runs import few_digits


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of quick runs, by name."""
    folder = tmp_path_factory.mktemp("runs")
    others = few_digits(test=99)
    no_test = Dataset("few", few_digits().train, source="sample", test_source=0.0)
    settings = {
        "fc-1": {"seed": 1},
        "fc-2": {"seed": 2},
        "fc-3": {"seed": 3, "epochs": 3},
        "fast-1": {"seed": 1, "lr": 0.01},
        "fast-2": {"seed": 2, "lr": 0.01},
        "wide": {"model": "fc,latent=8"},
        "sum": {"loss": MSELoss(reduction="sum"), "lr": 1e-6},
        "others": {"data": others, "seed": 1},
        "vae": {"model": "vae"},
        "half": {"model": "vae,beta=0.5"},
        "no-test": {"data": no_test},
    }
    for name, own in settings.items():
        own = {"model": "fc", "data": few_digits(), "epochs": 2, "batch_size": 64, **own}
        fit(**own, out=folder / name, device="cpu", progress=False)
    return folder


def test_runs_that_differ_by_their_seed_are_a_group(runs):
    names = ["fc-1", "fast-1", "fc-2", "fast-2"]
    comparison = compare([runs / name for name in names])
    assert {
        label: [run.folder.name for run in own] for label, own in comparison.groups.items()
    } == {
        "fc, lr 0.001": ["fc-1", "fc-2"],
        "fc, lr 0.01": ["fast-1", "fast-2"],
    }
    assert comparison.losses_are_comparable and comparison.loss == "test_loss"
    summary = comparison.summary().set_index("group")
    for label, own in comparison.groups.items():
        losses = [run.rows[-1]["test_loss"] for run in own]
        row = summary.loc[label]
        assert (row["lowest"], row["highest"]) == (min(losses), max(losses))
        assert row["test_loss"] == pytest.approx(sum(losses) / 2)
        assert (row["runs"], row["code_size"], row["parameters"]) == (2, 3, 223955)


def test_the_table_and_the_curves_are_those_of_the_run_folders(runs):
    comparison = compare([runs / "fc-1", runs / "fc-3"])
    assert list(comparison.groups) == ["fc, 2 epochs", "fc, 3 epochs"]
    assert comparison.table["steps"].tolist() == [6, 9]  # 150 images in batches of 64: 3 steps
    assert comparison.curves["step"].tolist() == [3, 6, 3, 6, 9]
    for name in ("fc-1", "fc-3"):
        history = pd.read_csv(runs / name / "history.csv")
        own = comparison.curves[comparison.curves["run"] == str(runs / name)]
        assert own["test_loss"].tolist() == pytest.approx(history["test_loss"].tolist())
        assert own["elapsed"].tolist() == pytest.approx(history["seconds"].cumsum().tolist())
        row = comparison.table.set_index("run").loc[str(runs / name)]
        assert row["train_loss"] == pytest.approx(history["train_loss"].iloc[-1])
        assert row["seconds"] == pytest.approx(history["seconds"].sum())


def test_two_runs_of_one_seed_are_two_groups_with_the_names_of_their_folders(runs, tmp_path):
    shutil.copytree(runs / "fc-1", tmp_path / "again")
    comparison = compare([runs / "fc-1", runs / "fc-2", tmp_path / "again"])
    assert [len(own) for own in comparison.groups.values()] == [2, 1]
    assert list(comparison.groups) == [f"fc, {runs / 'fc-1'}", f"fc, {tmp_path / 'again'}"]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("wide", r"the code size \(3 and 8\)"),
        ("sum", r"the loss \(MSELoss and MSELoss\(reduction='sum'\)\)"),
        ("others", "the test images"),
        ("no-test", "the test images"),
    ],
)
def test_numbers_that_mean_different_things_are_refused(name, what, runs):
    with pytest.raises(ScratchaeError, match=f"cannot be compared.*{what}.*--anyway") as error:
        compare([runs / "fc-1", runs / name])
    assert str(error.value).count(". ") == 0
    comparison = compare([runs / "fc-1", runs / name], anyway=True)
    assert len(comparison.differences) == 1
    assert comparison.losses_are_comparable == (name == "wide")
    assert comparison.loss == ("train_loss" if name == "no-test" else "test_loss")


def test_another_range_of_the_pixels_and_another_weight_of_the_kl_are_refused(runs):
    with pytest.raises(ScratchaeError) as error:
        compare([runs / "fc-1", runs / "vae"])
    for what in (
        "the range of the pixels ([-1, 1] and [0, 1])",
        "the loss (MSELoss and BCEWithLogitsLoss(reduction='batchmean'))",
        "the penalty in the loss (no penalty and beta=1)",
        "the code size (3 and 20)",
    ):
        assert what in str(error.value)
    with pytest.raises(ScratchaeError, match=r"differ in the penalty .*\(beta=1 and beta=0\.5\)"):
        compare([runs / "vae", runs / "half"])


def test_grey_and_binary_pixels_are_refused_and_two_kinds_of_binary_ones_are_not(tmp_path):
    for mode in ("none", "dynamic", "static"):
        fit(
            "vae",
            few_digits(),
            epochs=1,
            device="cpu",
            progress=False,
            out=tmp_path / mode,
            binarise=mode,
        )
    with pytest.raises(
        ScratchaeError, match=r"differ in the kind of the pixels \(grey and binary\)"
    ):
        compare([tmp_path / "none", tmp_path / "static"])
    assert compare([tmp_path / "dynamic", tmp_path / "static"]).losses_are_comparable


def test_digits_of_models_with_other_pixels_are_brought_to_one_range(runs):
    comparison = compare([runs / "fc-1", runs / "vae"], anyway=True)
    digits, drawn = comparison.reconstructions()
    assert (digits.min(), digits.max()) == (0, 1)
    (vae_run,) = comparison.groups["vae"]
    stored = vae_run.outputs[-1][2].reshape(-1, 28, 28)
    torch.testing.assert_close(drawn["vae"], stored)
    assert not comparison.losses_are_comparable


def test_the_table_shows_the_penalty_in_the_loss(runs):
    comparison = compare([runs / "fc-1", runs / "vae"], anyway=True)
    last = open_run(runs / "vae").rows[-1]
    for table in (comparison.table, comparison.summary()):
        values = table["test_penalty"].tolist()
        assert math.isnan(values[0]) and values[1] == last["test_penalty"] > 0


def test_each_seed_may_hold_out_its_own_part_of_the_same_images(runs, tmp_path):
    folders = []
    for name, seed, checksum in (("a", 1, "one"), ("b", 2, "two"), ("c", 1, "other")):
        folders.append(tmp_path / name)
        shutil.copytree(runs / "fc-1", folders[-1])
        path = folders[-1] / "config.json"
        config = {**json.loads(path.read_text()), "seed": seed, "test_checksum": checksum}
        path.write_text(json.dumps(config))
    assert len(compare(folders[:2]).groups) == 1
    with pytest.raises(ScratchaeError, match="the test images"):
        compare([folders[0], folders[2]])


def test_the_same_test_images_from_another_place_may_be_compared(runs, tmp_path):
    def moved(name: str, **changes) -> object:
        shutil.copytree(runs / "fc-2", tmp_path / name)
        path = tmp_path / name / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
        return tmp_path / name

    assert compare([runs / "fc-1", moved("a", data="/other/place.npz")])
    assert compare([runs / "fc-1", moved("b", test_checksum=None, seed=1)])  # of an older version
    old = moved("old", data="/other/place.npz", test_checksum=None)
    with pytest.raises(ScratchaeError, match="the test images"):
        compare([runs / "fc-1", old])


def test_the_typical_run_of_a_group_is_the_one_with_the_median_loss(runs, tmp_path):
    shutil.copytree(runs / "fc-3", tmp_path / "third")
    path = tmp_path / "third" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "epochs": 2}))
    comparison = compare([runs / "fc-1", runs / "fc-2", tmp_path / "third"])
    ((label, own),) = comparison.groups.items()
    losses = sorted(run.rows[-1]["test_loss"] for run in own)
    assert comparison.typical(label).rows[-1]["test_loss"] == losses[1]
    assert comparison.summary()["epochs"].tolist() == [2]  # the third run has one more


def test_every_group_reconstructs_the_same_digits(runs):
    comparison = compare([runs / "fc-1", runs / "fast-1"])
    digits, drawn = comparison.reconstructions()
    assert digits.shape == (10, 28, 28) and digits.min() >= 0 and digits.max() <= 1
    for name, images in zip(("fc-1", "fast-1"), drawn.values(), strict=True):
        _, originals, stored = open_run(runs / name).outputs[-1]
        torch.testing.assert_close(images, (stored.reshape(-1, 28, 28) + 1) / 2)
        torch.testing.assert_close(digits, (originals.reshape(-1, 28, 28) + 1) / 2)
    figure = compared_digits(digits, drawn)
    texts = [text.get_text() for text in figure.axes[0].texts]
    error = (drawn["fc, lr 0.001"] - digits).square().mean()
    assert texts[0] == "originals" and texts[1] == f"fc, lr 0.001\nMSE {error:.4f}"


def test_the_picture_of_the_losses_shows_median_and_band(runs):
    comparison = compare([runs / name for name in ("fc-1", "fc-2", "fast-1")])
    figure = compared_losses(comparison.curves)
    losses = [[row["test_loss"] for row in run.rows] for run in comparison.groups["fc, lr 0.001"]]
    expected = torch.tensor(losses).mean(0)
    assert [ax.get_xlabel() for ax in figure.axes] == ["steps", "seconds"]
    for ax in figure.axes:
        assert ax.lines[0].get_ydata() == pytest.approx(expected.tolist())
        (band,) = ax.collections  # the group of one run has none
        heights = band.get_paths()[0].vertices[:, 1]
        flat = [loss for own in losses for loss in own]
        assert (heights.min(), heights.max()) == pytest.approx((min(flat), max(flat)))
    assert figure.axes[0].lines[0].get_xdata().tolist() == [3, 6]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        f"fc, lr 0.001 (2 seeds): {expected[-1]:.4g}",
        f"fc, lr 0.01: {comparison.table['test_loss'].iloc[-1]:.4g}",
    ]


def test_a_run_that_is_given_twice_or_alone_or_has_no_epoch_is_refused(runs, tmp_path):
    with pytest.raises(ScratchaeError, match="at least two run folders, but got 1"):
        compare([runs / "fc-1"])
    with pytest.raises(ScratchaeError, match="given twice"):
        compare([runs / "fc-1", runs / ".." / "runs0" / "fc-1", runs / "fc-1"])
    with pytest.raises(ScratchaeError, match="no run folder"):
        compare([runs / "fc-1", tmp_path / "nosuch"])
