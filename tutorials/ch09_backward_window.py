# %% [markdown]
# # 9. Who feels one pixel?
#
# ## The question
#
# In [chapter 8](ch08_conv2d.py) a window slid over the picture, and every output was a sum of what lay under it.
# Now the gradient `dy` comes back, a number for every output. What is the gradient of a weight that was used at
# *every* position? And of a pixel, which lay under one window, or under nine? The second answer is worth more
# than it seems: read as a forward pass, it is a layer that makes small pictures large. Decoders are built of it.
# It is called the **transposed convolution**: you will see what is transposed, and why it likes checkerboards.

# %%
from itertools import product

import matplotlib.pyplot as plt
import torch
from matplotlib.colors import ListedColormap

from scratchae import layers
from scratchae.checking import check, gradcheck, mistakes
from scratchae.layers.conv2d import conv2d_forward, conv2d_geometry
from scratchae.layers.conv_transpose2d import conv_transpose2d_size
from scratchae.layers.convolution import Geometry
from scratchae.layers.geometry import counts
from scratchae.plots.style import STYLE

plt.rcParams.update(STYLE)
generator = torch.Generator().manual_seed(0)

# %% [markdown]
# ## One picture: one pixel feels these outputs
#
# Kernel 3, stride 2, padding 1, on 5 by 5 pixels. Four pixels, and for each the outputs that had it in their
# window. It is these that tell the pixel its gradient, and no others.


# %% tags=["picture"]
# alt: On the left 5 by 5 pixels of which four, named A to D, are coloured. Beside them four small tables of 3 by 3
#   outputs. A, in row 1 and column 1, is felt by four outputs; B, in row 1 and column 2, by two, one above the
#   other; C, in row 2 and column 3, by two side by side; D, in row 4 and column 4, by one, in the corner.
colours = ListedColormap(["white", "#56b4e9", "#e69f00", "#009e73", "#cc79a7"])
kernel, cells = torch.ones(1, 1, 3, 3), torch.zeros(5, 5)
figure, axes = plt.subplots(1, 5, figsize=(7, 2.1), width_ratios=[5, 3, 3, 3, 3])
for k, (h, v) in enumerate([(1, 1), (1, 2), (2, 3), (4, 4)], start=1):
    cells[h, v] = k
    pixel = (cells == k).float()[None, None]  # a picture of this pixel alone
    feels = conv2d_forward(pixel, kernel, stride=2, padding=1)[0, 0]
    axes[0].text(v + 0.5, h + 0.5, "ABCD"[k - 1], ha="center", va="center", size=12)
    axes[k].pcolormesh(k * feels, cmap=colours, vmin=0, vmax=4, ec="#777777", clip_on=False)
    axes[k].set_title(f"{feels.sum():.0f} feel {'ABCD'[k - 1]}")
axes[0].pcolormesh(cells, cmap=colours, vmin=0, vmax=4, ec="#777777", clip_on=False)
axes[0].set_title("pixels")
for ax, size in zip(axes, (5, 3, 3, 3, 3), strict=True):
    ax.set(aspect="equal", ylim=(size, 0), xticks=[], yticks=[])

# %% [markdown]
# Point at a pixel of <a href="../_static/convolution-window.html">the window of a convolution</a>: who feels it?
#
# ## By hand
#
# The picture of chapter 8 (1, 2, 0 above 3, 1, 2), its kernel (1, 10 above 100, 1000), and `dy` 1 and 2 for the
# two outputs. **A pixel.** `x[0, 1]` lay under the first window, on 10, and under the second, on 1, so its
# gradient is $10 \cdot 1 + 1 \cdot 2 = 12$. Below it, `x[1, 1]` lay on 1000 and then on 100:
# $1000 \cdot 1 + 100 \cdot 2 = 1200$. **A weight.** The upper left one lay on the pixel 1, then on the pixel 2:
# $1 \cdot 1 + 2 \cdot 2 = 5$. **The bias** is in both outputs: $1 + 2 = 3$.
#
# Another way to the pixels: each output **stamps** the kernel onto them, times its `dy`. The first stamps 1, 10
# above 100, 1000; the second, one column further right, 2, 20 above 200, 2000. Overlapping stamps add up.

# %%
x = torch.tensor([[[[1.0, 2, 0], [3, 1, 2]]]])  # (N, C, H, W) = (1, 1, 2, 3)
weight = torch.tensor([[[[1.0, 10], [100, 1000]]]])  # (O, C, kH, kW) = (1, 1, 2, 2)
dy = torch.tensor([[[[1.0, 2]]]])  # (N, O, P, Q) = (1, 1, 1, 2)
stamped, dweight, dbias = (result.tolist() for result in layers.conv2d_backward(dy, x, weight))
assert stamped == [[[[1, 12, 20], [100, 1200, 2000]]]] and dweight[0][0][0][0] == 5 and dbias == [3]

