# %% [markdown]
# # 17. Why depth stalls, and a skip does not
#
# ## The question
#
# [Chapter 7](ch07_batchnorm.py) found that a deep stack of layers does not learn, and gave two cures: other
# first weights, and BatchNorm. Both change the *size* of numbers. A **residual block** (He et al. 2016) changes
# the wiring instead. It adds its input to its output:
#
# $$ y = x + F(x) $$
#
# $F$ is a short stack of layers, the **body**. The way past it is the **skip**. The skip has no parameters and
# does no work. So why does a network with skips learn at a depth at which the same network without them learns
# nothing? What is lost in the plain one: the signal, the gradient, or both?
#
# You need the chain rule for a list of layers ([chapter 3](ch03_activations.py)), the backward pass of a Linear
# layer ([chapter 2](ch02_linear.py)), and He's first weights (chapter 7).

# %%
import json
import math
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import scratchae
from scratchae.checking import gradcheck
from scratchae.data import Batches, load
from scratchae.layers import BatchNorm1d, Layer, Linear, ReLU, Sequential
from scratchae.models import build
from scratchae.optim import Adam
from scratchae.plots.style import STYLE
from scratchae.step import add_gradients, train_step

plt.rcParams.update(STYLE)
sample = load("sample")
digits = (sample.train.pixels[:500].float() / 127.5 - 1).flatten(1)  # (500, 784)
COLOURS = {"plain": "#cc6677", "residual": "#332288", "plain He": "#117733", "plain BN": "#999933"}
COLOURS["residual He"] = "#88ccee"

# %% [markdown]
# ## One picture
#
# The library has one deep autoencoder twice: `residual` with skips and `plain-deep` without. Both have 36 Linear
# layers and the same first weights. One forward and one backward pass over 500 digits: how large is the gradient
# of each layer's weight?

# %%
first_step = {}
for name in ("plain-deep", "residual"):
    model = build(name, 0)
    add_gradients(model, digits)
    weights = [layer.weight for _, layer in model.modules() if isinstance(layer, Linear)]
    first_step[name.partition("-")[0]] = [weight.grad.norm().item() for weight in weights]
for name, sizes in first_step.items():
    print(f"{name:<8}  first layer {sizes[0]:.0e}, last layer {sizes[-1]:.0e}")
assert len(weights) == 36 and first_step["plain"][0] < 1e-12 < 0.01 < first_step["residual"][0]

# %% tags=["picture"]
# alt: Norm of the gradient of the weight, logarithmic, for 36 Linear layers. Without skips it falls in a straight
#   line from about 0.03 at the last layer to 1e-14 at the first. With skips it stays between 0.01 and 0.2.
figure, ax = plt.subplots(figsize=(7, 2.8))
for (name, sizes), mark in zip(first_step.items(), "os", strict=True):
    ax.semilogy(range(1, 37), sizes, mark + "-", ms=3, color=COLOURS[name], label=name)
ax.set(xlabel="Linear layer, from the input", ylabel="norm of the gradient", xticks=[1, 12, 24, 36])
ax.legend()

# %% [markdown]
# ## By hand
#
# **Four layers of one number.** Each multiplies by 0.1. By the chain rule the derivative of the output by the
# input is the product, $0.1^4 = 0.0001$. With a skip each block is $y = x + 0.1 x$, its derivative is 1.1, and
# the product is $1.1^4 = 1.4641$. Multiply out: $1 + 4 \cdot 0.1 + 6 \cdot 0.01 + 4 \cdot 0.001 + 0.0001$. This
# is a sum over $2^4 = 16$ **paths**, since a path goes through each body or past it. The plain net has only the
# longest of them. It is the last, and the smallest.
#
# **One block of two numbers.** The body is a ReLU and then a Linear layer without bias. Its $W$ has the rows
# $(1, 2)$ and $(3, -1)$. Let $x = (1, -2)$. The ReLU gives $(1, 0)$, and $W$ times that is $(1, 3)$. So
# $y = (1, -2) + (1, 3) = (2, 1)$. Backward, let $dy = (1, -1)$. Through the skip comes $(1, -1)$ as it is.
# Through the body: $dy\, W = (1 - 3,\; 2 + 1) = (-2, 3)$, and the ReLU was off at the second number, so
# $(-2, 0)$. The sum is $dx = (-1, -1)$.

