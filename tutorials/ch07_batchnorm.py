# %% [markdown]
# # 7. Why does depth stall?
#
# ## The question
#
# More layers can express more. So stack ten, and train: the network learns to answer every digit with the same
# grey picture, and stops there. No bug: every gradient is right to the last digit. What goes wrong is *size*:
# each layer makes its numbers a little smaller, and a little smaller, many times over, is nothing. One cure is to
# choose the first weights so that sizes are kept (**He's initialisation**). The other is a layer that sets them
# right whatever the weights are: **BatchNorm**, whose backward pass has a bad name and falls into nine easy steps.

# %%
import math

import matplotlib.pyplot as plt
import torch

from scratchae.checking import check
from scratchae.data import load
from scratchae.layers import BatchNorm1d, Linear, ReLU, Sequential
from scratchae.optim import Adam
from scratchae.plots.style import STYLE
from scratchae.step import train_step

plt.rcParams.update(STYLE)

# %% [markdown]
# ## One picture
#
# A thousand digits of 14 by 14 pixels go through 20 fresh layers, with the first weights that everybody gets who
# does not ask for others. After each ReLU: how large are the numbers? (The size of a table of numbers $x$ is
# here the root of the mean of $x^2$.)

# %%
pixels = load("sample").train.pixels[:1000].float() / 127.5 - 1  # ink from −1 to 1
digits = pixels.reshape(-1, 14, 2, 14, 2).mean(dim=(2, 4)).flatten(1)  # (1000, 196)
KINDS = {"the usual weights": "#d55e00", "He's weights": "#0072b2", "BatchNorm": "#009e73"}


def deep(kind, depth, width=64):
    generator, layers = torch.Generator().manual_seed(0), []
    for inputs in [196] + [width] * (depth - 1):
        layers.append(Linear(inputs, width, bias=False, generator=generator))
        if kind == "He's weights":
            layers[-1].weight *= math.sqrt(6)  # why this is so, below
        if kind == "BatchNorm":
            layers.append(BatchNorm1d(width))
        layers.append(ReLU())
    return [*layers, Linear(width, 196, generator=generator)]


size = {kind: [] for kind in KINDS}
for kind in KINDS:
    x = digits
    for layer in deep(kind, depth=20):
        x = layer(x)
        if isinstance(layer, ReLU):
            size[kind].append(x.square().mean().sqrt().item())
    print(f"{kind:<17}  size {size[kind][-1]:.1g} after 20 layers")
shrunk = (size["the usual weights"][0] / size["the usual weights"][-1]) ** (1 / 19)  # a layer
assert abs(shrunk / math.sqrt(6) - 1) < 0.05 and 0.4 < size["He's weights"][-1] < 1

# %% tags=["picture"]
# alt: Size of the activations, logarithmic, over 20 layers. With the usual weights it falls in a straight line
#   from 0.4 to 1e-8. With He's weights it wanders between 0.5 and 1; with BatchNorm it is 0.7 everywhere.
figure, ax = plt.subplots(figsize=(7, 2.8))
for (kind, found), mark in zip(size.items(), "os^", strict=True):
    ax.semilogy(range(1, 21), found, mark + "-", ms=4, color=KINDS[kind], label=kind)
ax.set(xlabel="layer", ylabel="size after its ReLU", xticks=[1, 5, 10, 15, 20])
ax.legend()

