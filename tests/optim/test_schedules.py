"""Schedules equal those of torch.optim.lr_scheduler, and need no state but the number of the step."""

import math
from functools import partial

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scratchae import optim
from scratchae.errors import ScratchaeError
from scratchae.optim import (
    SGD,
    Adam,
    CosineAnnealingLR,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    Schedule,
    SequentialLR,
    StepLR,
    cosine_annealing_lr,
    linear_lr,
    one_cycle_lr,
    step_lr,
)
from tests.helpers.tensors import assert_close

STEPS = 1000
TORCH = torch.optim.lr_scheduler
counts = st.integers(1, 1200)
part = st.floats(0, 1)
above = st.floats(0.01, 1)

ARGUMENTS = {
    "StepLR": st.fixed_dictionaries({"step_size": counts, "gamma": st.floats(0.5, 1.1)}),
    "LinearLR": st.fixed_dictionaries(
        {"start_factor": above, "end_factor": above, "total_iters": counts}
    ),
    "CosineAnnealingLR": st.fixed_dictionaries(
        {"T_max": st.integers(STEPS, 1200), "eta_min": st.floats(0, 0.2)}
    ),
    "OneCycleLR": st.fixed_dictionaries(
        {
            "total_steps": st.integers(STEPS, 2000),
            "pct_start": part,
            "anneal_strategy": st.sampled_from(["cos", "linear"]),
            "div_factor": st.floats(1, 100),
            "final_div_factor": st.floats(1, 1e5),
            "three_phase": st.booleans(),
        }
    ),
}


def theirs(name: str, arguments: dict, lr: float):
    """Return torch's optimizer and scheduler."""
    optimizer = torch.optim.SGD([torch.zeros(1, dtype=torch.float64)], lr=lr)
    extra = {"max_lr": lr, "cycle_momentum": False} if name == "OneCycleLR" else {}
    return optimizer, getattr(TORCH, name)(optimizer, **arguments, **extra)


def rates_of_torch(optimizer, scheduler, steps: int = STEPS) -> list[float]:
    rates = []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < steps - 1:
            scheduler.step()
    return rates


def assert_same_rates(schedule: Schedule, expected: list[float], lr: float) -> None:
    got = [schedule.rate(step, lr) for step in range(len(expected))]
    worst = max(abs(a - b) for a, b in zip(got, expected, strict=True))
    assert worst <= 1e-12 * lr


@pytest.mark.parametrize("name", ARGUMENTS)
@settings(max_examples=10)
@given(data=st.data(), lr=st.floats(1e-3, 2))
def test_a_thousand_rates_equal_torchs(name, data, lr):
    arguments = data.draw(ARGUMENTS[name])
    if name == "OneCycleLR":  # torch divides by 0 if the rise has no length
        assume(abs(arguments["pct_start"] * arguments["total_steps"] - 1) > 1e-6)
    expected = rates_of_torch(*theirs(name, arguments, lr))
    assert_same_rates(getattr(optim, name)(**arguments), expected, lr)


@settings(max_examples=10)
@given(T_max=counts, eta_min=st.floats(0, 0.2), lr=st.floats(1e-3, 2))
def test_the_cosine_goes_up_again_after_its_minimum_as_torchs(T_max, eta_min, lr):
    """torch's closed form: its products lose digits at the minimum."""
    _, scheduler = theirs("CosineAnnealingLR", {"T_max": T_max, "eta_min": eta_min}, lr)
    expected = []
    for step in range(STEPS):
        scheduler.last_epoch = step
        expected += scheduler._get_closed_form_lr()
    assert_same_rates(CosineAnnealingLR(T_max, eta_min), expected, lr)


@settings(max_examples=10)
@given(
    warm=st.integers(1, 300),
    start=above,
    T_max=st.integers(700, 1200),
    more=st.integers(1, 700),
    lr=st.floats(1e-3, 2),
)
def test_a_warm_up_and_two_more_schedules_equal_torchs(warm, start, T_max, more, lr):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=lr)
    milestones = [warm, warm + more]
    parts = [
        TORCH.LinearLR(optimizer, start, total_iters=warm),
        TORCH.CosineAnnealingLR(optimizer, T_max),
        TORCH.StepLR(optimizer, 7, gamma=0.99),
    ]
    scheduler = TORCH.SequentialLR(optimizer, parts, milestones)
    ours = [LinearLR(start, total_iters=warm), CosineAnnealingLR(T_max), StepLR(7, gamma=0.99)]
    assert_same_rates(SequentialLR(ours, milestones), rates_of_torch(optimizer, scheduler), lr)