# %% [markdown]
# ## Derivation
#
# The forward pass with stride $s$, padding $r$ and dilation $d$, as (8.3) had it:
#
# $$ y_{n,o,p,q} = \sum_c \sum_i \sum_j w_{o,c,i,j}\, x_{n,c,\, s p + d i - r,\, s q + d j - r} + b_o \tag{9.1} $$
#
# and the chain rule, for any number $\theta$ that the outputs depend on:
#
# $$ d\theta = \sum_n \sum_o \sum_p \sum_q dy_{n,o,p,q}\, \frac{\partial y_{n,o,p,q}}{\partial \theta} \tag{9.2} $$
#
# **The weight $w_{a,e,t,u}$** (letters of its own, the others are busy). In (9.1) only the term with $o = a$,
# $c = e$, $i = t$ and $j = u$ has it:
#
# $$ \frac{\partial y_{n,o,p,q}}{\partial w_{a,e,t,u}} = [o = a]\, x_{n,e,\, s p + d t - r,\, s q + d u - r} $$
#
# Put it into (9.2). Of the sum over $o$ one term is left:
#
# $$ dw_{a,e,t,u} = \sum_n \sum_p \sum_q dy_{n,a,p,q}\; x_{n,e,\, s p + d t - r,\, s q + d u - r} \tag{9.3} $$
#
# A weight collects from every position where it was used. **The bias $b_a$** is in every output of channel $a$
# with the factor 1:
#
# $$ db_a = \sum_n \sum_p \sum_q dy_{n,a,p,q} \tag{9.4} $$
#
# **The pixel $x_{m,e,h,v}$.** It is the one in (9.1) where $n = m$, $c = e$, and row and column agree:
#
# $$ \frac{\partial y_{n,o,p,q}}{\partial x_{m,e,h,v}}
#  = [n = m] \sum_i \sum_j w_{o,e,i,j}\, [s p + d i - r = h]\, [s q + d j - r = v] $$
#
# Of the sums over $n$ and $c$ one term is left. Of those over $i$ and $j$ we cannot say how many, so the
# brackets stay. Into (9.2):
#
# $$ dx_{m,e,h,v} = \sum_o \sum_p \sum_q \sum_i \sum_j dy_{m,o,p,q}\, w_{o,e,i,j}\,
#  [s p + d i - r = h]\, [s q + d j - r = v] \tag{9.5} $$
#
# *For a pixel*: find the outputs and taps whose brackets are 1. *For an output and a tap*: they reach one pixel
# at most, add $dy \cdot w$ there. That is the stamping, and needs no search.
#
# **A new layer.** Let (9.5) be a forward pass: `x` has the small pictures now, and what was `dx` is `y`.
#
# $$ y_{n,c,h,v} = \sum_o \sum_p \sum_q \sum_i \sum_j x_{n,o,p,q}\, w_{o,c,i,j}\,
#  [s p + d i - r = h]\, [s q + d j - r = v] + b_c \tag{9.6} $$
#
# Its size: the last stamp, $p = P - 1$, ends with $i = k - 1$ in row $s (P - 1) + d (k - 1) - r$. Rows $0$ to
# that one are $s (P - 1) + d (k - 1) - r + 1$ rows, and of them the padding cuts off $r$ below, as it has above:
#
# $$ H = s (P - 1) + d (k - 1) + 1 - 2 r + \text{extra} \tag{9.7} $$
#
# What is *extra*? By (8.4), $s$ heights $H$ give a convolution the same $P$: what is left over when dividing is
# forgotten. `output_padding` says which of them is meant, 0 to $s - 1$ rows more.
#
# **Its gradients** need no new work. Write $D$ for the gradient of the large picture. Hold one small pixel
# $x_{m,a,p,q}$ fast: it is in the outputs of sample $m$ alone, once for each tap, with the factor $w_{a,c,i,j}$
# and its brackets. So by the chain rule, summed over all outputs $c$, $h$, $v$:
#
# $$ \begin{aligned} dx_{m,a,p,q} &= \sum_c \sum_i \sum_j w_{a,c,i,j}
#  \sum_h \sum_v D_{m,c,h,v}\, [s p + d i - r = h]\, [s q + d j - r = v] \\
#  &= \sum_c \sum_i \sum_j w_{a,c,i,j}\, D_{m,c,\, s p + d i - r,\, s q + d j - r} \end{aligned} \tag{9.8} $$
#
# which is (9.1), a plain convolution of $D$. And a weight $w_{a,e,t,u}$ collects $x_{n,a,p,q}$ times the pixel
# of $D$ that it reached, which is (9.3) with $x$ for $dy$ and $D$ for $x$ (the bias is (9.4), $D$ for $dy$):
#
# $$ dw_{a,e,t,u} = \sum_n \sum_p \sum_q x_{n,a,p,q}\; D_{n,e,\, s p + d t - r,\, s q + d u - r} \tag{9.9} $$
#
# ## Matrix form
#
# Without bias, (9.1) is $y = A x$, with the large, nearly empty table $A$ of (8.2). Then (9.5) is
# $dx = A^\top dy$, as (2.6) says: this is what is **transposed** in a transposed convolution. Two maps that are
# each other's transpose are **adjoint**. Number all outputs by $k$, all pixels by $l$. For all $x$, $y$
#
# $$ \langle A x, y \rangle = \sum_k (A x)_k\, y_k = \sum_k \sum_l A_{k,l}\, x_l\, y_k = \sum_l x_l\, (A^\top y)_l
#  = \langle x, A^\top y \rangle \tag{9.10} $$
#
# A fine test: no derivative, no second implementation, no small step, and it holds up to rounding.
#
# ## Code
#
# For one tap $(i, j)$, all positions $p, q$ together reach one slice of the framed picture (chapter 8). So (9.3)
# and (9.5) are a loop over the few taps, with a slice to read or to stamp on.


