# %% [markdown]
# # 2. Where does the transpose come from?
#
# ## The question
#
# A linear layer is the plainest layer there is: every output is a weighted sum of all inputs, in one line
# `y = x @ weight.T + bias`. In many a book its backward pass is `dx = dy @ weight`, `dweight = dy.T @ x`,
# `dbias = dy.sum(dim=0)`. Why a transpose in the second and none in the first? Why a sum, not a mean? Many learn
# these lines by heart, and put the `.T` wherever the shapes stop complaining. After this chapter you can derive
# them in two minutes on the back of an envelope, and you will have written them and know that they are right.
#
# One agreement holds in all chapters: **the gradient of the loss $L$ with respect to `foo` is called `dfoo`**,
# and it has the shape of `foo`. So `dweight[o, i]` answers one question: *if `weight[o, i]` grows by a little,
# how many times as much does the loss grow?* ([Chapter 1](ch01_loss.py) has asked that before.)

# %%
import matplotlib.pyplot as plt
import torch
from matplotlib.colors import ListedColormap

from scratchae.checking import check, gradcheck
from scratchae.data import load
from scratchae.plots.style import STYLE

plt.rcParams.update(STYLE)

# %% [markdown]
# ## One picture
#
# Here is the answer, before any formula. A layer with $I$ inputs and $O$ outputs is given $N$ samples at once.
# Three tables: `dy`, which arrives from the layer behind; `x`, which the layer was given; and `dweight`, which
# we want. **Cell $[o, i]$ of `dweight` is fed by column $o$ of `dy` and column $i$ of `x`, and by nothing
# else.** Cells of one sample (its number stands in them) are multiplied, and the samples are summed.


