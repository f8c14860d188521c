"""Helpers of both convolutions: read pairs and padding, accept single images, check the arguments."""

from __future__ import annotations

from torch import Tensor

from scratchae.errors import ScratchaeError

Pair = int | tuple[int, int]
Padding = Pair | str


def counts(
    value: Pair, layer: str = "convolution", name: str = "argument", least: int = 1
) -> tuple[int, int]:
    """Return (vertical, horizontal) for a whole number >= least, or for a pair of such numbers.

    layer, name: of the layer and the argument, for the error text. Raises ScratchaeError if value is
    anything else.

    >>> counts(3), counts((3, 5))
    ((3, 3), (3, 5))
    """
    pair = (value, value) if isinstance(value, int) else value
    if (
        not isinstance(pair, tuple | list)
        or len(pair) != 2
        or any(not isinstance(n, int) or isinstance(n, bool) or n < least for n in pair)
    ):
        raise ScratchaeError(
            f"{layer} expects {name} to be a whole number >= {least} or a pair of them, got {value!r}"
        )
    return pair[0], pair[1]


def plain(value: object) -> object:
    """Return n for a pair (n, n), and any other value unchanged.

    >>> plain((3, 3)), plain((3, 5)), plain("same")
    (3, (3, 5), 'same')
    """
    return value[0] if isinstance(value, tuple) and value[0] == value[1] else value


def padding_of(
    padding: Padding, kernel_size: tuple[int, int], dilation: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the numbers of added rows and columns: (above, left) and (below, right).

    'same' keeps the size of the image. If the number to add is odd, the last one goes below or to the
    right, as in torch. Raises ScratchaeError if padding is another text, or not >= 0.

    >>> padding_of(1, (3, 3), (1, 1)), padding_of("same", (2, 3), (1, 1))
    (((1, 1), (1, 1)), ((0, 1), (1, 1)))
    """
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        height, width = (d * (k - 1) for d, k in zip(dilation, kernel_size, strict=True))
        above, left = height // 2, width // 2
        return (above, left), (height - above, width - left)
    if isinstance(padding, str):
        raise ScratchaeError(
            f"Conv2d expects padding as a number, a pair, 'same' or 'valid', got {padding!r}"
        )
    pair = counts(padding, "Conv2d", "padding", least=0)
    return pair, pair


def check_channels(layer: str, in_channels: int, out_channels: int, groups: int) -> None:
    """Raise ScratchaeError if the channels cannot be divided into `groups` equal groups.

    >>> check_channels("Conv2d", in_channels=3, out_channels=16, groups=2)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    scratchae.errors.ScratchaeError: Conv2d cannot divide 3 input and 16 output channels into groups=2 ...
    """
    for name, value in (
        ("in_channels", in_channels),
        ("out_channels", out_channels),
        ("groups", groups),
    ):
        if not isinstance(value, int) or value < 1:
            raise ScratchaeError(f"{layer} expects {name} to be a whole number >= 1, got {value!r}")
    if in_channels % groups or out_channels % groups:
        raise ScratchaeError(
            f"{layer} cannot divide {in_channels} input and {out_channels} output channels into "
            f"groups={groups} equal parts: groups must divide both numbers"
        )


def check_padding_mode(layer: str, padding_mode: str) -> None:
    """Raise ScratchaeError if padding_mode is not 'zeros', the only mode that is supported.

    >>> check_padding_mode("Conv2d", "reflect")
    Traceback (most recent call last):
    scratchae.errors.ScratchaeError: Conv2d pads with padding_mode='zeros' only, got 'reflect': \
pad the images before the layer
    """
    if padding_mode != "zeros":
        raise ScratchaeError(
            f"{layer} pads with padding_mode='zeros' only, got {padding_mode!r}: "
            "pad the images before the layer"
        )


def check_image(who: object, x: Tensor, channels: int) -> None:
    """Raise ScratchaeError if x is neither (N, channels, H, W) nor one image (channels, H, W).

    >>> import torch
    >>> check_image("Conv2d(1, 16, 3)", torch.zeros(28, 28, 1), 1)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    scratchae.errors.ScratchaeError: Conv2d(1, 16, 3) expects (N, 1, H, W) or (1, H, W) but got (28, ...
    """
    if x.ndim in (3, 4) and x.shape[-3] == channels:
        return
    cure = "the number of channels has to match"
    if x.ndim == 2:
        cure = f"put an Unflatten(1, ({channels}, H, W)) before it"
    elif x.ndim in (3, 4) and x.shape[-1] == channels:
        order = "2, 0, 1" if x.ndim == 3 else "0, 3, 1, 2"
        cure = f"channels come before H and W, x.permute({order})"
    elif x.ndim == 3 and channels == 1:
        cure = "add the channel axis with x.unsqueeze(1)"
    raise ScratchaeError(
        f"{who} expects (N, {channels}, H, W) or ({channels}, H, W) but got {tuple(x.shape)}: {cure}"
    )


def as_batch(x: Tensor) -> Tensor:
    """Return a single image (C, H, W) as a batch (1, C, H, W), and a batch (N, C, H, W) unchanged.

    >>> import torch
    >>> as_batch(torch.zeros(1, 28, 28)).shape
    torch.Size([1, 1, 28, 28])
    """
    return x.unsqueeze(0) if x.ndim == 3 else x


def like_input(y: Tensor, x: Tensor) -> Tensor:
    """Return y (N, C, H, W), or its only image (C, H, W) if x is a single image.

    >>> import torch
    >>> like_input(torch.zeros(1, 16, 14, 14), x=torch.zeros(1, 28, 28)).shape
    torch.Size([16, 14, 14])
    """
    return y.squeeze(0) if x.ndim == 3 else y
