"""Faults for a bug hunt: one line of the library, changed as it gets changed by accident."""

from __future__ import annotations

import ast
import random
from dataclasses import dataclass

from scratchae.course.assignment import Assignment, Task
from scratchae.course.blank import find_function
from scratchae.errors import ScratchaeError


@dataclass(frozen=True)
class Fault:
    """In `function`, `right` stands once, and is replaced by `wrong`."""

    function: str
    right: str
    wrong: str

    def plant(self, source: str) -> str:
        """The source with the fault in it.

        >>> Fault("half", "/ 2", "// 2").plant("def half(x):\\n    return x / 2\\n")
        'def half(x):\\n    return x // 2\\n'
        """
        node = find_function(ast.parse(source), self.function)
        lines = source.split("\n")
        start = node.body[1 if ast.get_docstring(node) else 0].lineno - 1
        body = "\n".join(lines[start : node.end_lineno])
        if body.count(self.right) != 1:
            raise ScratchaeError(f"the fault in {self.function} fits no line: {self.right}")
        lines[start : node.end_lineno] = body.replace(self.right, self.wrong).split("\n")
        return "\n".join(lines)


def _faults(function: str, *changes: tuple[str, str]) -> tuple[Fault, ...]:
    return tuple(Fault(function, right, wrong) for right, wrong in changes)


FAULTS: dict[str, tuple[Fault, ...]] = {
    "linear_backward": _faults(
        "linear_backward",
        ("dweight = dy_rows.T @ rows", "dweight = dy_rows.T @ rows / len(rows)"),
        ("dweight = dy_rows.T @ rows", "dweight = (rows.T @ dy_rows).reshape(weight.shape)"),
        ("dbias = dy_rows.sum(dim=0)", "dbias = dy_rows.mean(dim=0)"),
        ("dbias = dy_rows.sum(dim=0)", "dbias = dy.sum(dim=0)"),
        ("dx = (dy_rows @ weight)", "dx = -(dy_rows @ weight)"),
    ),
    "tanh_backward": _faults(
        "tanh_backward",
        ("(1 - y * y)", "(1 - y)"),
        ("(1 - y * y)", "(1 + y * y)"),
        ("(1 - y * y)", "(1 - y.tanh() ** 2)"),
        ("(1 - y * y)", "(y - y * y)"),
    ),
    "mse_backward": _faults(
        "mse_backward",
        ("2 / prediction.numel()", "2 / len(prediction)"),
        ("2 / prediction.numel()", "1 / prediction.numel()"),
        ("(prediction - target)", "(target - prediction)"),
        ("2 / prediction.numel()", "2 / prediction.shape[-1]"),
    ),
    "batchnorm_backward": _faults(
        "batchnorm_backward",
        ("join(values_per_channel(dy),", "join(dy.shape[0] / 2,"),
        ("(dy - db_over_m", "(dy + db_over_m"),
        ("dweight = (dy * xhat).sum(axes)", "dweight = (dy * xhat).mean(axes)"),
        ("xhat * dw_over_m", "xhat * db_over_m"),
        ("weight * (var + eps).rsqrt()", "weight * (var + eps).sqrt()"),
    ),
    "adam_update": _faults(
        "adam_update",
        ("m.lerp_(g, 1 - beta1)", "m.lerp_(g, beta1)"),
        ("(v / (1 - beta2**t)).sqrt_()", "v.sqrt().div_(1 - beta2**t)"),
        ("-lr / (1 - beta1**t)", "-lr"),
        (".add_(eps)", ".mul_(1 + eps)"),
        ("addcmul_(g, g, value=1 - beta2)", "addcmul_(g, g, value=beta2)"),
    ),
    "train_step": (
        *_faults(
            "fill_gradients",
            ("    optimizer.zero_grad()\n", ""),
        ),
        *_faults(
            "add_gradients",
            ("(loss_of(model).backward())", "(-loss_of(model).backward())"),
            ("(loss_of(model).backward())", "(loss_of(model).backward() * len(x))"),
        ),
        *_faults(
            "update_if_finite",
            ("    if loss.isfinite():\n", "    optimizer.zero_grad()\n    if loss.isfinite():\n"),
        ),
    ),
}


def choose(assignment: Assignment, student: str) -> dict[str, Fault]:
    """{task: the fault that this student gets}: the same for the same name."""
    pick = random.Random(f"{assignment.name}:{student}")
    return {task.name: pick.choice(faults_of(task)) for task in assignment.tasks}


def faults_of(task: Task) -> tuple[Fault, ...]:
    """What may be wrong in a task's function."""
    if task.exercise not in FAULTS:
        raise ScratchaeError(
            f"there are no faults for {task.exercise}: there are some for {', '.join(FAULTS)}"
        )
    return FAULTS[task.exercise]
