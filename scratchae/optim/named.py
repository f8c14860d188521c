"""Schedules by name, for `fit` and the command line: a text such as "cosine,warmup=2".

    step,step_size=10,gamma=0.1       StepLR
    linear,end_factor=0               LinearLR
    cosine,eta_min=1e-5               CosineAnnealingLR, down to the last epoch
    onecycle,pct_start=0.3            OneCycleLR, over all epochs
    plateau,factor=0.5,patience=3     ReduceLROnPlateau

The options are the arguments of the class, but all lengths are epochs instead of steps. With warmup=2, the
learning rate first rises for two epochs along a line, from 1 % of lr, and then the schedule begins.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable

from scratchae.errors import ScratchaeError
from scratchae.optim.plateau import ReduceLROnPlateau
from scratchae.optim.schedules import (
    CosineAnnealingLR,
    LinearLR,
    OneCycleLR,
    Schedule,
    SequentialLR,
    StepLR,
)

NAMES: dict[str, Callable[..., Schedule]] = {
    "step": StepLR,
    "linear": LinearLR,
    "cosine": CosineAnnealingLR,
    "onecycle": OneCycleLR,
    "plateau": ReduceLROnPlateau,
}
IN_STEPS = ("step_size", "total_iters", "T_max", "total_steps")  # given in epochs
WHOLE_RUN = ("T_max", "total_steps")  # if they are not given, they end with the last epoch
WARM_UP_FROM = 0.01  # of the learning rate


def named_schedule(text: str, epochs: int, steps_per_epoch: int) -> tuple[str, Schedule]:
    """Return the complete text of a schedule, and the schedule.

    epochs: the length of the run. In the complete text, the length of the schedule is a number, so that it
    means the same in a run of another length. Raises ScratchaeError if a name or a value is wrong.

    >>> named_schedule("cosine,warmup=2", epochs=20, steps_per_epoch=100)[0]
    'cosine,warmup=2,T_max=18'
    >>> named_schedule("cosine", epochs=20, steps_per_epoch=100)
    ('cosine,T_max=20', CosineAnnealingLR(T_max=2000, eta_min=0.0))
    """
    name, *settings = (part.strip() for part in text.split(","))
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(NAMES)}"
        raise ScratchaeError(f"there is no schedule {name!r}: {hint}")
    kind = NAMES[name]
    parameters = inspect.signature(kind).parameters
    chosen: dict[str, float | str | bool] = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        if key not in (*parameters, "warmup"):
            raise ScratchaeError(
                f"the schedule {name} has no option {key!r}: its options are "
                f"{', '.join([*parameters, 'warmup'])}"
            )
        default = parameters[key].default if key in parameters else 0.0
        chosen[key] = value_of(name, key, value, default)
    warmup = float(chosen.get("warmup", 0))
    rest = epochs - warmup
    if warmup < 0 or (rest <= 0 and any(key in parameters.keys() - chosen for key in WHOLE_RUN)):
        raise ScratchaeError(
            f"the warm-up takes {warmup:g} of {epochs} epochs: choose a shorter warm-up, or more epochs"
        )
    for key, parameter in parameters.items():
        if key in WHOLE_RUN:
            chosen.setdefault(key, rest)
        elif parameter.default is parameter.empty and key not in chosen:
            raise ScratchaeError(f"the schedule {name} needs {key}: write {name},{key}=10")
    complete = ",".join([name, *(f"{key}={short(value)}" for key, value in chosen.items())])
    chosen.pop("warmup", None)

    def steps(length: float | str | bool) -> int:
        return round(float(length) * steps_per_epoch)

    given = {key: steps(value) if key in IN_STEPS else value for key, value in chosen.items()}
    if name == "linear":
        given.setdefault("total_iters", steps(parameters["total_iters"].default))
    schedule = kind(**given)
    if steps(warmup):
        rise = LinearLR(WARM_UP_FROM, total_iters=steps(warmup))
        schedule = SequentialLR([rise, schedule], [steps(warmup)])
    return complete, schedule


def value_of(name: str, key: str, text: str, default: object) -> float | str | bool:
    """Return the value of an option, of the type of its default.

    Raises ScratchaeError if the text is not such a value.

    >>> value_of("onecycle", "three_phase", "true", False), value_of("step", "gamma", "0.5", 0.1)
    (True, 0.5)
    """
    if isinstance(default, str):
        return text
    if isinstance(default, bool):
        if text in ("true", "false"):
            return text == "true"
        raise ScratchaeError(f"the schedule {name} expects {key} to be true or false, got {text!r}")
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ScratchaeError(f"the schedule {name} expects {key} to be a number, got {text!r}")
    return int(number) if number.is_integer() else number


def short(value: float | str | bool) -> str:
    """Return the text of a value that `value_of` reads.

    >>> short(True), short(18.0), short(0.1)
    ('true', '18', '0.1')
    """
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else repr(int(value) if value == int(value) else value)