# %%
def tap(i, j, positions, g):
    """The slice of the framed pictures (N, C, ...) that tap (i, j) of all positions (P, Q) reaches."""
    steps = zip((i, j), positions, g.stride, g.dilation, strict=True)
    return (..., *(slice(d * t, d * t + s * (count - 1) + 1, s) for t, count, s, d in steps))


g, (P, Q) = conv2d_geometry(x.shape, weight.shape, 1, 0, 1, 1)
dx, dweight = torch.zeros_like(x), torch.zeros_like(weight)
for i, j in product(range(2), range(2)):  # one channel, no frame: the bare bones
    dweight[0, 0, i, j] = (dy * x[tap(i, j, (P, Q), g)]).sum()  # (9.3)
    dx[tap(i, j, (P, Q), g)] += dy * weight[0, 0, i, j]  # (9.5)
assert dx.tolist() == stamped and dweight[0, 0, 0, 0] == 5

# %% [markdown]
# ## Write it: the backward pass of Conv2d
#
# Now with channels, groups and a frame of size `g.padded_size((H, W), (P, Q))`. `unflatten(1, (G, -1))` cuts
# channels into groups, and `torch.einsum("ngopq,ngcpq->goc", a, b)` is the sum of
# `a[n, g, o, p, q] * b[n, g, c, p, q]` over all letters that the result lacks, as (9.3) and (9.5) want it.


