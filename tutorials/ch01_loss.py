# %% [markdown]
# # 1. How wrong, and which way?
#
# ## The question
#
# A network was given a digit and drew another. Two questions have to be answered before anything can be learned.
# *How wrong is it*, all in all, as one number? And for each single pixel: *which way should it move*, and how
# much does it matter? The first number is the **loss**. The second is a whole picture of numbers, the
# **gradient**. In this chapter you write both, and then a tool that will judge every gradient that you ever
# write.

# %%
import math

import matplotlib.pyplot as plt
import torch

from scratchae.checking import check
from scratchae.plots.style import STYLE

plt.rcParams.update(STYLE)

# %% [markdown]
# ## One picture
#
# Take one pixel that should be $t = 2$, and draw the loss over what the network might say, the prediction $p$.
# The difference is squared, so that too much and too little both count. The curve is a bowl. To find the
# bottom you need no map: the **slope** at your place says which way is up, so you go the other way. The slope is
# steeper further out, so it also says how far the bottom still is.

# %% tags=["picture"]
# alt: A parabola with its lowest point at the target, 2. At a prediction of 5 its tangent rises steeply, with
#   slope 6; at 1 its tangent falls, with slope −2. Arrows point from both places towards the target.
figure, ax = plt.subplots(figsize=(7, 3))
p = torch.linspace(-1, 6.5, 200)
ax.plot(p, (p - 2) ** 2, color="#0072b2")
for place, colour in [(5.0, "#d55e00"), (1.0, "#009e73")]:
    loss, slope = (place - 2) ** 2, 2 * (place - 2)
    near = torch.tensor([place - 0.9, place + 0.9])
    ax.plot(near, loss + slope * (near - place), color=colour, lw=2.5)
    ax.plot([place], [loss], "o", color=colour)
    ax.text(place + 0.3, loss - 2 if slope > 0 else loss + 1, f"slope {slope:+.0f}", color=colour)
    arrow = {"arrowstyle": "->", "color": colour, "lw": 1.5}
    ax.annotate("", (place - 0.25 * slope, -1.5), (place, -1.5), arrowprops=arrow)
ax.axvline(2, color="#888888", lw=1, ls=":")
ax.set(xlabel="prediction p", ylabel="loss (p − 2)²", ylim=(-2.5, 18), yticks=range(0, 19, 3))

# %% [markdown]
# ## By hand: two samples, three pixels
#
# Here is what was said, `p`, and what is true, `t`. Take a pencil: subtract, square, add up, divide by six.

# %%
p = torch.tensor([[1.0, 5, 0], [2, 2, 4]])
t = torch.tensor([[0.0, 2, 0], [2, 4, 5]])
loss = (p - t).square().mean()
print(p - t, loss, sep="\n")
assert loss == (1 + 9 + 0 + 0 + 4 + 1) / 6 == 2.5

# %% [markdown]
# Now move one pixel: `p[0, 1]` from 5 to $5 + h$. Its difference was 3 and becomes $3 + h$; the other five stay.
# The loss grows by $((3 + h)^2 - 9)/6 = (6h + h^2)/6$, for a small $h$ by $h$ times 1. So the slope there is 1.
# With `p[1, 1]`, which is too low by 2, it is $((-2 + h)^2 - 4)/6 = (-4h + h^2)/6$: the slope is $-4/6$, and the
# loss *falls* if the pixel grows. Where a pixel is right, as `p[1, 0]` is, the slope is 0. Try it with a small
# step:

# %%
h = 0.001
for place, by_hand in [((0, 1), 1), ((1, 1), -4 / 6), ((1, 0), 0)]:
    moved = p.clone()
    moved[place] += h
    slope = ((moved - t).square().mean() - loss) / h
    print(f"p[{place[0]}, {place[1]}]: {slope.item():.2f}")
    assert abs(slope - by_hand) < 0.002