@settings(max_examples=30)
@given(
    losses=st.lists(
        st.sampled_from([-3.0, -1.0, 0.0, 1.0, 1.00001, 1.5, 2.0, math.nan]), max_size=60
    ),
    factor=st.floats(0.1, 0.9),
    patience=st.integers(0, 3),
    threshold=st.sampled_from([1e-4, 0.3]),
    mode=st.sampled_from(["rel", "abs"]),
    cooldown=st.integers(0, 3),
    min_lr=st.sampled_from([0.0, 0.05]),
    eps=st.sampled_from([1e-8, 1e-2]),
)
def test_on_plateau_equals_torchs(losses, factor, patience, threshold, mode, cooldown, min_lr, eps):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    arguments = {
        "factor": factor,
        "patience": patience,
        "threshold": threshold,
        "threshold_mode": mode,
        "cooldown": cooldown,
        "min_lr": min_lr,
        "eps": eps,
    }
    scheduler = TORCH.ReduceLROnPlateau(optimizer, **arguments)
    ours = ReduceLROnPlateau(**arguments)
    for step, loss in enumerate(losses):
        scheduler.step(loss), ours.observe(loss)
        assert ours.rate(step, 0.5) == optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize("mode", ["rel", "abs"])
def test_on_plateau_equals_torchs_over_a_thousand_losses(mode):
    """Losses that fall with noise, so that the rate is reduced again and again."""
    generator = torch.Generator().manual_seed(0)
    falling = 2 + 3 * torch.exp(-torch.arange(STEPS, dtype=torch.float64) / 200)
    noise = torch.rand(STEPS, generator=generator, dtype=torch.float64)
    arguments = {"factor": 0.8, "patience": 5, "cooldown": 3, "threshold_mode": mode}
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    scheduler, ours = (
        TORCH.ReduceLROnPlateau(optimizer, **arguments),
        ReduceLROnPlateau(**arguments),
    )
    rates = []
    for step, loss in enumerate((falling + noise).tolist()):
        scheduler.step(loss), ours.observe(loss)
        rates.append(ours.rate(step, 0.5))
        assert abs(rates[-1] - optimizer.param_groups[0]["lr"]) <= 1e-12 * 0.5
    assert len(set(rates)) > 20


def test_defaults_are_torchs():
    for name, given_ones in (
        ("LinearLR", {}),
        ("StepLR", {"step_size": 9}),
        ("CosineAnnealingLR", {"T_max": 9}),
    ):
        expected = rates_of_torch(*theirs(name, given_ones, 0.5), 20)
        assert_same_rates(getattr(optim, name)(**given_ones), expected, 0.5)
    expected = rates_of_torch(*theirs("OneCycleLR", {"total_steps": 20}, 0.5), 20)
    assert_same_rates(OneCycleLR(20), expected, 0.5)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    theirs_on_plateau = TORCH.ReduceLROnPlateau(optimizer)
    for name in ("factor", "patience", "threshold", "threshold_mode", "cooldown", "eps"):
        assert getattr(ReduceLROnPlateau(), name) == getattr(theirs_on_plateau, name)


def test_one_cycle_stays_at_its_last_rate_and_works_without_a_rise():
    cycle = OneCycleLR(10)
    assert cycle.rate(9, 1.0) == pytest.approx(1 / 25e4)
    assert cycle.rate(500, 1.0) == cycle.rate(9, 1.0)
    assert OneCycleLR(10, pct_start=0.1).rate(0, 1.0) == 1.0  # the peak is the first step
    assert OneCycleLR(1).rate(0, 1.0) == pytest.approx(1 / 25e4)
    assert OneCycleLR(10, pct_start=1.0).rate(9, 1.0) == 1.0


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_a_thousand_steps_with_a_schedule_equal_torchs(kind):
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(7, generator=generator, dtype=torch.float64)
    b = a.clone()
    ours = kind([a], lr=0.01).configure(
        SequentialLR([LinearLR(total_iters=50), CosineAnnealingLR(950)], [50])
    )
    other = getattr(torch.optim, kind.__name__)([b], lr=0.01)
    parts = [TORCH.LinearLR(other, total_iters=50), TORCH.CosineAnnealingLR(other, 950)]
    scheduler = TORCH.SequentialLR(other, parts, [50])
    for _ in range(STEPS):
        grad = torch.randn(7, generator=generator, dtype=torch.float64)
        a.grad.copy_(grad)
        b.grad = grad
        ours.step(), other.step(), scheduler.step()
    assert_close("value", a, b, 1e-12)


