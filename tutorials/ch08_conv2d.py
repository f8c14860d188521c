# %% [markdown]
# # 8. Why is a picture not a list?
#
# ## The question
#
# So far a digit was a list of 784 numbers. Shuffle the pixels of all digits in the same way, until nobody can
# read them: to a linear layer nothing has happened. Shuffle the columns of its weights likewise, and every
# output is what it was. It never knew which pixels are neighbours. So a layer for pictures should know two
# things: that what is near belongs together, and that a stroke is a stroke wherever it stands. In this chapter
# you put these two sentences into the linear layer of [chapter 2](ch02_linear.py), and what is left of it is the
# **convolution**.

# %%
import timeit
from functools import partial

import matplotlib.pyplot as plt
import torch
from matplotlib.colors import ListedColormap

from scratchae import layers
from scratchae.checking import check
from scratchae.data import load
from scratchae.layers.conv2d import conv2d_geometry
from scratchae.layers.convolution import Geometry
from scratchae.plots.style import STYLE

plt.rcParams.update(STYLE)
generator = torch.Generator().manual_seed(0)
digits = load("sample").train.pixels[:16, None].float() / 255  # (16, 1, 28, 28), ink from 0 to 1
order = torch.randperm(784, generator=generator)  # the same for all digits
flat, weight = digits.reshape(16, 784), torch.randn(5, 784, generator=generator)
assert torch.allclose(flat[:, order] @ weight[:, order].T, flat @ weight.T, atol=1e-4)

# %% [markdown]
# ## One picture
#
# A small **kernel** of weights, here 3 by 3, lies on the picture. What is under it is its **window**. Each pixel
# of the window is multiplied by the weight that lies on it, and the sum is one output. Then the kernel moves on
# by the **stride**, here 2, and makes the next output with the *same* weights. So that the border gets its turn
# too, the picture has a frame of zeros, the **padding**, here 1. Window A makes output A, and B makes B.


# %% tags=["picture"]
# alt: On the left a picture of 5 by 5 cells in a grey frame one cell wide. A blue window of 3 by 3, A, lies in the
#   upper left corner and covers five cells of the frame. An orange one, B, lies two rows lower and four columns
#   further right. On the right 3 by 3 outputs: A is the first of row 0, B the last of row 1.
colours = ListedColormap(["white", "#dddddd", "#56b4e9", "#e69f00"])
x_cells, y_cells = torch.ones(7, 7), torch.zeros(3, 3)
x_cells[1:6, 1:6], x_cells[0:3, 0:3], x_cells[2:5, 4:7] = 0, 2, 3  # x, A, B
y_cells[0, 0], y_cells[1, 2] = 2, 3
figure, axes = plt.subplots(1, 2, figsize=(7, 3), width_ratios=[7, 3])
named = [(0, 0, 4, 2), (0, 0, 2, 1)]  # where the windows' names stand
for ax, cells, left, at in zip(axes, (x_cells, y_cells), (-1, 0), named, strict=True):
    steps = range(left, left + len(cells))
    ax.pcolormesh(steps, steps, cells, cmap=colours, vmin=0, vmax=3, ec="#777777", clip_on=False)
    ax.set(aspect="equal", ylim=(steps[-1] + 0.5, left - 0.5), xticks=steps, yticks=steps)
    ax.text(*at[:2], "A", ha="center", va="center", size=14)
    ax.text(*at[2:], "B", ha="center", va="center", size=14)
    ax.set_title("y" if left == 0 else "x, with a frame of zeros")

# %% [markdown]
# Move the window yourself, with any kernel, stride and padding:
# <a href="../_static/convolution-window.html">the window of a convolution</a>.
#
# ## By hand: a picture of two rows and three columns
#
# The picture is 1, 2, 0 above 3, 1, 2. The kernel is 1, 10 above 100, 1000: so the digits of an output tell
# which pixel met which weight. First the window in the upper left corner:
# $1 \cdot 1 + 2 \cdot 10 + 3 \cdot 100 + 1 \cdot 1000 = 1321$. One step to the right:
# $2 \cdot 1 + 0 \cdot 10 + 1 \cdot 100 + 2 \cdot 1000 = 2102$. There is no third.
#
# Now with padding 1 and stride 2. The first window starts one row above the picture and one column left of it:
# only its last cell meets a pixel, $1 \cdot 1000$. The one right of it starts at column 1 and meets
# $2 \cdot 100 + 0 \cdot 1000$. The lower two start at row 1: $3 \cdot 10$, and $1 \cdot 1 + 2 \cdot 10$.

