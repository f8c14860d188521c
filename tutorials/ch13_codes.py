# %% [markdown]
# # 13. What do the numbers mean?
#
# ## The question
#
# An autoencoder tells a digit in three numbers. A friend asks: "what does the second one mean? How bold? How
# slanted?" A fair question, but nobody told the network to have an answer. So ask the codes in other ways. What
# lies *between* two codes, on a straight line? Who is *near* a code, digits of its kind? And what is under your
# finger, once the model is packed into a web page? First, some seconds of training:

# %%
import base64
import json
import zlib

import matplotlib.pyplot as plt
import torch

from scratchae.data import load
from scratchae.explorer import page
from scratchae.layers import Sequential, Tanh
from scratchae.models import Autoencoder
from scratchae.models.fc import stack
from scratchae.plots.style import STYLE
from scratchae.training import fit

plt.rcParams.update(STYLE)
sample, g = load("sample"), torch.Generator().manual_seed(0)
encoder = Sequential(*stack([784, 128, 32, 3], g))  # Linear, ReLU, Linear, ReLU, Linear
decoder = Sequential(*stack([3, 32, 128, 784], g), Tanh())
model = Autoencoder(encoder, decoder, (784,))
model.name = "three numbers"
run = fit(model, sample, epochs=12, lr=2e-3, engine="buffered", device="cpu", progress=False)
digits, labels = sample.test.normalised().flatten(1), sample.test.labels  # (2000, 784), (2000,)
codes = model.encode(digits)  # (2000, 3)
drawn = model.decode(codes)  # (2000, 784)
error = (drawn - digits).square().mean(dim=1)
print(f"test error {error.mean():.3f}")

# %% [markdown]
# ## One picture
#
# Two ways from a seven to a zero. Above, a **blend**: one drawing fades out while the other fades in. Below, a
# **walk**: the decoder draws what lies on the straight line from code to code, through other digits, and now and
# then through no man's land. The numbers are the labels of the real digits whose codes are nearest.

# %% tags=["picture"]
# alt: Two rows of nine pictures, from a seven to a zero. In the upper row the seven fades while the zero appears,
#   and in the middle both are seen at once, grey. In the lower row the seven bends and closes its top to a nine,
#   bright as the ends; then it opens to a four, and after one smeared picture there is the zero.
ends = [int((error + 9 * (labels != digit)).argmin()) for digit in (7, 0)]  # the best drawn
shares = torch.linspace(0, 1, 9)[:, None]
blend, walk = (torch.lerp(*points[ends], shares) for points in (drawn, codes))
figure, axes = plt.subplots(2, 9, figsize=(7, 2))
for ax, cells in zip(axes.flat, torch.cat([blend, model.decode(walk)]), strict=True):
    ax.imshow(cells.reshape(28, 28), cmap="gray", vmin=-1, vmax=1)
    ax.set(xticks=[], yticks=[])
axes[0, 0].set_ylabel("blend"), axes[1, 0].set_ylabel("walk")
for ax, at in zip(axes[1], torch.cdist(walk, codes).argmin(dim=1), strict=True):
    ax.set_xlabel(labels[at].item())

# %% [markdown]
# ## By hand: pictures of three pixels
#
# One of three pixels has ink: $(1, 0, 0)$, $(0, 1, 0)$ or $(0, 0, 1)$. A good code is *one* number, where the ink
# is: 0, 1 or 2. Pixel $i$ is $\text{relu}(1 - |z - i|)$, with $|u| = \text{relu}(u) + \text{relu}(-u)$.
#
# **Between.** Half a blend of the first and the last is $(0.5, 0, 0.5)$, two pale dots, no picture of ours. Half
# the way from code 0 to code 2 is code 1: the dot has *moved*. **Near.** From the first picture to the second the
# squared distance is $1 + 1 + 0 = 2$, to the third $1 + 0 + 1 = 2$: to pixels all are equally far apart. The
# codes' are 1 and 4: they know who stands next to whom. **Small.** A row of weights is $(0.5, -1.27, 0.128)$.
# Count in steps of $1.27 / 127 = 0.01$: 50, −127, 13. Each fits into a byte, and only the last is off, by 0.002.

