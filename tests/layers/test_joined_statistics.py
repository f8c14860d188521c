"""BatchNorm that holds a part of a batch and joins its sums with those of the other parts."""

import pytest
import torch

from scratchae.layers import BatchNorm1d, BatchNorm2d
from tests.helpers.tensors import assert_close

KINDS = [(BatchNorm1d, (7, 3)), (BatchNorm1d, (7, 3, 5)), (BatchNorm2d, (7, 3, 2, 5))]


@pytest.mark.parametrize("count", [1, 3, 7])
@pytest.mark.parametrize("momentum", [0.3, None])
@pytest.mark.parametrize(("kind", "shape"), KINDS)
def test_a_batchnorm_with_a_part_of_a_batch_gives_its_rows_of_the_whole(
    kind, shape, momentum, count
):
    x, dy = torch.randn(shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64)
    whole, part = (kind(3, momentum=momentum).to(torch.float64) for _ in range(2))
    for layer in (whole, part):
        layer.weight.copy_(torch.tensor([2.0, 3.0, 5.0]))
    m = x.numel() // 3
    axes = [axis for axis in range(x.ndim) if axis != 1]
    y = whole(x)
    dx = whole.backward(dy)

    def join_statistics(own_m, mean, var):
        rows = x[:count]
        assert own_m == rows.numel() // 3
        assert_close("mean", mean, rows.mean(axes), 1e-12)
        assert_close("var", var, rows.var(axes, correction=0), 1e-12, scale=1.0)
        return torch.tensor(float(m)), x.mean(axes), x.var(axes, correction=0)

    def join_sums(own_m, dbias, dweight):
        assert own_m == x[:count].numel() // 3
        assert_close("dbias", dbias, dy[:count].sum(axes), 1e-12)
        return torch.tensor(float(m)), whole.bias.grad, whole.weight.grad

    part.join_statistics, part.join_sums = join_statistics, join_sums
    assert_close("y", part(x[:count]), y[:count], 1e-12)
    assert_close("dx", part.backward(dy[:count]), dx[:count], 1e-10)
    assert_close("dbias", part.bias.grad, dy[:count].sum(axes), 1e-12)  # of its own rows alone
    for key in ("running_mean", "running_var"):
        assert_close(key, getattr(part, key), getattr(whole, key), 1e-12)


def test_a_batchnorm_in_evaluation_joins_nothing():
    def join(*_):
        raise AssertionError("nothing is to be joined")

    for tracks in (True, False):
        layer = BatchNorm1d(3, track_running_stats=tracks).eval()
        layer.join_statistics = layer.join_sums = join
        layer.backward(layer(torch.randn(5, 3)))


def test_a_batchnorm_without_weights_leaves_no_choice_of_a_bias():
    assert BatchNorm1d(3, affine=False).arguments()["bias"] is True
    assert BatchNorm1d(3, bias=False).arguments()["bias"] is False
    assert BatchNorm1d(3).arguments()["bias"] is True