# %%
x = torch.tensor([[[[1.0, 2, 0], [3, 1, 2]]]])  # (N, C, H, W) = (1, 1, 2, 3)
weight = torch.tensor([[[[1.0, 10], [100, 1000]]]])  # (O, C, kH, kW) = (1, 1, 2, 2)
assert layers.conv2d_forward(x, weight).tolist() == [[[[1321, 2102]]]]
assert layers.conv2d_forward(x, weight, stride=2, padding=1).tolist() == [[[[1000, 200], [30, 21]]]]

# %% [markdown]
# ## Derivation
#
# Begin with the linear layer (2.1), for sample $n$. Number its inputs by channel $c$, row $h$ and column $v$,
# and let its outputs lie in pictures too: channel $o$, row $p$, column $q$. Call its table of weights $A$:
#
# $$ y_{n,o,p,q} = \sum_c \sum_h \sum_v A_{opq,chv}\, x_{n,c,h,v} + b_{opq} \tag{8.1} $$
#
# **What is near belongs together:** output $(p, q)$ shall see a window of $k$ rows only, from row $s p - r$ on,
# where $s$ is the stride and $r$ the padding. Row $i$ of the window, $0$ to $k - 1$, is row $h = s p + i - r$ of
# the picture. We may also spread the window and take every $d$-th row, $h = s p + d i - r$; $d$ is the
# **dilation**, mostly 1. For columns likewise: $v = s q + d j - r$. All other weights are 0. **A stroke is a
# stroke wherever it stands:** the weight shall depend on the place $i, j$ in the window, not on $p$ and $q$; nor
# shall the bias. Both at once, with brackets as in chapter 2, 1 where it is so and else 0:
#
# $$ A_{opq,chv} = \sum_i \sum_j w_{o,c,i,j}\, [h = s p + d i - r]\, [v = s q + d j - r],
#  \qquad b_{opq} = b_o \tag{8.2} $$
#
# Put (8.2) into (8.1) and sum over $h$ and $v$ first:
#
# $$ y_{n,o,p,q} = \sum_c \sum_i \sum_j w_{o,c,i,j}
#  \Big( \sum_h \sum_v [h = s p + d i - r]\, [v = s q + d j - r]\, x_{n,c,h,v} \Big) + b_o $$
#
# Of the sum in brackets one term is left, the pixel in row $s p + d i - r$ and column $s q + d j - r$. Where
# there is no such row or column, no term is left, and it is 0. That *is* the frame of zeros: nobody invented it.
# With the agreement that pixels outside are 0,
#
# $$ y_{n,o,p,q} = \sum_c \sum_i \sum_j w_{o,c,i,j}\, x_{n,c,\, s p + d i - r,\, s q + d j - r} + b_o \tag{8.3} $$
#
# **How many outputs?** A picture of $H$ rows has rows $-r$ to $H - 1 + r$, frame included. If $P$ windows fit,
# the last is $p = P - 1$, its last row $i = k - 1$, and that has to be there:
# $s (P - 1) + d (k - 1) - r \le H - 1 + r$. Solve for $P$, which is whole, so round down (and likewise $Q$):
#
# $$ P = \left\lfloor \frac{H + 2 r - d (k - 1) - 1}{s} \right\rfloor + 1 \tag{8.4} $$
#
# **A shifted picture.** Let $s = 1$ and let $x'$ be $x$ moved down by a row, $x'_{h} = x_{h - 1}$ (the other
# indices stay as they are). Then by (8.3) without its bias
#
# $$ y'_p = \sum_i w_i\, x'_{p + d i - r} = \sum_i w_i\, x_{(p - 1) + d i - r} = y_{p - 1} \tag{8.5} $$
#
# The output has moved along. The layer has learned the stroke once and knows it everywhere (except at the
# border, where a row leaves the picture). **Groups.** Sometimes the channels are cut into $G$ groups that do not
# meet. Output $o$ is in group $g = \lfloor o / (O / G) \rfloor$, the kernel has $C / G$ channels only, and in
# (8.3) stands channel $g\, C / G + c$ of $x$ instead of channel $c$.
#
# ## Matrix form
#
# Copy every window into a row of a table, `cols`, and every kernel, $k_H$ by $k_W$, into a row of a matrix:
#
# $$ \text{cols}_{npq,\,cij} = x_{n,c,\, s p + d i - r,\, s q + d j - r} \qquad W_{o,\,cij} = w_{o,c,i,j}
#  \tag{8.6} $$
#
# Then the sum over $c$, $i$, $j$ in (8.3) is one sum over a column number, last in both, and as in (2.10)
#
# $$ Y = \text{cols}\; W^\top + b \qquad (N P Q,\; C k_H k_W)(C k_H k_W,\; O) = (N P Q,\; O) \tag{8.7} $$
#
# **A convolution is a linear layer whose samples are windows.** Everything of chapter 2 holds again.
#
# ## Code
#
# The linear layer (8.1) is still in there, and its table $A$ is easy to get: a picture with a single 1 brings
# out one column. So send in all 25 of them, as a batch. A row below is an output, a column a pixel. Most of it
# is zero (a dot), and the rest are nine numbers, over and over, as (8.2) says.