# %%
z, i = torch.tensor([[0.0], [1], [2]]), torch.arange(3)
pictures = (1 - (z - i).relu() - (i - z).relu()).relu()  # a row for each code
assert torch.equal(pictures, torch.eye(3)) and (z[0] + z[2]) / 2 == z[1]
for points, far in ((pictures, [0, 2, 2]), (z, [0, 1, 4])):
    assert (points[0] - points).square().sum(dim=1).tolist() == far
assert (torch.tensor([0.5, -1.27, 0.128]) / 0.01).round().tolist() == [50, -127, 13]

# %% [markdown]
# ## Derivation
#
# **Between.** The straight line from code $a$ to code $b$, with $t$ from 0 to 1:
#
# $$ z(t) = a + t\,(b - a) \tag{13.1} $$
#
# What would a decoder without bends, $f(z) = W z + c$, draw on it? Since $c = (1 - t)\, c + t\, c$:
#
# $$ f(z(t)) = W a + t\,(W b - W a) + c = (1 - t)\, f(a) + t\, f(b) \tag{13.2} $$
#
# A blend, always. So **all that a walk has beyond a blend comes from the bends**; PCA has none, and only blends.
#
# **The second number.** The encoder ends in a linear layer, and the decoder begins with one. Take any matrix $A$
# with an inverse, give out the code $A z$ in place of $z$, and let the decoder undo it:
#
# $$ W z + c = (W A^{-1})\,(A z) + c \tag{13.3} $$
#
# The pictures are the same, so the loss cannot tell $z$ from $A z$. But the second number of $A z$ is another
# mixture. So it means **nothing by itself**. Walks are safe, $A\, z(t) = A a + t\,(A b - A a)$. Distances are not.
#
# **Near.** Each square is $a_d^2 + b_d^2 - 2\, a_d b_d$. The last sum, for all pairs, will be one matrix product:
#
# $$ |a - b|^2 = \sum_d (a_d - b_d)^2 = |a|^2 + |b|^2 - 2 \sum_d a_d b_d \tag{13.4} $$
#
# **Small.** One byte holds the whole numbers from −128 to 127. Let the largest weight of row $o$ be 127 steps:
#
# $$ s_o = \frac{1}{127} \max_i |W_{o,i}| \qquad q_{o,i} = \text{round}(W_{o,i} / s_o) \tag{13.5} $$
#
# Rounding moves $W_{o,i} / s_o$ by ½ at most, so $|W_{o,i} - s_o\, q_{o,i}| \le s_o / 2$. The error of an output
# $y_o = \sum_i W_{o,i}\, x_i + b_o$ is $\sum_i (s_o q_{o,i} - W_{o,i})\, x_i$, no larger than the sum of sizes:
#
# $$ |\text{error of } y_o| \le \sum_i |W_{o,i} - s_o q_{o,i}|\, |x_i| \le \frac{s_o}{2} \sum_i |x_i| \tag{13.6} $$
#
# A Tanh behind it, of slope 1 at most ([chapter 3](ch03_activations.py)), enlarges nothing. But so large an error
# wants all roundings to conspire. Let them be independent, each $e$ anywhere in $-s_o/2 \ldots s_o/2$. The mean of
# $e^2$ is $\frac{1}{s_o} \int_{-s_o/2}^{s_o/2} e^2\, de = \frac{2}{3 s_o} (s_o/2)^3 = s_o^2 / 12$. Square the sum
# of the $e_i x_i$: the product of two different $e$ is 0 in the mean, and the squares remain:
#
# $$ \text{mean of } (\text{error of } y_o)^2 = \frac{s_o^2}{12} \sum_i x_i^2 \tag{13.7} $$
#
# ## Matrix form
#
# The codes are the rows of $Z$, shape $(N, D)$, and $n_i = |z_i|^2$. Then (13.4) for all pairs at once is
#
# $$ \Delta_{i,j} = n_i + n_j - 2\,(Z Z^\top)_{i,j} \tag{13.8} $$
#
# `n[:, None]` is a column $(N, 1)$, `n` a row `(N,)`, and their sum **broadcasts** to $(N, N)$.
#
# ## Code

# %%
Z, n = codes[:6], codes[:6].square().sum(dim=1)
by_loops = torch.tensor([[sum((a - b) ** 2) for b in Z] for a in Z])  # (13.4)
assert torch.allclose(by_loops, n[:, None] + n - 2 * Z @ Z.T, atol=0.01)  # (13.8)

# %% [markdown]
# ## Write it: walk and neighbours
#
# `nearest` leaves out the code itself, the nearest of all. Do not just drop the first found: it may have a twin.


