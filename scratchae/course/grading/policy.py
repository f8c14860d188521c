"""Policy: what a submission used that writing by hand does not need. It flags, a person decides.

Two ways, since each can be got round: the syntax tree, and the operators that really ran.
"""

from __future__ import annotations

TAUGHT = (  # parts of the names of operators that already are what is to be written
    *("convolution", "conv2d", "conv_transpose", "unfold_backward", "im2col", "col2im"),
    *("batch_norm", "_backward", "mse_loss", "aten_linear", "_fused", "native_"),
)


def flags_of(analysed: dict[str, dict], operators: dict[str, set[str]]) -> list[str]:
    """Sentences to the instructor, in a fixed order.

    >>> flags_of({}, {"conv2d_forward": {"add", "mkldnn_convolution"}})
    ['conv2d_forward really ran mkldnn_convolution']
    """
    flags = [f"{name}: {what}" for name in sorted(analysed) for what in analysed[name]["policy"]]
    for task in sorted(operators):
        taught = sorted(o for o in operators[task] if any(part in o for part in TAUGHT))
        if taught:
            flags.append(f"{task} really ran {', '.join(taught[:6])}")
    return flags
