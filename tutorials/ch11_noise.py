# %% [markdown]
# # 11. Harder lessons: noise, shift, rotation
#
# ## The question
#
# An autoencoder gets the answer together with the question: the target is the input. So it may copy, and only
# its narrow code prevents that. Two changes make the lesson harder. A **denoising** autoencoder
# (Vincent et al. 2008) gets a digit with noise, and has to give back the digit without it. **Augmentation** shows
# it each digit moved a little, in another way in every epoch. Does it really remove noise better than methods
# that learn less, or nothing? Which of the two changes has to be made to the target too? And can a denoiser make
# a digit *worse*?
#
# You need the loop of [chapter 5](ch05_autoencoder.py) and the convolutions of
# [chapter 10](ch10_conv_autoencoder.py).

# %%
import json
import math
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import scratchae
import scratchae.data.corruption as library_noise
import scratchae.data.warping as library_warp
from scratchae.data import Batches, load
from scratchae.data.augmentation import affine_matrices
from scratchae.layers import BatchNorm2d, Conv2d, ConvTranspose2d, Linear, ReLU, Sequential, Tanh
from scratchae.models import Autoencoder
from scratchae.noise import noise_keys, normal, split_keys, uniform
from scratchae.optim import Adam
from scratchae.plots.style import STYLE
from scratchae.step import train_step

plt.rcParams.update(STYLE)
sample = load("sample")
RANGE = (-1.0, 1.0)  # of our pixels
digits = sample.train.pixels[:3000, None].float() / 127.5 - 1  # (3000, 1, 28, 28)
referees, unseen = (sample.test.pixels[:1000, None].float() / 127.5 - 1).split(500)

# %% [markdown]
# ## One picture
#
# One digit in four epochs. Above: the target, the digit turned and shifted. Below: the input, which is the target
# with noise. So the **target moves with the augmentation, and the noise is on the input only**.

# %% tags=["picture"]
# alt: Two rows of four pictures of one digit. Above, the digit is turned and shifted a little, differently in
#   each column. Below, the same four pictures with strong grey noise; the digit can still be recognised.
figure, axes = plt.subplots(2, 4, figsize=(7, 3.8))
for epoch in range(4):
    keys = noise_keys(seed=7, epoch=epoch, n=1)
    draw = 2 * uniform(split_keys(keys, 0), (3,)) - 1  # (1, 3) in (−1, 1)
    matrix = affine_matrices(math.radians(15) * draw[:, 0], torch.ones(1), 2 / 14 * draw[:, 1:])
    target = library_warp.grid_sample(digits[:1], library_warp.affine_grid(matrix, 28, 28), -1.0)
    x = library_noise.gaussian_noise(target, split_keys(keys, 1), 0.3, RANGE)
    for ax, picture in zip(axes[:, epoch], (target, x), strict=True):
        ax.imshow(picture[0, 0], cmap="gray", vmin=-1, vmax=1)
        ax.set_axis_off()
    axes[0, epoch].set_title(f"target, epoch {epoch}", size=11)
    axes[1, epoch].set_title("input", size=11)

# %% [markdown]
# ## By hand
#
# **How bad is an error?** A picture of four pixels in $[0, 1]$ is off by 0.1 at each. The mean squared error is
# 0.01. The same picture in $[-1, 1]$ is off by 0.2, and the mean squared error is 0.04. It is the same picture,
# so divide by the square of the **peak**, the largest possible difference of two pixels:
# $0.01 / 1^2 = 0.04 / 2^2$. In decibels, $10 \log_{10} (1^2 / 0.01) = 20$ dB, both times. This is the *peak
# signal-to-noise ratio*, PSNR; more is better.
#
# **The best guess.** A pixel is 0 or 1, each with probability ½, and has noise of standard deviation 0.5. You
# see 0.75. If it was 1, the noise was −0.25, with a density proportional to $e^{-0.25^2 / 0.5} = e^{-0.125}$. If
# it was 0, the noise was 0.75: $e^{-0.75^2 / 0.5} = e^{-1.125}$. So 1 is $e$ times as probable as 0, its
# probability is $e / (e + 1) \approx 0.73$, and the mean of the pixel, 0.73, is the guess with the least mean
# squared error.
#
# **Between two pixels.** A row of two pixels, 0 and 8. Halfway between them lies
# $\frac12 \cdot 0 + \frac12 \cdot 8 = 4$; a quarter of the way, $\frac34 \cdot 0 + \frac14 \cdot 8 = 2$.