# %% tags=["write-it"]
def path(a, b, steps):
    """Codes (steps, D) on the straight line from a (D,) to b (D,), both ends included."""
    # your turn: shares from 0 to 1 as a column, then (13.1)
    t = torch.linspace(0, 1, steps)[:, None]  # (steps, 1)
    return a + t * (b - a)  # (13.1)


def nearest(codes, k):
    """int64 (N, k): for each of the codes (N, D) its k nearest others, the nearest first."""
    # your turn: (13.8), then itself at infinity, then topk
    n = codes.square().sum(dim=1)  # (N,)
    far = n[:, None] + n - 2 * codes @ codes.T  # (13.8)
    return far.fill_diagonal_(torch.inf).topk(k, largest=False).indices


# %% [markdown]
# ## Check

# %% tags=["check"]
a, b = torch.tensor([1.0, -2.0]), torch.tensor([5.0, 6.0])
line = path(a, b, 5)
assert line.shape == (5, 2), f"5 steps of 2 numbers are (5, 2), not {tuple(line.shape)}"
assert torch.allclose(line[0], a), f"at t = 0 it is {line[0].tolist()}, not at a"
assert torch.allclose(line[-1], b), f"at t = 1 it is {line[-1].tolist()}, not at b"
assert torch.allclose(line.diff(dim=0), (b - a) / 4), "the steps are not all of one length"
cloud = torch.randn(50, 3, generator=g.manual_seed(1)) * torch.tensor([1.0, 5.0, 2.0])
found, itself = nearest(cloud, 4), torch.arange(50)[:, None]
assert found.shape == (50, 4), f"4 others for 50 codes are (50, 4), not {tuple(found.shape)}"
assert (found != itself).all(), "a code is its own neighbour: put the diagonal at infinity"
far = torch.cdist(cloud, cloud).fill_diagonal_(torch.inf)
assert found[0, 0] != far[0, 1:].argmax() + 1, "those are the farthest: topk(k, largest=False)"
assert torch.equal(found, far.topk(4, largest=False).indices), "not the 4 nearest, in order"
assert (nearest(torch.zeros(50, 3), 1) != itself).all(), "a twin found itself: drop the diagonal"
print("path and nearest are right")

# %% [markdown]
# ## See it: between, and near
#
# Is a walk better, or do we only like it? Take 500 pairs of digits, and half the way between them. How many
# pixels are **grey**, between −½ and ½? Then the neighbours. Do a digit's ten nearest have its label, which the
# network never saw? Compare with all pixels, and with the best three numbers that need no bends, those of PCA.

# %%
i, j = torch.randint(len(codes), (2, 500), generator=g.manual_seed(2))
halfway = {"the ends": drawn[i], "half a blend": (drawn[i] + drawn[j]) / 2}
halfway["half a walk"] = model.decode((codes[i] + codes[j]) / 2)
grey = {words: (y.abs() < 0.5).float().mean().item() for words, y in halfway.items()}
print("grey:", ", ".join(f"{share:.1%} of {words}" for words, share in grey.items()))
assert grey["half a walk"] < min(0.9 * grey["half a blend"], 1.2 * grey["the ends"])
U, S, _ = torch.linalg.svd(digits - digits.mean(dim=0), full_matrices=False)
alike = {}
for name, points in {"pixels": digits, "PCA": U[:, :3] * S[:3], "codes": codes}.items():
    alike[name] = (labels[nearest(points, 10)] == labels[:, None]).float().mean().item()
print("same label:", ", ".join(f"{share:.1%} by {name}" for name, share in alike.items()))
assert alike["pixels"] > alike["codes"] > alike["PCA"] + 0.05

# %% tags=["picture"]
# alt: Three rows, of a two, a five and a nine. Each begins with the digit, then come its four nearest by pixels,
#   then its four nearest by codes. Below stand their labels, a few with a cross: there it is another digit.
asked = torch.stack([(labels == kind).nonzero()[1, 0] for kind in (2, 5, 9)])
near = {"digit": asked[:, None], "nearest by pixels": nearest(digits, 4)[asked]}
near["nearest by codes"] = nearest(codes, 4)[asked]
figure, axes = plt.subplots(3, 3, figsize=(7, 3.3), width_ratios=[1, 4, 4])
for column, (words, found) in zip(axes.T, near.items(), strict=True):
    column[0].set_title(words)
    for ax, few, kind in zip(column, found, (2, 5, 9), strict=True):
        ax.imshow(digits[few].reshape(-1, 28, 28).transpose(0, 1).reshape(28, -1), cmap="gray")
        names = [f"{name}" if name == kind else f"{name} ×" for name in labels[few].tolist()]
        ax.set(xticks=range(14, 28 * len(few), 28), xticklabels=names, yticks=[]), ax.grid(False)

