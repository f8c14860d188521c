"""Training: the step, the loop around it, and the run folder that it leaves."""

from scratchae.step import train_step
from scratchae.training.evaluation import evaluate
from scratchae.training.loop import fit
from scratchae.training.run import Run, Settings, open_run

__all__ = ["Run", "Settings", "evaluate", "fit", "open_run", "train_step"]