# %%
assert abs(10 * math.log10(1**2 / 0.01) - 20) < 1e-9 and abs(0.01 / 1**2 - 0.04 / 2**2) < 1e-9
densities = [math.exp(-((0.75 - pixel) ** 2) / (2 * 0.5**2)) for pixel in (0, 1)]
assert round(densities[1] / sum(densities), 2) == 0.73
assert abs(densities[1] / densities[0] - math.e) < 1e-9
places = torch.tensor([[[[0.0, 0.0], [-0.25, 0.0]]]])  # x = 0 is the middle; the centres are ±½
assert library_warp.grid_sample(torch.tensor([[[[0.0, 8.0]]]]), places).tolist() == [[[[4, 2]]]]

# %% [markdown]
# ## Derivation
#
# **The strength of noise.** Let $h$ be the peak of the pixels, and $\varepsilon$ standard normal. Strengths are
# given for pixels in $[0, 1]$, so on $[-1, 1]$ the noise is twice as large:
#
# $$ \tilde x = x + h \sigma \varepsilon \qquad
#  \text{mean squared error} = h^2 \sigma^2\, \mathrm{E}\, \varepsilon^2 = (h \sigma)^2 \tag{11.1} $$
#
# $$ \mathrm{PSNR} = 10 \log_{10} \frac{h^2}{\text{mean squared error}} = 10 \log_{10} \frac{h^2}{h^2 \sigma^2}
#  = -20 \log_{10} \sigma \tag{11.2} $$
#
# The peak cancels. Noise with $\sigma = 0.1$ means 20 dB, and with $\sigma = 0.3$ it means 10.5 dB.
#
# **What does a denoiser learn?** For one noisy picture $\tilde x$ let $m = \mathrm{E}[x \mid \tilde x]$, the
# mean of all clean pictures that it may come from. If the model answers $f$, the expected squared error is
#
# $$ \mathrm{E}\, |x - f|^2 = \mathrm{E}\, |x - m|^2 + 2\, (m - f) \cdot \mathrm{E}\, [x - m] + |m - f|^2
#  = \mathrm{E}\, |x - m|^2 + |m - f|^2 \tag{11.3} $$
#
# because $\mathrm{E}\,[x - m] = 0$. The least error is reached by $f = m$: the mean over what is possible. This
# is why a denoiser blurs where it cannot know, and why the best guess above is 0.73 and not 1.
#
# **Moving a picture.** Go through the *new* pixels, and ask for each where it looks in the old picture. Then each
# new pixel gets exactly one value. The picture reaches from −1 to 1, so the centre of column $j$ of $W$ is
#
# $$ x_j = \frac{2 j + 1}{W} - 1 \tag{11.4} $$
#
# If the picture is turned by $\theta$ and then shifted by $t$, an old place $v'$ goes to $v = R v' + t$. A new
# place looks at the inverse of that, with $R^{-1} = R^\top$:
#
# $$ v' = R^\top (v - t) = A \begin{pmatrix} v \\ 1 \end{pmatrix} \qquad
#  A = \begin{pmatrix} \cos\theta & \sin\theta & a_x \\ -\sin\theta & \cos\theta & a_y \end{pmatrix} \qquad
#  \begin{pmatrix} a_x \\ a_y \end{pmatrix} = -R^\top t \tag{11.5} $$
#
# To move a picture to the right, look to the left. The place $x'$ is usually between two columns. (11.4) solved
# for $j$ says which place between columns $\lfloor c \rfloor$ and $\lfloor c \rfloor + 1$ it is; rows the same:
#
# $$ c = \frac{(x' + 1) W - 1}{2} \qquad r = \frac{(y' + 1) H - 1}{2} \tag{11.6} $$
#
# With $l = \lfloor c \rfloor$, $u = \lfloor r \rfloor$ and the fractions $q = c - l$, $p = r - u$, go along the
# upper row, along the lower row, and then from one to the other. This is **bilinear** sampling:
#
# $$ \begin{aligned} \text{value} = (1 - p)\, &\big( (1 - q)\, I_{u, l} + q\, I_{u, l+1} \big) \\
#  +\; p\, &\big( (1 - q)\, I_{u+1, l} + q\, I_{u+1, l+1} \big) \end{aligned} \tag{11.7} $$
#
# A pixel outside of the picture has the value of the background.
#
# **Random numbers by key.** A usual generator draws one number after the other, so the noise of a digit depends on
# all draws before: on the batch size, on the number of workers, on how often you stopped and resumed. Then two
# runs that should be equal differ, and you search for a mistake that is none. So here noise is a *function* of
# (seed, epoch, number of the digit). `noise_keys(seed, epoch, n)` makes an integer of these for each digit, its
# key; `normal(keys, shape)` and `uniform(keys, shape)` make numbers of the key. `split_keys(keys, 0)`,
# `split_keys(keys, 1)`, ... are new keys, for each purpose its own. With another epoch all noise is new.

