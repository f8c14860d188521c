"""What the solutions share."""

import torch


def in_float64(function):
    """The function, computed in float64; the results come back in the precision of its arguments."""

    def solution(*arguments):
        given = next(a.dtype for a in arguments if isinstance(a, torch.Tensor))
        wide = (a.double() if isinstance(a, torch.Tensor) else a for a in arguments)
        result = function(*wide)
        if isinstance(result, tuple):
            return tuple(r.to(given) for r in result)
        return result.to(given)

    return solution
