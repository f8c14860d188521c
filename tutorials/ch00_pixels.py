# %% [markdown]
# # 0. Three numbers: can 784 pixels be told in three?
#
# ## The question
#
# A handwritten digit is a grid of 28 by 28 pixels, 784 numbers. You could tell it on the telephone, but it would
# take a while. Suppose you may say **three** numbers, no more, and your friend at the other end has to draw the
# digit from them. Can it be done? What would you say, and how would your friend know what to draw?
#
# An **autoencoder** is such a pair of friends: an *encoder* that makes three numbers of a picture, a *decoder*
# that makes a picture of three numbers. Nobody tells them which three; they find out. In the next chapters you
# write every part of them yourself. In this one you meet the data, and see where the journey goes.

# %%
import csv
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch

from scratchae.data import load
from scratchae.plots import latent_cloud, visualize_outputs
from scratchae.plots.style import STYLE
from scratchae.training import fit

plt.rcParams.update(STYLE)
sample = load("sample")  # 12,000 digits of MNIST come with the package
print(len(sample.train), "digits to learn from,", len(sample.test), "held out")

# %% [markdown]
# ## One picture

# %% tags=["picture"]
# alt: Three rows of ten handwritten digits, white on black: three zeros, three ones and so on up to the nines. No
#   two of a kind are alike in slant, width or thickness.
labels = sample.train.labels
rows = torch.stack([(labels == digit).nonzero()[:3, 0] for digit in range(10)], dim=1)  # (3, 10)
tiles = sample.train.pixels[rows]  # (3, 10, 28, 28)
figure, ax = plt.subplots(figsize=(7, 2.2))
ax.imshow(tiles.permute(0, 2, 1, 3).reshape(3 * 28, 10 * 28).numpy(), cmap="gray")
ax.set_axis_off()

# %% [markdown]
# What would you say about a three? "A three" is one number. But *which* three: how slanted, how wide, how bold?
# That would be one number each. Digits are far from being just any 784 numbers: that is why there is hope.
#
# ## By hand: two pictures of three pixels
#
# The digits are from MNIST, a famous collection. In its files a pixel is a whole number from 0, background, to
# 255, ink. Networks like numbers near 0. So we squeeze $0 \ldots 255$ into $-1 \ldots 1$: divide by 255, take
# away a half, divide by a half.

# %%
pixels = torch.tensor([[0.0, 51, 255], [255, 204, 0]])
x = (pixels / 255 - 0.5) / 0.5
print(x)
assert torch.allclose(x, torch.tensor([[-1, -0.6, 1], [1, 0.6, -1]]))

# %% [markdown]
# Now the worst autoencoder of all, which says *no* number. Whatever the digit, the friend draws the same
# picture. Which picture is best? Try the mean of both, and measure the mean of the squared differences:

# %%
mean = x.mean(dim=0)
print(f"mean picture: {mean}  error: {(x - mean).square().mean().item():.4f}")
assert torch.allclose(mean, torch.zeros(3))  # −1 and 1, −0.6 and 0.6, 1 and −1
assert torch.isclose((x - mean).square().mean(), torch.tensor((1 + 0.36 + 1) / 3))

# %% [markdown]
# ## Derivation
#
# **The scale.** With $p$ for a pixel of the files and $x$ for what the network sees,
#
# $$ x = \frac{p / 255 - 1/2}{1/2} = \frac{2p}{255} - 1 \tag{0.1} $$
#
# so $p = 0$ gives $-1$ and $p = 255$ gives $1$. Add 1 and multiply by $255 / 2$ for the way back:
#
# $$ p = \frac{255}{2} (x + 1) \tag{0.2} $$
#
# **The mean picture is the best single one.** Let $x_{n,i}$ be pixel $i$ of digit $n$, and $c_i$ what the friend
# draws there, the same for all $N$ digits. The error is
#
# $$ L = \frac{1}{784\, N} \sum_n \sum_i (x_{n,i} - c_i)^2 \tag{0.3} $$
#
# In each single $c_j$ it is a parabola that opens upwards, lowest where its slope is 0. Only the terms with
# $i = j$ hold $c_j$, and the derivative of $(x_{n,j} - c_j)^2$ is $-2 (x_{n,j} - c_j)$. So
#
# $$ \frac{\partial L}{\partial c_j} = -\frac{2}{784\, N} \sum_n (x_{n,j} - c_j) = 0 \tag{0.4} $$
#
# The sum is $\sum_n x_{n,j} - N c_j$, and it is 0 where
#
# $$ c_j = \frac{1}{N} \sum_n x_{n,j} \tag{0.5} $$
#
# the mean, pixel by pixel. Its error is the variance of each pixel, averaged over all 784. A code of three
# numbers has to beat that.
#
# ## Matrix form
#
# All digits together are one table $X$ with a row for each digit and a column for each pixel. A picture's rows
# are laid one behind the other, 28 pixels each. Counted from 0, the pixel in row $r$ and column $s$ of the
# picture becomes column
#
# $$ i = 28\, r + s \tag{0.6} $$
#
# which is what `reshape(-1, 784)` does. That the two dimensions get lost in this will be the business of chapter
# 8.
#
# ## Code