# %%
assert abs(1.1**4 - (1 + 4 * 0.1 + 6 * 0.01 + 4 * 0.001 + 0.0001)) < 1e-12
assert sum(math.comb(4, k) for k in range(5)) == 2**4
W, x, dy = torch.tensor([[1.0, 2], [3, -1]]), torch.tensor([[1.0, -2]]), torch.tensor([[1.0, -1]])
assert (x + x.relu() @ W.T).tolist() == [[2, 1]] and (dy + dy @ W * (x > 0)).tolist() == [[-1, -1]]

# %% [markdown]
# ## Derivation
#
# **A block, backward.** $x_j$ reaches $y$ along two paths. So its gradient is a sum:
#
# $$ y_i = x_i + F_i(x) \qquad dx_j = \sum_i dy_i \frac{\partial y_i}{\partial x_j}
#  = dy_j + \sum_i dy_i \frac{\partial F_i}{\partial x_j} = dy_j + dF_j \tag{17.1} $$
#
# If $F$ changes the shape, the skip needs a layer $S$ that changes $x$ in the same way, the **shortcut**:
#
# $$ y = S(x) + F(x) \qquad dx = dS + dF \tag{17.2} $$
#
# Both $S$ and $F$ get the whole of $dy$. It is not divided between them, because $y$ grows by 1 if either
# of them does.
#
# **The product.** Let $x_\ell$ be the output of layer $\ell$, and $J_\ell$ its Jacobian, with
# $\partial x_{\ell, i} / \partial x_{\ell-1, j}$ in row $i$ and column $j$. With gradients as rows, the chain
# rule for $L$ layers is
#
# $$ dx_0 = dx_L\, J_L J_{L-1} \cdots J_1 \tag{17.3} $$
#
# **One plain layer** is here a ReLU and then a Linear layer, $x_\ell = W \text{relu}(x_{\ell-1}) + b$, with $n$
# inputs and $n$ outputs. torch's first weights and biases are drawn evenly between $-1/\sqrt n$ and $1/\sqrt n$.
# A draw between $-B$ and $B$ has the variance $B^2 / 3$ (chapter 7). So
#
# $$ V = E[W_{ij}^2] = E[b_i^2] = \frac{1}{3n} \tag{17.4} $$
#
# Let $q_\ell = E[x_{\ell, i}^2]$, the second moment. Had row $i$ of $W$ and $b_i$ the other sign, which is as
# likely, $x_{\ell, i}$ would have the other sign. So the ReLU keeps half of $q$ on average. Different weights
# are independent with mean 0, so all mixed terms vanish:
#
# $$ q_\ell = n V \cdot \tfrac12 q_{\ell-1} + V = \tfrac16 q_{\ell-1} + \frac{1}{3n} \tag{17.5} $$
#
# Each layer multiplies the second moment by 1/6, and its bias adds a rest. The two balance at
#
# $$ q = \tfrac16 q + \frac{1}{3n} \quad\Longrightarrow\quad q = \frac{2}{5n} \tag{17.6} $$
#
# So the numbers do not go to 0. But this rest comes from biases, which are the same for every digit. How far
# are two digits apart? Let $\delta$ be the difference of two inputs, so small that both have the same ReLUs on.
# The bias cancels, and $\delta_\ell = J_\ell \delta_{\ell-1}$ with $J = W D$, where $D$ has 1 on its diagonal
# where the ReLU is on, and else 0:
#
# $$ E[\delta_\ell^2] = n V \cdot \tfrac12 E[\delta_{\ell-1}^2] = \tfrac16 E[\delta_{\ell-1}^2] \tag{17.7} $$
#
# **The gradient.** Backward the same $W$ and the same $D$ are used, $dx_{\ell-1} = dx_\ell\, W D$. Now the sum
# runs over the outputs. There are $n$ of these too, so the factor is the same, and nothing is added:
#
# $$ E[dx_{\ell-1}^2] = \tfrac12\, n V\, E[dx_\ell^2] = \tfrac16 E[dx_\ell^2] \tag{17.8} $$
#
# (This treats $W$ as independent of the gradient that arrives. It nearly is; we will measure.) With $n'$
# outputs the factor is $n' V / 2 = n' / (6 n)$. The root of 6 is about 2.4, so each layer divides the size of
# the gradient by 2.4.
#
# **With skips** $J_\ell$ becomes $I + J_\ell$, where $J_\ell$ now belongs to the body. Multiplied out, the
# product is a sum over all paths:
#
# $$ (I + J_L) \cdots (I + J_1) = I + \sum_\ell J_\ell + \sum_{m > \ell} J_m J_\ell + \dots \tag{17.9} $$
#
# However small the bodies are, the **identity** is in it: the first block gets the last gradient as it is, plus
# corrections. A body of two layers has the factor $1/36$. The mixed term $E[dy_j\, dF_j]$ is 0, because a last
# weight of the other sign is as likely. With (17.5) twice, the rest of the body's two biases is
# $\frac16 \cdot \frac{1}{3n} + \frac{1}{3n} = \frac{7}{18n}$. So for each block
#
# $$ E[dx^2] = \left(1 + \tfrac1{36}\right) E[dy^2] \qquad q_\ell = \left(1 + \tfrac1{36}\right) q_{\ell-1}
#  + \frac{7}{18n} \tag{17.10} $$
#
# It grows, but slowly. By (17.9) a path through $k$ of the $L$ bodies has $36^{-k}$, and there are
# $\binom{L}{k}$ of these.

