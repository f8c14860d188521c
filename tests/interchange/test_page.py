"""The code and the commands of the page tutorials/pages/interchange.md run."""

import re
from pathlib import Path

import torch

from scratchae.cli import main
from scratchae.training import fit
from tests.helpers.runs import few_digits

PAGE = Path(__file__).parents[2] / "tutorials/pages/interchange.md"


def test_every_command_and_all_code_of_the_page_runs(tmp_path, monkeypatch, capsys):
    text = PAGE.read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    run = fit("fc", few_digits(), epochs=1, out="runs/fc", device="cpu", progress=False)
    (shown,) = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    command, *printed = shown.splitlines()
    try:
        main(command.split()[2:])
    except SystemExit as end:
        assert not end.code
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == printed
    space: dict = {}
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(code, PAGE.name, "exec"), space)
    assert space["codes"].shape == (5, 3) and space["reconstructions"].shape == (5, 784)
    assert torch.equal(space["module"].encoder[0].weight, run.model.encoder[0].weight)
