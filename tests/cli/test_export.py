"""`scratchae export`: what it writes, what it says, and one sentence for mistakes."""

import sys
from pathlib import Path

from tests.helpers.command_line import error_sentence as sentence


def test_export_writes_both_files_and_says_what_they_take(call, trained):
    code, out, _ = call("export", trained)
    assert code == 0
    assert sorted(path.name for path in (trained / "onnx").iterdir()) == [
        "decoder.onnx",
        "encoder.onnx",
    ]
    assert "image (N, 784)" in out and "code (N, 3)" in out
    assert "[-1, 1]" in out and str(trained / "onnx") in out


def test_the_folder_can_be_chosen(call, trained):
    assert call("export", trained, "--out", "a/b")[0] == 0
    assert Path("a/b/encoder.onnx").is_file()
    assert not (trained / "onnx").exists()


def test_mistakes_are_one_sentence(call, trained, monkeypatch):
    assert "no run folder nosuch" in sentence(call, "export", "nosuch")
    Path("file").write_text("")
    assert "a part of that path is a file" in sentence(call, "export", trained, "--out", "file")
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert "pip install onnx" in sentence(call, "export", trained)
