"""What every loss promises: the numbers of torch, its reductions, its checks, and no traces."""

import inspect

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scratchae import losses
from scratchae.checking import gradcheck
from scratchae.errors import ScratchaeError
from scratchae.layers import Linear, Sequential
from scratchae.losses import BCEWithLogitsLoss, Loss, check_targets
from scratchae.optim import SGD
from scratchae.step import compute_loss, train_step
from tests.helpers.tensors import DEVICES, assert_close, share_memory, unchanged
from tests.losses.cases import CASES, REDUCTIONS, Draw
from tests.test_written_by_hand import Recorder, only_arithmetic

EXTREME = (1e4, -1e4, 88.8, -88.8, 1e-30, -1e-30, 0.5, -0.5, 0.0)


def test_every_loss_has_random_cases():
    classes = {name for name in losses.__all__ if isinstance(getattr(losses, name), type)}
    assert set(CASES) == classes - {"Loss"}


@pytest.mark.parametrize("name", CASES)
@given(seed=st.integers(0, 2**32), reduction=st.sampled_from(REDUCTIONS))
def test_value_and_gradient_are_those_of_torch(name, seed, reduction):
    case = CASES[name](Draw(seed), reduction)
    leaf = case.prediction.clone().requires_grad_()
    expected = case.twin(leaf)
    factor = torch.randn(expected.shape, dtype=torch.float64)
    expected.backward(factor)
    with unchanged(prediction=case.prediction, target=case.target):
        value, dprediction = case.loss(case.prediction, case.target), case.loss.backward()
    assert_close("loss", value, expected, 1e-10, scale=1e-2)
    if name == "CrossEntropyLoss" and reduction == "none":  # one number for all classes
        factor = factor.unsqueeze(0 if leaf.ndim == 1 else 1)
    assert_close("dprediction", dprediction * factor, leaf.grad, 1e-10, scale=1e-2)
    assert not share_memory(dprediction, case.prediction)
    assert not share_memory(dprediction, case.target)


@pytest.mark.parametrize("name", CASES)
def test_gradcheck_finds_nothing(name):
    for seed in range(6):
        case = CASES[name](Draw(seed), "batchmean")
        result = gradcheck(case.loss, case.prediction, case.target)
        assert result, result


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CASES)
def test_extreme_predictions_give_finite_numbers(name, dtype, device):
    prediction = torch.tensor([EXTREME, EXTREME[::-1]], dtype=dtype, device=device)
    loss = CASES[name](Draw(0), "none").loss
    loss.__init__(reduction="none")
    if isinstance(loss, losses.GaussianNLLLoss):
        loss.to(device, dtype)
    for pixel in (0.0, 0.3, 1.0):
        value = loss(prediction, torch.full_like(prediction, pixel))
        assert value.isfinite().all() and value.dtype == dtype
        assert loss.backward().isfinite().all() and loss.expected(prediction).isfinite().all()


@pytest.mark.parametrize("name", CASES)
def test_a_loss_runs_nothing_but_arithmetic(name):
    for seed in range(8):
        case = CASES[name](Draw(seed), "mean")
        with Recorder() as recorder:
            case.loss(case.prediction, case.target)
            case.loss.backward()
            case.loss.expected(case.prediction)
        only_arithmetic(recorder)


@pytest.mark.parametrize("name", CASES)
def test_a_loss_forgets_what_it_kept(name):
    case = CASES[name](Draw(1), "mean")
    case.loss(case.prediction, case.target)
    case.loss.forget()
    with pytest.raises(ScratchaeError, match=f"{name}.backward was called before forward"):
        case.loss.backward()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_text_of_a_loss_makes_the_same_loss(name, reduction):
    made = getattr(losses, name)(reduction=reduction)
    again = eval(repr(made), vars(losses))
    assert type(again) is type(made) and again.reduction == reduction
    assert repr(getattr(losses, name)()) == f"{name}()"


@pytest.mark.parametrize("name", CASES)
def test_an_unknown_reduction_is_refused(name):
    with pytest.raises(ScratchaeError, match=f"{name} expects .*'batchmean', got 'median'"):
        getattr(losses, name)(reduction="median")


OLD = {"size_average", "reduce"}  # torch has replaced them by `reduction`