# %% [markdown]
# ## By hand: one channel, four samples
#
# BatchNorm looks at one channel (one column of `x`) over the whole batch. Say it is 2, 6, 6, 2. The mean is 4,
# so take that off: $-2, 2, 2, -2$. The mean of the squares is 4, its root 2, so divide by 2:
# $\hat x = -1, 1, 1, -1$. This has mean 0 and size 1, whatever came in. Then the layer stretches and shifts it
# by two learned numbers, say $w = 2$ and $b = 1$: $y = -1, 3, 3, -1$.
#
# Backward, let `dy` be 1, 5, 3, 3. `dbias` is the sum, 12. `dweight` is the sum of `dy` times $\hat x$:
# $-1 + 5 + 3 - 3 = 4$. And `dx`? Now think: if *all* of the channel grew by the same amount, $\hat x$ would not
# move. So what `dy` asks of all alike, its mean 3, is lost: $-2, 2, 0, 0$ is left. And if the channel were
# *stretched*, $\hat x$ would not move either. How much of `dy` asks for that is the mean of `dy` times $\hat x$,
# which is 1. Take $1 \cdot \hat x$ off: $-1, 1, -1, 1$. Last, $x$ was divided by 2 and multiplied by $w = 2$, so
# `dx` is $-1, 1, -1, 1$. That is all of BatchNorm. The rest of this chapter is proof.
#
# ## Derivation
#
# **He's weights.** One output is $y = \sum_i W_i x_i$ over $n$ inputs (`fan_in`). The weights are drawn
# independently, evenly about 0, with variance $V$. So $E[W_i W_j]$ is $V$ for $i = j$, else $E[W_i] E[W_j] = 0$:
#
# $$ E[y^2] = \sum_i \sum_j E[W_i W_j]\, x_i x_j = V \sum_i x_i^2 = n V \, \text{mean}(x^2) \tag{7.1} $$
#
# Then comes the ReLU. Had all weights of a row the other sign, which is as likely, $y$ would be $-y$. So
# positive and negative values hold half of $E[y^2]$ each, and the ReLU keeps one half. A layer multiplies the
# mean square by $nV / 2$, and $\ell$ layers by
#
# $$ \left( \tfrac12 n V \right)^\ell \tag{7.2} $$
#
# Nothing but $V = 2/n$ keeps it. If the negative half is let through times $a$ (a leaky ReLU), $1 + a^2$ halves
# are left, and $V = 2 / ((1 + a^2)\, n)$. A uniform draw from $-B$ to $B$ has the variance
# $\frac{1}{2B} \int_{-B}^{B} u^2 du = \frac{1}{2B} \cdot \frac{2 B^3}{3} = B^2/3$. So
#
# $$ B = \sqrt{3 V} = \sqrt3 \cdot \sqrt{\frac{2}{1 + a^2}} \Big/ \sqrt{n} \tag{7.3} $$
#
# torch's usual weights have $a = \sqrt5$, that is $V = 1/(3n)$, and (7.2) is $(1/6)^\ell$: the size shrinks by
# $\sqrt6$ a layer, and that is the $\sqrt6$ in the code above.
#
# **BatchNorm, nine steps forward.** For one channel with values $x_1 \ldots x_m$; means and sums run over these.
#
# $$ \mu = \text{mean}(x) \quad\; d = x - \mu \quad\; q = d^2 \quad\; \sigma^2 = \text{mean}(q) \tag{7.4} $$
#
# $$ s = \sqrt{\sigma^2 + \varepsilon} \quad r = 1/s \quad \hat x = d r \quad z = w \hat x \quad y = z + b
#  \tag{7.5} $$
#
# **And nine steps back**, each the derivative of one line. A number collects from everyone who used it (chapter
# 2), so $b$, $w$, $r$ and $\mu$, which all samples used, get sums:
#
# $$ dz = dy \quad\; db = \sum dy \quad\; d\hat x = w\, dz \quad\; dw = \sum dz\, \hat x \quad\;
#  dr = \sum d\hat x\, d \tag{7.6} $$
#
# From $r = 1/s$ follows $\partial r / \partial s = -1/s^2$, from $s = \sqrt{\sigma^2 + \varepsilon}$ follows
# $\partial s / \partial \sigma^2 = 1/(2s)$, and each $q$ is one $m$-th of its mean:
#
# $$ ds = -dr / s^2 \qquad d\sigma^2 = ds / (2s) \qquad dq = d\sigma^2 / m \tag{7.7} $$
#
# $d$ was used twice, in $\hat x$ and in $q$; $x$ too, in $d$ and in $\mu$. (Read $dd$ as "the gradient of $d$".)
#
# $$ dd = d\hat x\, r + 2 d\, dq \qquad d\mu = -\sum dd \qquad dx = dd + d\mu / m \tag{7.8} $$
#
# **Now one line.** Since $d = s \hat x$, (7.6) says $dr = s \sum d\hat x\, \hat x$. Put that through (7.7):
# $ds = -\frac1s \sum d\hat x\, \hat x$, then $d\sigma^2 = -\frac{1}{2 s^2} \sum d\hat x\, \hat x$, then
# $dq = -\frac{1}{2 s^2} \text{mean}(d\hat x\, \hat x)$. In (7.8), with $r = 1/s$ and $2d = 2 s \hat x$, that is
# $dd = \frac1s (d\hat x - \hat x\, \text{mean}(d\hat x\, \hat x))$. Its sum is $\frac1s \sum d\hat x$, because
# $\sum \hat x = 0$. So $d\mu / m = -\frac1s \text{mean}(d\hat x)$, and with $d\hat x = w\, dy$:
#
# $$ dx = \frac{w}{s} \big( dy - \text{mean}(dy) - \hat x\, \text{mean}(dy\, \hat x) \big) \tag{7.9} $$
#
# **Running statistics.** A single digit is no batch. So one keeps running averages, a share $p$ (`momentum`) of
# each new batch, and uses these later. But $\sigma^2$ is a little too small: it measures distances from the
# batch's own mean, which lies closer to its numbers than the true mean $c$. How much? Since
# $\text{mean}(d) = 0$, $\text{mean}((x - c)^2) = \text{mean}((d + \mu - c)^2) = \sigma^2 + (\mu - c)^2$. On
# average the left side is the true variance $T$, and $(\mu - c)^2$ is $T / m$, for $\mu$ adds up $m$ independent
# terms $x / m$ of variance $T / m^2$. So $E[\sigma^2] = T - T/m = T (m-1)/m$, and the running variance $v$ becomes
#
# $$ v \leftarrow (1 - p)\, v + p\, \sigma^2 \frac{m}{m - 1} \tag{7.10} $$
#
# ## Matrix form
#
# Write a channel as a vector of $m$ numbers, and $e$ for the vector of $m$ ones. Then (7.9) is a matrix:
#
# $$ dx = \frac{w}{s} P\, dy \qquad P = I - \tfrac1m\, e e^\top - \tfrac1m\, \hat x \hat x^\top \tag{7.11} $$
#
# $e^\top \hat x = 0$, and $e^\top e = m$, so $P e = 0$: a shift is taken out. With $\varepsilon = 0$ also
# $\hat x^\top \hat x = m$, so $P \hat x = 0$: a stretch is taken out. What is left, $P$ lets through untouched.
#
# ## Code
#
# The nine lines of (7.4) and (7.5) for a table `x` (m, C), all channels at once:


