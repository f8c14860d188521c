"""Schedules by name: lengths are epochs, the complete text says the same in any run, errors are sentences."""

import pytest

from scratchae.errors import ScratchaeError
from scratchae.optim import (
    CosineAnnealingLR,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
    named_schedule,
)


@pytest.mark.parametrize(
    ("text", "complete", "schedule"),
    [
        ("cosine", "cosine,T_max=20", CosineAnnealingLR(2000)),
        (
            "cosine,T_max=5,eta_min=1e-5",
            "cosine,T_max=5,eta_min=1e-05",
            CosineAnnealingLR(500, 1e-5),
        ),
        ("step,step_size=10", "step,step_size=10", StepLR(1000)),
        (" step , step_size=0.5,gamma=0.5", "step,step_size=0.5,gamma=0.5", StepLR(50, 0.5)),
        ("linear", "linear", LinearLR(total_iters=500)),
        (
            "linear,start_factor=1,end_factor=0,total_iters=20",
            "linear,start_factor=1,end_factor=0,total_iters=20",
            LinearLR(1, 0, 2000),
        ),
        ("onecycle", "onecycle,total_steps=20", OneCycleLR(2000)),
        (
            "onecycle,anneal_strategy=linear,three_phase=true",
            "onecycle,anneal_strategy=linear,three_phase=true,total_steps=20",
            OneCycleLR(2000, anneal_strategy="linear", three_phase=True),
        ),
        (
            "plateau,factor=0.5,patience=3",
            "plateau,factor=0.5,patience=3",
            ReduceLROnPlateau(0.5, 3),
        ),
        (
            "cosine,warmup=2",
            "cosine,warmup=2,T_max=18",
            SequentialLR([LinearLR(0.01, total_iters=200), CosineAnnealingLR(1800)], [200]),
        ),
        (
            "step,step_size=3,warmup=0.5",
            "step,step_size=3,warmup=0.5",
            SequentialLR([LinearLR(0.01, total_iters=50), StepLR(300)], [50]),
        ),
        (
            "cosine,warmup=19",
            "cosine,warmup=19,T_max=1",
            SequentialLR([LinearLR(0.01, total_iters=1900), CosineAnnealingLR(100)], [1900]),
        ),
        ("cosine,warmup=0.001", "cosine,warmup=0.001,T_max=19.999", CosineAnnealingLR(2000)),
        ("cosine,warmup=0", "cosine,warmup=0,T_max=20", CosineAnnealingLR(2000)),
    ],
)
def test_a_text_gives_a_schedule_and_its_complete_text_gives_the_same(text, complete, schedule):
    assert named_schedule(text, epochs=20, steps_per_epoch=100) == (complete, schedule)
    assert named_schedule(complete, epochs=33, steps_per_epoch=100) == (complete, schedule)


def test_a_warm_up_may_be_longer_than_the_first_part_of_a_run():
    text = "cosine,warmup=2,T_max=18"
    assert named_schedule(text, 1, 100) == named_schedule(text, 20, 100)
    assert named_schedule("step,step_size=3,warmup=2", 2, 100)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cosin", "there is no schedule 'cosin': did you mean 'cosine'?"),
        ("xyz", "there are step, linear, cosine, onecycle, plateau"),
        ("cosine,t_max=5", "cosine has no option 't_max': its options are T_max, eta_min, warmup"),
        ("cosine,warmup", "cosine expects warmup to be a number, got ''"),
        ("cosine,eta_min=low", "expects eta_min to be a number, got 'low'"),
        ("step", "the schedule step needs step_size: write step,step_size=10"),
        (
            "step,step_size=0.001",
            "StepLR expects step_size to be a whole number of at least 1, got 0",
        ),
        ("cosine,warmup=20", "the warm-up takes 20 of 20 epochs"),
        ("cosine,warmup=-1", "the warm-up takes -1 of 20 epochs"),
        ("onecycle,three_phase=1", "three_phase to be true or false, got '1'"),
        ("onecycle,anneal_strategy=sin", "'cos' or 'linear', got 'sin'"),
        ("plateau,best=3", "no option 'best'"),
        ("plateau,patience=nan", "patience"),
    ],
)
def test_what_a_text_cannot_mean_is_refused_in_one_sentence(text, said):
    with pytest.raises(ScratchaeError) as caught:
        named_schedule(text, epochs=20, steps_per_epoch=100)
    assert said in str(caught.value) and "\n" not in str(caught.value)
