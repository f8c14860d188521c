"""Training: the loop around the step, evaluation, and the run folder in which a run is stored."""

from scratchae.step import train_step
from scratchae.training.evaluation import evaluate, reconstruct
from scratchae.training.loop import fit
from scratchae.training.run import Run, Settings, open_run

__all__ = ["Run", "Settings", "evaluate", "fit", "open_run", "reconstruct", "train_step"]