# %%
shares = [math.comb(16, k) * 36.0**-k / (1 + 1 / 36) ** 16 for k in range(17)]
print(f"16 blocks: the size grows {math.sqrt((1 + 1 / 36) ** 16):.2f} times with skips,")
print(f"and is divided by {6**16:.0e} without: 32 layers of √6.")
for k in range(3):
    print(f"{shares[k]:5.0%} of the second moment went through {k} of the bodies")
assert abs(sum(shares) - 1) < 1e-9 and shares[0] + shares[1] > 0.9

# %% [markdown]
# ## Matrix form
#
# For a batch, $X$ (N, n) has a row for each digit, and $\odot$ is the product element by element. A body of
# ReLU, Linear, ReLU, Linear with the masks $M_1$ and $M_2$ of its ReLUs:
#
# $$ dX = dY + \big( (dY\, W_2 \odot M_2)\, W_1 \big) \odot M_1 \qquad J = I + W_2 D_2 W_1 D_1 \tag{17.11} $$
#
# ## Code
#
# `backward` never forms a Jacobian. But if `dy` is row $i$ of the identity, it returns row $i$ of it. So for
# three small blocks we can look at the matrices: their product (17.3), and the sum over the $2^3$ paths (17.9).


# %%
def body(width, generator, hidden=None):
    sizes = (width, hidden or width, width)
    pairs = [Linear(*sizes[k : k + 2], generator=generator) for k in range(2)]
    return Sequential(ReLU(), pairs[0], ReLU(), pairs[1])


g = torch.Generator().manual_seed(0)
x, identity, jacobians = torch.randn(1, 4, generator=g), torch.eye(4), []
for _ in range(3):
    F = body(4, g)
    rows = x.expand(4, -1)  # the same x four times, one for each row of the identity
    added = F(rows)
    J = F.backward(identity)
    D1, D2 = ((t > 0).float().diag() for t in (x[0], F[1](F[0](x))[0]))
    assert torch.allclose(J, F[3].weight @ D2 @ F[1].weight @ D1, atol=1e-6)  # (17.11)
    jacobians.append(J)
    x = x + added[:1]
A, B, C = jacobians
paths = identity + A + B + C + B @ A + C @ A + C @ B + C @ B @ A  # 8 of them, (17.9)
assert torch.allclose((identity + C) @ (identity + B) @ (identity + A), paths, atol=1e-6)

# %% [markdown]
# ## Write it: the block
#
# The body and the shortcut are layers with `forward` and `backward`. Without a shortcut, $S(x) = x$. Do not
# change `x` or `dy`: others still need them. A sum has to remember nothing for its backward pass.