# %%
keys = noise_keys(seed=0, epoch=3, n=7)
in_batches = [normal(part, (28, 28)) for part in keys.split(3)]
assert torch.equal(normal(keys, (28, 28)), torch.cat(in_batches))  # in batches of 3, 3 and 1
assert not torch.equal(normal(keys, (2,)), normal(noise_keys(seed=0, epoch=4, n=7), (2,)))

# %% [markdown]
# ## Matrix form
#
# Noise is a sum, $\tilde X = X + h \sigma E$. A movement is a product. (11.7) is linear in the pixels, so for a
# picture as a list of $H W$ pixels it is a matrix $M$ with at most four numbers in each row:
#
# $$ y = M x, \qquad \sum_k M_{i,k} = 1 \ \text{ if all four pixels are inside} \tag{11.8} $$
#
# because $(1 - p) + p = 1$ and $(1 - q) + q = 1$. A new pixel is a mean of old ones, so a movement by a fraction
# of a pixel blurs a little, and the target is as blurred as the input.
#
# ## Code
#
# Column $k$ of $M$ is what becomes of a picture in which only pixel $k$ is 1. Here is $M$ for pictures of 6 by 6,
# turned by 10 degrees.

# %%
spots = torch.eye(36).reshape(36, 1, 6, 6)  # picture k has a 1 at pixel k
turn = affine_matrices(torch.tensor([math.radians(10)]), torch.ones(1), torch.zeros(1, 2))
grid = library_warp.affine_grid(turn, 6, 6)
M = library_warp.grid_sample(spots, grid.expand(36, -1, -1, -1)).flatten(1).T  # (new, old)
x = torch.randn(36, generator=torch.Generator().manual_seed(0))
moved = library_warp.grid_sample(x.reshape(1, 1, 6, 6), grid)
assert torch.allclose(M @ x, moved.flatten(), atol=1e-6)  # (11.8)
inside = M.sum(dim=1)[[14, 15, 20, 21]]  # the four pixels in the middle
assert torch.allclose(inside, torch.ones(4), atol=1e-6) and (M != 0).sum(dim=1).max() == 4

# %% [markdown]
# ## Write it: noise, and how bad it is
#
# **Gaussian noise**, (11.1): one number for each pixel, from the keys, and nothing is clipped. **Salt and
# pepper**: let $u$ be uniform in $(0, 1)$ for each pixel. A pixel becomes `low` if $u$ is below half of the
# share, `high` if it is between half of the share and the share, and stays otherwise. Do not change the images
# that you are given. **PSNR**, (11.2), a float. The error is the mean over all pixels of all images.


# %% tags=["write-it"]
def gaussian_noise(images, keys, sigma, pixel_range=(0.0, 1.0)):
    """Images (N, ...) plus noise of the standard deviation sigma · (high − low)."""
    # your turn: (11.1); images.shape[1:] is the shape of one image
    low, high = pixel_range
    return images + (high - low) * sigma * normal(keys, images.shape[1:], images.dtype)  # (11.1)


def salt_and_pepper(images, keys, share, pixel_range=(0.0, 1.0)):
    """A share of the pixels replaced, half of these by low and half by high."""
    # your turn: one uniform number decides on each pixel
    low, high = pixel_range
    u = uniform(keys, images.shape[1:], images.dtype)
    return images.masked_fill(u < share, high).masked_fill(u < share / 2, low)


def psnr(prediction, target, peak):
    """The peak signal-to-noise ratio in decibels, a float."""
    # your turn: (11.2)
    error = (prediction - target).square().mean().item()
    return 10 * math.log10(peak**2 / error)  # (11.2)


