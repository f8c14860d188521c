"""A digit on any picture comes out in MNIST's form."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from scratchae.data import digit_from_picture, load
from scratchae.errors import ScratchaeError

SIDE = 300


def five(ink: int = 25, paper: int = 235, pen: int = 22, side: int = SIDE) -> Image.Image:
    image = Image.new("L", (SIDE, SIDE), paper)
    draw = ImageDraw.Draw(image)
    draw.line([(200, 70), (120, 70), (112, 145)], fill=ink, width=pen)
    draw.arc([90, 130, 210, 240], 220, 500, fill=ink, width=pen)
    return image.resize((side, side), Image.Resampling.BOX)


def photographed(image: Image.Image, light, noise: float = 4) -> Image.Image:
    """`image` under light(x, y), x and y from 0 to 1, with a camera's noise."""
    grey = np.asarray(image, dtype=float)
    y, x = (axis / max(grey.shape) for axis in np.mgrid[: grey.shape[0], : grey.shape[1]])
    grey = grey * light(x, y) + np.random.default_rng(0).normal(0, noise, grey.shape)
    return Image.fromarray(grey.clip(0, 255).astype(np.uint8))


def likeness(a: torch.Tensor, b: torch.Tensor) -> float:
    return torch.corrcoef(torch.stack([a.flatten(), b.flatten()]).double())[0, 1].item()


def on_transparent(colour: tuple[int, int, int]) -> Image.Image:
    mask = five(ink=255, paper=0)
    image = Image.new("RGBA", mask.size, (*colour, 0))
    image.putalpha(mask)
    return image


PICTURES = {
    "light on dark": five(ink=255, paper=0),
    "chalk on slate": photographed(five(ink=190, paper=60), lambda x, y: 1),
    "small": five(side=60),
    "large": five(side=1500),
    "thinner pen": five(pen=18),
    "red on transparent": on_transparent((200, 0, 0)),
    "palette": five().convert("P"),
    "colour": five().convert("RGB"),
    "one bit": five().convert("1", dither=Image.Dither.NONE),
    "noise": photographed(five(), lambda x, y: 1, noise=12),
    "pencil": photographed(five(ink=150, paper=205), lambda x, y: 1),
    "light from the left": photographed(five(), lambda x, y: 1 - 0.6 * x),
    "light from the right": photographed(five(), lambda x, y: 0.4 + 0.6 * x),
    "light from above": photographed(five(), lambda x, y: 1 - 0.6 * y),
    "light from a corner": photographed(five(), lambda x, y: 0.35 + 0.65 * x * y),
    "light in the middle": photographed(
        five(), lambda x, y: 1.0 - 1.2 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    ),
    "hard shadow": photographed(five(), lambda x, y: np.where(x + y > 1.1, 0.6, 1)),
}


@pytest.mark.parametrize("name", PICTURES)
def test_the_same_digit_comes_out_of_every_kind_of_picture(name):
    digit = digit_from_picture(PICTURES[name])
    assert digit.dtype == torch.uint8 and digit.shape == (28, 28)
    assert likeness(digit, digit_from_picture(five())) > 0.93


@pytest.mark.parametrize("name", PICTURES)
def test_a_digit_fills_the_box_of_mnist_and_is_centred(name):
    digit = digit_from_picture(PICTURES[name]).double()
    height, width = (len(torch.nonzero((digit > 60).any(dim=axis))) for axis in (1, 0))
    assert 18 <= max(height, width) <= 21
    at = torch.arange(28)
    for axis in (0, 1):
        centre = (digit.sum(dim=axis) * at).sum() / digit.sum()
        assert abs(centre - 14) < 0.6
    assert digit.max() > 240 and digit[0].max() == 0 == digit[:, 0].max()


def test_digits_of_the_sample_are_known_again_after_enlarging_inverting_and_uneven_light():
    originals = load().test.pixels
    flat = originals.flatten(1).double()
    flat = flat - flat.mean(dim=1, keepdim=True)
    flat = flat / flat.norm(dim=1, keepdim=True)
    chosen = range(0, 2000, 40)
    known = 0
    for row in chosen:
        large = Image.fromarray(255 - originals[row].numpy()).resize((280, 280))
        digit = digit_from_picture(photographed(large, lambda x, y: 0.5 + 0.5 * x))
        known += int((flat @ digit.flatten().double()).argmax()) == row
    assert known >= 0.94 * len(chosen)  # out of 2,000


def test_a_picture_in_mnists_form_is_returned_unchanged():
    for digit in load().test.pixels[::97]:
        assert torch.equal(digit_from_picture(Image.fromarray(digit.numpy())), digit)


def test_specks_on_the_paper_are_left_out():
    picture = five()
    draw = ImageDraw.Draw(picture)
    for x, y in ((15, 20), (280, 30), (30, 270), (270, 285), (250, 150)):
        draw.ellipse([x, y, x + 6, y + 6], fill=40)
    assert likeness(digit_from_picture(picture), digit_from_picture(five())) > 0.98


def test_a_photo_is_turned_as_its_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees, clockwise
    five().rotate(90).save(tmp_path / "photo.jpg", exif=exif)
    digit = digit_from_picture(tmp_path / "photo.jpg")
    assert likeness(digit, digit_from_picture(five())) > 0.97


def test_a_thin_pen_does_not_fade():
    for pen in (2, 4, 8):
        digit = digit_from_picture(five(pen=pen))
        assert (digit > 200).sum() > 40


@pytest.mark.parametrize(
    "picture",
    [
        Image.new("L", (200, 300), 255),
        Image.new("L", (28, 28), 0),
        Image.new("RGBA", (50, 50), (0, 0, 0, 0)),
        Image.new("L", (1, 1), 128),
        photographed(Image.new("L", (300, 300), 220), lambda x, y: 1, noise=10),
        photographed(Image.new("L", (300, 300), 220), lambda x, y: 0.4 + 0.6 * x),
        photographed(Image.new("L", (300, 300), 5), lambda x, y: 1, noise=3),
    ],
)
def test_a_blank_picture_is_said_to_be_blank(picture):
    with pytest.raises(ScratchaeError, match="the picture looks blank: draw one digit"):
        digit_from_picture(picture)


def test_what_is_no_picture_is_said(tmp_path):
    (tmp_path / "notes.png").write_text("no picture")
    with pytest.raises(ScratchaeError, match=r"notes\.png cannot be read as an image"):
        digit_from_picture(tmp_path / "notes.png")
    with pytest.raises(ScratchaeError, match="there is no image"):
        digit_from_picture(tmp_path / "none.png")
