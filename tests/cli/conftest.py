"""What the tests of the command line share: a way to call it, few digits, and a finished run."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scratchae.cli import main
from tests.helpers.runs import few_digits, write_npz


@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    """call("train", "fc", ...) -> (exit code, stdout, stderr), run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["scratchae", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def digits(tmp_path):
    return write_npz(tmp_path / "few.npz", few_digits())


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A run of two epochs, made once by the command line."""
    folder = tmp_path_factory.mktemp("finished")
    write_npz(folder / "few.npz", few_digits())
    command = ["train", "fc", "--data", "few.npz", "--epochs", "2", "--out", "run"]
    subprocess.run([sys.executable, "-m", "scratchae", *command], cwd=folder, check=True)
    return folder / "run"


@pytest.fixture
def trained(call, digits, finished):
    """A copy of it in runs/fc, its data in `digits`."""
    shutil.copytree(finished, "runs/fc")
    config = json.loads(Path("runs/fc/config.json").read_text())
    Path("runs/fc/config.json").write_text(json.dumps({**config, "data": str(digits)}))
    return Path("runs/fc")