def test_a_saved_optimizer_continues_in_the_middle_of_a_schedule():
    schedule = SequentialLR([LinearLR(total_iters=4), CosineAnnealingLR(8)], [4])
    one, two = torch.ones(3), torch.ones(3)
    straight = Adam([one]).configure(schedule, ema=0.9)
    first = Adam([two]).configure(schedule, ema=0.9)
    for optimizer in (straight, first):
        optimizer.grad.fill_(1.0)
        for _ in range(6):
            optimizer.step()
    saved = first.state_dict()
    second = Adam([two.clone()]).configure(schedule, ema=0.9)
    second.load_state_dict(saved)
    second.grad.fill_(1.0)
    for optimizer in (straight, second):
        for _ in range(6):
            optimizer.step()
    assert torch.equal(straight.value, second.value)
    assert torch.equal(straight.state["average"], second.state["average"])


def test_one_learning_rate_for_each_parameter_has_a_schedule_too():
    schedule = CosineAnnealingLR(10, eta_min=0.01)
    each = SGD([torch.zeros(2)], lr=torch.tensor([0.5, 0.25])).configure(schedule)
    for step in range(5):
        each.grad.fill_(1.0)
        before = each.value.clone()
        each.step()
        moved = before - each.value
        expected = [schedule.rate(step, 0.5), schedule.rate(step, 0.25)]
        assert moved.tolist() == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ScratchaeError, match="one learning rate for all"):
        each.configure(ReduceLROnPlateau())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: StepLR(0), "StepLR expects step_size to be a whole number of at least 1, got 0"),
        (lambda: StepLR(2.5), "step_size"),
        (lambda: StepLR(1, -1.0), "gamma"),
        (lambda: LinearLR(0.0), "start_factor to be above 0 and at most 1, got 0.0"),
        (lambda: LinearLR(1.1), "start_factor"),
        (lambda: LinearLR(end_factor=1.1), "end_factor"),
        (lambda: LinearLR(end_factor=-0.1), "end_factor"),
        (lambda: LinearLR(total_iters=0), "total_iters"),
        (lambda: CosineAnnealingLR(0), "T_max"),
        (lambda: CosineAnnealingLR(1, -1.0), "eta_min"),
        (lambda: OneCycleLR(0), "total_steps"),
        (lambda: OneCycleLR(9, 1.1), "pct_start"),
        (lambda: OneCycleLR(9, -0.1), "pct_start"),
        (lambda: OneCycleLR(9, anneal_strategy="sin"), "'cos' or 'linear', got 'sin'"),
        (lambda: OneCycleLR(9, div_factor=0), "div_factor"),
        (lambda: OneCycleLR(9, final_div_factor=0), "final_div_factor"),
        (lambda: SequentialLR([StepLR(1)], [2]), "one milestone fewer"),
        (lambda: SequentialLR([StepLR(1)] * 3, [2, 2]), "a rising list"),
        (lambda: ReduceLROnPlateau(1.0), "factor"),
        (lambda: ReduceLROnPlateau(-0.1), "factor"),
        (lambda: ReduceLROnPlateau(patience=-1), "patience"),
        (lambda: ReduceLROnPlateau(threshold_mode="max"), "threshold_mode"),
        (lambda: ReduceLROnPlateau(patience=0.5), "patience to be a whole number"),
        (lambda: ReduceLROnPlateau(cooldown=-1), "cooldown"),
        (lambda: ReduceLROnPlateau(min_lr=-0.1), "min_lr"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_sentence(make, said):
    with pytest.raises(ScratchaeError, match=said) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_limits_of_settings_are_allowed():
    for schedule in (
        StepLR(1, 0.0),
        LinearLR(1.0, 0.0, 1),
        CosineAnnealingLR(1),
        OneCycleLR(1, 0.0),
        OneCycleLR(2, 1.0),
        ReduceLROnPlateau(0.0, 0),
    ):
        assert schedule.rate(0, 1.0) >= 0


def test_a_schedule_has_to_say_its_rate():
    with pytest.raises(NotImplementedError):
        Schedule().rate(0, 1.0)


def test_the_losses_reach_every_part_of_a_sequence():
    plateau = ReduceLROnPlateau(0.5, patience=0)
    both = SequentialLR([LinearLR(0.5, total_iters=2), plateau], [2])
    both.observe(1.0), both.observe(1.0)
    assert [both.rate(step, 8.0) for step in range(4)] == [4.0, 6.0, 4.0, 4.0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"schedule": "cosine"}, "schedule must be a schedule"),
        ({"clip_norm": 0}, "clip_norm must be a number above 0, got 0"),
        ({"clip_norm": math.inf}, "clip_norm"),
        ({"clip_value": -1.0}, "clip_value"),
        ({"clip_value": True}, "clip_value"),
        ({"clip_norm": math.nan}, "clip_norm"),
        ({"clip_norm": "1"}, "clip_norm must be a number above 0, got '1'"),
        ({"ema": 1.0}, "ema must be a decay"),
        ({"ema": False}, "ema must be a decay"),
        ({"ema": "0.9"}, "ema must be a decay"),
        ({"ema": -0.1}, "ema"),
        ({"ema": True}, "ema"),
    ],
)
def test_configure_refuses_what_cannot_be(wrong, said):
    optimizer = Adam([torch.ones(1)])
    with pytest.raises(ScratchaeError, match=said):
        optimizer.configure(**wrong)
    assert optimizer.schedule is None and optimizer.clip_norm is None and optimizer.ema is None