@pytest.mark.parametrize(
    "name", sorted((CASES.keys() & vars(torch.nn).keys()) - {"GaussianNLLLoss"})
)
def test_every_argument_of_torch_is_taken_with_its_default(name):
    ours, theirs = (
        inspect.signature(getattr(kind, name)).parameters for kind in (losses, torch.nn)
    )
    expected = {key: value.default for key, value in theirs.items() if key not in OLD}
    assert {key: value.default for key, value in ours.items()} == expected


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_mean_over_nothing_is_refused(name, reduction):
    loss = getattr(losses, name)(reduction=reduction)
    prediction = torch.zeros(0, 3)
    target = torch.zeros(0, dtype=torch.long) if name == "CrossEntropyLoss" else prediction
    if "mean" in reduction:
        with pytest.raises(ScratchaeError, match=f"{name} got an empty batch"):
            loss(prediction, target)
    else:
        assert loss(prediction, target).sum() == 0
        assert loss.backward().shape == (0, 3)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("reduction", ["mean", "batchmean", "sum"])
def test_a_loss_says_whether_it_is_the_mean_of_its_samples(name, reduction):
    loss = getattr(losses, name)(reduction=reduction)
    prediction, target = torch.randn(6, 4), torch.rand(6, 4)
    once = loss(prediction, target)
    twice = loss(torch.cat([prediction, prediction]), torch.cat([target, target]))
    assert torch.isclose(twice, once) == loss.is_mean_over_images()


@pytest.mark.parametrize("name", sorted(set(CASES) - {"CrossEntropyLoss"}))
def test_a_single_number_has_no_batch(name):
    x = torch.tensor(0.5)
    loss = getattr(losses, name)(reduction="batchmean")
    with pytest.raises(ScratchaeError, match="divides by the size of the batch"):
        loss(x, x)
    assert getattr(losses, name)(reduction="mean")(x, x).shape == ()


@pytest.mark.parametrize("name", sorted(set(CASES) - {"CrossEntropyLoss"}))
def test_prediction_and_target_must_fit(name):
    loss, x = getattr(losses, name)(), torch.zeros(2, 3)
    for target, words in [
        (x[:1], r"one shape .*prediction \(2, 3\) and target \(1, 3\)"),
        (x.double(), "target expects float32 but got float64"),
    ]:
        with pytest.raises(ScratchaeError, match=f"{name}.*{words}"):
            loss(x, target)
    with pytest.raises(ScratchaeError, match=f"{name} expects floating-point"):
        loss(x.long(), x.long())


@pytest.mark.parametrize("name", ["BCEWithLogitsLoss", "ContinuousBernoulliLoss"])
def test_targets_outside_of_the_range_are_refused_in_one_sentence(name):
    loss = getattr(losses, name)()
    for target, found in [([-1.0, 1.0], "-1 to 1"), ([0.0, 255.0], "0 to 255")]:
        with pytest.raises(ScratchaeError) as error:
            check_targets(loss, torch.tensor(target))
        text = str(error.value)
        assert name in text and "[0, 1]" in text and found in text and "pixel_range" in text
    with pytest.raises(ScratchaeError, match="nan"):
        check_targets(loss, torch.tensor([0.5, float("nan")]))
    check_targets(loss, torch.tensor([0.0, 0.5, 1.0]))
    check_targets(loss, torch.zeros(0))


def test_losses_without_a_range_take_any_target():
    for loss in (losses.MSELoss(), losses.GaussianNLLLoss(), object()):
        check_targets(loss, torch.tensor([-5.0, 5.0]))


@pytest.mark.parametrize("name", sorted(set(CASES) - {"CrossEntropyLoss"}))
@pytest.mark.parametrize("reduction", ["mean", "batchmean"])
def test_a_model_is_trained_with_it(name, reduction):
    torch.manual_seed(0)
    model, x = Sequential(Linear(4, 3), Linear(3, 4)), torch.rand(6, 4)
    model.loss = getattr(losses, name)(reduction=reduction)
    optimizer = SGD(model.parameters(), lr=0.05)
    found = [train_step(model, optimizer, x).item() for _ in range(20)]
    assert found[-1] < found[0] - 1e-3


def test_training_refuses_terms():
    model = Linear(4, 4)
    model.loss = BCEWithLogitsLoss(reduction="none")
    with pytest.raises(ScratchaeError, match="one number as the loss"):
        compute_loss(model, torch.rand(2, 4))


def test_a_loss_has_to_say_its_formulas():
    x = torch.ones(2)
    with pytest.raises(NotImplementedError):
        Loss()(x, x)
    with pytest.raises(NotImplementedError):
        Loss().backward()
    assert Loss().expected(x) is x


def test_a_loss_with_an_init_of_its_own_is_a_mean():
    class Own(Loss):
        def __init__(self):
            self.scale = 2.0

    assert Own().reduction == "mean" and Own().target_range is None


def test_bce_expects_probabilities():
    logits = torch.tensor([0.0, -1000.0, 1000.0])
    assert BCEWithLogitsLoss().expected(logits).tolist() == [0.5, 0.0, 1.0]
