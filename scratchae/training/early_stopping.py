"""Early stopping: which epoch was the best, and when training ends.

Both follow from the validation losses in the history alone. So a resumed run stops where a run without
interruption stops. (Prechelt 1998.)
"""

from __future__ import annotations

import math


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