# %% tags=["picture"]
# alt: Three tables. In dy, with a row for each of three samples and a column for each of two outputs,
#   column o is coloured, each sample in a colour and with a number of its own. In x, a row for each sample
#   and a column for each of four inputs, column i is coloured in the same way. In dweight, two rows and four
#   columns, the one cell in row o and column i has three stripes, numbered 0, 1 and 2, one for each sample.
colours = ListedColormap(["white", "#0072b2", "#e69f00", "#009e73"])
dy_cells, x_cells, dweight_cells = torch.zeros(3, 2), torch.zeros(3, 4), torch.zeros(2, 4)
dy_cells[:, 1] = x_cells[:, 2] = torch.tensor([1, 2, 3])
figure, axes = plt.subplots(1, 3, figsize=(7, 2.2), width_ratios=[2, 4, 4])
for ax, cells in zip(axes, [dy_cells, x_cells, dweight_cells], strict=True):
    ax.pcolormesh(cells, cmap=colours, vmin=0, vmax=3, edgecolors="#555555", linewidth=1)
    ax.set(aspect="equal", ylim=(3, 0), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
axes[2].pcolormesh([2, 2.33, 2.67, 3], [1, 2], [[1, 2, 3]], cmap=colours, vmin=0, vmax=3)
for n, colour in enumerate(["white", "black", "black"]):
    for ax, place in zip(axes, [(1.5, n + 0.5), (2.5, n + 0.5), (2.17 + n / 3, 1.5)], strict=True):
        ax.text(*place, str(n), color=colour, ha="center", va="center")
axes[0].set(title="dy (N, O)", xticks=[1.5], xticklabels=["o"], xlabel="×  the same row of x")
axes[0].set(yticks=[0.5, 1.5, 2.5], yticklabels=["sample 0", "sample 1", "sample 2"])
axes[1].set(title="x (N, I)", xticks=[2.5], xticklabels=["i"], xlabel="summed over the samples")
axes[2].set(title="dweight (O, I)", xticks=[2.5], xticklabels=["i"])
axes[2].set(yticks=[1.5], yticklabels=["o"])

# %% [markdown]
# ## By hand: two samples, three inputs, two outputs
#
# Take a pencil. The numbers are small and whole, and `dy` says how much the rest of the network cares about each
# output; where it comes from is not our business.

# %%
x = torch.tensor([[1.0, 2, 3], [4, 5, 6]])  # (N, I): two samples of three inputs
weight = torch.tensor([[1.0, 0, 2], [2, 1, 0]])  # (O, I): a row of weights for each output
bias = torch.tensor([1.0, -1])  # (O,)
dy = torch.tensor([[1.0, -2], [3, 4]])  # (N, O)

y = x @ weight.T + bias  # (N, O)
print(y)
assert y[0, 0] == 1 * 1 + 2 * 0 + 3 * 2 + 1  # sample 0, output 0

# %% [markdown]
# If `y[1, 1]` grows by a little $h$, the loss grows by $4h$, for `dy[1, 1]` is 4. If several outputs move, their
# effects add up.
#
# **A weight.** Let `weight[0, 2]` grow by $h$. Row 0 of the weights makes output 0, so only column 0 of `y`
# feels it. There it multiplies input 2, which is 3 in the first sample and 6 in the second. So `y[0, 0]` grows
# by $3h$ and `y[1, 0]` by $6h$, and the loss by $1 \cdot 3h + 3 \cdot 6h = 21h$. Hence `dweight[0, 2]` is 21.
# *Both* samples have a say, because both used the same weight.
#
# **A bias.** If `bias[1]` grows by $h$, so do `y[0, 1]` and `y[1, 1]`, and the loss grows by $-2h + 4h$. Hence
# `dbias[1]` is 2. **An input.** If `x[1, 0]` grows by $h$, only sample 1 feels it, but both of its outputs do,
# `y[1, 0]` by $1h$ and `y[1, 1]` by $2h$: the loss grows by $3 \cdot 1h + 4 \cdot 2h$. Hence `dx[1, 0]` is 11.
#
# Do not believe it: let $\sum dy \cdot y$ be the loss (if one output grows by $h$, it grows by $h$ times that
# output's `dy`), move the weight, and see. A step of 1 is not too large: $y$ is a straight line in each number.

# %%
before = (dy * y).sum()
weight[0, 2] += 1
after = (dy * (x @ weight.T + bias)).sum()
weight[0, 2] -= 1
assert after - before == 21

# %% [markdown]
# ## Derivation
#
# Now for any sizes. The layer, number by number, for sample $n$, output $o$ and input $i$:
#
# $$ y_{n,o} = \sum_i x_{n,i} W_{o,i} + b_o \tag{2.1} $$
#
# Let $\theta$ be a weight, a bias or an input: the loss feels it through the outputs, and in no other way. The
# chain rule says that its effect on the loss is the sum of its effects through every output:
#
# $$ \begin{aligned} d\theta = \frac{\partial L}{\partial \theta}
#  &= \sum_n \sum_o \frac{\partial L}{\partial y_{n,o}} \frac{\partial y_{n,o}}{\partial \theta} \\
#  &= \sum_n \sum_o dy_{n,o} \frac{\partial y_{n,o}}{\partial \theta} \end{aligned} \tag{2.2} $$
#
# All that is left is to find $\partial y_{n,o} / \partial \theta$ three times. One trap: $n$, $o$ and $i$ are
# busy, the sums run over them. The number that we differentiate by gets letters of its own, $W_{p,j}$, $b_p$,
# $x_{m,j}$.
#
# **The weight $W_{p,j}$.** Differentiate (2.1) term by term; $x$ and $b$ do not depend on $W$:
#
# $$ \frac{\partial y_{n,o}}{\partial W_{p,j}} = \sum_i x_{n,i} \frac{\partial W_{o,i}}{\partial W_{p,j}} $$
#
# A weight depends on itself alone. So $\partial W_{o,i} / \partial W_{p,j}$ is 1 where $o = p$ and $i = j$, and
# 0 elsewhere. Write $[o = p]$ for "1 if it is so, else 0":
#
# $$ \frac{\partial y_{n,o}}{\partial W_{p,j}} = \sum_i x_{n,i} [o = p] [i = j] = [o = p]\, x_{n,j} \tag{2.3} $$
#
# because in the sum over $i$ only the term with $i = j$ is not zero. Put (2.3) into (2.2). Of the sum over $o$,
# again one term is left, the one with $o = p$:
#
# $$ dW_{p,j} = \sum_n \sum_o dy_{n,o} [o = p]\, x_{n,j} = \sum_n dy_{n,p}\, x_{n,j} \tag{2.4} $$
#
# **The bias $b_p$.** From (2.1), $\partial y_{n,o} / \partial b_p = [o = p]$. Into (2.2):
#
# $$ db_p = \sum_n \sum_o dy_{n,o} [o = p] = \sum_n dy_{n,p} \tag{2.5} $$
#
# **The input $x_{m,j}$.** In (2.1) $\partial x_{n,i} / \partial x_{m,j} = [n = m] [i = j]$, so of the sum one
# term is left, $\partial y_{n,o} / \partial x_{m,j} = [n = m]\, W_{o,j}$. In (2.2) it is now the one with $n = m$:
#
# $$ dx_{m,j} = \sum_n \sum_o dy_{n,o} [n = m]\, W_{o,j} = \sum_o dy_{m,o}\, W_{o,j} \tag{2.6} $$
#
# Look at what is summed, and you need never learn this by heart: **a number collects from everyone who used
# it.** A weight is used by every sample: (2.4) sums over $n$. An input is used by every output: (2.6) sums over
# $o$. And it is a sum, not a mean: a mean, if there is one, belongs to the loss, and is in $dy$ already.
#
# ## Matrix form
#
# A matrix product sums over the two indices that stand *next to each other*:
#
# $$ (AB)_{a,c} = \sum_k A_{a,k} B_{k,c} \tag{2.7} $$
#
# In (2.6) the summed $o$ is last in $dy_{m,o}$ and first in $W_{o,j}$. They are neighbours already:
#
# $$ dx = dy\, W \quad (N, O)(O, I) = (N, I) \tag{2.8} $$
#
# In (2.4) the summed $n$ is *first* in both, $dy_{n,p}$ and $x_{n,j}$. To make them neighbours, with $p$ first and
# $j$ last as in $dW_{p,j}$, the left one has to be turned round, $dy_{n,p} = (dy^\top)_{p,n}$:
#
# $$ dW = dy^\top x \quad (O, N)(N, I) = (O, I) \tag{2.9} $$
#
# In (2.1) the summed $i$ is *last* in both, so there the right one is turned round:
#
# $$ y = x\, W^\top + b \quad (N, I)(I, O) = (N, O) \tag{2.10} $$
#
# ($b$ is added to every row; on the way back (2.5) adds up the rows of $dy$.) So this is where the transpose
# comes from. It is no calculus at all: **it is what it takes to bring the summed index to the middle.** In
# `dweight` it counts the samples, which are rows in both tables; one of the two must lie down.
#
# ## Code
#
# The sums as they stand, one loop for each index: slow, and as plain as can be.


# %%
def backward_by_loops(dy, x, weight):
    (N, O), I = dy.shape, x.shape[1]
    dx, dweight, dbias = torch.zeros(N, I), torch.zeros(O, I), torch.zeros(O)
    for n in range(N):
        for o in range(O):
            dbias[o] += dy[n, o]  # (2.5)
            for i in range(I):
                dweight[o, i] += dy[n, o] * x[n, i]  # (2.4)
                dx[n, i] += dy[n, o] * weight[o, i]  # (2.6)
    return dx, dweight, dbias


dx, dweight, dbias = backward_by_loops(dy, x, weight)
print(dx, dweight, dbias, sep="\n")
assert (dweight[0, 2], dbias[1], dx[1, 0]) == (21, 2, 11)  # as by hand

# %% [markdown]
# ## Write it
#
# Write both passes without a loop, from (2.10), (2.8), (2.9), (2.5). A real layer has to bear two things more.
# It may have no bias; then `bias` is `None`. And `x` may have more than two axes, say `(2, 3, I)`: that is one
# long batch of six samples, and `x.reshape(-1, I)` makes it one.


# %% tags=["write-it"]
def linear_forward(x, weight, bias=None):
    """y (..., O) for x (..., I), weight (O, I) and bias (O,) or None."""
    # your turn: the weighted sums (2.10), and the bias where there is one
    y = x @ weight.T  # (2.10)
    return y if bias is None else y + bias


def linear_backward(dy, x, weight):
    """(dx, dweight, dbias) for dy (..., O), x (..., I) and weight (O, I)."""
    # your turn: make two tables, then a line each for (2.8), (2.9), (2.5)
    rows = x.reshape(-1, x.shape[-1])  # (N, I)
    dy_rows = dy.reshape(-1, dy.shape[-1])  # (N, O)
    dx = dy @ weight  # (2.8)
    dweight = dy_rows.T @ rows  # (2.9)
    dbias = dy_rows.sum(dim=0)  # (2.5)
    return dx, dweight, dbias


# %% [markdown]
# ## Check
#
# `check` tries your functions where wrong ones hide: a single sample, memory laid out in odd ways, sizes that
# are all different (with 5 samples, 5 inputs and 5 outputs, `x.T @ dy` has the right shape and is wrong). It
# says what is wrong, so do make a mistake on purpose: write `dy_rows.mean(dim=0)`, and run it again.

# %% tags=["check"]
report = check(linear_forward, linear_backward)
print(report)
assert report, "\n".join(report.sentences)

# %% [markdown]
# But who says that the library, with which `check` compared you, is right? Ask the definition of the derivative,
# as in [chapter 1](ch01_loss.py): `gradcheck` moves each number a little, in 64 bits, and sees what the loss
# does. (Where it can, it steps in the imaginary direction, where nothing is subtracted and so nothing is lost.)

# %% tags=["check"]
generator = torch.Generator().manual_seed(0)
sizes = ((7, 5), (3, 5), (3,))  # x, weight and bias: all different, so that a wrong transpose shows
given = [torch.randn(*size, generator=generator, dtype=torch.float64) for size in sizes]
result = gradcheck(linear_forward, *given, backward=lambda dy, x, w, b: linear_backward(dy, x, w))
print(result)
assert result, result.diagnosis
assert max(row.error for row in result.rows) < 1e-7  # relative

# %% [markdown]
# ## See it: a gradient is made of pictures
#
# Read (2.4) once more: row $o$ of `dweight` is a sum of the samples, each times its `dy[n, o]`. If the samples
# are digits, **the gradient of a row of weights is itself a picture**, a mixture of digits. Let one output be 1
# for a three and −1 for an eight, and start from weights that are all zero. Nobody says what a three looks like;
# yet the first step already is "threes minus eights", because (2.4) is nothing but that sum. (In the picture
# orange is above 0 and speaks for a three, purple is below 0. Each panel has its own scale.)

# %%
images = load("sample").train
images = images.select(((images.labels == 3) | (images.labels == 8)).nonzero()[:1000, 0])
digits = images.pixels.reshape(-1, 784) / 255  # (1000, 784), ink from 0 to 1
wanted = torch.where(images.labels == 3, 1.0, -1.0)[:, None]  # (1000, 1)


def train(backward, steps=100, lr=0.01):
    weight, losses = torch.zeros(1, 784), []
    for _ in range(steps):
        y = linear_forward(digits, weight)
        losses.append((y - wanted).square().mean().item())
        dy = 2 * (y - wanted) / len(y)  # chapter 1: the mean is in here
        weight -= lr * backward(dy, digits, weight)[1]
    return losses, weight


_, first = train(linear_backward, steps=1)
losses, learned = train(linear_backward)
print(f"loss {losses[0]:.2f} at step 1, {losses[-1]:.2f} at step {len(losses)}")
assert losses[0] == 1 and losses[-1] < 0.25 and len(digits) == 1000
assert torch.allclose(first, 0.01 * 2 * (wanted * digits).mean(dim=0), atol=1e-7)  # (2.4)

# %% tags=["picture"]
# alt: Three pictures of 28 by 28 cells. The first is a digit, a three. In the second, the weights after one
#   step, purple strokes on the left, where an eight has ink and a three has none, face orange ones where it
#   is the other way round. In the third, after 100 steps, the same strokes are sharper.
panels = {"a three": digits[images.labels == 3][0], "weight after 1 step": first}
figure, axes = plt.subplots(1, 3, figsize=(7, 2.6))
for ax, (title, cells) in zip(axes, (panels | {"after 100 steps": learned}).items(), strict=True):
    most = cells.abs().max()
    ax.imshow(cells.reshape(28, 28), cmap="PuOr_r", vmin=-most, vmax=most)
    ax.set_title(title)
    ax.set_axis_off()

# %% [markdown]
# ## Break it
#
# Write down what you expect before you look. **1. One mean too many.** Somebody divides `dweight` by the batch
# size, "because it is a batch", and takes the same 100 steps on 1,000 samples. Will the loss blow up, stand
# still, or come down to somewhere else?


# %% tags=["predict"]
def averaged(dy, x, weight):
    dx, dweight, dbias = linear_backward(dy, x, weight)
    return dx, dweight / len(x), dbias


broken, _ = train(averaged)
print(f"right   {losses[0]:.4f} -> {losses[-1]:.4f}")
print(f"broken  {broken[0]:.4f} -> {broken[-1]:.4f}")
assert broken[-1] > 0.9 > losses[1]

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# It crawls: every step has the right direction and a 1,000th of its size, and all hundred together do not come
# as far as the first right one. That is why this mistake lives long. Nothing crashes, the loss even falls, and
# one turns up the learning rate until it looks well. And so it does, until somebody changes the batch size.
#
# </details>
#
# **2. A test that cannot see.** A popular test calls `y.sum()` the loss, so `dy` is all ones. Here is a backward
# pass that never looks at `dy`. What will that test say of its three gradients? And a random `dy`?


# %% tags=["predict"]
def forgetful(dy, x, weight):
    return linear_backward(torch.ones_like(dy), x, weight)  # dy is never used


x, weight, _ = given
for dy in (torch.ones(7, 3).double(), torch.randn(7, 3, generator=generator).double()):
    right = linear_backward(dy, x, weight)
    print(list(map(torch.equal, forgetful(dy, x, weight), right)))
assert not torch.equal(forgetful(dy, x, weight)[0], right[0])

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# With `dy` all ones, a backward pass that never looks at `dy` is right. It took a random one to see it. That is
# why `check` and `gradcheck` never use `.sum()`, and why you should not either.
#
# </details>
#
# ## Recap card
#
# | | formula | shape | line of code |
# |---|---|---|---|
# | forward | $y_{n,o} = \sum_i x_{n,i} W_{o,i} + b_o$ | (N, O) | `x @ weight.T + bias` |
# | input | $dx_{n,i} = \sum_o dy_{n,o} W_{o,i}$ | (N, I) | `dy @ weight` |
# | weight | $dW_{o,i} = \sum_n dy_{n,o} x_{n,i}$ | (O, I) | `dy.T @ x` |
# | bias | $db_o = \sum_n dy_{n,o}$ | (O,) | `dy.sum(dim=0)` |
#
# A number collects from everyone who used it. The transpose brings the summed index to the middle.
#
# ## Assignment
#
# [**hw1**](../course.md) asks for this layer. The library's is `scratchae/layers/linear.py`; its two functions do
# what yours do. Then click through a small network, arrow by arrow, in the [backward stepper](../stepper.md).