# %%
def nine_steps(x, w, b, eps=1e-5):
    mu = x.mean(dim=0)  # (7.4)
    d = x - mu
    q = d**2
    var = q.mean(dim=0)
    s = (var + eps).sqrt()  # (7.5)
    r = 1 / s
    xhat = d * r
    z = w * xhat
    y = z + b
    return {"mu": mu, "d": d, "q": q, "var": var, "s": s, "r": r, "xhat": xhat, "z": z, "y": y}


by_hand = nine_steps(torch.tensor([[2.0], [6], [6], [2]]), torch.tensor([2.0]), b=1, eps=0.0)
print("y:", by_hand["y"].flatten().tolist())

# %% [markdown]
# ## Write it: nine steps back


# %% tags=["write-it"]
def nine_steps_back(dy, step, w):
    """(dz, db, dxhat, dw, dr, ds, dvar, dq, dd, dmu, dx) for dy (m, C) and the results of nine_steps."""
    # your turn: (7.6), (7.7) and (7.8), a line each
    dz, db = dy, dy.sum(dim=0)  # (7.6)
    dxhat, dw = w * dz, (dz * step["xhat"]).sum(dim=0)
    dr = (dxhat * step["d"]).sum(dim=0)
    ds = -dr / step["s"] ** 2  # (7.7)
    dvar = ds / (2 * step["s"])
    dq = (dvar / len(dy)).expand_as(dy)
    dd = dxhat * step["r"] + 2 * step["d"] * dq  # (7.8)
    dmu = -dd.sum(dim=0)
    dx = dd + dmu / len(dy)
    return dz, db, dxhat, dw, dr, ds, dvar, dq, dd, dmu, dx