# %%
grids = (sample.train.pixels / 255 - 0.5) / 0.5  # (0.1)
X = grids.reshape(-1, 784)  # (0.6)
assert torch.equal(X[:, 28 * 10 + 13], grids[:, 10, 13])
center = X.mean(dim=0)  # (0.5)
nothing = (X - center).square().mean().item()  # (0.3)
print(f"X is {tuple(X.shape)}; saying nothing costs {nothing:.3f}")
assert X.shape == (10_000, 784) and 0.2 < nothing < 0.4
assert abs(X.var(dim=0, correction=0).mean() - nothing) < 1e-5  # the variance, averaged

# %% [markdown]
# ## Write it
#
# Digits are often passed on as CSV files: a heading, then a line for each digit, its label first and then its
# 784 pixels. Here is such a file with the first 50 digits of the sample. Write a function that reads it, and one
# that puts pixels on the scale of (0.1).

# %%
folder = Path(tempfile.mkdtemp())
path = folder / "digits.csv"
with path.open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["label", *(f"pixel{i}" for i in range(784))])
    for picture, label in zip(sample.train.pixels[:50], labels[:50], strict=True):
        writer.writerow([label.item(), *picture.flatten().tolist()])
print(path.read_text()[:60], "...")


# %% tags=["write-it"]
def read_digits(path):
    """(pixels, labels) of a CSV file: uint8 (N, 28, 28) and int64 (N,)."""
    # your turn: csv.reader; skip the heading; label first, then pixels
    with path.open(newline="") as file:
        _, *lines = csv.reader(file)
    table = torch.tensor([[int(cell) for cell in line] for line in lines])  # (N, 785)
    return table[:, 1:].to(torch.uint8).reshape(-1, 28, 28), table[:, 0]


def normalise(pixels):
    """uint8 pixels 0..255 of any shape as float32 in [-1, 1]."""
    # your turn: (0.1), in one line
    return (pixels.to(torch.float32) / 255 - 0.5) / 0.5  # (0.1)


# %% [markdown]
# ## Check

# %% tags=["check"]
got, read_labels = read_digits(path)
right = sample.train.pixels[:50]
assert len(got) != 51, "the heading was read as a digit: skip the first line"
assert got.shape != (50, 784), "each digit is one long row: reshape to (N, 28, 28)"
assert got.shape == (50, 28, 28), f"pixels are to be (50, 28, 28), not {tuple(got.shape)}"
assert got.dtype == torch.uint8, (
    f"pixels are whole numbers 0..255: want torch.uint8, not {got.dtype}"
)
shifted = torch.cat([labels[:50, None].byte(), right.reshape(50, 784)[:, :-1]], dim=1)
assert not torch.equal(got.reshape(50, 784), shifted), (
    "the label is among the pixels: all are shifted by one"
)
assert not torch.equal(got, right.transpose(1, 2)), "rows and columns are exchanged"
assert torch.equal(got, right), "the pixels are not those of the file"
assert read_labels.dtype == torch.int64, f"labels are to be torch.int64, not {read_labels.dtype}"
assert torch.equal(read_labels, labels[:50]), "the labels are not those of the file"

ends = normalise(torch.tensor([0, 255], dtype=torch.uint8))
assert ends.tolist() != [0, 1], "that is 0 to 1: take away a half and divide by a half"
assert ends.tolist() != [-0.5, 0.5], "that is -0.5 to 0.5: divide by a half"
assert ends.tolist() == [-1, 1], f"0 and 255 are to become -1 and 1, not {ends.tolist()}"
assert ends.dtype == torch.float32, f"want torch.float32, not {ends.dtype}"
print("read, and on the right scale; how many of each digit:", read_labels.bincount().tolist())

# %% [markdown]
# ## Write it: the telephone
#
# The library has the pair of friends of this course ready: 784 numbers become 128, 64, 32, 16, 12 and at last 3,
# and the same way back. Let it look at the digits eight times; each time is an **epoch**. The table's losses are
# mean squared errors like (0.3), of the digits to learn from and of those held out.

# %%
run = fit("fc", sample, epochs=8, lr=2e-3, progress=False)
model, losses = run.model, run.history["test_loss"]
print(run.history.round(4).to_string(index=False))
assert losses.iloc[-1] < 0.75 * nothing
assert [layer.out_features for layer in model.encoder[::2]] == [128, 64, 32, 16, 12, 3]

# %% [markdown]
# Now run it. `encode` makes codes of three numbers, `decode` makes pictures of codes. Write the telephone:


# %% tags=["write-it"]
def telephone(model, x):
    """(codes, pictures) of x (N, 784): what is said, (N, 3), and what is drawn, (N, 784)."""
    # your turn: model.encode, then model.decode
    codes = model.encode(x)
    return codes, model.decode(codes)


# %% [markdown]
# ## Check: three numbers against none