# %% [markdown]
# ## Derivation
#
# Number all elements $k = 1 \ldots n$, samples and pixels in one row. The **mean squared error** is
#
# $$ L = \frac{1}{n} \sum_k (p_k - t_k)^2 \tag{1.1} $$
#
# The slope in one element $p_j$ is what is left of a ratio when the step $h$ shrinks. This course calls it
# $dp_j$:
#
# $$ dp_j = \frac{\partial L}{\partial p_j} = \lim_{h \to 0} \frac{L(p_j + h) - L(p_j)}{h} \tag{1.2} $$
#
# If only $p_j$ moves, all terms of (1.1) but the one with $k = j$ cancel in the difference. Write
# $d = p_j - t_j$:
#
# $$ L(p_j + h) - L(p_j) = \frac{(d + h)^2 - d^2}{n} = \frac{2 d h + h^2}{n} \tag{1.3} $$
#
# Divide by $h$, which leaves $(2d + h)/n$, and let $h$ go to 0:
#
# $$ dp_j = \frac{2}{n} (p_j - t_j) \tag{1.4} $$
#
# **A slope without a formula.** (1.2) can be used as it stands, with a small $h$, for *any* smooth function $f$
# of a number $x$. How wrong is that? With the derivatives $f'$, $f''$, $f'''$ of $f$, Taylor's series says what
# $f$ does on both sides of $x$:
#
# $$ f(x \pm h) = f(x) \pm h f'(x) + \tfrac{h^2}{2} f''(x) \pm \tfrac{h^3}{6} f'''(x) + \ldots \tag{1.5} $$
#
# Take $f(x)$ away and divide by $h$: $f'(x) + \frac{h}{2} f''(x) + \ldots$, with an error that shrinks like $h$.
# But subtract the two sides from *each other*: $f(x)$ and the $f''$ cancel, the others double, and
# $2 h f'(x) + \frac{h^3}{3} f'''(x) + \ldots$ is left. Divided by $2h$, this is the **central difference**:
#
# $$ \frac{f(x + h) - f(x - h)}{2h} = f'(x) + \tfrac{h^2}{6} f'''(x) + \ldots \tag{1.6} $$
#
# Its error shrinks like $h^2$. So should $h$ be as small as can be? No: a computer rounds. A value of $f$ is off
# by up to about $\varepsilon |f|$, where $\varepsilon$ is the distance from 1 to the next larger number that the
# computer has. The difference of two values may be off by twice as much, and (1.6) divides that by $2h$. With
# the $h^2$ of (1.6), the error $E$ is about
#
# $$ E(h) \approx \frac{\varepsilon |f|}{h} + \frac{h^2}{6} |f'''| \tag{1.7} $$
#
# The first part falls with $h$ and the second grows. In between, where the derivative of $E$ is 0, it is best:
# $-\varepsilon |f| / h^2 + h |f'''| / 3 = 0$. Multiply by $3 h^2 / |f'''|$ and take the third root:
#
# $$ h_\text{best} = \left( 3 \varepsilon \frac{|f|}{|f'''|} \right)^{1/3} \tag{1.8} $$
#
# ## Matrix form
#
# In (1.4) every element does the same thing for itself. So it is one line for a tensor of any shape,
#
# $$ dp = \frac{2}{n} (p - t) \tag{1.9} $$
#
# and $dp$ has the shape of $p$, as every gradient has the shape of what it belongs to.
#
# ## Code
#
# The sums as they stand, one element after the other:

# %%
n, total, dp = p.numel(), 0.0, torch.zeros_like(p)
for row in range(2):
    for column in range(3):
        d = p[row, column] - t[row, column]
        total += d**2 / n  # (1.1)
        dp[row, column] = 2 * d / n  # (1.4)
print(total.item(), dp, sep="\n")
assert math.isclose(total, 2.5, rel_tol=1e-6) and dp[0, 1] == 1 and dp[1, 0] == 0  # as by hand
assert math.isclose(dp[1, 1], -4 / 6, rel_tol=1e-6)

# %% [markdown]
# ## Write it
#
# First the loss and its gradient, for tensors of any shape, without a loop.


# %% tags=["write-it"]
def mse_forward(prediction, target):
    """The mean squared error of two tensors of one shape, a tensor of shape ()."""
    # your turn: (1.1), in one line
    return (prediction - target).square().mean()  # (1.1)