def test_configure_again_sets_everything_anew():
    optimizer = partial(Adam, [torch.ones(1)])().configure(StepLR(1), 1.0, 2.0, 0.5)
    assert "average" in optimizer.state
    assert optimizer.configure(ema=0.0).state["average"].item() == 1.0
    optimizer.configure()
    assert (optimizer.schedule, optimizer.clip_norm, optimizer.clip_value) == (None, None, None)
    assert optimizer.ema is None and "average" not in optimizer.state


def test_the_next_rates_are_numbers_also_if_lr_is_a_tensor():
    optimizer = SGD([torch.ones(1)], lr=torch.tensor(0.5))
    for schedule in (None, StepLR(step_size=1, gamma=0.5)):
        optimizer.configure(schedule=schedule)
        rates = optimizer.next_rates(2)
        assert rates == ([0.5, 0.5] if schedule is None else [0.5, 0.25])
        assert {type(rate) for rate in rates} == {float}


@pytest.mark.parametrize("lr", [0.5, torch.tensor(0.5), torch.tensor([0.5])])
def test_a_plateau_takes_one_rate_for_all_also_as_a_tensor(lr):
    optimizer = SGD([torch.ones(2)], lr=lr).configure(schedule=ReduceLROnPlateau(patience=0))
    optimizer.schedule.observe(1.0)
    optimizer.schedule.observe(1.0)
    assert optimizer.next_rates(1) == pytest.approx([0.05])


@pytest.mark.parametrize(
    ("function", "schedule"),
    [
        (partial(step_lr, step_size=2), StepLR(2)),
        (linear_lr, LinearLR()),
        (partial(cosine_annealing_lr, T_max=5), CosineAnnealingLR(5)),
        (partial(one_cycle_lr, total_steps=9), OneCycleLR(9)),
    ],
)
def test_a_function_has_the_defaults_of_its_schedule(function, schedule):
    assert [function(t, 8.0) for t in range(9)] == [schedule.rate(t, 8.0) for t in range(9)]


def test_an_equal_loss_is_no_better_one_and_a_step_of_eps_is_too_small():
    schedule = ReduceLROnPlateau(0.5, patience=0, threshold=0.0, eps=0.5)
    schedule.observe(1.0)
    schedule.observe(1.0)
    assert [schedule.rate(0, lr) for lr in (1.0, 1.5)] == [1.0, 0.75]


def test_each_of_many_schedules_counts_its_own_steps():
    parts = [LinearLR(0.5, total_iters=n) for n in (2, 3, 4, 5)]
    both = SequentialLR(tuple(parts), (2, 5, 9))
    expected = [part.rate(t, 8.0) for part in parts for t in range(part.total_iters)]
    assert [both.rate(step, 8.0) for step in range(14)] == expected
