"""Devices to test on, and comparisons of tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.cuda,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
        ],
    ),
]


def relative_difference(got: Tensor, expected: Tensor, scale: float = 0.0) -> float:
    """The largest difference, divided by the largest expected element, or by `scale` if that is larger."""
    if expected.numel() == 0:
        return 0.0
    deviation = (got - expected).abs().max().item()
    return deviation and deviation / max(expected.abs().max().item(), scale, 1e-300)


def assert_close(
    name: str, got: Tensor, expected: Tensor, tolerance: float = 1e-10, scale: float = 0.0
) -> None:
    """Assert the same shape and dtype, and a relative difference of at most the tolerance."""
    expected = expected.detach()
    assert got.shape == expected.shape, f"{name}: {tuple(got.shape)}, not {tuple(expected.shape)}"
    assert got.dtype == expected.dtype, f"{name}: {got.dtype}, not {expected.dtype}"
    difference = relative_difference(got, expected, scale)
    assert difference <= tolerance, f"{name} differs by {difference:.1e}"


@contextmanager
def unchanged(**tensors: Tensor | None) -> Iterator[None]:
    """Assert that inside the block no bit, shape or stride of these tensors changes."""
    before = {
        name: (tensor.clone(), tensor.stride(), tensor.storage_offset())
        for name, tensor in tensors.items()
        if tensor is not None
    }
    yield
    for name, (values, stride, offset) in before.items():
        assert torch.equal(tensors[name], values), f"{name} was modified"
        assert (tensors[name].stride(), tensors[name].storage_offset()) == (stride, offset)


def share_memory(a: Tensor, b: Tensor) -> bool:
    """Whether the two tensors share memory."""
    return a.numel() > 0 and a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()