# %%
single, kernel = torch.eye(25).reshape(25, 1, 5, 5), torch.arange(1.0, 10).reshape(1, 1, 3, 3)
table = layers.conv2d_forward(single, kernel, stride=2, padding=1).reshape(25, 9).T  # (8.1)
for weights in table.tolist():
    print("".join(f"{w:.0f}" if w else "·" for w in weights))  # (8.2)
few, many = sum(p.numel() for p in layers.Conv2d(1, 16, 3).parameters()), 785 * 16 * 14 * 14
print(f"28 by 28 pixels to 16 pictures of 14 by 14:\nLinear {many:,} parameters, Conv2d {few}")

# %% [markdown]
# ## Write it: the loops
#
# (8.3), output by output. Stride, padding and dilation may be pairs, one number for rows and one for columns.
# `conv2d_geometry(x.shape, weight.shape, stride, padding, dilation, groups)` makes pairs of all, in `g.stride`,
# `g.padding`, `g.dilation`, and does (8.4): it gives back `g, (P, Q)`.


# %% tags=["write-it"]
def conv2d_by_loops(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """y (N, O, P, Q) for x (N, C, H, W), weight (O, C/G, kH, kW), bias (O,) or None."""
    # your turn: for o, p, q, i, j: the pixel's row and column, then (8.3)
    g, (P, Q) = conv2d_geometry(x.shape, weight.shape, stride, padding, dilation, groups)
    (N, _, H, W), (O, per, kH, kW) = x.shape, weight.shape
    y = x.new_zeros(N, O, P, Q)
    for o, p, q, i, j in torch.cartesian_prod(*map(torch.arange, (O, P, Q, kH, kW))).tolist():
        h = g.stride[0] * p + g.dilation[0] * i - g.padding[0]
        v = g.stride[1] * q + g.dilation[1] * j - g.padding[1]
        if 0 <= h < H and 0 <= v < W:
            first = o // (O // groups) * per  # its group begins here
            y[:, o, p, q] += x[:, first : first + per, h, v] @ weight[o, :, i, j]  # (8.3)
    return y if bias is None else y + bias.view(-1, 1, 1)


# %% [markdown]
# ## Check

# %% tags=["check"]
report = check("conv2d_forward", conv2d_by_loops)
print(report)
assert report, "\n".join(report.sentences)

# %% [markdown]
# ## Write it: the patches
#
# Now (8.6) and (8.7). Nobody loops over windows: loop over the few *taps* $(i, j)$. For one tap, all windows
# together read a whole picture, shifted by $d i$ rows, and every $s$-th row of it: one slice of the framed
# picture, whose size `geometry.padded_size((H, W), (P, Q))` knows. Then one matrix product; with groups, $G$ of
# them, one for each block of channels: `@` multiplies stacks of matrices too, `(G, A, B) @ (G, B, C)`.


# %%
def rows_of_tap(i, count, s, d):
    """Rows d·i, d·i + s, ..., `count` of them: what tap i of each window reads."""
    return slice(d * i, d * i + s * (count - 1) + 1, s)


# %% tags=["write-it"]
def patches(x, positions, geometry):
    """cols (N, P, Q, C, kH, kW): the window of every position (P, Q); outside x is zero."""
    # your turn: put x into a frame of zeros; then a slice for each tap
    (N, C, H, W), (P, Q), g = x.shape, positions, geometry
    (kH, kW), (top, left) = g.kernel_size, g.padding
    framed = x.new_zeros(N, C, *g.padded_size((H, W), positions))
    framed[:, :, top : top + H, left : left + W] = x
    cols = x.new_empty(N, P, Q, C, kH, kW)
    for i in range(kH):
        for j in range(kW):
            rows = rows_of_tap(i, P, g.stride[0], g.dilation[0])
            columns = rows_of_tap(j, Q, g.stride[1], g.dilation[1])
            cols[..., i, j] = framed[:, :, rows, columns].permute(0, 2, 3, 1)  # (8.6)
    return cols


def conv2d_forward(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """y (N, O, P, Q) for x (N, C, H, W), weight (O, C/G, kH, kW), bias (O,) or None."""
    # your turn: patches, two tables for each group, (8.7), and back to pictures
    g, (P, Q) = conv2d_geometry(x.shape, weight.shape, stride, padding, dilation, groups)
    N, O = len(x), len(weight)
    cols = patches(x, (P, Q), g).reshape(N * P * Q, groups, -1).transpose(0, 1)  # (G, N·P·Q, K)
    kernels = weight.reshape(groups, O // groups, -1)  # (G, O/G, K)
    rows = (cols @ kernels.mT).transpose(0, 1)  # (8.7): (N·P·Q, G, O/G)
    y = rows.reshape(N, P, Q, O).permute(0, 3, 1, 2)
    return y if bias is None else y + bias.view(-1, 1, 1)


# %% [markdown]
# ## Check: the windows, the library's corners, and 200 random geometries beside torch


# %% tags=["check"]
def draw(low, high):
    return tuple(torch.randint(low, high + 1, (2,), generator=generator).tolist())


x = 1 + torch.arange(2 * 2 * 6 * 7.0).reshape(2, 2, 6, 7)  # every pixel has a number of its own
for words, settings in {
    "tap (i, j) of window (p, q) is to be pixel (p + i, q + j)": {},
    "with stride s, window p begins at row s·p": {"stride": (2, 3)},
    "with padding r, window p begins at row p − r, and outside x is zero": {"padding": (2, 1)},
    "with dilation d, the taps are d pixels apart": {"dilation": (2, 3)},
}.items():
    g = Geometry((3, 2), **settings)
    _, (P, Q) = conv2d_geometry(x.shape, (1, 2, 3, 2), g.stride, g.padding, g.dilation, 1)
    mine = patches(x, (P, Q), g)
    assert mine.shape == (2, P, Q, 2, 3, 2), "cols is to have the axes (N, P, Q, C, kH, kW)"
    theirs = torch.nn.functional.unfold(x, (3, 2), g.dilation, g.padding, g.stride)
    assert torch.equal(mine, theirs.reshape(2, 2, 3, 2, P, Q).permute(0, 4, 5, 1, 2, 3)), words
report = check(conv2d_forward)
print(report)
assert report, "\n".join(report.sentences)
for _ in range(200):
    kernel, stride, padding, dilation = draw(1, 4), draw(1, 3), draw(0, 2), draw(1, 3)
    (N, G), (C, O), size = draw(1, 3), draw(1, 3), draw(10, 14)
    x = torch.randn(N, G * C, *size, generator=generator).double()
    weight = torch.randn(G * O, C, *kernel, generator=generator).double()
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": G}
    right = torch.nn.functional.conv2d(x, weight, **settings)
    assert torch.allclose(conv2d_forward(x, weight, **settings), right), f"wrong for {settings}"

# %% [markdown]
# ## See it: what loops cost, and what kernels see
#
# All four do the same sums. The loops make 28,224 trips through Python, the patches nine.

# %%
weight = torch.randn(16, 1, 3, 3, generator=generator)
ways, took = {"your loops": conv2d_by_loops, "your patches": conv2d_forward}, {}
ways |= {"scratchae": layers.conv2d_forward, "torch": torch.nn.functional.conv2d}
for name, way in ways.items():  # the best of seven: others use this machine too
    runs = timeit.Timer(partial(way, digits, weight, None, 2, 1))
    took[name] = 1000 * min(runs.repeat(number=1, repeat=1 if "loops" in name else 7))
assert 16 * 14 * 14 * 3 * 3 == 28_224 and took["your loops"] > 5 * took["your patches"]

# %% tags=["picture"]
# alt: Four horizontal bars on a logarithmic scale of milliseconds: the loops take by far the longest, below them
#   the patches, the library's convolution and torch's, each with its time in numbers.
figure, ax = plt.subplots(figsize=(7, 2.1), subplot_kw={"xscale": "log", "xlabel": "milliseconds"})
bars = ax.barh(list(took), list(took.values()), color="#0072b2")
ax.bar_label(bars, [f" {ms:,.2f} ms" for ms in took.values()])
ax.set(xlim=(min(took.values()) / 3, 8 * max(took.values())), ylim=(3.6, -0.6))

# %% [markdown]
# And three kernels, made by hand, on one digit: the last two look for a change of ink, downward or to the right.

# %% tags=["picture"]
# alt: Four pictures of 28 by 28. A digit; the same, blurred; its upper edges in orange and its lower ones in
#   purple; in the last picture its left edges in orange and its right ones in purple.
upper = torch.tensor([[-1.0, -1, -1], [0, 0, 0], [1, 1, 1]])
kernels = {"blur": torch.ones(3, 3) / 9, "upper edges": upper, "left edges": upper.T}
maps = conv2d_forward(digits[:1], torch.stack(list(kernels.values()))[:, None], padding=1)
moved = conv2d_forward(digits[:1].roll(2, dims=3), upper[None, None], padding=1)
assert torch.allclose(moved, maps[:, 1:2].roll(2, dims=3), atol=1e-6)  # (8.5), two to the right
figure, axes = plt.subplots(1, 4, figsize=(7, 2))
for ax, title, cells in zip(axes, ["digit", *kernels], [digits[0, 0], *maps[0]], strict=True):
    most = cells.abs().max()
    ax.imshow(cells, cmap="PuOr_r", vmin=-most, vmax=most)
    ax.set_title(title)
    ax.set_axis_off()

# %% [markdown]
# ## Break it
#
# Write down what you expect. **1. The wrong way back.** At the end of `conv2d_forward` somebody writes
# `rows.reshape(N, O, P, Q)`: the right shape, without `permute`. With how many digits and kernels is it wrong?

# %% tags=["predict"]
for N, O in [(1, 1), (2, 1), (1, 3), (2, 3)]:
    right = conv2d_forward(digits[:N], weight[:O])
    rows = right.permute(0, 2, 3, 1).reshape(-1, O)  # as (8.7) gives them
    print(f"N = {N}, O = {O}: right?", torch.equal(rows.reshape(right.shape), right))

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# In `rows` the channel changes fastest, in `y` the column. With one channel there is nothing to mix up: a test
# with one channel is worth little, and `check` takes sizes that are all different.
#
# </details>
#
# **2. A frame of zeros is not nothing.** A picture of ones, the blur, padding 1. Are all outputs ones?

# %% tags=["predict"]
blurred = conv2d_forward(torch.ones(1, 1, 4, 4), kernels["blur"][None, None], padding=1)
print((9 * blurred[0, 0]).round().int())  # in ninths

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# What is outside counts as 0, so a corner has 4 of its 9 pixels, an edge 6. The blur makes the border darker; by
# marks of this kind a network with padded layers can tell how near the border is.
#
# </details>
#
# ## Recap card
#
# | | formula | shape | line of code |
# |---|---|---|---|
# | size | $P = \lfloor (H + 2r - d(k - 1) - 1) / s \rfloor + 1$ | (P, Q) | `(H + 2*r - d*(k - 1) - 1) // s + 1` |
# | window | row $s p + d i - r$, column $s q + d j - r$ | (N, P, Q, C, kH, kW) | `framed[:, :, rows, columns]` |
# | forward | $Y = \text{cols}\, W^\top + b$ | (N·P·Q, O) | `cols @ weight.reshape(O, -1).T + b` |
#
# ## Assignment
#
# [**hw3**](../course.md) asks for this layer. Read `conv2d.py` and `convolution.py` in `scratchae/layers`.