# %% [markdown]
# The decoder is nowhere crisp, but halfway it is hardly greyer than at the ends. Pixels know best who is alike,
# but they are 784. With three numbers the network beats PCA by far: its bends fold the digits into a small room.
#
# ## Write it: a byte a weight
#
# `quantise` is (13.5). In a row of zeros, 0 / 0 is no number. The largest may be negative. −128 is never used: its
# mirror image 128 is no byte. The check ends at the layer of the pixels, with what (13.6) and (13.7) say of it.


# %% tags=["write-it"]
def quantise(weight):
    """(q, s) of weight (O, I): int8 (O, I) and the step of each row (O,); weight ≈ s[:, None] q."""
    # your turn: (13.5); a row of zeros has the step 0
    s = weight.abs().amax(dim=1) / 127  # (13.5)
    q = (weight / torch.where(s == 0, 1, s)[:, None]).round()
    return q.to(torch.int8), s


# %% tags=["check"]
weight = torch.randn(6, 40, generator=g.manual_seed(3)) * torch.logspace(-3, 2, 6)[:, None]
weight[0], weight[1, 7] = 0, -2 * weight[1].abs().max()
q, s = quantise(weight)
assert q.dtype == torch.int8, f"a weight is to be one byte, torch.int8, not {q.dtype}"
assert s.shape == (6,), f"one step for each of 6 rows is (6,), not {tuple(s.shape)}"
assert torch.allclose(s, weight.abs().amax(dim=1) / 127), "a step is a row's largest *size* / 127"
assert s[0] == 0 and not q[0].any(), "a row of zeros has the step 0, and stays zeros"
assert (q > -128).all(), "−128 is used: its mirror image 128 is no byte"
off = ((weight - q * s[:, None]).abs()[1:] / s[1:, None]).max()
assert off < 0.51, f"a weight is off by {off:.2f} steps, not by ½ at most: round to the nearest"
W, bias = decoder[4].weight, decoder[4].bias  # (784, 128), from the last hidden numbers to pixels
x = Sequential(*(decoder[k] for k in range(4))).forward(codes)  # (2000, 128)
q, s = quantise(W)
off = x @ (q * s[:, None] - W).T  # (2000, 784), errors of y
bound = s / 2 * x.abs().sum(dim=1, keepdim=True)  # (13.6)
usual = (s**2 / 12 * x.square().sum(dim=1, keepdim=True)).mean().sqrt().item()  # (13.7)
print(f"largest error {off.abs().max():.3f}, bound {bound.max():.3f}")
print(f"usual error {off.square().mean().sqrt():.4f}, predicted {usual:.4f}")
assert (off.abs() <= 1.01 * bound).all() and 0.8 < off.square().mean().sqrt() / usual < 1.25

# %% tags=["picture"]
# alt: Left, a pixel's weights in order of size, and rounded to 15 steps: stairs in a band of half a step. Right,
#   how far those of its layer are off: even bars from minus a half to a half, but one at 0 has each row's largest.
row = W[400].sort().values
step, figure, axes = row.abs().max() / 7, *plt.subplots(1, 2, figsize=(7, 2.2))
axes[0].fill_between(range(128), row - step / 2, row + step / 2, color="#e69f00", alpha=0.4)
axes[0].plot(row, "k--")
axes[0].step(range(128), (row / step).round() * step, where="mid", color="#0072b2")
axes[0].set(title="a pixel's weights in 15 steps (band: ± ½)", xlabel="place when sorted (dashed)")
off = (W / s[:, None] - q)[:, x.any(dim=0)]  # where no digit ever wakes a unit, weights are near 0
axes[1].hist(off.flatten(), bins=20, color="#0072b2", edgecolor="w")
axes[1].set(title="255 steps: how many are off", xlabel="by so many steps (0: also rows' largest)")

# %% [markdown]
# ## See it: the page
#
# `page` makes one HTML text of a run: weights as bytes (two each in small layers; compressed), codes, and a
# script that decodes what is under your pointer. Here is what it does, in Python, with the page's own weights.

