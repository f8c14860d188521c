"""Bugs for a bug hunt: one line of the library, changed as a programmer could change it by accident.

A bug changes the text of a function, as the rows with an arrow in the catalogue of mistakes do, with the
same `replace_in_function`. Bugs have their own table for two reasons: they change the source that the
student gets, and they have no sentence, because the student must find the line.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from scratchae.checking.mistake import replace_in_function
from scratchae.course.assignment import Assignment, Task
from scratchae.errors import ScratchaeError


@dataclass(frozen=True)
class Bug:
    """A bug in `function`: the text `right`, which occurs once, is replaced by `wrong`."""

    function: str
    right: str
    wrong: str

    def inject(self, source: str) -> str:
        """Return the source with the bug in it. Raises ScratchaeError unless `right` occurs once.

        >>> Bug("half", "/ 2", "// 2").inject("def half(x):\\n    return x / 2\\n")
        'def half(x):\\n    return x // 2\\n'
        """
        return replace_in_function(source, self.function, self.right, self.wrong)


def bugs(function: str, *changes: tuple[str, str]) -> tuple[Bug, ...]:
    """Return the bugs (right, wrong) of a function.

    >>> bugs("half", ("/ 2", "// 2"))
    (Bug(function='half', right='/ 2', wrong='// 2'),)
    """
    return tuple(Bug(function, right, wrong) for right, wrong in changes)


BUGS: dict[str, tuple[Bug, ...]] = {
    "linear_backward": bugs(
        "linear_backward",
        ("dweight = dy_rows.T @ rows", "dweight = dy_rows.T @ rows / len(rows)"),
        ("dweight = dy_rows.T @ rows", "dweight = (rows.T @ dy_rows).reshape(weight.shape)"),
        ("dbias = dy_rows.sum(dim=0)", "dbias = dy_rows.mean(dim=0)"),
        ("dbias = dy_rows.sum(dim=0)", "dbias = dy.sum(dim=0)"),
        ("dx = (dy_rows @ weight)", "dx = -(dy_rows @ weight)"),
    ),
    "tanh_backward": bugs(
        "tanh_backward",
        ("(1 - y * y)", "(1 - y)"),
        ("(1 - y * y)", "(1 + y * y)"),
        ("(1 - y * y)", "(1 - y.tanh() ** 2)"),
        ("(1 - y * y)", "(y - y * y)"),
    ),
    "mse_backward": bugs(
        "mse_backward",
        ("2 / prediction.numel()", "2 / len(prediction)"),
        ("2 / prediction.numel()", "1 / prediction.numel()"),
        ("(prediction - target)", "(target - prediction)"),
        ("2 / prediction.numel()", "2 / prediction.shape[-1]"),
    ),
    "batchnorm_backward": bugs(
        "batchnorm_backward",
        ("values_per_channel(dy)", "dy.numel()"),
        ("(dy - db_over_m", "(dy + db_over_m"),
        ("dweight = (dy * xhat).sum(axes)", "dweight = (dy * xhat).mean(axes)"),
        ("xhat * dw_over_m", "xhat * db_over_m"),
        ("weight * (var + eps).rsqrt()", "weight * (var + eps).sqrt()"),
    ),
    "adam_update": bugs(
        "adam_update",
        ("m.lerp_(g, 1 - beta1)", "m.lerp_(g, beta1)"),
        ("(v / (1 - beta2**t)).sqrt_()", "v.sqrt().div_(1 - beta2**t)"),
        ("-lr / (1 - beta1**t)", "-lr"),
        (".add_(eps)", ".mul_(1 + eps)"),
        ("addcmul_(g, g, value=1 - beta2)", "addcmul_(g, g, value=beta2)"),
    ),
    "train_step": (
        *bugs(
            "fill_gradients",
            ("    optimizer.zero_grad()\n", ""),
        ),
        *bugs(
            "add_gradients",
            ("(loss_of(model).backward())", "(-loss_of(model).backward())"),
            ("(loss_of(model).backward())", "(loss_of(model).backward() * len(x))"),
        ),
        *bugs(
            "update_if_finite",
            ("    if loss.isfinite():\n", "    optimizer.zero_grad()\n    if loss.isfinite():\n"),
        ),
    ),
}


def choose(assignment: Assignment, student: str) -> dict[str, Bug]:
    """Return {task: the bug that this student gets}. The same name always gets the same bugs."""
    pick = random.Random(f"{assignment.name}:{student}")
    return {task.name: pick.choice(bugs_of(task)) for task in assignment.tasks}


def bugs_of(task: Task) -> tuple[Bug, ...]:
    """Return the bugs of a task's function. Raises ScratchaeError if there are none."""
    if task.exercise not in BUGS:
        raise ScratchaeError(
            f"there are no bugs for {task.exercise}: choose one of {', '.join(BUGS)}"
        )
    return BUGS[task.exercise]