# %% tags=["write-it"]
class Block(Layer):
    """y = S(x) + F(x). body: the layer F. shortcut: the layer S, or None for S(x) = x."""

    def __init__(self, body, shortcut=None):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x):
        # your turn: (17.2), y of the shape of F(x)
        skipped = x if self.shortcut is None else self.shortcut.forward(x)
        return skipped + self.body.forward(x)  # (17.2)

    def backward(self, dy):
        # your turn: (17.2), dx = dS + dF
        dS = dy if self.shortcut is None else self.shortcut.backward(dy)
        return dS + self.body.backward(dy)  # (17.2)


# %% [markdown]
# ## Check: the numbers by hand, then finite differences

# %% tags=["check"]
F = Sequential(ReLU(), Linear(2, 2, bias=False))
F[1].weight.copy_(W)
block, x, dy = Block(F), torch.tensor([[1.0, -2]]), torch.tensor([[1.0, -1]])
y = block.forward(x)
assert x.tolist() == [[1, -2]], "forward changes x: `x +=` writes into the caller's x, use x + ..."
assert y.tolist() != [[1, 3]], "y is F(x) alone: add the skip"
assert y.tolist() == [[2, 1]], f"y is (2, 1) by hand, not {y[0].tolist()}"
dx = block.backward(dy)
assert dy.tolist() == [[1, -1]], "backward changes dy: `dy +=` writes into the caller's dy"
assert dx.tolist() != [[-2, 0]], "dx is dF alone: the skip is forgotten in backward"
assert dx.tolist() != [[1, -1]], "dx is dy alone: the gradient through the body is missing"
assert dx.tolist() != [[-0.5, -0.5]], "dx is halved: a sum gives the whole of dy to both its parts"
assert dx.tolist() == [[-1, -1]], f"dx is (−1, −1) by hand, not {dx[0].tolist()}"
print("by hand: y", y.tolist(), "dx", dx.tolist())

# %% tags=["check"]
g = torch.Generator().manual_seed(1)
x = torch.randn(5, 4, generator=g)
report = gradcheck(Block(body(4, g, hidden=6)), x)
assert report, report.diagnosis
print(report)
report = gradcheck(Block(body(4, g), Linear(4, 4, generator=g)), x)
assert report, f"with a shortcut: {report.diagnosis} dS is shortcut.backward(dy)"
wider = Sequential(ReLU(), Linear(4, 7, generator=g))
assert gradcheck(Block(wider, Linear(4, 7, generator=g)), x), "a shortcut to another shape"
print("also with a shortcut")

# %% [markdown]
# ## Write it: where does it get lost?
#
# Measure three sizes, each the root of a mean of squares, at the output of every layer. **Signal**: all numbers
# of the output. **Spread**: the same after subtracting the mean over the digits, so what differs from digit to
# digit. **Gradient**: the gradient with respect to the output.


# %% tags=["write-it"]
def by_layer(layers, x, dy):
    """(signal, spread, gradient): three lists with a float for the output of each layer, in order.

    x is the input of the first layer, dy the gradient with respect to the output of the last.
    """

    def size(t):
        return t.square().mean().sqrt().item()

    # your turn: forwards through the layers, then backwards
    signal, spread, gradient = [], [], []
    for layer in layers:
        x = layer.forward(x)
        signal.append(size(x))
        spread.append(size(x - x.mean(dim=0)))
    for layer in reversed(layers):
        gradient.append(size(dy))
        dy = layer.backward(dy)
    return signal, spread, gradient[::-1]


# %% [markdown]
# ## Check

# %% tags=["check"]
twice, thrice = Linear(2, 2, bias=False), Linear(2, 2, bias=False)
twice.weight.copy_(2 * torch.eye(2))
thrice.weight.copy_(3 * torch.eye(2))
x = torch.tensor([[3.0, 1], [1, 1], [2, 7]])  # squares 65, six numbers; the mean digit is (2, 3)
signal, spread, gradient = by_layer([twice, thrice], x, torch.ones(3, 2))
known, apart = math.sqrt(65 / 6), math.sqrt(26 / 6)


def fits(found, *right):
    return len(found) == 2 and all(abs(a - b) < 1e-5 for a, b in zip(found, right, strict=True))


