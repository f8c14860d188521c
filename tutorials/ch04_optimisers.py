# %% [markdown]
# # 4. How big a step?
#
# ## The question
#
# You have a gradient: for every weight, which way is uphill and how steep it is there. So go the other way. But
# *how far*? The gradient does not say. It knows the slope under your feet and nothing of the valley: not how far
# down it goes, nor whether the other wall is near. One number, the **learning rate** $\eta$, has to stand for
# all that, and a network has thousands of weights that may each want another. This chapter derives how large
# $\eta$ may be, what **momentum** does about it, and what **Adam** does, which you will write.

# %%
import matplotlib.pyplot as plt
import torch

from scratchae.checking import check
from scratchae.data import load
from scratchae.layers import Linear, ReLU, Sequential, Tanh
from scratchae.optim import SGD, Adam
from scratchae.plots.style import STYLE
from scratchae.step import train_step

plt.rcParams.update(STYLE)

# %% [markdown]
# ## One picture
#
# A loss of two weights, seen from above: a **ravine**. Along it the ground falls gently, across it the walls are
# steep. One learning rate has to serve both. Where it is right for the gentle direction it is too large for the
# steep one, and the path jumps from wall to wall.

# %%
curvature = torch.tensor([1.0, 25.0])  # how fast the slope grows along θ₀, and across, along θ₁


def ravine(theta):
    return 0.5 * (curvature * theta**2).sum(dim=-1)


def descend(optimizer, start=(10.0, 2.0), slope=lambda theta: curvature * theta, **settings):
    theta = torch.tensor(start)
    stepper, path = optimizer([theta], **settings), [theta.clone()]
    for _ in range(30):
        stepper.zero_grad()
        theta.grad += slope(theta)
        stepper.step()
        path.append(theta.clone())
    return torch.stack(path)  # (31, 2)


def draw_paths(axes, paths, colours=("#0072b2", "#e69f00", "#009e73")):
    along, across = torch.linspace(-4, 11, 120), torch.linspace(-3.4, 3.4, 120)
    heights = ravine(torch.stack(torch.meshgrid(along, across, indexing="xy"), dim=-1))
    for ax, (title, path), colour in zip(axes, paths.items(), colours, strict=True):
        ax.contour(along, across, heights, [1, 5, 15, 30, 50, 80, 120], colors="#bbbbbb")
        ax.plot(*path.T, "o-", color=colour, ms=3, lw=1)
        ax.plot(0, 0, "k*", ms=9, zorder=5)
        ax.set(title=title, xlim=(-4, 11), ylim=(-3.4, 3.4), xlabel="θ₀, gentle")
    axes[0].set_ylabel("θ₁, steep")


# %% tags=["picture"]
# alt: Three maps of one long, narrow valley. With a learning rate of 0.01 the path goes straight to the
#   floor of the valley and then creeps along it, and after 30 steps has a long way to go. With 0.077 it
#   jumps from wall to wall, less each time, and comes near the lowest point. With 0.081 the jumps grow.
rates = {"too small": 0.01, "best": 1 / 13, "too large": 0.081}
walks = {f"η = {lr:.3f}, {words}": descend(SGD, lr=lr) for words, lr in rates.items()}
_, axes = plt.subplots(1, 3, figsize=(7, 2.3), sharey=True)
draw_paths(axes, walks, ["#0072b2"] * 3)

# %% [markdown]
# ## By hand: two weights, a few steps
#
# The loss of the ravine is $\frac12 (\theta_0^2 + 25\,\theta_1^2)$. Its slopes are $\theta_0$ and
# $25\,\theta_1$. Start at $(10, 1)$ with $\eta = 0.06$, and take a pencil. The slopes are 10 and 25, so the
# first step leads to $(10 - 0.6,\; 1 - 1.5) = (9.4,\; -0.5)$. The second: slopes 9.4 and $-12.5$, to
# $(9.4 - 0.564,\; -0.5 + 0.75) = (8.836,\; 0.25)$. One weight crawls, by 6 % a step; the other jumps over the
# bottom and is on the far side each time, half as far away.
#
# **Momentum**, by hand. Let $v \leftarrow 0.5\,v + g$ collect the slopes. Where the slope is 1 three times in a
# row, $v$ is 1, then 1.5, then 1.75: on its way to $2 = 0.5 \cdot 2 + 1$. Where it is $1, -1, 1$, as across the
# ravine, $v$ is 1, then $-0.5$, then 0.75. What agrees adds up, what contradicts itself cancels.
#
# **Adam**, by hand. Two weights have the gradients 4 and $-400$. Adam keeps an average of the gradient, and an
# average of its square. After one step these are 4 and $4^2$ for the first weight, $-400$ and $400^2$ for the
# second. It goes by the one divided by the root of the other: $4/4 = 1$ and $-400/400 = -1$. Both weights make a
# step of $\eta$, one down and one up, and the hundredfold gradient does not count.