# %% [markdown]
# ## Check

# %% tags=["check"]
x, keys = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(1)), noise_keys(5, 2, 40)
copy, wide = x.clone(), 2 * x - 1
noisy, other = gaussian_noise(x, keys, 0.3), gaussian_noise(wide, keys, 0.3, RANGE)
assert torch.equal(x, copy), "gaussian_noise changes the images that it is given"
assert torch.equal(noisy, gaussian_noise(x, keys, 0.3)), (
    "equal keys, other noise: draw from the keys"
)
assert noisy.max() > 1 and noisy.min() < 0, "gaussian_noise clips: then (11.1) does not hold"
spread = (other - wide).std() / (noisy - x).std()
assert abs(spread - 2) < 0.01, f"on [-1, 1] sigma is to be doubled; it is times {spread:.2f}"
assert abs((noisy - x).std() - 0.3) < 0.02, "the standard deviation is not sigma · (high − low)"
right = library_noise.gaussian_noise(x, keys, 0.3)
assert torch.allclose(noisy, right), "not the noise of these keys: normal(keys, one image's shape)"
print("gaussian_noise is right")

# %% tags=["check"]
noisy, right = (f(wide, keys, 0.4, RANGE) for f in (salt_and_pepper, library_noise.salt_and_pepper))
assert torch.equal(x, copy), "salt_and_pepper changes the images that it is given"
again = salt_and_pepper(wide, keys, 0.4, RANGE)
assert torch.equal(noisy, again), "equal keys, other pixels: draw from the keys"
hit = noisy != wide
assert (noisy[hit].abs() == 1).all(), "a replaced pixel is to be low or high, here −1 or 1"
assert abs(hit.float().mean() - 0.4) < 0.03, (
    f"{hit.float().mean():.2f} of the pixels hit, want 0.40"
)
bright = (noisy[hit] == 1).float().mean()
assert abs(bright - 0.5) < 0.05, f"{bright:.2f} of the replaced pixels are high, want half"
assert torch.equal(noisy, right), "low belongs to u below half of the share, high to the other half"
print("salt_and_pepper is right")

# %% tags=["check"]
flat = torch.zeros(2, 50)
flat[0], target = 0.2, torch.zeros(2, 50)  # one good image, one with an error: 0.02 in the mean
assert isinstance(psnr(flat, target, 1), float), "return a float: .item() and math.log10"
near = psnr(flat, target, 1)
assert abs(near - 10 * math.log10(1 / 0.02)) < 1e-3, f"an error of 0.02 is 16.99 dB, got {near:.2f}"
doubled = psnr(2 * flat, 2 * target, 2)
assert abs(doubled - near) < 1e-3, f"[-1, 1] makes it {doubled - near:+.2f} dB: peak² is missing"
print("psnr is right")

# %% [markdown]
# ## Write it: look elsewhere
#
# **The grid**: the places (N, H, W, 2), $x'$ and $y'$, at which the new pixels look. It is the matrix $A$ of
# each picture times $(x, y, 1)$ of each pixel, with the centres (11.4). **The sampling**: (11.6), then (11.7).
# To look up pixels, `pixels_at(images, row, column, background)` of the library returns (N, C, H', W') for rows
# and columns (N, H', W') that are whole numbers; outside of the image it returns the background.


# %% tags=["write-it"]
def affine_grid(matrix, height, width):
    """The places (N, height, width, 2) for matrices (N, 2, 3)."""
    # your turn: (11.4) for x and y, then (11.5)
    x = (2 * torch.arange(width) + 1) / width - 1  # (11.4)
    y = (2 * torch.arange(height) + 1) / height - 1
    points = torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], dim=-1)  # (H, W, 2)
    turned = torch.einsum("nck,hwk->nhwc", matrix[:, :, :2], points)
    return turned + matrix[:, None, None, :, 2]  # (11.5)