assert not fits(signal, known, 2 * known), "signal[0] is of the first layer's output, not its input"
assert fits(signal, 2 * known, 6 * known), "signal is the root of the mean of all squares"
assert not fits(spread, *signal), "spread: subtract the mean over the digits first, dim=0"
assert fits(spread, 2 * apart, 6 * apart), "spread: the mean over the digits is one for each column"
assert not fits(gradient, 1, 3), "gradient is in the order of backward: turn it round"
assert not fits(gradient, 6, 3), "gradient of a layer's input: append before its backward"
assert fits(gradient, 3, 1), f"gradient is (3, 1) here, not {gradient}"
print("by_layer is right")

# %% [markdown]
# ## See it: signal, spread and gradient in 16 blocks
#
# A first layer and 16 blocks of two layers, 128 wide, fresh weights. For `He` each weight is $\sqrt6$ times as
# large, with biases 0, so that $nV/2 = 1$. For `BN` a BatchNorm stands before each ReLU.


# %%
def deep(kind, blocks, seed=0, inputs=784, width=128, wrap=Block):
    """A list: the first layer, and then the blocks."""
    g, layers = torch.Generator().manual_seed(seed), []
    layers.append(Linear(inputs, width, generator=g))
    for _ in range(blocks):
        F = list(body(width, g))
        if "He" in kind:
            for linear in F[1::2]:
                linear.weight *= math.sqrt(6)
                linear.bias.zero_()
        if "BN" in kind:
            F = [BatchNorm1d(width), *F[:2], BatchNorm1d(width), *F[2:]]
        F = Sequential(*F)
        layers.append(wrap(F) if "residual" in kind else F)
    return layers


last = torch.randn(500, 128, generator=torch.Generator().manual_seed(1))
sizes = {kind: by_layer(deep(kind, 16), digits, last) for kind in COLOURS}
print("             after 16 blocks         gradient")
print("             signal       spread     at the first layer, if it is 1 at the last")
for kind, (signal, spread, gradient) in sizes.items():
    print(f"{kind:<12} {signal[-1]:<12.2g} {spread[-1]:<10.2g} {gradient[0] / gradient[-1]:.2g}")

# %% tags=["picture"]
# alt: Two panels with logarithmic scales over 16 blocks, plain in red, residual in blue, theory as black dots.
#   Left: the plain signal stays at 0.06 while its spread over digits falls in a line to 1e-8 and stays there; the
#   residual signal is near 0.6 and its spread near 0.3. Right: going back from block 16 to 0 the plain gradient
#   falls to 1e-13, and the residual one stays at 1.
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.2))
for kind, mark, factor in (("plain", "o", 1 / 36), ("residual", "s", 1 + 1 / 36)):
    signal, spread, gradient = sizes[kind]
    colour = {"color": COLOURS[kind], "ms": 4}
    left.semilogy(signal, mark + ":", **colour, mfc="white", label=f"{kind}, signal")
    left.semilogy(spread, mark + "-", **colour, label=f"{kind}, spread")
    ratio = [size / gradient[-1] for size in gradient]
    right.semilogy(ratio, mark + "-", **colour, label=kind)
    theory = [factor ** ((16 - k) / 2) for k in range(17)]
    right.semilogy(theory, "k.", ms=3, label="(17.8)" if kind == "plain" else "(17.10)")
left.set(xlabel="block (0: the first layer)", title="forward", xticks=range(0, 17, 4))
right.set(xlabel="block (0: the first layer)", title="gradient, backward", xticks=range(0, 17, 4))
left.legend(fontsize=8), right.legend(fontsize=8)

# %% [markdown]
# Without skips *both* are lost. The signal looks healthy, if you look only at its size. But all of it is bias,
# and no digit is left in it: the spread is as small as the rounding of float32. The formulas hold closely:

# %%
signal, spread, gradient = sizes["plain"]
back = (gradient[-1] / gradient[0]) ** (1 / 32)
forth = (spread[1] / spread[7]) ** (1 / 12)  # before rounding stops it
size = math.sqrt(2 / (5 * 128))  # (17.6)
step = torch.nextafter(torch.tensor(size), torch.tensor(1.0)).item() - torch.tensor(size).item()
print(f"per layer: spread divided by {forth:.2f}, gradient by {back:.2f}; √6 is {6**0.5:.2f}")
print(f"the signal ends at {signal[-1]:.3f}; (17.6) says {size:.3f}")
print(f"its spread ends at {spread[-1]:.0e}; two float32 numbers of that size differ by {step:.0e}")
assert abs(forth / 6**0.5 - 1) < 0.04 > abs(back / 6**0.5 - 1)
assert abs(signal[-1] / size - 1) < 0.1 and step < spread[-1] < 5 * step
signal, spread, gradient = sizes["residual"]
q = signal[0] ** 2
for _ in range(16):
    q = (1 + 1 / 36) * q + 7 / (18 * 128)  # (17.10)