# %%
path = descend(SGD, start=(10.0, 1.0), lr=0.06)
assert torch.allclose(path[1:3], torch.tensor([[9.4, -0.5], [8.836, 0.25]]))
v = [torch.zeros(2)]
for g in ([1.0, 1.0], [1.0, -1.0], [1.0, 1.0]):  # slopes along and across, three steps
    v.append(0.5 * v[-1] + torch.tensor(g))
assert torch.stack(v[1:]).tolist() == [[1, 1], [1.5, -0.5], [1.75, 0.75]]
path = descend(Adam, start=(0.0, 0.0), slope=lambda _: torch.tensor([4.0, -400.0]), lr=0.5)
assert torch.allclose(path[1], torch.tensor([-0.5, 0.5]))

# %% [markdown]
# ## Derivation
#
# **How large may the step be?** Plain descent, for every weight $i$ with gradient $g_i$, is
#
# $$ \theta_i \leftarrow \theta_i - \eta\, g_i \tag{4.1} $$
#
# In a ravine $L = \frac12 \sum_i c_i \theta_i^2$ the slope is $g_i = c_i \theta_i$, where $c_i > 0$ is the
# **curvature**. Put that into (4.1):
#
# $$ \theta_i \leftarrow (1 - \eta c_i)\, \theta_i \tag{4.2} $$
#
# Every step multiplies the distance by the same factor. It shrinks if and only if $-1 < 1 - \eta c_i < 1$, which
# is $0 < \eta < 2 / c_i$. That has to hold for all weights, so the *steepest* sets the limit:
#
# $$ \eta < \frac{2}{c_\text{max}} \tag{4.3} $$
#
# And the best $\eta$? As it grows, the gentlest direction's factor, $1 - \eta c_\text{min}$, falls, but the
# steepest's, $\eta c_\text{max} - 1$ once it overshoots, grows; no other's is above both. The larger one counts,
# and is least where both are the same, $1 - \eta c_\text{min} = \eta c_\text{max} - 1$. Solve for $\eta$, put it
# back, and write $\kappa = c_\text{max} / c_\text{min}$:
#
# $$ \eta = \frac{2}{c_\text{min} + c_\text{max}} \qquad
#  \text{factor} = 1 - \frac{2 c_\text{min}}{c_\text{min} + c_\text{max}} = \frac{\kappa - 1}{\kappa + 1}
#  \tag{4.4} $$
#
# **Momentum** steps by a sum of gradients, in which older ones count less, with $0 < \mu < 1$:
#
# $$ v \leftarrow \mu v + g \qquad \theta \leftarrow \theta - \eta v \tag{4.5} $$
#
# Number the steps, and look along one direction, $g = c\,\theta$. As $v_t = (\theta_{t-1} - \theta_t)/\eta$,
# $\theta_{t+1} = \theta_t - \eta\,(\mu v_t + c\,\theta_t)$ is
#
# $$ \theta_{t+1} = (1 + \mu - \eta c)\,\theta_t - \mu\,\theta_{t-1} \tag{4.6} $$
#
# Try $\theta_t = r^t$ and divide by $r^{t-1}$: it has to be $r^2 - (1 + \mu - \eta c)\, r + \mu = 0$. Its
# solutions $r_1$ and $r_2$ give paths, and so does any mixture $a r_1^t + b r_2^t$, as (4.6) only adds and
# scales. With the $a$ and $b$ that meet the first two points it is *your* path: it shrinks as the larger $|r|$
# does. As $(r - r_1)(r - r_2) = r^2 - (r_1 + r_2)\, r + r_1 r_2$, the product is $\mu$. Complex ones are mirror
# images, $r$ and $\bar r$, so $\mu = r \bar r = |r|^2$. They are complex where $(1 + \mu - \eta c)^2 < 4 \mu$,
# so where $|1 + \mu - \eta c| < 2\sqrt\mu$. Since $1 + \mu \mp 2\sqrt\mu = (1 \mp \sqrt\mu)^2$:
#
# $$ |r| = \sqrt{\mu} \quad \text{wherever} \quad (1 - \sqrt\mu)^2 < \eta c < (1 + \sqrt\mu)^2 \tag{4.7} $$
#
# Read this twice. *Every* direction whose curvature lies in that wide range shrinks by the **same** factor.
# Stretch the range until it just holds $c_\text{min}$ and $c_\text{max}$, so that
# $\kappa = (1 + \sqrt\mu)^2 / (1 - \sqrt\mu)^2$. Take the root, and solve for $\sqrt\mu$:
#
# $$ \text{factor} = \sqrt\mu = \frac{\sqrt\kappa - 1}{\sqrt\kappa + 1} \tag{4.8} $$
#
# It is (4.4) with the *root* of $\kappa$. **Adam** goes another way: it gives every weight a step of its own.
#
# $$ m \leftarrow \beta_1 m + (1 - \beta_1)\, g \qquad v \leftarrow \beta_2 v + (1 - \beta_2)\, g^2 \tag{4.9} $$
#
# Both start at 0, so they are too small at first. By how much? Put (4.9) into itself, with $\beta$ for $\beta_1$
# (for $v$, $\beta_2$ and $g^2$): by step $t$ the gradient of step $k$ has met $1 - \beta$ once and $\beta$ in
# each of the $t - k$ steps since, so $m_t = (1 - \beta) \sum_{k=1}^t \beta^{t-k} g_k$. An average's weights add
# up to 1, these to
#
# $$ (1 - \beta)(1 + \beta + \ldots + \beta^{t-1}) = 1 - \beta^t \tag{4.10} $$
#
# because in the product all but the first and the last term cancel. Dividing by it makes a true average:
#
# $$ \hat m = \frac{m}{1 - \beta_1^t} \qquad \hat v = \frac{v}{1 - \beta_2^t} \qquad
#  \theta \leftarrow \theta - \eta\, \frac{\hat m}{\sqrt{\hat v} + \varepsilon} \tag{4.11} $$
#
# The tiny $\varepsilon$ is there so that nobody divides by 0. If all gradients are $s$ times as large, with
# $s > 0$, so are $\hat m$ and $\sqrt{\hat v}$, and the step is the same, but for $\varepsilon$: **Adam looks at
# signs and at how much they agree, not at sizes.** One addition: to keep weights small, one adds
# $\frac{\lambda}{2} \sum \theta^2$ to the loss. Its slope is $\lambda \theta$, so **weight decay** is
#
# $$ g \leftarrow g + \lambda\, \theta \tag{4.12} $$
#
# ## Matrix form
#
# A ravine need not lie along the axes. Let $A$ be symmetric, and $L = \frac12 \theta^\top A\, \theta$, the sum
# of all $\frac12 \theta_i A_{i,j} \theta_j$. As $\theta_p$ occurs in row $p$ and in column $p$, its slope is
# $\frac12 \sum_j (A_{p,j} + A_{j,p})\, \theta_j$, number $p$ of $A \theta$, and (4.2) is
# $\theta \leftarrow (I - \eta A)\, \theta$. By the *spectral theorem* a symmetric matrix is a diagonal one seen
# from a rotated place, $A = Q\, \text{diag}(c)\, Q^\top$ with $Q^\top Q = I$. Multiply the step by $Q^\top$: it
# is $Q^\top \theta \leftarrow (I - \eta\, \text{diag}(c))\, Q^\top \theta$, so each coordinate of
# $Q^\top \theta$ follows (4.2), and all up to (4.8) holds in any direction. (4.11) does *not*: its root is taken
# weight by weight, along the axes. As all weights are treated alike, one flat vector can hold a network.
#
# ## Code
#
# (4.1) and (4.5), weight by weight, beside the library's SGD. By (4.4) the distance should shrink by
# $24/26 = 0.923$ a step; with momentum, by (4.7), by $\sqrt{0.5} = 0.707$ (but $a$ and $b$ count too).


