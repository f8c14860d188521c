"""Softmax: every number of a row becomes its share of the row.

    y[n,i] = exp(x[n,i]) / Σⱼ exp(x[n,j])         x, y (N, C)

Subtracting the same number from a whole row changes nothing, so subtract the largest:
then exp stays finite.

Backward: ∂y[n,j]/∂x[n,i] = y[n,j] ((i = j) − y[n,i]), summed over j with dy.
"""

import torch


def softmax_forward(x: torch.Tensor) -> torch.Tensor:
    """Return y (N, C). The sum of each row is 1.

    >>> softmax_forward(torch.tensor([[0.0, 0.0]])).tolist()
    [[0.5, 0.5]]
    """
    shifted = x - x.amax(dim=1, keepdim=True)
    powers = shifted.exp()
    return powers / powers.sum(dim=1, keepdim=True)


def softmax_backward(dy: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return dx (N, C), given the output y."""
    weighted = (dy * y).sum(dim=1, keepdim=True)
    return y * (dy - weighted)