print(f"with skips the signal ends at {signal[-1]:.2f}; (17.10) says {math.sqrt(q):.2f}")
grown = gradient[0] / gradient[-1]
print(f"its gradient grows {grown:.2f} times; (17.10) says {(37 / 36) ** 8:.2f}")
assert abs(signal[-1] / math.sqrt(q) - 1) < 0.05
assert abs(grown / (37 / 36) ** 8 - 1) < 0.05

# %% [markdown]
# **What the cures of chapter 7 would do.** He's weights, without skips, keep both sizes. BatchNorm keeps signal
# and spread, but its gradient *grows* backwards. A ReLU of standard normal numbers has the second moment
# $\frac12$, but the variance only $\frac12 - \frac1{2\pi}$, for its mean is $1/\sqrt{2\pi}$. After the Linear
# layer the variance is $nV$ times that, and the next BatchNorm divides by its root. Backward, the second moment
# of the gradient is divided by this variance too, and the Linear layer and the ReLU multiply it by
# $\frac12 nV$. So $nV$ cancels:
#
# $$ \frac{1/2}{1/2 - 1/(2\pi)} = \frac{\pi}{\pi - 1} \approx 1.47 \quad\text{per layer} \tag{17.12} $$

# %%
gradient = sizes["plain BN"][2]
grown = (gradient[0] / gradient[-1]) ** (2 / 32)  # of the second moment, per layer
print(f"BatchNorm: {grown:.2f} measured, {math.pi / (math.pi - 1):.2f} by (17.12)")
assert abs(grown / (math.pi / (math.pi - 1)) - 1) < 0.05  # (17.12)
gradient = sizes["plain He"][2]
print(f"He: the gradient is {gradient[0] / gradient[-1]:.1f} times as large after 32 layers")
assert 0.5 < gradient[0] / gradient[-1] < 2

# %% [markdown]
# ## See it: does it learn?
#
# A small run: digits of 14 by 14 pixels, blocks 64 wide, 100 steps of Adam, five seeds. Networks with 1 to 8
# blocks. The mean picture of all digits is again what a network answers that has learned nothing of digits.

# %%
pictures = sample.train.pixels[:2000].float() / 127.5 - 1
small = pictures.reshape(-1, 14, 2, 14, 2).mean(dim=(2, 4)).flatten(1)  # (2000, 196)
mean_picture = (small - small.mean(dim=0)).square().mean().item()


def learn(kind, blocks, seed=0, eps=1e-8, wrap=Block):
    """The mean loss of the last 10 of 100 steps."""
    layers = deep(kind, blocks, seed, inputs=196, width=64, wrap=wrap)
    out = Linear(64, 196, generator=torch.Generator().manual_seed(seed + 100))
    model = Sequential(*layers, ReLU(), out)
    optimizer, batches = Adam(model.parameters(), lr=3e-3, eps=eps), Batches(2000, 100, seed=seed)
    losses = [
        train_step(model, optimizer, small[rows]).item()
        for epoch in range(5)
        for rows in batches.epoch(epoch)
    ]
    return sum(losses[-10:]) / 10


depths, race = (1, 2, 4, 8), {}
for kind in ("plain", "residual"):
    race[kind] = [[learn(kind, blocks, seed) for seed in range(5)] for blocks in depths]
    for blocks, found in zip(depths, race[kind], strict=True):
        print(f"{kind:<9} {blocks} blocks: {min(found):.3f} to {max(found):.3f}")
print(f"the mean picture: {mean_picture:.3f}")
cures = {
    kind: [learn(kind, 8, seed) for seed in range(3)]
    for kind in ("plain He", "plain BN", "residual He")
}
for kind, found in cures.items():
    print(f"{kind:<11} 8 blocks: {min(found):.3f} to {max(found):.3f}")