# %%
def descend_by_loops(lr, momentum):
    theta, v = [10.0, 2.0], [0.0, 0.0]
    for _ in range(30):
        for i in range(2):
            v[i] = momentum * v[i] + curvature[i].item() * theta[i]  # (4.5)
            theta[i] -= lr * v[i]  # (4.5); with momentum 0 it is (4.1)
    return torch.tensor(theta)


for lr, momentum in [(1 / 13, 0.0), (0.1, 0.5)]:
    path = descend(SGD, lr=lr, momentum=momentum)
    assert torch.allclose(path[-1], descend_by_loops(lr, momentum), atol=1e-5)
    print(f"a factor of {(path[-1].norm() / path[0].norm()).item() ** (1 / 30):.3f} a step")

# %% [markdown]
# ## Write it
#
# One step of Adam. `t` counts from 1; `value`, `exp_avg` and `exp_avg_sq` are changed *in place*, `grad` is not.
# `max_exp_avg_sq` is for a variant, **AMSGrad**: where it is not `None` it holds the largest `exp_avg_sq` so far
# (update it) and takes its place in (4.11), so that what once was steep is never trusted again.


# %% tags=["write-it"]
def adam_update(value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq):
    """Step t of Adam: changes value, m = exp_avg and v = exp_avg_sq, all of one shape."""
    # your turn: (4.12), (4.9) in place, AMSGrad's largest, (4.11)
    (beta1, beta2), m, v = betas, exp_avg, exp_avg_sq
    g = grad + weight_decay * value  # (4.12)
    m.mul_(beta1).add_((1 - beta1) * g)  # (4.9)
    v.mul_(beta2).add_((1 - beta2) * g**2)  # (4.9)
    if max_exp_avg_sq is not None:
        v = max_exp_avg_sq.copy_(torch.maximum(max_exp_avg_sq, v))
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    value -= lr * m_hat / (v_hat.sqrt() + eps)  # (4.11)