# %% tags=["write-it"]
def conv2d_backward(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    """(dx, dweight, dbias) for dy (N, O, P, Q), x (N, C, H, W) and weight (O, C/G, kH, kW)."""
    # your turn: frame x; for each tap (9.3) and (9.5); cut the frame off
    g, positions = conv2d_geometry(x.shape, weight.shape, stride, padding, dilation, groups)
    (N, C, H, W), (kH, kW), (top, left) = x.shape, g.kernel_size, g.padding
    framed = x.new_zeros(N, C, *g.padded_size((H, W), positions))
    framed[:, :, top : top + H, left : left + W] = x
    dframed, dweight = torch.zeros_like(framed), torch.zeros_like(weight)
    dy_g, weight_g = dy.unflatten(1, (groups, -1)), weight.unflatten(0, (groups, -1))
    for i, j in product(range(kH), range(kW)):
        here = tap(i, j, positions, g)
        seen = framed[here].unflatten(1, (groups, -1))  # (N, G, C/G, P, Q)
        dweight[:, :, i, j] = torch.einsum("ngopq,ngcpq->goc", dy_g, seen).flatten(0, 1)  # (9.3)
        stamps = torch.einsum("ngopq,goc->ngcpq", dy_g, weight_g[..., i, j])
        dframed[here] += stamps.flatten(1, 2)  # (9.5)
    dx = dframed[:, :, top : top + H, left : left + W]
    return dx, dweight, dy.sum(dim=(0, 2, 3))  # (9.4)


# %% [markdown]
# ## Check

# %% tags=["check"]
report = check(conv2d_backward)
print(report)
assert report, "\n".join(report.sentences)
sizes = ((2, 3, 5, 4), (4, 3, 3, 2), (4,))  # x, weight and bias
given = (torch.randn(n, generator=generator).double() for n in sizes)
result = gradcheck(conv2d_forward, *given, backward=lambda dy, x, w, b: conv2d_backward(dy, x, w))
assert result, result.diagnosis

# %% [markdown]
# ## Write it: ConvTranspose2d
#
# Forward it is the stamping (9.6) into a frame of zeros, whose padding is cut off at the end. For `g` take
# `Geometry((kH, kW), stride, padding, dilation, groups)`, and `conv_transpose2d_size((P, Q), g, output_padding)`
# does (9.7). All want pairs: `counts(n, least=0)` makes one of a number. Backward you have all that you need.


# %% tags=["write-it"]
def conv_transpose2d_forward(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """y (N, C, H, W) for x (N, O, P, Q), weight (O, C/G, kH, kW), bias (C,) or None."""
    # your turn: a frame of zeros, a stamp for each tap (9.6), cut, bias
    kernel_size, pads = tuple(weight.shape[2:]), counts(padding, least=0)
    g = Geometry(kernel_size, counts(stride), pads, counts(dilation), groups)
    H, W = conv_transpose2d_size(x.shape[2:], g, counts(output_padding, least=0))  # (9.7)
    framed = x.new_zeros(len(x), weight.shape[1] * groups, *g.padded_size((H, W), x.shape[2:]))
    x_g, weight_g = x.unflatten(1, (groups, -1)), weight.unflatten(0, (groups, -1))
    for i, j in product(*map(range, kernel_size)):
        stamps = torch.einsum("ngopq,goc->ngcpq", x_g, weight_g[..., i, j])
        framed[tap(i, j, x.shape[2:], g)] += stamps.flatten(1, 2)  # (9.6)
    y = framed[:, :, pads[0] : pads[0] + H, pads[1] : pads[1] + W]
    return y if bias is None else y + bias.view(-1, 1, 1)


def conv_transpose2d_backward(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    """(dx, dweight, dbias) for dy (N, C, H, W), x (N, O, P, Q), weight (O, C/G, kH, kW)."""
    # your turn: (9.8) and (9.9), with what you have
    geometry = (stride, padding, dilation, groups)
    dx = conv2d_forward(dy, weight, None, *geometry)  # (9.8)
    dweight = conv2d_backward(x, dy, weight, *geometry)[1]  # (9.9)
    return dx, dweight, dy.sum(dim=(0, 2, 3))


# %% [markdown]
# ## Check: the library's corners, then the adjoint identity (9.10)

# %% tags=["check"]
report = check(conv_transpose2d_forward, conv_transpose2d_backward)
print(report)
assert report, "\n".join(report.sentences)
for stride, padding, k in [(1, 0, 3), (1, 1, 2), (2, 1, 3), (2, 1, 4), (3, 2, 5)]:
    weight = torch.randn(5, 3, k, k, generator=generator, dtype=torch.float64)
    y = torch.randn(2, 5, 4, 6, generator=generator, dtype=torch.float64)
    back = conv_transpose2d_forward(y, weight, stride=stride, padding=padding)
    x = torch.randn(back.shape, generator=generator, dtype=torch.float64)
    there = conv2d_forward(x, weight, stride=stride, padding=padding)
    gap = ((there * y).sum() - (x * back).sum()).abs() / (x.norm() * back.norm())
    assert gap < 1e-12, "the two layers are not each other's transpose"

# %% [markdown]
# ## See it: the checkerboard
#
# How many stamps does a large pixel get? In (9.6), with $d = 1$, count the pairs $p, i$ with $s p + i - r = h$:
# except at the border, one for every tap $i$ with the same remainder as $h + r$ when divided by $s$. With
# $s = 2$ and $k = 4$ the even taps are two, 0 and 2, and the odd ones too, 1 and 3. With $k = 3$ the even ones
# are two, but odd is 1 alone. **Where $s$ does not divide $k$, some rows get more stamps than others**; rows and
# columns together make it 1, 2 or 4. Whether one *sees* it depends on the weights. So send a flat grey picture
# through 2,000 layers with random weights, and look how strong (root mean square) each pixel is.

# %% tags=["picture"]
# alt: Two square maps, in one scale of colours. With kernel 3 it is a regular pattern of bright, middle and dark
#   cells, from a third to two thirds, repeating every two pixels both ways. With kernel 4 all cells look alike.
flat, stamps, strength = torch.ones(1, 1, 8, 8), {}, {}
for k in (3, 4):
    kernels = torch.randn(1, 2000, k, k, generator=generator) / k  # 2,000 output channels
    one = torch.ones(1, 1, k, k)
    y, count = (conv_transpose2d_forward(flat, w, stride=2, padding=1) for w in (kernels, one))
    stamps[k] = count[0, 0, 2:-2, 2:-2].unique().int().tolist()
    strength[k] = y[0, :, 2:-2, 2:-2].square().mean(dim=0).sqrt()
    least, most = strength[k].aminmax()
    print(f"kernel {k}: stamps {stamps[k]}\n  strength {least:.2f} to {most:.2f}")
assert stamps == {3: [1, 2, 4], 4: [4]} and 1.8 < strength[3].max() / strength[3].min() < 2.2
figure, axes = plt.subplots(1, 2, figsize=(7, 3))
for ax, (k, cells) in zip(axes, strength.items(), strict=True):
    shown = ax.imshow(cells, vmin=0, vmax=0.7)
    ax.set_title(f"kernel {k}, stride 2")
    ax.set_axis_off()
figure.colorbar(shown, ax=axes, label="strength of the answer to flat grey")

# %% [markdown]
# Mean squares of independent weights of mean 0 add up: four stamps are $\sqrt 4 = 2$ times as strong as one.
# Training can undo it, but has to spend weights on that. And as it is the same map, the same pattern lies in the
# `dx` of every Conv2d with kernel 3 and stride 2: some pixels hear of the loss four times, others twice or once.
#
# ## Break it
#
# Write down what you expect. **1. `=` for `+=`.** The catalogue of mistakes that `check` knows has one that
# stamps with `=`, window by window. With which strides is that still right for a kernel of 3 by 3?

# %% tags=["predict"]
known = {mistake.name: mistake.function for mistake in mistakes("conv2d_backward")}
x, weight = (torch.randn(1, 1, n, n, generator=generator) for n in (9, 3))
for stride in (1, 2, 3):
    dy = torch.randn(conv2d_forward(x, weight, stride=stride).shape, generator=generator)
    wrong = known["dx_overwritten_by_windows"](dy, x, weight, stride)[0]
    print(f"stride {stride}:", torch.allclose(wrong, conv2d_backward(dy, x, weight, stride)[0]))

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# With stride 3 no windows overlap; else a pixel keeps its last stamp only. A test with one easy geometry passes.
#
# </details>
#
# **2. Is it the inverse?** Some call it a "deconvolution". Convolve a picture, and transpose-convolve the result
# with the same kernel. Does the picture come back?

# %% tags=["predict"]
told = conv2d_forward(x, weight, stride=2)
back = conv_transpose2d_forward(told, weight, stride=2)
scale = (x * back).sum() / (back * back).sum()  # in its favour: the best factor
print(f"{(x - scale * back).norm() / x.norm():.0%} of the picture is missing")
assert (x - scale * back).norm() > 0.5 * x.norm() and (x.numel(), told.numel()) == (81, 16)

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# $A^\top$ is not $A^{-1}$. It gives back the *shape*, and sends numbers to where they came from. 81 pixels were
# told in 16 numbers: nothing brings them all back. To undo as well as can be is what a decoder has to learn.
#
# </details>
#
# ## Recap card
#
# | | formula | shape | line of code, one channel |
# |---|---|---|---|
# | weight, a tap | (9.3): $dw = \sum dy \cdot x$, all positions | (O, C, kH, kW) | `(dy * framed[here]).sum()` |
# | pixel, a tap | (9.5): $dx = A^\top dy$ | (N, C, H, W) | `dframed[here] += dy * weight[..., i, j]` |
# | ConvTranspose2d, a tap | (9.6): $y = A^\top x + b$ | (N, C, H, W) | `framed[here] += x * weight[..., i, j]` |
# | its height | (9.7): $H = s(P - 1) + d(k - 1) + 1 - 2r$ | (H, W) | `conv_transpose2d_size((P, Q), g, (0, 0))` |
# | its `dx` | (9.8): $dx = A\, dy$, a Conv2d | (N, O, P, Q) | `conv2d_forward(dy, weight, ...)` |
#
# ## Assignment
#
# [**hw3**](../course.md) asks for Conv2d's backward pass, [**hw4**](../course.md) for ConvTranspose2d.
# `scratchae/layers/convolution.py` has both in one idea: a form linear in picture, kernel and output.
