"""Training: the loop over epochs and batches, evaluation, and the run folder, which stores a run."""

from scratchae.step import train_step
from scratchae.training.comparison import Comparison, compare
from scratchae.training.evaluation import evaluate, psnr, reconstruct
from scratchae.training.loop import fit
from scratchae.training.run import Run, Settings, open_run

__all__ = [
    "Comparison",
    "Run",
    "Settings",
    "compare",
    "evaluate",
    "fit",
    "open_run",
    "psnr",
    "reconstruct",
    "train_step",
]