assert min(race["plain"][3]) > 0.97 * mean_picture and max(race["residual"][3]) < 0.6 * mean_picture
assert max(race["residual"][3]) < min(min(found) for found in cures.values())
assert max(cures["plain He"] + cures["plain BN"]) < min(race["plain"][3])

# %% [markdown]
# He's weights and BatchNorm do better than the plain network at this depth, but learn more slowly than the
# residual one, at this learning rate and in 100 steps. So kept sizes are needed, but they are not all. By
# (17.9) a network with skips and small bodies starts close to the identity, like a shallow network, and brings
# in its depth as it learns.

# %% tags=["picture"]
# alt: Left, loss in the small run over 1, 2, 4 and 8 blocks, five seeds. The plain network reaches the dotted line
#   of the mean picture with 2 blocks; the residual network stays at about half of it. Right, the recorded race,
#   test error over three epochs for five seeds each. All plain lines lie on the mean image at 0.26; all residual
#   lines fall from 0.13 to 0.09.
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.2))
for (kind, found), mark in zip(race.items(), "os", strict=True):
    left.plot(depths, [sorted(losses)[2] for losses in found], color=COLOURS[kind], label=kind)
    for blocks, losses in zip(depths, found, strict=True):
        left.plot([blocks] * 5, losses, mark, ms=4, color=COLOURS[kind], alpha=0.6)
left.axhline(mean_picture, color="#555555", ls=":", label="the mean picture")
left.set(xlabel="blocks", ylabel="loss", title="small run", xticks=depths, ylim=(0, None))
left.legend(fontsize=8)
recorded = Path(scratchae.__file__).parents[1] / "reference" / "results" / "depth.json"
if recorded.exists():  # it is in the repository, not in the package
    study = json.loads(recorded.read_text("utf-8"))
    for row in study["rows"]:
        kind = row["model"].removesuffix("-deep")
        for losses in row["losses"] if row["latent"] == 16 and kind in race else ():
            style = "o-" if kind == "plain" else "s--"
            right.plot([1, 2, 3], losses, style, ms=4, color=COLOURS[kind], alpha=0.7)
    right.axhline(study["mean_image"], color="#555555", ls=":")
right.set(xlabel="epoch", title="recorded: full size, code of 16", xticks=[1, 2, 3], ylim=(0, None))

# %% [markdown]
# **The large race** trains `residual` and `plain-deep` for 3 epochs with five seeds (`python -m
# reference.depth`; it also has `fc`, which is a third as deep). Lowest and highest error on the test digits:

# %%
if recorded.exists():
    ends = {}
    for row in study["rows"]:
        found = ends[row["model"], row["latent"]] = [losses[-1] for losses in row["losses"]]
        span = f"{min(found):.3f} to {max(found):.3f}, {len(found)} seeds"
        print(f"code of {row['latent']:2}  {row['model']:<10} {span}")
    print(f"the mean image  {study['mean_image']:.3f}")
    for (name, latent), found in ends.items():
        if name == "plain-deep":
            assert min(found) > study["mean_image"] and len(found) == 5
            assert max(ends["residual", latent]) < min(ends["fc", latent])

# %% [markdown]
# After three epochs no seed of the plain network beats the mean image, at any size of the code. Every seed of the
# residual one beats every seed of the network a third as deep. (Three epochs are few. Later the order may change.)
#
# ## Break it
#
# Write down what you expect. **1. Three wrong backward passes.** One forgets the skip, one forgets the body, one
# halves the sum. Which of them can you see in the loss of 8 blocks?


# %% tags=["predict"]
class SkipForgotten(Block):
    def backward(self, dy):
        return self.body.backward(dy)


class BodyForgotten(Block):
    def backward(self, dy):
        self.body.backward(dy)  # for the gradients of its weights
        return dy


class Halved(Block):
    def backward(self, dy):
        return super().backward(dy) / 2


right_loss = max(race["residual"][3])
wrong = {}
for kind in (SkipForgotten, BodyForgotten, Halved):
    wrong[kind] = [learn("residual", 8, seed, wrap=kind) for seed in range(3)]
    report = gradcheck(kind(body(4, g)), torch.randn(5, 4, generator=g))
    print(f"{kind.__name__:<14} {min(wrong[kind]):.3f} to {max(wrong[kind]):.3f}; gradcheck says:")
    print(" ", report.diagnosis)
    assert not report