# %%
text = page(run, sample)
content = json.loads(text.partition('id="content">')[2].partition("</script>")[0])
y = codes
for layer in content["runs"][0]["decoder"]:
    if layer["kind"] == "Linear":
        raw = {}
        for key in ("weight", "scale", "bias"):
            array = zlib.decompress(base64.b64decode(layer[key]["packed"]))
            raw[key] = torch.frombuffer(bytearray(array), dtype=getattr(torch, layer[key]["dtype"]))
        y = y @ (raw["scale"][:, None] * raw["weight"].reshape(-1, y.shape[1])).T + raw["bias"]
    else:
        y = {"ReLU": torch.relu, "Tanh": torch.tanh}[layer["kind"]](y)
off = (y - drawn).abs()
print(f"{len(text) // 1000} KB; pixels off by {off.mean():.4f}, the worst by {off.max():.3f}")
assert off.max() <= 0.15 and torch.equal(raw["weight"], q.flatten())  # the bytes that you made

# %% [markdown]
# ## Break it
#
# Write down what you expect. **1. Stretch a number.** By (13.3), give out the second number a hundred times as
# large, and let the decoder divide it by 100. What becomes of the pictures, of a walk, of the neighbours?

# %% tags=["predict"]
A = torch.tensor([1.0, 100, 1])  # the diagonal of the matrix
wide, walked, spread = codes * A, model.decode(walk), codes.std(dim=0)
decoder[0].weight.div_(A)  # (13.3)
again = model.decode(path(*wide[ends], 9))
off = (model.decode(wide) - drawn).abs().max(), (again - walked).abs().max()
decoder[0].weight.mul_(A)  # as it was
print(f"pictures off by {off[0]:.1g}, the walk by {off[1]:.1g}")
now = (labels[nearest(wide, 10)] == labels[:, None]).float().mean()
print(f"same label: {alike['codes']:.1%} before, {now:.1%} now")
assert max(off) < 1e-3 and now < alike["codes"] - 0.1 and spread.max() < 2 * spread.min()

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# Pictures and walks stay. But to distances there is now one number only. That they mean something at all is a
# habit: training from small first weights has made no axis twice as long as another. The loss does not ask for it.
#
# </details>
#
# **2. One step for all.** Somebody keeps a single step for the whole last layer. One weight of the pixel in the
# corner is −20; that pixel is paper anyway. Which pixels suffer, and how much?

# %% tags=["predict"]
heavy = W.clone()
heavy[0, int(x.sum(dim=0).argmax())] = -20  # of the strongest unit
right = torch.tanh(x @ heavy.T + bias)
ways = {"a step a row": quantise(heavy), "one step": quantise(heavy.reshape(1, -1))}
for words, (q, s) in ways.items():
    off = (torch.tanh(x @ (q * s[:, None]).reshape(W.shape).T + bias) - right)[:, 1:].abs()
    print(f"{words:<13} other pixels off by {off.mean():.4f}, the worst by {off.max():.2f}")
assert off.mean() > 0.02 and (W.abs() < 10 / 127).float().mean() > 0.7

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# The one step is $20 / 127 \approx 0.16$, and most weights are below half of it: they become 0, in rows that have
# nothing to do with the large one. With a step a row, a large weight costs its own row alone.
#
# </details>
#
# ## Recap card
#
# | | formula | shape | line of code |
# |---|---|---|---|
# | walk | $a + t (b - a)$ | (steps, D) | `a + t * (b - a)` |
# | distances | $n_i + n_j - 2 (Z Z^\top)_{i,j}$ | (N, N) | `n[:, None] + n - 2 * Z @ Z.T` |
# | step | $s_o = \max_i \lvert W_{o,i} \rvert / 127$ | (O,) | `weight.abs().amax(dim=1) / 127` |
# | error | $\le \frac{s_o}{2} \sum_i \lvert x_i \rvert$ | (N, O) | `s / 2 * x.abs().sum(dim=1, keepdim=True)` |
#
# A single number means nothing; what lies on the line between two codes does; who is near, only out of habit.
#
# ## Assignment
#
# None; make a page like <a href="../explorer.html">this one</a>: `scratchae train fc --out runs/fc`, then
# `scratchae explore runs/fc`. Look at your [**hw6**](../course.md) too. Read `scratchae/explorer/quantise.py`.