def grid_sample(images, grid, background=0.0):
    """The values (N, C, H', W') of images (N, C, H, W) at the places of grid (N, H', W', 2)."""
    # your turn: (11.6), the four neighbours, (11.7)
    height, width = images.shape[2:]
    column = ((grid[..., 0] + 1) * width - 1) / 2  # (11.6)
    row = ((grid[..., 1] + 1) * height - 1) / 2
    left, top = column.floor(), row.floor()
    q, p = (column - left)[:, None], (row - top)[:, None]  # (N, 1, H', W'): one for all channels
    value = 0
    for down, part in ((0, 1 - p), (1, p)):
        for right, share in ((0, 1 - q), (1, q)):
            pixels = library_warp.pixels_at(images, top + down, left + right, background)
            value = value + part * share * pixels  # (11.7)
    return value


# %% [markdown]
# ## Check

# %% tags=["check"]
still = torch.eye(2, 3)[None]
grid = affine_grid(still, 3, 5)
assert grid.shape == (1, 3, 5, 2), f"the grid is {tuple(grid.shape)}, want (N, H, W, 2)"
assert not torch.allclose(grid[..., 0].max(), torch.tensor(1.0)), "1 is the edge, see (11.4): ±0.8"
assert torch.allclose(grid[0, 0, :, 0], torch.tensor([-0.8, -0.4, 0, 0.4, 0.8])), (
    "x goes along a row"
)
shifted = affine_grid(still + torch.tensor([[0, 0, 0.5], [0, 0, 0.0]]), 3, 5)
assert torch.allclose(shifted[..., 0], grid[..., 0] + 0.5), "the third column of A is not added"
random = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(2))
right = library_warp.affine_grid(random, 3, 5)
assert torch.allclose(affine_grid(random, 3, 5), right, atol=1e-5), "A is turned: check its indices"
print("affine_grid is right")

# %% tags=["check"]
x = torch.rand(4, 2, 4, 8, generator=torch.Generator().manual_seed(3)) + 1  # exact places
same = grid_sample(x, library_warp.affine_grid(still, 4, 8).expand(4, -1, -1, -1))
assert torch.allclose(same, x, atol=1e-5), "a picture that stays does not: see (11.6)"
far = grid_sample(x, torch.full((4, 1, 1, 2), 9.0), background=-1.0)
assert (far == -1).all(), "outside of the picture there is the background"
half = grid_sample(torch.tensor([[[[0.0, 8.0]]]]), torch.tensor([[[[-0.25, 0.0]]]])).item()
assert half != 0, "it takes the nearest pixel: mix the four"
assert abs(half - 2) < 1e-5, f"a quarter of the way from 0 to 8 is 2, not {half:g}: 1 − q is for l"
grid = library_warp.affine_grid(random, 4, 8)
right = library_warp.grid_sample(x, grid, -1.0)
wrong = not torch.allclose(grid_sample(x, grid, -1.0), right, atol=1e-5)
assert not wrong, "some neighbour is wrong: p goes with rows, q with columns, all four are needed"
print("grid_sample is right")

# %% [markdown]
# ## Write it: input and target
#
# `move(images, keys)` and `corrupt(images, keys)` return new images. Return the input and the target of an epoch.
# Split the keys: number 0 for the movement, number 1 for the noise.


# %% tags=["write-it"]
def input_and_target(images, keys, move, corrupt):
    """(input, target): the target moves, the input is the target with noise."""
    # your turn: two lines
    target = move(images, split_keys(keys, 0))
    return corrupt(target, split_keys(keys, 1)), target


# %% [markdown]
# ## Check

# %% tags=["check"]
used = {}


def move(images, keys):
    used["move"] = keys
    return images.roll(1, dims=-1)


def corrupt(images, keys):
    used["corrupt"] = keys
    return images + 100 * images.roll(1, dims=-2)


x, keys = torch.arange(24.0).reshape(2, 1, 3, 4), noise_keys(0, 0, 2)
moved = move(x, keys)
found, target = input_and_target(x, keys, move, corrupt)
assert not torch.equal(target, x), "the augmentation is on the input only: move the target too"
assert torch.equal(target, moved), "noise on the target: it would learn to draw noise"
assert not torch.equal(found, moved), "no noise on the input: the model may copy"
assert torch.equal(found, corrupt(moved, keys)), "the input is the moved image with noise upon it"
input_and_target(x, keys, move, corrupt)
for number, name in enumerate(("move", "corrupt")):
    assert torch.equal(used[name], split_keys(keys, number)), f"{name} is to have split {number}"
print("input_and_target is right")

