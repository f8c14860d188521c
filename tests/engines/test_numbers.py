"""Care for numbers in training: denormals, TF32, and how they are left behind."""

import subprocess
import sys

import pytest
import torch

from scratchae.models import build
from scratchae.training import fit, loop
from scratchae.training.floating_point import float32_products
from tests.helpers.runs import few_digits

TINY = torch.finfo(torch.float32).tiny


def is_flushing() -> bool:
    return (torch.tensor([TINY]) / 2).item() == 0


@pytest.mark.parametrize("engine", ["eager", "buffered"])
def test_a_run_with_denormal_weights_flushes_them_and_leaves_no_trace(engine, monkeypatch):
    model, inside = build("fc", seed=1), []
    model.encoder[2].weight.fill_(TINY / 4)
    real = loop.train_epoch
    monkeypatch.setattr(
        loop, "train_epoch", lambda *args: inside.append(is_flushing()) or real(*args)
    )
    assert not is_flushing()
    assert (model.encoder[2].weight * 1.0).max() > 0
    run = fit(model, few_digits(), epochs=1, engine=engine, device="cpu", progress=False)
    assert inside == [True] and not is_flushing()
    denormal = [(p != 0) & (p.abs() < TINY) for p in run.model.parameters()]
    assert not any(d.any() for d in denormal)


def test_training_that_fails_also_leaves_no_trace():
    model = build("fc")
    model.encoder[0].weight.fill_(torch.nan)
    with pytest.raises(Exception, match="the loss is nan"):
        fit(model, few_digits(), epochs=1, device="cpu", progress=False)
    assert not is_flushing()


def test_a_run_of_a_fresh_process_flushes_in_all_its_threads():
    """Also in threads that had started before, which torch's own switch does not reach."""
    code = """
import torch
from scratchae.data import load
from scratchae.training import fit, loop
torch.set_num_threads(2)
torch.ones(2**20).mul_(2)
def train_epoch(*args):
    x = torch.full((1024,), 1e-39).expand(1024, 1024)
    print(torch.get_num_threads(), (x * 1.0).count_nonzero().item())
    raise SystemExit
loop.train_epoch = train_epoch
fit("conv", load(), epochs=1, device="cpu", progress=False)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "2 0\n"


@pytest.mark.parametrize("before", ["highest", "high"])
@pytest.mark.parametrize("tf32", [False, True])
def test_products_are_set_inside_and_as_before_afterwards_whatever_happens(before, tf32):
    torch.set_float32_matmul_precision(before)
    try:
        with pytest.raises(KeyError), float32_products(tf32):
            assert torch.get_float32_matmul_precision() == ("high" if tf32 else "highest")
            raise KeyError
        assert torch.get_float32_matmul_precision() == before
    finally:
        torch.set_float32_matmul_precision("highest")


def test_training_multiplies_in_float32_even_where_tf32_was_on_before(monkeypatch):
    inside, real = [], loop.train_epoch
    monkeypatch.setattr(
        loop,
        "train_epoch",
        lambda *args: inside.append(torch.get_float32_matmul_precision()) or real(*args),
    )
    torch.set_float32_matmul_precision("high")
    try:
        fit("fc", few_digits(), epochs=1, device="cpu", progress=False)
        assert inside == ["highest"] and torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
