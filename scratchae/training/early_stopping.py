"""Early stopping: which epoch was the best, and when training ends.

Both follow from the validation losses in the history alone. So a resumed run stops where a run without
interruption stops. (Prechelt 1998.)
"""

from __future__ import annotations

import math

from scratchae.data import Dataset
from scratchae.errors import ScratchaeError
from scratchae.training.run import Run


def best_epoch(losses: list[float]) -> int:
    """Return the index of the lowest loss. Of equal losses, the first one counts; NaN is never the lowest.

    >>> best_epoch([3.0, 2.0, 2.0, float("nan")])
    1
    """
    comparable = [math.inf if math.isnan(loss) else loss for loss in losses]
    return comparable.index(min(comparable))


def has_ended(losses: list[float], patience: int | None) -> bool:
    """Return whether the last `patience` epochs have brought no lower loss. None means never.

    >>> has_ended([3.0, 2.0, 2.5], patience=2), has_ended([3.0, 2.0, 2.5, 2.5], patience=2)
    (False, True)
    """
    if patience is None or not losses:
        return False
    return len(losses) - 1 - best_epoch(losses) >= patience


def keep_result(run: Run) -> None:
    """Copy the model's weights to run.result if they are the best so far.

    With `patience`, the best have the lowest validation loss. Without it, averaged weights are kept in each
    epoch, and run.result stays None if there are none.
    """
    patience, losses = run.settings.patience, run.column("validation_loss")
    if patience is None and run.settings.ema is None:
        return
    if patience is None or best_epoch(losses) == len(losses) - 1:
        run.result = {key: tensor.clone() for key, tensor in run.model.state_dict().items()}


def check_patience(patience: int | None, data: Dataset) -> None:
    """Raise ScratchaeError if patience is not a whole number of epochs, or if there is nothing to validate on."""
    if patience is None:
        return
    if not isinstance(patience, int) or isinstance(patience, bool) or patience < 1:
        raise ScratchaeError(f"patience must be a whole number >= 1, got {patience!r}")
    if data.validation is None:
        raise ScratchaeError(
            "patience needs validation images, which decide when training stops: hold some out with "
            "--validation 0.1, or load(..., validation=0.1)"
        )