# %% [markdown]
# ## See it: does it remove noise?
#
# A small denoiser: a convolution to 16 pictures of 14 by 14, two more, and one back. Its code has 3,136 numbers,
# so it could copy its input; but then all of the noise would be its error. It learns from 3,000 digits in 3
# epochs, with new noise of $\sigma = 0.3$ in each. Its rivals: the noisy digit itself (**identity**); the same
# **clipped** to the range of pixels; a **median filter**, which replaces a pixel by the median of the 3 by 3
# around it; and **PCA**, which projects on the first $k$ directions of clean digits. `k` is chosen on 500
# referees. The 500 digits that count are unseen, and so is their noise, which comes from another seed.


# %%
def small_denoiser(seed=0):
    g = torch.Generator().manual_seed(seed)
    encoder = Sequential(
        *(Conv2d(1, 16, 3, stride=2, padding=1, generator=g), BatchNorm2d(16), ReLU()),
        *(Conv2d(16, 16, 3, padding=1, generator=g), BatchNorm2d(16), ReLU()),
    )
    decoder = Sequential(
        *(Conv2d(16, 16, 3, padding=1, generator=g), BatchNorm2d(16), ReLU()),
        *(ConvTranspose2d(16, 1, 4, stride=2, padding=1, generator=g), Tanh()),
    )
    return Autoencoder(encoder, decoder, (1, 28, 28))


def train(model, lr, epochs, pair):
    """pair(keys) returns the inputs and the targets of an epoch, for all digits."""
    optimizer, batches = Adam(model.parameters(), lr=lr), Batches(len(digits), 50, seed=0)
    for epoch in range(epochs):
        x, target = pair(noise_keys(seed=0, epoch=epoch, n=len(digits)))
        for rows in batches.epoch(epoch):
            train_step(model, optimizer, x[rows], target[rows])
    return model.eval()


def stay(images, keys):
    return images


def noise_of(sigma):
    return lambda images, keys: gaussian_noise(images, keys, sigma, RANGE)


def held_out(images, sigma, seed=1_000_000):
    return gaussian_noise(images, noise_keys(seed, 0, len(images)), sigma, RANGE)


def median(x):
    padded = torch.full((len(x), 1, 30, 30), -1.0)
    padded[:, :, 1:-1, 1:-1] = x
    return padded.unfold(2, 3, 1).unfold(3, 3, 1).flatten(4).median(dim=4).values


mean = digits.flatten(1).mean(dim=0)
directions = torch.linalg.svd(digits.flatten(1) - mean, full_matrices=False).Vh  # (784, 784)


def pca(x, k):
    return (mean + (x.flatten(1) - mean) @ directions[:k].T @ directions[:k]).reshape(x.shape)


def decibels(output, target):
    return psnr(output.clamp(*RANGE), target, peak=2)


denoiser = train(
    small_denoiser(), 0.01, 3, lambda keys: input_and_target(digits, keys, stay, noise_of(0.3))
)
trial, noisy = held_out(referees, 0.3, seed=2_000_000), held_out(unseen, 0.3)
k = max((20, 30, 40, 60, 80, 100, 150), key=lambda k: decibels(pca(trial, k), referees))
outputs = {
    "clipped": noisy.clamp(*RANGE),
    "median": median(noisy),
    f"PCA, {k}": pca(noisy, k),
    "denoiser": denoiser(noisy),
}
identity = psnr(noisy, unseen, peak=2)
scores = {name: decibels(output, unseen) for name, output in outputs.items()}
print(f"identity  {identity:6.2f} dB; (11.2) says {-20 * math.log10(0.3):.2f}")
for name, score in scores.items():
    print(f"{name:<9} {score:6.2f} dB")
assert abs(identity + 20 * math.log10(0.3)) < 0.05  # (11.2)
clipped, *_, by_pca, learned = scores.values()
assert identity < clipped < scores["median"] < by_pca < learned - 2

# %% [markdown]
# Each method knows more than the one before it. Clipping knows the range of pixels; the median, that neighbours
# are alike; PCA, what digits look like on the whole; the denoiser, what strokes look like, wherever they are.

