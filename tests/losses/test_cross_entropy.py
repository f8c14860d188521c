"""The cross-entropy: its options, its refusals, and its relation to BCE."""

import pytest
import torch

from scratchae.errors import ScratchaeError
from scratchae.losses import BCEWithLogitsLoss, CrossEntropyLoss, cross_entropy_backward
from scratchae.losses.cross_entropy import class_distribution
from tests.helpers.tensors import assert_close


def test_two_classes_are_bce():
    torch.manual_seed(0)
    z, target = torch.randn(2, 9, dtype=torch.float64)
    target = target.gt(0)
    logits = torch.stack([torch.zeros_like(z), z], 1)
    two, one = CrossEntropyLoss(), BCEWithLogitsLoss()
    assert_close("loss", two(logits, target.long()), one(z, target.double()))
    assert_close("dlogits", two.backward()[:, 1], one.backward())


def test_the_derivatives_of_a_sample_sum_to_zero_because_softmax_ignores_a_common_shift():
    logits, target = torch.randn(4, 7, dtype=torch.float64), torch.rand(4, 7, dtype=torch.float64)
    assert cross_entropy_backward(logits, target).sum(1).abs().max() < 1e-14


def test_it_expects_the_probabilities():
    loss, logits = CrossEntropyLoss(), torch.tensor([[1e4, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert torch.allclose(loss.expected(logits), torch.tensor([[1.0, 0, 0], [1 / 3, 1 / 3, 1 / 3]]))
    assert torch.equal(loss.expected(logits[1]), loss.expected(logits)[1])


def test_ignored_samples_have_neither_loss_nor_gradient():
    loss = CrossEntropyLoss(ignore_index=2, label_smoothing=0.1)
    logits = torch.randn(3, 4)
    value = loss(logits, torch.tensor([0, 2, 3]))
    dlogits = loss.backward()
    assert not dlogits[1].any() and dlogits[0].all()
    assert_close("loss", value, loss(logits[[0, 2]], torch.tensor([0, 3])), 1e-6)
    assert loss(logits, torch.tensor([2, 2, 2])).isnan()  # as in torch


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_classes_may_be_any_integers(dtype):
    loss, logits = CrossEntropyLoss(), torch.randn(3, 4)
    expected = torch.nn.CrossEntropyLoss()(logits, torch.tensor([0, 1, 3]))
    assert_close("loss", loss(logits, torch.tensor([0, 1, 3], dtype=dtype)), expected, 1e-6)


x = torch.zeros(2, 3)
REFUSED = {
    "number": (lambda: CrossEntropyLoss()(x[0, 0], x[0, 0]), "single number"),
    "classes": (lambda: CrossEntropyLoss()(x, torch.tensor([0, 3])), "3 classes but .* 0 to 3"),
    "negative": (lambda: CrossEntropyLoss()(x, torch.tensor([0, -1])), "-1 to 0: count .* from 0"),
    "shape": (lambda: CrossEntropyLoss()(x, torch.tensor([0])), r"\(2,\) of int64 .*got \(1,\)"),
    "distribution": (lambda: CrossEntropyLoss()(x, x[:, :2]), r"\(2, 3\) of float32 .*axis 1"),
    "dtype": (lambda: CrossEntropyLoss()(x, x.double()), "target expects float32 but got float64"),
    "integers": (lambda: CrossEntropyLoss()(x.long(), x), "floating-point"),
    "list": (lambda: CrossEntropyLoss()(x, [0, 1]), "target expects a torch.Tensor"),
    "bool": (lambda: CrossEntropyLoss()(x, torch.tensor([True, False])), "True or False"),
    "ignored": (lambda: CrossEntropyLoss(ignore_index=0)(x, x), "omit ignore_index"),
    "smoothing": (lambda: CrossEntropyLoss(label_smoothing=1.5), "between 0 and 1, got 1.5"),
    "below": (lambda: CrossEntropyLoss(label_smoothing=-0.1), "between 0 and 1, got -0.1"),
    "weight": (
        lambda: CrossEntropyLoss(weight=torch.ones(2))(x, torch.tensor([0, 1])),
        r"each of the 3 classes, \(3,\), but got \(2,\)",
    ),
    "weight_device": (
        lambda: CrossEntropyLoss(weight=torch.ones(3).double())(x, torch.tensor([0, 1])),
        "weight expects float32 but got float64",
    ),
    "bce_shape": (
        lambda: BCEWithLogitsLoss(pos_weight=torch.ones(2))(x, x),
        r"pos_weight has the shape \(2,\), .*\(2, 3\)",
    ),
    "bce_axes": (
        lambda: BCEWithLogitsLoss(weight=torch.ones(1, 2, 3))(x, x),
        r"weight has the shape \(1, 2, 3\)",
    ),
    "bce_dtype": (
        lambda: BCEWithLogitsLoss(weight=torch.ones(3).double())(x, x),
        "weight expects float32 but got float64",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_in_one_sentence(name):
    call, words = REFUSED[name]
    with pytest.raises(ScratchaeError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("classes", [1, 3])
def test_by_default_minus_100_is_the_class_of_samples_that_do_not_count(classes):
    logits, target = torch.randn(4, classes), torch.tensor([0, -100, 0, -100])
    loss, theirs = CrossEntropyLoss(), torch.nn.CrossEntropyLoss()
    assert_close("loss", loss(logits, target), theirs(logits, target))
    assert_close("first", loss(logits[::2], target[::2]), loss(logits, target))
    q, counts = class_distribution(target, logits)
    assert counts.flatten().tolist() == q.sum(1).tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    "arguments", [{"weight": torch.tensor([1.0, 2.0, 3.0])}, {"ignore_index": 0}]
)
def test_a_mean_in_which_samples_count_differently_is_no_mean_over_images(arguments):
    assert CrossEntropyLoss().is_mean_over_images()
    assert not CrossEntropyLoss(**arguments).is_mean_over_images()
    assert CrossEntropyLoss(**arguments, reduction="batchmean").is_mean_over_images()