print(f"{'right':<14} {min(race['residual'][3]):.3f} to {right_loss:.3f}")
assert min(wrong[SkipForgotten]) > 1.1 * right_loss
assert max(wrong[BodyForgotten] + wrong[Halved]) < 1.1 * right_loss

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# Only the first. Without the skip the gradient is that of the plain network, and the first blocks get almost none;
# the last block learns. By the shares above most of the gradient passes no body, so `BodyForgotten` loses
# little. And `Halved` makes the gradients of early blocks smaller, but Adam divides by their size. A loss that
# falls does not prove a gradient. `gradcheck` refuses all three.
#
# </details>
#
# **2. A stronger Adam.** Adam divides each gradient by its size, plus `eps` = 1e-8. In the plain network
# with 16 blocks the gradients of the first layer are far smaller than `eps`. Does `eps` = 1e-30 help it?

# %% tags=["predict"]
model = Sequential(*deep("plain", 16, inputs=196, width=64), ReLU(), Linear(64, 196, generator=g))
add_gradients(model, small, small)
print(f"the largest number in the first layer's gradient: {model[0].weight.grad.abs().max():.0e}")
found = [learn("plain", 16, seed, eps=1e-30) for seed in range(3)]
print(f"{min(found):.3f} to {max(found):.3f}; the mean picture: {mean_picture:.3f}")
assert min(found) > 0.97 * mean_picture and model[0].weight.grad.abs().max() < 1e-9

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# Now the first layers do move. But the spread is lost too: the last layers get the same numbers for every
# digit, so the gradients that come back do not know what to change. A larger step does not bring back what is
# gone.
#
# </details>
#
# **3. Two cures at once.** He's weights *and* skips. What becomes of the signal? Ask (17.10), with 1 for $1/36$.

# %% tags=["predict"]
signal, spread, gradient = sizes["residual He"]
forth, back = (signal[-1] / signal[0]) ** (1 / 16), (gradient[0] / gradient[-1]) ** (1 / 16)
print(f"each block multiplies the signal by {forth:.2f} and the gradient by {back:.2f}")
print(f"16 blocks: signal times {forth**16:.0f}, gradient times {back**16:.0f}; √2¹⁶ is {2**8}")
assert abs(forth / 2**0.5 - 1) < 0.05 > abs(back / 2**0.5 - 1)

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# Each block doubles the second moment, $1 + 1 = 2$, so the size grows by $\sqrt2$, and by $\sqrt2^{16} = 256$ in
# all. It also learns worse than with small bodies, see above. With skips, the body has to start *small*: with
# torch's weights, with a last layer of 0, or with BatchNorm inside, whose output does not grow with $x$.
#
# </details>
#
# ## Recap card
#
# | | formula | shape | line of code |
# |---|---|---|---|
# | block | $y = S(x) + F(x)$ | (N, n) | `skipped + self.body.forward(x)` |
# | backward | $dx = dS + dF$ | (N, n) | `dS + self.body.backward(dy)` |
# | plain, per layer | $q \leftarrow \frac16 q + \frac1{3n}$ | a number | `by_layer(layers, x, dy)[0]` |
# | gradient, per layer | $E[dx^2] = \frac16 E[dy^2]$ | a number | `by_layer(layers, x, dy)[2]` |
# | gradient, per block | $E[dx^2] = (1 + \frac1{36}) E[dy^2]$ | a number | the same, with `Block` |
#
# **Sources.** Hochreiter 1991 (the vanishing gradient); Glorot and Bengio 2010 (variance by layer); He et al.
# 2015 (first weights) and 2016 (residual networks); Veit et al. 2016 (the sum over paths); Yang et al. 2019
# (the gradient of BatchNorm grows).
#
# ## Assignment
#
# Put the ReLU after the sum, $y = \text{relu}(x + F(x))$ with $F$ = Linear, ReLU, Linear, as the first residual
# networks had it. Is there still an identity in the product of Jacobians? Predict signal, spread and gradient
# with (17.10), then measure with `by_layer`. Then start each body's last layer at 0. Read
# `scratchae/layers/residual.py`, `scratchae/models/deep.py` and `reference/depth.py`; then run `scratchae train
# residual` and `scratchae train plain-deep`.