# %% [markdown]
# ## Check: every step beside torch's autograd, from the last to the first

# %% tags=["check"]
generator = torch.Generator().manual_seed(0)
x, dy = torch.randn(2, 7, 3, generator=generator, dtype=torch.float64)
w, b = torch.randn(2, 3, generator=generator, dtype=torch.float64)
recorded = {name: v.clone().requires_grad_() for name, v in [("x", x), ("w", w), ("b", b)]}
recorded |= nine_steps(**recorded)
names = ["z", "b", "xhat", "w", "r", "s", "var", "q", "d", "mu", "x"]
right = torch.autograd.grad(recorded["y"], [recorded[name] for name in names], dy)
mine = nine_steps_back(dy, nine_steps(x, w, b), w)
for k, (name, gradient, expected) in enumerate(zip(names, mine, right, strict=True)):
    fits = gradient.shape == expected.shape and torch.allclose(gradient, expected)
    assert fits, f"d{name} is the first that is wrong: look at (7.{6 + (k > 4) + (k > 7)})"
found = nine_steps_back(torch.tensor([[1.0], [5], [3], [3]]), by_hand, torch.tensor([2.0]))
print("by hand: dbias, dweight, dx are", *(found[k].flatten().tolist() for k in (1, 3, -1)))

# %% [markdown]
# ## Write it: the layer, and its first weights
#
# Now as the library has it, for (N, C), (N, C, L) and (N, C, H, W): means, and $m$, run over all axes but axis 1.


# %% tags=["write-it"]
def kaiming_uniform(shape, fan_in, a=0.0, generator=None):
    """He's first weights of this shape."""
    # your turn: (7.3), and torch.empty(shape).uniform_
    bound = math.sqrt(3) * math.sqrt(2 / (1 + a**2)) / math.sqrt(fan_in)  # (7.3)
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


def batchnorm_forward(x, weight, bias, eps=1e-5):
    """(y, xhat, mean (C,), var (C,)); weight and bias are (C,)."""
    # your turn: (7.4) and (7.5), over axes 0, 2, 3, ...
    axes = (0, *range(2, x.ndim))
    mean, var = x.mean(axes, keepdim=True), x.var(axes, correction=0, keepdim=True)  # (7.4)
    xhat = (x - mean) / (var + eps).sqrt()  # (7.5)
    y = weight.view_as(mean) * xhat + bias.view_as(mean)
    return y, xhat, mean.flatten(), var.flatten()


def batchnorm_backward(dy, xhat, weight, var, eps=1e-5):
    """(dx, dweight, dbias)"""
    # your turn: db and dw of (7.6), and the one line (7.9)
    axes, m = (0, *range(2, dy.ndim)), dy.numel() // dy.shape[1]
    db, dw = dy.sum(axes, keepdim=True), (dy * xhat).sum(axes, keepdim=True)  # (7.6)
    dx = (weight / (var + eps).sqrt()).view_as(db) * (dy - db / m - xhat * dw / m)  # (7.9)
    return dx, dw.flatten(), db.flatten()


def running_statistics(running_mean, running_var, mean, var, m, momentum=0.1):
    """Both (C,), moved towards the batch's by a share `momentum`; var is the batch's own, over m."""
    # your turn: (7.10), and the same for the mean without its factor
    moved = (1 - momentum) * running_var + momentum * var * m / (m - 1)  # (7.10)
    return (1 - momentum) * running_mean + momentum * mean, moved


# %% [markdown]
# ## Check: the library's cases, then five batches beside torch's own layer

# %% tags=["check"]
report = check(kaiming_uniform, batchnorm_forward, batchnorm_backward, running_statistics)
print(report)
assert report, "\n".join(report.sentences)
theirs = torch.nn.BatchNorm1d(3).double()
mean, var = torch.zeros(3).double(), torch.ones(3).double()
for _ in range(5):
    x = torch.randn(8, 3, generator=generator, dtype=torch.float64) * 2 + 1
    theirs(x)
    mean, var = running_statistics(mean, var, *batchnorm_forward(x, w, b)[2:], m=8)
