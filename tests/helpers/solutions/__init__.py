"""Right solutions as other people write them: the one set for every test that needs them.

SOLUTIONS[exercise][style] is a function, in styles such as loops, einsum, numpy, another order or
another precision; there are five or more for every task of an assignment. None is the library's own
function, nor calls it. `handed_in` is the text of one as it stands in a student's file.
"""

import inspect
import textwrap

from tests.helpers.solutions import batchnorm, common, convolutions, dense, training, vae

PARTS = (dense, convolutions, batchnorm, training, vae)
SOLUTIONS = {name: styles for part in PARTS for name, styles in part.SOLUTIONS.items()}


def handed_in(exercise, style):
    """The text that puts this solution in the place of a function, at the end of its file."""
    (part,) = (part for part in PARTS if exercise in part.SOLUTIONS)
    texts = [inspect.getsource(module) for module in (common, part)]
    own = f"from {common.__name__} import"
    lines = [line for text in texts for line in text.split("\n") if not line.startswith(own)]
    chosen = f"{exercise} = SOLUTIONS[{exercise!r}][{style!r}]"
    return "\n".join(["", *lines, chosen, ""])


def around(name, arguments, how):
    """Text that wraps the function `name`: it works on `how` of the tensors t among its arguments."""
    return textwrap.dedent(f"""

        import torch

        _ours_{name} = {name}

        def {name}({arguments}, *rest, **named):
            given = [{arguments}]
            like = next(t for t in given if isinstance(t, torch.Tensor))
            made = [{how} if isinstance(t, torch.Tensor) else t for t in given]
            result = _ours_{name}(*made, *rest, **named)
            if isinstance(result, tuple):
                return tuple(r.to(like.dtype) for r in result)
            return result.to(like.dtype)
        """)


def through_helpers(name, arguments):
    """Text that wraps the function `name`: a class, a closure, other names of arguments."""
    return textwrap.dedent(f"""

        _right_{name} = {name}

        class _Helper_{name}:
            def __init__(self):
                self.steps = []

            def apply(self, *things):
                self.steps.append(len(things))
                return _right_{name}(*things)

        def {name}(*things):
            helper = _Helper_{name}()
            return (lambda *a: helper.apply(*a))(*things)
        """)


def through_numpy(name, arguments):
    """Text that wraps the function `name`: its results go through numpy and back."""
    return textwrap.dedent(f"""

        import torch

        _before_{name} = {name}

        def {name}(*arguments):
            result = _before_{name}(*arguments)
            if isinstance(result, tuple):
                return tuple(torch.from_numpy(r.numpy().copy()) for r in result)
            return torch.from_numpy(result.numpy().copy())
        """)


ADAM_IN_FLOAT32 = """

import torch

_ours_adam_update = adam_update

def adam_update(*arguments):
    made = [a.float() if isinstance(a, torch.Tensor) else a for a in arguments]
    _ours_adam_update(*made)
    for i in (0, 2, 3, 9):
        if arguments[i] is not None:
            arguments[i].copy_(made[i])
"""
WRAPPERS = {  # ways to wrap any pure function
    "float32 inside": lambda name, arguments: around(name, arguments, "t.float()"),
    "contiguous copies": lambda name, arguments: around(
        name, arguments, "t.clone(memory_format=torch.contiguous_format)"
    ),
    "helpers": through_helpers,
    "numpy on the way out": through_numpy,
}
TENSORS = {  # the pure functions, with the arguments that are tensors
    "linear_forward": "x, weight, bias",
    "linear_backward": "dy, x, weight",
    "relu_forward": "x",
    "relu_backward": "dy, y",
    "tanh_forward": "x",
    "tanh_backward": "dy, y",
    "mse_forward": "prediction, target",
    "mse_backward": "prediction, target",
    "conv2d_forward": "x, weight",
    "conv2d_backward": "dy, x, weight",
    "conv_transpose2d_forward": "x, weight",
    "conv_transpose2d_backward": "dy, x, weight",
    "batchnorm_forward": "x, weight, bias",
    "batchnorm_backward": "dy, xhat, weight, var",
    "sampling_forward": "mu, logvar, eps",
    "sampling_backward": "dz, logvar, eps",
    "bce_with_logits_forward": "logits, target",
    "bce_with_logits_backward": "logits, target",
    "kl_forward": "mu, logvar",
    "kl_backward": "mu, logvar",
    "elbo_loss": "logits, target, mu, logvar",
    "running_statistics": "running_mean, running_var, mean, var",
}