# %% [markdown]
# ## Check

# %% tags=["check"]
report = check(adam_update)
print(report)
assert report, "\n".join(report.sentences)

# %% [markdown]
# A single step may be right by luck. Fifty in a row, with a new gradient each, beside torch's own Adam:

# %% tags=["check"]
generator = torch.Generator().manual_seed(0)
mine = torch.randn(20, generator=generator, dtype=torch.float64)
theirs, m, v = mine.clone(), torch.zeros_like(mine), torch.zeros_like(mine)
reference = torch.optim.Adam([theirs], lr=0.01, weight_decay=0.1)
for t in range(1, 51):
    theirs.grad = torch.randn(20, generator=generator, dtype=torch.float64)
    adam_update(mine, theirs.grad, m, v, t, 0.01, (0.9, 0.999), 1e-8, 0.1, None)
    reference.step()
assert torch.allclose(mine, theirs, rtol=1e-10), "after 50 steps it is not where torch's Adam is"

# %% [markdown]
# ## See it: three ways down

# %%
ways = {"SGD": {"optimizer": SGD, "lr": 1 / 13}}
ways["momentum"] = {"optimizer": SGD, "lr": 0.1, "momentum": 0.5}
ways["Adam"] = {"optimizer": Adam, "lr": 0.5}
paths = {name: descend(**way) for name, way in ways.items()}
lost = {name: ravine(path)[30].item() for name, path in paths.items()}
assert lost["momentum"] < 1e-5 and 0.1 < lost["SGD"] < 2 and 0.1 < lost["Adam"] < 2

# %% tags=["picture"]
# alt: Three maps of the ravine. SGD zigzags between the walls. Momentum zigzags at first, swings past and comes in
#   to the lowest point. Adam goes diagonally to the floor, overshoots in a wide curve, and swings back.
_, axes = plt.subplots(1, 3, figsize=(7, 2.3), sharey=True)
draw_paths(axes, {f"{name}: loss {lost[name]:.2g}": path for name, path in paths.items()})

# %% [markdown]
# Momentum wins by far, but look who helped it: we *knew* the curvatures and took $\eta$ and $\mu$ from (4.7).
# Adam knew nothing, and its first step is as long along the floor as it is across. In a network nobody knows the
# curvatures. So here is what counts in practice: a small autoencoder on digits of 14 by 14 pixels, 30 steps,
# with eight learning rates for each way down (and the usual momentum of 0.9).