assert torch.allclose(mean, theirs.running_mean), "the running mean is not torch's"
assert torch.allclose(var, theirs.running_var), "the running variance is not torch's"

# %% [markdown]
# ## See it: ten layers learn, or do not
#
# Ten layers and an output, 60 steps of Adam. The dotted line is what a network gets that answers every digit
# with the *same* grey picture, the mean of all: whoever stands there has learned nothing of digits.

# %%
plain, losses = (digits - digits.mean(dim=0)).square().mean().item(), {}
print(f"the mean picture   loss {plain:.3f}")
for kind in KINDS:
    model = Sequential(*deep(kind, depth=10))
    optimizer = Adam(model.parameters(), lr=3e-3)
    losses[kind] = [train_step(model, optimizer, digits[k % 10 :: 10]).item() for k in range(60)]
    print(f"{kind:<17}  loss {sum(losses[kind][-10:]) / 10:.3f}")
usual, he, batchnorm = (sum(losses[kind][-10:]) / 10 for kind in KINDS)
assert batchnorm < he < 0.98 * plain and abs(usual / plain - 1) < 0.05

# %% tags=["picture"]
# alt: Loss over 60 steps. With the usual weights it falls late and in jumps, and stops at the dotted line of the
#   mean picture. With He's weights it falls at once and goes a little below the line; with BatchNorm lowest.
figure, ax = plt.subplots(figsize=(7, 2.8))
for (kind, curve), style in zip(losses.items(), ["-", "--", "-."], strict=True):
    ax.plot(curve, style, color=KINDS[kind], label=kind)
ax.axhline(plain, color="#555555", ls=":", label="the mean picture")
ax.set(xlabel="step", ylabel="loss", ylim=(0.12, 0.6))
ax.legend()

# %% [markdown]
# ## Break it
#
# **1. A bias before BatchNorm.** What does its gradient look like? (Ask (7.11), or your common sense.)

# %% tags=["predict"]
model = Sequential(Linear(196, 8, generator=generator), BatchNorm1d(8))
model.backward(torch.randn(model(digits).shape, generator=generator))
dweight, dbias = (p.grad.abs().max().item() for p in model[0].parameters())
print(f"largest number of dweight {dweight:.1g}, of dbias {dbias:.0e}")
assert dbias < 1e-3 < 1 < dweight

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# It is 0, up to rounding: it sums the `dx` of (7.11), and $e^\top P = (P e)^\top = 0$. So `deep` leaves it out.
#
# </details>
#
# **2. Training mode for ever.** Two digits are sent through a trained layer together. Does the first one's
# answer depend on who the second is?

# %% tags=["predict"]
layer = BatchNorm1d(196)
for k in range(10):
    layer(digits[k::10])
for mode in (True, False):
    layer.train(mode)
    apart = (layer(digits[[0, 1]])[0] - layer(digits[[0, 2]])[0]).abs().max().item()
    print(f"training={mode}: the first digit's answers differ by {apart:.2g}")
    assert apart > 1.9 if mode else apart == 0

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# Training mode compares the two: the larger value gets 1, the other $-1$. `eval()` takes the running statistics.
#
# </details>
#
# ## Recap card
#
# | | formula | shape | line of code |
# |---|---|---|---|
# | He | $B = \sqrt{6 / ((1 + a^2)\, n)}$ | (O, I) | `torch.empty(shape).uniform_(-bound, bound)` |
# | forward | $y = w (x - \mu) / s + b$ | (N, C) | `weight * (x - mean) / (var + eps).sqrt() + bias` |
# | backward | $dx = \frac{w}{s} P\, dy$ | (N, C) | `weight / s * (dy - dbias / m - xhat * dweight / m)` |
# | later | $v \leftarrow (1 - p)\, v + p\, \sigma^2 m / (m - 1)$ | (C,) | `(1 - p) * v + p * var * m / (m - 1)` |
#
# ## Assignment
#
# [**hw4**](../course.md) asks for BatchNorm. Read `scratchae/layers/batchnorm.py` and `scratchae/layers/init.py`.