# %% tags=["check"]
x = normalise(sample.test.pixels).reshape(-1, 784)
answer = telephone(model, x)
assert isinstance(answer, tuple) and len(answer) == 2, (
    "give back two things: the codes and the pictures"
)
codes, pictures = answer
assert codes.shape != x.shape, (
    "the pictures come first here: give back the codes, then the pictures"
)
assert codes.shape == (len(x), 3), f"the codes are to be ({len(x)}, 3), not {tuple(codes.shape)}"
assert not torch.equal(pictures, x), "the pictures are the originals: draw them from the codes"
assert torch.allclose(pictures, model(x), atol=1e-5), (
    "the pictures are not what the decoder makes of the codes"
)
error = (pictures - x).square().mean().item()
nothing = (x - center).square().mean().item()  # the mean picture again, of the digits held out
print(f"three numbers cost {error:.3f}, no number costs {nothing:.3f}")
assert abs(error - losses.iloc[-1]) < 1e-4 and 0.3 < 1 - error / nothing < 0.4

# %% [markdown]
# ## See it: what three numbers can say

# %% tags=["picture"]
# alt: Ten test digits in a row, and below each what the decoder drew from three numbers, blurred. The first seven,
#   the ones and the zero can be read; both fours are drawn as nines, and others as a mixture of digits.
visualize_outputs([(8, x[:10], pictures[:10])])

# %% tags=["picture"]
# alt: A cloud of two thousand dots in three dimensions, one for each test digit, placed by its three numbers and
#   coloured by its digit. Ones lie at one end, zeros at the other, sevens in between; most other kinds overlap
#   in a dense heap beside the zeros.
latent_cloud(codes, sample.test.labels)

# %% [markdown]
# Can it be done, then? In part. Three numbers take away about a third of the error. Of the ten above, the ones,
# the zero and the seven arrive; the fours arrive as nines. In the rest of the course you make that better. And
# look at the cloud: has it put like beside like? Take each digit's nearest neighbour. By chance, one in ten
# would be of its own kind.

# %%
nearest = torch.cdist(codes, codes).fill_diagonal_(float("inf")).argmin(dim=1)
same = (sample.test.labels[nearest] == sample.test.labels).float().mean().item()
print(f"{same:.0%} have one of their own kind as the nearest")
assert same > 0.4

# %% [markdown]
# Nobody told the model that there are ten kinds of digits: the labels were never used. Like came beside like,
# because that makes drawing easier. On <a href="../explorer.html">the explorer's page</a> you fly through such a
# cloud, watch the decoder draw what is under your pointer, and draw a digit yourself. For a model of your own,
# `scratchae train fc --out runs/fc` and `scratchae explore runs/fc` make that page.
#
# ## Break it
#
# **1. The wrong scale.** Give the model raw pixels, 0 to 255, in place of −1 to 1. The decoder ends in a Tanh,
# so it can draw nothing outside of −1 to 1. What will its mean squared error be, about: 1, 100 or 10,000?

# %% tags=["predict"]
raw = sample.test.pixels.reshape(-1, 784).float()
raw_error, raw_square = (model(raw) - raw).square().mean().item(), raw.square().mean().item()
print(f"error {raw_error:,.0f}, mean square of the pixels {raw_square:,.0f}")
assert raw_error > 5000 and abs(raw_error / raw_square - 1) < 0.02

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# What the model draws, at most 1, is nearly nothing beside 255. So the error is about the mean square of the
# pixels themselves. A huge number, and no error message at all: always look at the range of the data first.
#
# </details>
#
# **2. One step aside.** Somebody forgets that the first column is the label and takes it for pixel 0. Every
# pixel moves one place on. Will you see it in the pictures? Will the model's error tell?

# %% tags=["predict"]
aside = torch.cat([normalise(sample.test.labels)[:, None], x[:, :-1]], dim=1)
print(f"right {error:.3f}, one step aside {(model(aside) - aside).square().mean().item():.3f}")
assert error < (model(aside) - aside).square().mean() < nothing
assert sample.train.pixels[:, -1, -1].max() == 0  # what falls out at the end is background

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# You would hardly see it: each picture sits one pixel to the right, and the label, 9 of 255 at most, is almost
# background. The model notices a little. A new one, trained on such digits, would not mind: its first layer does
# not care in which order the pixels come. Quiet mistakes are found by checking `read_digits`, as you did, not by
# looking at the loss.
#
# </details>
#
# ## Recap card
#
# | | formula | shape | line of code |
# |---|---|---|---|
# | to the network's scale | $x = 2p / 255 - 1$ | that of p | `(p / 255 - 0.5) / 0.5` |
# | a picture as a row | $i = 28 r + s$ | (N, 784) | `pixels.reshape(-1, 784)` |
# | best single picture | $c_i = \frac1N \sum_n x_{n,i}$ | (784,) | `x.mean(dim=0)` |
# | the telephone | $784 \to 3 \to 784$ | (N, 3), (N, 784) | `model.decode(model.encode(x))` |
#
# ## Assignment
#
# There is none yet: [**hw1**](../course.md) begins with the next chapters. Read `scratchae/models/fc.py`, the
# model that you ran, and find the line in which its three numbers are made.