# %% tags=["picture"]
# alt: Six rows of eight digits: clean; with strong noise; after the median filter, spotted; after PCA, blurred on
#   a cloudy background; from the denoiser, clean strokes on black with a few gaps; and what it still gets wrong.
rows = {"clean": unseen[:8], "noisy": noisy[:8]}
rows |= {name: output[:8] for name, output in outputs.items() if name != "clipped"}
rows["denoiser − clean"] = (outputs["denoiser"] - unseen)[:8]
figure, axes = plt.subplots(6, 8, figsize=(7, 6))
for line, (name, pictures) in zip(axes, rows.items(), strict=True):
    for ax, picture in zip(line, pictures[:, 0], strict=True):
        ax.imshow(picture, cmap="PuOr_r" if "−" in name else "gray", vmin=-1, vmax=1)
        ax.set_axis_off()
    line[0].set_title(name, size=11, loc="left")

# %% [markdown]
# In the last row orange is too bright, purple too dark. The errors are at the edges of strokes, as (11.3) says:
# there it cannot know, and answers the mean.
#
# **The large study** trains the library's `conv` for 15 epochs on 9,000 digits (`python -m reference.denoising`):

# %%
recorded = Path(scratchae.__file__).parents[1] / "reference" / "results" / "denoising.json"
if recorded.exists():  # it is in the repository, not in the package
    study = json.loads(recorded.read_text("utf-8"))
    print("sigma  identity  clipped  median    PCA   conv")
    for row in study["denoising"]:
        best = sum(row["conv"]) / len(row["conv"])  # the mean over seeds
        print(
            "{sigma:5} {identity:9.2f} {clipped:8.2f} {median:7.2f} {pca:6.2f}".format(**row),
            end="",
        )
        print(f" {best:6.2f} dB")
        assert best > row["pca"] + 2

# %% [markdown]
# ## See it: a bottleneck against mild noise
#
# Now a plain autoencoder with a code of 32 numbers, trained *without* noise. Whatever it is given, it answers with
# something like a digit. So it should remove noise too? The noise is mild, $\sigma = 0.1$: the noisy digits have
# 20 dB.


# %%
def bottleneck(seed=0):
    g = torch.Generator().manual_seed(seed)
    encoder = Sequential(Linear(784, 128, generator=g), ReLU(), Linear(128, 32, generator=g))
    decoder = Sequential(
        Linear(32, 128, generator=g), ReLU(), Linear(128, 784, generator=g), Tanh()
    )
    return Autoencoder(encoder, decoder, (784,))


flat, mild = unseen.flatten(1), held_out(unseen, 0.1).flatten(1)
lists = digits.flatten(1)
print(f"the noisy digits themselves: {psnr(mild, flat, peak=2):.2f} dB")
for epochs in (5, 20, 40):
    model = train(bottleneck(), 0.003, epochs, lambda keys: (lists, lists))
    clean, noisy_digits = (decibels(model(x), flat) for x in (flat, mild))
    print(
        f"{epochs:2} epochs: {clean:.2f} dB for clean digits, {noisy_digits:.2f} dB for noisy ones"
    )
    assert noisy_digits < clean < psnr(mild, flat, peak=2)
    assert clean - noisy_digits < 0.5

# %% [markdown]
# It makes the noisy digits **worse**, after 5 epochs and after 40. Noise hardly matters to it: its answers for
# clean and for noisy digits differ by less than half a decibel. But what 32 numbers cannot tell is a larger
# error than this noise. "An autoencoder removes noise" is thus true and useless here. Always compare with doing
# nothing.
#
# ## See it: shifted digits
#
# The same small model, with and without shifts by up to 2 pixels, 20 epochs each. It is judged on unseen digits as
# they are, and moved by 2 whole pixels to the right and down. Which of the two models is better where?


# %%
def shifted_by(images, pixels):
    """Images (N, 1, 28, 28) moved by (N, 2) pixels, to the right and down."""
    n = len(images)
    matrices = affine_matrices(torch.zeros(n), torch.ones(n), pixels * (2 / 28))
    return grid_sample(images, affine_grid(matrices, 28, 28), -1.0)


def move(images, keys):
    return shifted_by(images, 2 * (2 * uniform(keys, (2,)) - 1))


moved = shifted_by(unseen, torch.full((500, 2), 2.0))
assert torch.allclose(moved[:, :, 2:, 2:], unseen[:, :, :-2, :-2], atol=1e-4)  # whole pixels


def moving(keys):
    x, target = input_and_target(digits, keys, move, stay)
    return x.flatten(1), target.flatten(1)


