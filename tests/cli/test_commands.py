"""The command line: what it writes, what it says, and one sentence and exit code 2 for mistakes."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageDraw

from scratchae import models
from scratchae.cli.train import DEFAULTS
from scratchae.training import fit
from scratchae.training.optimizers import LR, WEIGHT_DECAY
from tests.helpers.command_line import error_sentence
from tests.helpers.runs import few_digits, write_npz

PICTURES = {
    *("feature_maps.png", "filters.png", "interpolation.png"),
    *("latent.png", "loss.png", "reconstructions.png"),
}


def test_train_leaves_a_complete_run_folder_and_says_where_the_pictures_are(call, digits):
    code, out, err = call("train", "conv", "--data", digits, "--epochs", 2, "--out", "here")
    assert code == 0
    assert "Pictures: here/pictures" in out
    assert "150 training images, 100 test images" in out
    assert "epoch 2/2: train 0." in err
    assert {p.name for p in Path("here/pictures").iterdir()} == PICTURES
    for picture in Path("here/pictures").iterdir():
        assert Image.open(picture).size > (300, 100)
    assert len(pd.read_csv("here/history.csv")) == 2


def test_train_numbers_its_folders_and_resumes_the_last(call, digits, trained):
    assert call("train", "fc", "--data", digits, "--epochs", 1)[0] == 0
    assert Path("runs/fc-2").is_dir()
    code, out, _ = call("train", "fc", "--resume", "--epochs", 3)
    assert code == 0
    assert "runs/fc-2" in out
    assert len(pd.read_csv("runs/fc-2/history.csv")) == 3
    assert len(pd.read_csv("runs/fc/history.csv")) == 2


def test_resume_takes_what_is_not_given_from_the_run(call, digits):
    given = ["--data", digits, "--epochs", 1, "--lr", 0.002, "--seed", 5, "--batch-size", 32]
    call("train", "fc", *given, "--out", "run")
    assert call("train", "fc", "--out", "run", "--resume", "--epochs", 2)[0] == 0
    config = json.loads(Path("run/config.json").read_text())
    assert (config["lr"], config["seed"], config["batch_size"]) == (0.002, 5, 32)
    assert config["data"] == str(digits)


def test_train_corrupts_and_augments_and_resume_keeps_both(call, digits):
    words = ("--corrupt", "noise=0.3", "--augment", "rotate=10,shift=2", "--out", "run")
    assert call("train", "fc", "--data", digits, "--epochs", 1, *words)[0] == 0
    assert call("train", "fc", "--out", "run", "--resume", "--epochs", 2)[0] == 0
    config = json.loads(Path("run/config.json").read_text())
    assert (config["corrupt"], config["augment"]) == ("noise=0.3", "rotate=10,shift=2")
    code, _, err = call("train", "fc", "--out", "run", "--resume", "--corrupt", "none")
    assert code == 2 and "was started with corrupt = noise=0.3, not none" in err
    code, _, err = call("train", "fc", "--data", digits, "--augment", "rotat=9", "--out", "other")
    assert code == 2 and "did you mean rotate?" in err and not Path("other").exists()


def test_resume_starts_where_there_is_nothing_yet(call, digits):
    code, out, _ = call("train", "fc", "--data", digits, "--epochs", 1, "--out", "new", "--resume")
    assert code == 0
    assert "There is no run in new yet" in out


def test_show_draws_the_pictures_again(call, trained):
    for picture in (trained / "pictures").iterdir():
        picture.unlink()
    code, out, _ = call("show", trained)
    assert code == 0
    assert "2 epochs" in out
    assert {p.name for p in (trained / "pictures").iterdir()} == PICTURES


def test_reconstruct_takes_drawings_and_data_files(call, trained, digits):
    drawing = Image.new("L", (200, 260), 255)
    ImageDraw.Draw(drawing).line([(100, 30), (100, 220)], fill=20, width=18)
    drawing.save("one.png")
    code, out, _ = call("reconstruct", trained, "one.png", digits)
    assert code == 0
    assert "The first 10 of 151 images" in out
    assert "one.png" in out and "few.npz 8" in out and "few.npz 9" not in out
    assert Image.open(trained / "pictures" / "reconstructed.png").size > (300, 100)


def test_models_lists_every_registered_model_and_shows_one(call):
    code, out, _ = call("models")
    assert code == 0
    assert all(name in out for name in models.names())
    assert "223,955" in out and "46,849" in out
    _, out, _ = call("models", "conv")
    assert "ConvTranspose2d(64, 32, 3)" in out and "(N, 64, 5, 5)" in out


def test_help_answers_without_the_seconds_that_torch_takes():
    code = (
        "import sys, scratchae.cli; assert 'torch' not in sys.modules and 'PIL' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_train_has_the_defaults_of_fit():
    theirs = {name: value.default for name, value in inspect.signature(fit).parameters.items()}
    theirs |= {
        "lr": LR,
        "weight_decay": WEIGHT_DECAY,
        "corrupt": "none",
        "augment": "none",
        "schedule": "none",
        "validation": 0.0,  # as `load` has it
    }  # for None
    assert all(
        theirs[name] == value for name, value in vars(DEFAULTS).items() if "data" not in name
    )


def test_info_tells_versions_device_and_data(call):
    code, out, _ = call("info")
    assert code == 0
    assert (
        torch.__version__ in out
        and "bundled" in out
        and "fashion-mnist" in out
        and "letters" in out
    )


@pytest.mark.parametrize("command", ["train", "show", "reconstruct", "info", "models"])
def test_every_help_text_has_an_example(command, call):
    code, out, _ = call(command, "--help")
    assert code == 0
    assert f"Example: scratchae {command}" in out


def test_it_runs_as_a_module_too(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "scratchae", "models"],
        capture_output=True,
        text=True,
        cwd=Path.cwd(),
    )
    assert done.returncode == 0
    assert "fc" in done.stdout


def test_an_interrupt_says_how_to_go_on(call, digits, monkeypatch):
    from scratchae.training import loop

    monkeypatch.setattr(loop, "train_epoch", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    code, out, err = call("train", "fc", "--data", digits, "--out", "run")
    assert code == 130
    assert "scratchae train fc --out run --resume" in out
    assert "Traceback" not in out + err
    monkeypatch.undo()
    os.chdir(digits.parent)
    assert call("train", "fc", "--out", "run", "--resume", "--epochs", 1)[0] == 0


class TestMistakes:
    """Each is answered by one sentence with the cure, exit code 2, and no traceback."""

    sentence = staticmethod(error_sentence)

    def test_an_unknown_model(self, call):
        assert "did you mean 'conv'?" in self.sentence(call, "train", "con")

    def test_an_unknown_data_set(self, call):
        assert "did you mean mnist?" in self.sentence(call, "train", "fc", "--data", "mnst")

    def test_a_missing_file(self, call):
        assert "nosuch.csv" in self.sentence(call, "train", "fc", "--data", "nosuch.csv")

    def test_a_device_that_is_not_there(self, call, digits, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        words = ("train", "fc", "--data", digits, "--device", "cuda")
        assert "--device cpu" in self.sentence(call, *words)

    def test_a_device_of_no_kind(self, call, digits):
        words = ("train", "fc", "--data", digits, "--device", "toaster")
        assert "auto, cpu or cuda" in self.sentence(call, *words)

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("--epochs", 0),
            ("--batch-size", 0),
            ("--lr", -1),
            ("--weight-decay", "nan"),
            ("--seed", -1),
        ],
    )
    def test_a_setting_out_of_range(self, option, value, call, digits):
        words = ("train", "fc", "--data", digits, option, value)
        assert option[2:].replace("-", "_") in self.sentence(call, *words)
        assert not list(Path().rglob("*.safetensors"))

    def test_an_option_that_is_no_number(self, call):
        code, _, err = call("train", "fc", "--lr", "fast")
        assert code == 2
        assert "--lr" in err

    def test_a_run_folder_that_is_taken(self, call, digits, trained):
        before = (trained / "checkpoint.safetensors").read_bytes()
        words = ("train", "fc", "--data", digits, "--out", trained)
        assert "--resume" in self.sentence(call, *words)
        assert (trained / "checkpoint.safetensors").read_bytes() == before

    def test_a_run_folder_that_is_something_else(self, call, digits):
        Path("photos").mkdir()
        Path("photos/cat.txt").write_text("cat")
        words = ("train", "fc", "--data", digits, "--out", "photos")
        assert "not a run folder" in self.sentence(call, *words)
        assert [p.name for p in Path("photos").iterdir()] == ["cat.txt"]

    @pytest.mark.parametrize("command", [("show",), ("reconstruct", "one.png")])
    def test_a_run_that_is_not_there(self, command, call):
        assert "no run folder nosuch" in self.sentence(call, command[0], "nosuch", *command[1:])

    def test_a_file_in_place_of_a_run_folder(self, call):
        Path("file").write_text("")
        assert "no run folder file" in self.sentence(call, "show", "file")

    def test_an_out_folder_below_a_file(self, call, digits):
        Path("file").write_text("")
        words = ("train", "fc", "--data", digits, "--out", "file/run")
        assert "a part of that path is a file" in self.sentence(call, *words)

    def test_resuming_with_another_setting(self, call, digits, trained):
        words = ("train", "fc", "--resume", "--lr", 0.5)
        assert "lr = 0.001, not 0.5" in self.sentence(call, *words)

    def test_resuming_with_another_model(self, call, digits, trained):
        words = ("train", "conv", "--out", trained, "--resume")
        assert "model = fc, not conv" in self.sentence(call, *words)

    def test_resuming_on_other_images(self, call, digits, trained, tmp_path):
        other = write_npz(tmp_path / "other.npz", few_digits(train=151))
        words = ("train", "fc", "--data", other, "--resume")
        assert "other images" in self.sentence(call, *words)

    @pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
    def test_a_checkpoint_cut_short(self, share, call, trained):
        path = trained / "checkpoint.safetensors"
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        assert "damaged or cut short" in self.sentence(call, "show", trained)
        assert "damaged or cut short" in self.sentence(call, "train", "fc", "--resume")

    def test_a_checkpoint_of_another_model(self, call, digits, trained):
        call("train", "conv", "--data", digits, "--epochs", 1, "--out", "other")
        other = Path("other/checkpoint.safetensors").read_bytes()
        (trained / "checkpoint.safetensors").write_bytes(other)
        assert "do not belong to this model" in self.sentence(call, "show", trained)

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"model": "fc"}'])
    def test_a_damaged_config(self, text, call, trained):
        (trained / "config.json").write_text(text)
        assert "config.json is damaged" in self.sentence(call, "show", trained)

    def test_a_run_that_was_never_set_up(self, call, trained):
        (trained / "checkpoint.safetensors").unlink()
        assert "no checkpoint yet" in self.sentence(call, "show", trained)

    def test_a_run_whose_data_is_gone(self, call, digits, trained):
        digits.unlink()
        assert "few.npz" in self.sentence(call, "show", trained)

    def test_an_image_that_is_not_there(self, call, trained):
        assert "seven.png" in self.sentence(call, "reconstruct", trained, "seven.png")

    def test_a_blank_picture(self, call, trained):
        Image.new("L", (40, 40), 255).save("blank.png")
        assert "blank.png" in self.sentence(call, "reconstruct", trained, "blank.png")

    def test_a_text_file_in_place_of_a_picture(self, call, trained):
        Path("notes.txt").write_text("hello")
        assert "notes.txt" in self.sentence(call, "reconstruct", trained, "notes.txt")

    def test_a_picture_cut_short(self, call, trained):
        noise = np.random.default_rng(0).integers(0, 255, (90, 90), dtype=np.uint8)
        Image.fromarray(noise).save("half.png")
        Path("half.png").write_bytes(Path("half.png").read_bytes()[:3000])
        assert "half.png" in self.sentence(call, "reconstruct", trained, "half.png")

    def test_an_out_picture_of_an_unknown_kind(self, call, trained, digits):
        words = ("reconstruct", trained, digits, "--out", "picture.docx")
        assert ".png" in self.sentence(call, *words)


def test_a_full_disk_is_said_and_the_last_checkpoint_stays(call, digits, trained, monkeypatch):
    import errno

    before = (trained / "checkpoint.safetensors").read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = call("train", "fc", "--resume", "--epochs", 3)
    assert code == 2
    assert "the disk is full" in err and "Traceback" not in err
    assert (trained / "checkpoint.safetensors").read_bytes() == before
    assert not list(trained.glob(".writing-*"))


@pytest.mark.skipif(sys.platform == "win32", reason="limits of this kind are a matter of Unix")
def test_a_file_that_may_not_grow_is_said_and_nothing_is_half_written(tmp_path, digits):
    """The system itself refuses the bytes, in the middle of the checkpoint."""
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000));"
        "sys.argv = ['scratchae', 'train', 'fc', '--epochs', '1', '--out', 'run', '--data', sys.argv[1]];"
        "from scratchae.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(digits)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "cannot write run/checkpoint.safetensors" in done.stderr
    assert "Traceback" not in done.stderr
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["config.json"]
