"""Wrong versions of what chapter 11 asks for, with words that the chapter's check must say."""

import math

import torch

from scratchae.data import corruption, warping
from scratchae.data.warping import pixels_at
from scratchae.noise import normal, split_keys, uniform


def in_place(images, keys, sigma, pixel_range=(0.0, 1.0)):
    low, high = pixel_range
    return images.add_((high - low) * sigma * normal(keys, images.shape[1:]))


def by_generator(images, keys, sigma, pixel_range=(0.0, 1.0)):
    low, high = pixel_range
    return images + (high - low) * sigma * torch.randn(images.shape)


def variance_for_deviation(images, keys, sigma, pixel_range=(0.0, 1.0)):
    low, high = pixel_range
    return images + (high - low) * sigma**0.5 * normal(keys, images.shape[1:])


def salt_with(bounds=lambda share: (share / 2, share), values=lambda low, high: (low, high)):
    """salt_and_pepper with other bounds of u or other values."""

    def salt_and_pepper(images, keys, share, pixel_range=(0.0, 1.0)):
        (first, second), (low, high) = bounds(share), values(*pixel_range)
        u = uniform(keys, images.shape[1:])
        return images.masked_fill(u < second, high).masked_fill(u < first, low)

    return salt_and_pepper


def psnr_with(formula):
    def psnr(prediction, target, peak):
        return 10 * math.log10(formula((prediction - target).square().mean().item(), peak))

    return psnr


def mean_of_images(prediction, target, peak):
    errors = (prediction - target).square().mean(dim=1) + 1e-12
    return (10 * (peak**2 / errors).log10()).mean().item()


def grid_with(x=lambda n: (2 * torch.arange(n) + 1) / n - 1, swap=False, shift=True, turn=True):
    """affine_grid with other centres, or x and y swapped, or without a part of A."""

    def affine_grid(matrix, height, width):
        points = torch.stack(
            [x(width).expand(height, -1), x(height)[:, None].expand(-1, width)], dim=-1
        )
        points = points.flip(-1) if swap else points
        places = torch.einsum("nck,hwk->nhwc" if turn else "nkc,hwk->nhwc", matrix[..., :2], points)
        return places + (matrix[:, None, None, :, 2] if shift else 0)

    return affine_grid


def sample_with(place=lambda z, n: ((z + 1) * n - 1) / 2, fractions=lambda q, p: (q, p), fill=None):
    """grid_sample with other places, fractions or background."""

    def grid_sample(images, grid, background=0.0):
        height, width = images.shape[2:]
        column, row = place(grid[..., 0], width), place(grid[..., 1], height)
        left, top = column.floor(), row.floor()
        q, p = fractions((column - left)[:, None], (row - top)[:, None])
        background = background if fill is None else fill
        at = [[pixels_at(images, top + i, left + j, background) for j in (0, 1)] for i in (0, 1)]
        upper, lower = ((1 - q) * a + q * b for a, b in at)
        return (1 - p) * upper + p * lower

    return grid_sample


def pair_with(found, expected):
    """input_and_target of other images; both get (images, moved, noise)."""

    def input_and_target(images, keys, move, corrupt):
        moved = move(images, split_keys(keys, 0))
        parts = images, moved, lambda x: corrupt(x, split_keys(keys, 1))
        return found(*parts), expected(*parts)

    return input_and_target


def one_key_for_both(images, keys, move, corrupt):
    moved = move(images, keys)
    return corrupt(moved, keys), moved


NOISE: dict = {
    ("ch11_noise", "gaussian_noise"): [
        (
            lambda x, keys, sigma, r=None: corruption.gaussian_noise(x, keys, sigma),
            "on [-1, 1] sigma is to be doubled",
        ),
        (
            lambda x, *rest: corruption.gaussian_noise(x, *rest).clamp(-1, 1),
            "gaussian_noise clips",
        ),
        (in_place, "changes the images that it is given"),
        (by_generator, "draw from the keys"),
        (variance_for_deviation, "the standard deviation is not"),
    ],
    ("ch11_noise", "salt_and_pepper"): [
        (salt_with(lambda share: (share, 2 * share)), "of the pixels hit, want 0.40"),
        (salt_with(values=lambda low, high: (0.0, 1.0)), "is to be low or high"),
        (salt_with(lambda share: (share, share)), "of the replaced pixels are high, want half"),
        (salt_with(values=lambda low, high: (high, low)), "low belongs to u below half"),
    ],
    ("ch11_noise", "psnr"): [
        (psnr_with(lambda error, peak: 1 / error), "peak² is missing"),
        (psnr_with(lambda error, peak: peak / error), "peak² is missing"),
        (psnr_with(lambda error, peak: peak**2 / error**0.5), "is 16.99 dB, got"),
        (mean_of_images, "is 16.99 dB, got"),
        (lambda *a: torch.tensor(psnr_with(lambda e, p: p**2 / e)(*a)), "return a float"),
    ],
    ("ch11_noise", "affine_grid"): [
        (grid_with(lambda n: torch.linspace(-1, 1, n)), "1 is the edge, see (11.4)"),
        (grid_with(swap=True), "x goes along a row"),
        (grid_with(shift=False), "the third column of A is not added"),
        (grid_with(turn=False), "check its indices"),
        (lambda *a: warping.affine_grid(*a).permute(0, 3, 1, 2), "want (N, H, W, 2)"),
    ],
    ("ch11_noise", "grid_sample"): [
        (sample_with(lambda z, n: (z + 1) * (n - 1) / 2), "a picture that stays does not"),
        (sample_with(fill=0.0), "outside of the picture there is the background"),
        (sample_with(fractions=lambda q, p: (q.round(), p.round())), "it takes the nearest pixel"),
        (sample_with(fractions=lambda q, p: (q, 0 * p)), "p goes with rows"),
    ],
    ("ch11_noise", "input_and_target"): [
        (pair_with(lambda x, y, noise: noise(y), lambda x, y, noise: x), "on the input only"),
        (pair_with(lambda x, y, noise: y, lambda x, y, noise: noise(y)), "noise on the target"),
        (pair_with(lambda x, y, noise: y, lambda x, y, noise: y), "no noise on the input"),
        (pair_with(lambda x, y, noise: noise(x), lambda x, y, noise: y), "with noise upon it"),
        (one_key_for_both, "is to have split 0"),
    ],
}