def judged(model):
    return [decibels(model(x.flatten(1)), x.flatten(1)) for x in (unseen, moved)]


without, with_shifts = (
    judged(train(bottleneck(), 0.003, 20, pair)) for pair in (lambda keys: (lists, lists), moving)
)
print("trained            untouched   moved")
for name, (still, away) in {"without shifts": without, "with shifts": with_shifts}.items():
    print(f"{name:<16} {still:8.2f} dB {away:6.2f} dB")
assert with_shifts[1] > without[1] + 2 and with_shifts[0] < without[0]

# %% [markdown]
# Digits of MNIST are centred, and the model without shifts has learnt that too: two pixels are enough to confuse
# it. With shifts it does much better there, and pays a little on untouched digits, since its 32 numbers now also
# have to tell *where* the digit is. So augmentation helps if your test data are moved in the same way, and costs a
# little if they are not. Choose movements that leave a digit the same digit: no mirror images, and no half turns,
# which turn a 6 into a 9.
#
# ## Break it
#
# Write down what you expect. **1. Noise on the target.** Swap: the input is clean, the target noisy. What does
# this model do to noisy digits?

# %% tags=["predict"]
swapped = train(
    small_denoiser(),
    0.01,
    3,
    lambda keys: input_and_target(digits, keys, stay, noise_of(0.3))[::-1],
)
on_clean, on_noisy = decibels(swapped(unseen), unseen), decibels(swapped(noisy), unseen)
print(
    f"right way round {learned:.2f} dB; swapped {on_noisy:.2f} dB, and {on_clean:.2f} on clean digits"
)
assert clipped < on_noisy < learned - 2 and on_clean > learned + 4

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# It has never seen noise at its input. By (11.3) it learns the mean of its targets for a clean digit, and the
# noise of the target has mean 0, so that mean is the digit itself: it learns to copy clean digits, and does that
# well. Noise is new to it. It removes a part, more than clipping does, but nothing has ever told it to.
#
# </details>
#
# **2. The target stays.** Move the input and leave the target where it was. What does the model make of moved
# digits?

# %% tags=["predict"]
fixed = train(bottleneck(), 0.003, 20, lambda keys: (moving(keys)[0], lists))
drawn = fixed(moved.flatten(1))
there, back = (decibels(drawn, x.flatten(1)) for x in (moved, unseen))
same = decibels(fixed(flat), flat)
print(f"moved digits: {there:.2f} dB where they are, {back:.2f} dB compared with unmoved ones")
print(f"untouched digits: {same:.2f} dB; if the target moves too {with_shifts[0]:.2f} dB")
assert there < with_shifts[1] - 2 and back > there and same < with_shifts[0]

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# It draws each digit back in the middle: it has learnt to undo the movement. Where the digit was, nobody tells
# it, so it answers the mean over all possible places, and this is blurred: (11.3) again. It is worse even on
# digits that are in the middle already. (If you *want* to have digits centred, this is how; but then it is no
# autoencoder.)
#
# </details>
#
# ## Recap card
#
# | | formula | shape | line of code |
# |---|---|---|---|
# | noise | $\tilde x = x + h \sigma \varepsilon$ | (N, ...) | `x + h * sigma * normal(keys, x.shape[1:])` |
# | PSNR | $10 \log_{10} (h^2 / \text{error})$ | a number | `10 * math.log10(peak**2 / error)` |
# | grid | $v' = R^\top (v - t)$ | (N, H, W, 2) | `affine_grid(matrix, 28, 28)` |
# | column | $c = ((x' + 1) W - 1) / 2$ | (N, H, W) | `((grid[..., 0] + 1) * width - 1) / 2` |
# | pair | target moves, noise on the input only | (N, ...) twice | `corrupt(target, keys), target` |
#
# **Sources.** Vincent et al. 2008 and 2010 (denoising autoencoders); Simard et al. 2003 (moved and bent digits);
# Salmon et al. 2011 (random numbers as a function of a key).
#
# ## Assignment
#
# Train a model on both at once: `scratchae train conv --corrupt noise=0.3 --augment rotate=10,shift=2`. Does the
# augmentation help to remove noise from untouched digits? Read `scratchae/data/corruption.py`,
# `scratchae/data/warping.py` and `scratchae/training/epoch_images.py`: you have written most of them.