def mse_backward(prediction, target):
    """dprediction, of the prediction's shape."""
    # your turn: (1.9), in one line
    return (prediction - target) * (2 / prediction.numel())  # (1.9)


# %% [markdown]
# ## Check

# %% tags=["check"]
report = check(mse_forward, mse_backward)
print(report)
assert report, "\n".join(report.sentences)

# %% [markdown]
# ## Write it: the judge
#
# Now a function that finds the gradient of *anything*, from (1.6), one element at a time. `f` takes a tensor
# like `x` and gives one number.


# %% tags=["write-it"]
def numeric_grad(f, x, h=1e-5):
    """The gradient of f at x by central differences, of x's shape; x stays as it is."""
    # your turn: for each element, two values of f and (1.6)
    grad = torch.zeros_like(x)
    for k in range(x.numel()):
        step = torch.zeros_like(x)
        step.view(-1)[k] = h
        grad.view(-1)[k] = (f(x + step) - f(x - step)) / (2 * h)  # (1.6)
    return grad


# %% [markdown]
# ## Check: on a function that one can do by hand
#
# For $f(x) = \sum x^3$ the central difference is $((x + h)^3 - (x - h)^3) / (2h) = 3x^2 + h^2$. With a step as
# large as a quarter, each mistake has a number of its own:

# %% tags=["check"]
at = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
got = numeric_grad(lambda x: (x**3).sum(), at, h=0.25)
known = {
    "this is f(x + h) − f(x) over h, from one side: the other side is f(x − h)": [
        [3.8125, 10.5625]
    ],
    "the sum is divided by h: the two points are 2 h apart": [[6.125, 24.125]],
    "nothing is divided: the two points are 2 h apart": [[1.53125, 6.03125]],
    "all elements moved at once: move one, and leave the others": [[15.125, 15.125]],
    "the sign is wrong: f(x + h) comes first": [[-3.0625, -12.0625]],
}
assert at.tolist() == [[1.0, -2.0]], "x has been changed: move a copy"
assert isinstance(got, torch.Tensor) and got.shape == at.shape, f"want a tensor like x, got {got!r}"
for sentence, numbers in known.items():
    assert got.tolist() != numbers, sentence
assert torch.allclose(got, 3 * at**2 + 0.0625), f"wanted [[3.0625, 12.0625]], got {got.tolist()}"
print("numeric_grad is right")

# %% [markdown]
# And now the judge sits in judgement: is your `mse_backward` the slope of your `mse_forward`?

# %%
generator = torch.Generator().manual_seed(0)
p, t = torch.randn(2, 4, 5, generator=generator, dtype=torch.float64)
difference = numeric_grad(lambda p: mse_forward(p, t), p) - mse_backward(p, t)
print(f"largest difference {difference.abs().max().item():.0e}")
assert difference.abs().max() < 1e-9

# %% [markdown]
# ## See it: the best step
#
# How good is (1.8)? Take $f = \sin$ at 1. Its slope is $\cos 1$, and $|f'''|$ is $\cos 1$, too, so
# $|f| / |f'''|$ is $\tan 1$. Try 121 steps from $10^{-12}$ to 1, in numbers of 32 bits and of 64.

# %%
steps = torch.logspace(-12, 0, 121, dtype=torch.float64)
errors, best, theory = {}, {}, {}
for dtype in (torch.float32, torch.float64):
    one, h = torch.ones((), dtype=dtype), steps.to(dtype)
    slopes = (torch.sin(one + h) - torch.sin(one - h)) / (2 * h)  # (1.6)
    errors[dtype] = (slopes.double() - math.cos(1)).abs().clamp(min=1e-17)
    best[dtype] = steps[errors[dtype].argmin()].item()
    eps = torch.finfo(dtype).eps
    theory[dtype] = h = (3 * eps * math.tan(1)) ** (1 / 3)  # (1.8)
    error = eps * math.sin(1) / h + h**2 * math.cos(1) / 6  # (1.7)
    print(f"{dtype}: best step {best[dtype]:.0e}; by theory {h:.0e}, with an error of {error:.0e}")
    assert 0.1 < best[dtype] / h < 10
    assert round(-math.log10(error / math.cos(1))) == {torch.float32: 4, torch.float64: 10}[dtype]