# %%
pixels = load("sample").train.pixels[:1000].float() / 127.5 - 1  # ink from −1 to 1
digits = pixels.reshape(-1, 14, 2, 14, 2).mean(dim=(2, 4)).flatten(1)  # (1000, 196)


def loss_after_30(optimizer, **settings):
    g = torch.Generator().manual_seed(0)
    model = Sequential(Linear(196, 16, generator=g), ReLU(), Linear(16, 196, generator=g), Tanh())
    stepper = optimizer(model.parameters(), **settings)
    losses = [train_step(model, stepper, digits[k % 10 :: 10]).item() for k in range(30)]
    return sum(losses[-5:]) / 5


rates, best = [0.001, 0.01, 0.03, 0.1, 0.3, 1, 3, 10], {}
print("learning rate", *[f"{lr:>6g}" for lr in rates])
for name in ways:
    way = ways[name] | ({"momentum": 0.9} if name == "momentum" else {})
    found = [loss_after_30(**way | {"lr": lr}) for lr in rates]
    best[name] = rates[found.index(min(found))]
    print(f"{name:<13}", *[f"{loss:6.3f}" for loss in found])
assert best["SGD"] >= 10 * best["Adam"]

# %% [markdown]
# A learning rate means one thing to SGD, where the step is $\eta g$, and another to Adam, where it is about
# $\eta$: here the best are a factor of 10 apart, and more. Never carry one over, or compare two at the same.
#
# ## Break it
#
# **1. Without hats.** Somebody leaves (4.10) out: "that only makes the first steps smaller". Does it? With
# $\beta_1 = 0.9$, $\beta_2 = 0.999$ and the same gradient each time: how long is step $t$, in units of $\eta$?

# %% tags=["predict"]
for t in (1, 10, 1000):
    length = (1 - 0.9**t) / (1 - 0.999**t) ** 0.5  # (4.10)
    print(f"step {t}: {length:.2f} η")

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# First $m$ is 0.1 of what it should be, but $v$, by whose root it is divided, 0.001 of it: the step is
# $0.1 / \sqrt{0.001} = 3.16$ times too *large*. Then $m$ recovers long before $v$: it gets worse, and lasts.
#
# </details>
#
# **2. Turn the map.** The same ravine and start, both turned by 45°. Whose path is not just turned too?

# %% tags=["predict"]
turn = torch.tensor([[1.0, -1.0], [1.0, 1.0]]) / 2**0.5
turned = turn @ torch.diag(curvature) @ turn.T  # the matrix A above
start, apart = (turn @ torch.tensor([10.0, 2.0])).tolist(), {}
for name, way in ways.items():
    path = descend(**way, start=start, slope=lambda theta: turned @ theta) @ turn
    apart[name] = (path - paths[name]).norm(dim=1).max().item()
    before, after = (ravine(walk)[20].item() for walk in (paths[name], path))
    print(f"{name:<8} apart by {apart[name]:.1g}, loss at step 20 {before:.2g}, turned {after:.2g}")
assert max(apart["SGD"], apart["momentum"]) < 1e-3 < 1 < apart["Adam"] and after > 3 * before

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# Adam's. Its root is taken weight by weight, so it can stretch the map along the axes, and along the axes only.
# Where the ravine lies across them both weights have the same steepness, and there is nothing to balance.
#
# </details>
#
# ## Recap card
#
# | | formula | shape | line of code |
# |---|---|---|---|
# | SGD | $\theta - \eta g$ | (P,) | `value -= lr * g` |
# | its limit | $\eta < 2 / c_\text{max}$ | () | |
# | momentum | $v = \mu v + g$ | (P,) | `v.mul_(mu).add_(g)` |
# | Adam | $\theta - \eta \hat m / (\sqrt{\hat v} + \varepsilon)$ | (P,) | `value -= lr * m_hat / (root + eps)` |
#
# The steepest direction sets the limit of $\eta$, the gentlest the time that it takes.
#
# ## Assignment
#
# [**hw2**](../course.md) asks for `adam_update`. The library's is `scratchae/optim/adam.py`, with momentum in
# `scratchae/optim/sgd.py` beside it. `scratchae/optim/base.py` is where all weights become one flat vector.