# %% tags=["picture"]
# alt: The error of a central difference over the step from 1e-12 to 1, both axes logarithmic, each curve a V.
#   From the right both fall along one straight line of slope two. The 32-bit curve turns up and scatters from a
#   step of about 1e-2 and an error of 1e-5 on, the 64-bit curve from about 1e-5 and an error of 1e-11 on. Below
#   a step of about 5e-8 the 32-bit curve is flat. Dotted lines at the steps that theory calls best stand beside
#   both turning points.
figure, ax = plt.subplots(figsize=(7, 3.4))
for dtype, colour, mark in [(torch.float32, "#d55e00", "^"), (torch.float64, "#0072b2", "o")]:
    ax.loglog(
        steps, errors[dtype], mark, ms=3, color=colour, label=str(dtype).removeprefix("torch.")
    )
    ax.axvline(theory[dtype], color=colour, ls=":", label="best by (1.8)")
ax.loglog(
    steps[60:], steps[60:] ** 2 * math.cos(1) / 6, color="#555555", lw=1, label="h² |f'''| / 6"
)
ax.set(xlabel="step h", ylabel="error of the slope", ylim=(1e-14, 10))
ax.legend(loc="lower left")

# %% [markdown]
# On the right the curve of $f$ spoils the slope, on the left rounding does. By theory the slope has about four
# right places with 32 bits and about ten with 64; that is why gradients are checked with 64.
#
# ## Break it
#
# **1. As small as possible.** Somebody takes $h = 10^{-20}$, "because it has to go to 0". Which slope of $\sin$
# at 1 comes out?

# %% tags=["predict"]
slope = numeric_grad(torch.sin, torch.ones(1, dtype=torch.float64), h=1e-20)
print(slope.item())
assert slope == 0 and torch.isclose(errors[torch.float32][0], torch.tensor(math.cos(1)).double())

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# $1 + 10^{-20}$ and $1 - 10^{-20}$ are both rounded to 1. So both values of $f$ are the same, and the slope is
# 0, whatever $f$ is. The flat left end of the 32-bit curve above is just this.
#
# </details>
#
# **2. The sum in place of the mean.** One number $b$ is to be the same as the target in all $N$ samples. It
# learns by steps against its gradient: 0.1 times $db$ is taken away from $b$, again and again. The 0.1 is called
# the **learning rate**. With the sum of squares, $db$ is $\sum_k 2 (b - t_k)$; with the mean, that is divided by
# $N$. The learning rate 0.1 worked for 4 samples. What will 64 do?

# %% tags=["predict"]
for samples in (4, 64):
    for name, divide in (("mean", samples), ("sum", 1)):
        b = 0.0
        for _ in range(10):
            b -= 0.1 * samples * 2 * (b - 1) / divide  # every target is 1
        print(f"{samples:>2} samples, {name:<4}  b = {b:.4g}")
assert abs(b) > 1e9 and math.isclose(b - 1, -((1 - 0.2 * 64) ** 10))

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# With the sum, 64 samples make the step 16 times as long as 4 do. Every step multiplies $b - 1$, the distance to
# the target, by $1 - 0.2 N$: that is 0.2 for 4 samples and $-11.8$ for 64, which throw $b$ over the target,
# further each time. With the mean the factor is 0.8 for any $N$: one learning rate suits 4 samples and 64.
#
# </details>
#
# ## Recap card
#
# | | formula | shape | line of code |
# |---|---|---|---|
# | loss | $L = \frac1n \sum_k (p_k - t_k)^2$ | () | `(p - t).square().mean()` |
# | gradient | $dp = \frac2n (p - t)$ | that of p | `(p - t) * (2 / p.numel())` |
# | the judge | $\frac{f(x + h) - f(x - h)}{2h}$ | that of x | `(f(x + step) - f(x - step)) / (2 * h)` |
#
# Check gradients in 64 bits, with $h$ about $10^{-5}$.
#
# ## Assignment
#
# [**hw1**](../course.md) asks for this loss. The library's is `scratchae/losses/mse.py`, and its judge, which
# chooses the step by itself and knows how wrong it may be, is `scratchae/checking/differences.py`.
