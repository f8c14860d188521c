# %% [markdown]
# # 5. An autoencoder: does it beat PCA?
#
# ## The question
#
# Three numbers for a digit, and a picture back: in [chapter 0](ch00_pixels.py) a trained network did that. But a
# method more than a hundred years old does it too, without a gradient or a learning rate: **principal component
# analysis**, PCA. An autoencoder that is shown without this comparison proves little. So: build an
# encoder, a decoder and the loop that trains them, and race them against PCA. Before the race you prove how far
# a *linear* autoencoder can come at all. Then you see it come exactly there.

# %%
import matplotlib.pyplot as plt
import torch
from matplotlib.patheffects import withStroke

from scratchae.checking import check
from scratchae.data import Batches, load
from scratchae.layers import Linear, ReLU, Sequential
from scratchae.losses import mse_backward, mse_forward
from scratchae.models import Autoencoder
from scratchae.optim import SGD, Adam
from scratchae.plots.latent import DIGIT_COLOURS
from scratchae.plots.style import STYLE

plt.rcParams.update(STYLE)
sample = load("sample")
ink = [part.pixels[:1000].double() / 127.5 - 1 for part in (sample.train, sample.test)]
digits, unseen = (part.reshape(-1, 14, 2, 14, 2).mean(dim=(2, 4)).flatten(1) for part in ink)
mean = digits.mean(dim=0)
digits, unseen = digits - mean, unseen - mean  # (1000, 196), around 0, in 64 bits

# %% [markdown]
# ## One picture
#
# Four digits of two pixels. To tell each in *one* number, choose a line through the middle, and say how far
# along it the digit is. What is lost is the distance from the line. Turn the line: what you keep and what you
# lose change, but **their squares together are always the same**. And somewhere you lose least.

# %% tags=["picture"]
# alt: Left: four dots near a slanted line, and from each a short stroke to it, at right angles. Right, over the
#   angle of the line: a blue area, lost, and an orange one upon it, kept, together 20; at 45 degrees 2 are lost.
x = torch.tensor([[2.0, 1], [1, 2], [-1, -2], [-2, -1]])
turns = torch.linspace(0, torch.pi, 181)
kept = (x @ torch.stack([turns.cos(), turns.sin()])).square().sum(dim=0)  # (181,)
_, (ax, areas) = plt.subplots(1, 2, figsize=(7, 2.6))
ax.axline((0, 0), slope=1, color="black", lw=1)
ax.plot(*x.reshape(2, 2, 2).permute(2, 1, 0), color="#0072b2", lw=3)  # from dot to dot
ax.plot(*x.T, "o", color="#e69f00", ms=8)
ax.set(aspect="equal", xlim=(-4, 4), ylim=(-2.6, 2.6), xlabel="pixel 0", ylabel="pixel 1")
areas.stackplot(turns.rad2deg(), 20 - kept, kept, colors=["#0072b2", "#e69f00"])
areas.text(135, 6, "lost", color="white", ha="center", weight="bold", size=11)
areas.text(45, 10, "kept", ha="center", weight="bold", size=11)
areas.set(title="sum of squares", xlabel="angle of the line, degrees", xticks=range(0, 181, 45))

# %% [markdown]
# ## By hand: these four
#
# They are $(2, 1)$, $(1, 2)$, $(-1, -2)$, $(-2, -1)$; the mean is 0, and all squares add up to $4 \cdot 5 = 20$.
# **A line.** Along $(1, 0)$ they are at $2, 1, -1, -2$: it keeps $4 + 1 + 1 + 4 = 10$, and loses 10. Along
# $(1, 1) / \sqrt 2$ they are at $\pm 3 / \sqrt 2$: it keeps $4 \cdot 4.5 = 18$, and loses 2, so $2/8$ a pixel.
#
# **An autoencoder.** Let the encoder say the first pixel, $E = (1, 0)$, and the decoder paint it there,
# $D = (1, 0)$. The error is $10 / 8 = 1.25$. At the second pixel it draws 0, not $x_1$, so there
# $dy = 2 (0 - x_1) / 8 = -x_1 / 4$. That pixel's weight multiplies the code, $x_0$, so its gradient is the sum
# of $-x_1 x_0 / 4$: four times $-\frac12$, which is $-2$. A step with $\eta = \frac12$ makes $D = (1, 1)$. It
# draws $(x_0, x_0)$ and is off by 1 at one pixel of each digit, an error of $4 / 8$. Now $E$ has to learn.

# %%
E, D = torch.tensor([[1.0, 0]]), torch.tensor([[1.0], [0]])  # (k, I) and (I, k)
z = x @ E.T  # (N, k)
slopes = mse_backward(z @ D.T, x).T @ z
assert mse_forward(z @ D.T, x) == 1.25 and mse_forward(z @ (D - 0.5 * slopes).T, x) == 0.5
assert slopes.tolist() == [[0], [-2]] and kept[[0, 45]].round(decimals=3).tolist() == [10, 18]

# %% [markdown]
# ## Derivation
#
# Let the rows $x_n$ of $X$ be $N$ digits of $I$ numbers, with mean 0, and let a decoder of *one* linear layer
# draw them from $k$ numbers. With $d_j$ for column $j$ of its weight and $c$ for its bias, it draws
#
# $$ y_n = c + \sum_j z_{n,j}\, d_j \tag{5.1} $$
#
# How low can the error be, if the encoder may say any $z$ it likes? **1. The best point of a plane.** Choose $k$
# vectors $q_j$ of length 1, at right angles to each other, of which every $d_j$ is a mixture: $q_j$ is the part
# of $d_j$ at right angles to those before, made as long as 1, or anything new if that part is 0. Their mixtures
# are the plane. Let $p = \sum_j (x \cdot q_j)\, q_j$, and $r = x - p$ the rest. Then
# $r \cdot q_i = x \cdot q_i - \sum_j (x \cdot q_j)(q_j \cdot q_i) = 0$, for only $j = i$ is left of the sum. So
# $r$ is at right angles to the plane. For any $y$ in it $p - y$ is in it too, and so $2\, r \cdot (p - y)$ is 0:
#
# $$ |x - y|^2 = |r + (p - y)|^2 = |r|^2 + |p - y|^2 \geq |r|^2 \tag{5.2} $$
#
# Nothing in the plane is nearer than $p$. With $y = 0$ it is the picture above, lost and kept:
# $|x|^2 = |r|^2 + |p|^2$, and $|p|^2 = \sum_j (x \cdot q_j)^2$; $x_n \cdot q_j$ is entry $n$ of $X q_j$.
#
# **2. The bias does not help.** With it the plane has to draw $x_n - c$. As $p$ is linear in $x$, the rest is
# the difference of both rests, $r_n - r_c$. The $x_n$ add up to 0, so the $r_n$ do, and in the squares
# $-2\, r_c \cdot \sum_n r_n$ is 0: they add up to $\sum_n |r_n|^2 + N |r_c|^2$, no less than without $c$:
#
# $$ \sum_n |x_n - y_n|^2 \;\geq\; \sum_n |r_n|^2 = \sum_n |x_n|^2 - \sum_j |X q_j|^2 \tag{5.3} $$
#
# **3. Which plane keeps most?** Let $v_1$ be the direction, of length 1, in which $|X v_1|$ is largest; $v_2$
# the same among those at right angles to $v_1$; and so on, $I$ times. Call these lengths $|X v_i|$ now
# $s_1 \geq s_2 \geq \ldots$, the **singular values**. Instead of $v_i$ one could have taken
# $\cos(h)\, v_i + \sin(h)\, v_l$ with a later $v_l$. Its $|X v|^2$ is
# $\cos^2(h)\, s_i^2 + 2 \cos(h) \sin(h)\, (X v_i) \cdot (X v_l) + \sin^2(h)\, s_l^2$. At $h = 0$ that has the
# slope $2\, (X v_i) \cdot (X v_l)$, and is largest, so this is 0: the $X v_i$ are at right angles to each other.
# As $I$ directions leave no rest, $q = \sum_i (q \cdot v_i)\, v_i$, and in $|X q|^2$ all mixed terms vanish:
#
# $$ |X q|^2 = \Big| \sum_i (q \cdot v_i)\, X v_i \Big|^2 = \sum_i s_i^2\, (q \cdot v_i)^2 \tag{5.4} $$
#
# So the plane keeps $\sum_i s_i^2\, w_i$, with $w_i = \sum_j (q_j \cdot v_i)^2$. This is what it keeps of
# $|v_i|^2 = 1$, hence $0 \leq w_i \leq 1$. And as $\sum_i (q_j \cdot v_i)^2 = |q_j|^2 = 1$, all $w_i$ add up to
# $k$. You have $k$ coins to lay on the $s_i^2$, **at most one on each**: lay them on the first $k$. For a coin
# elsewhere earns at most $s_k^2$, one missing there costs at least $s_k^2$, and there are as many of both:
#
# $$ \sum_i s_i^2 w_i - \sum_{i \leq k} s_i^2 = \sum_{i > k} s_i^2 w_i - \sum_{i \leq k} s_i^2 (1 - w_i)
#  \leq s_k^2 \Big( \sum_{i > k} w_i - k + \sum_{i \leq k} w_i \Big) = 0 \tag{5.5} $$
#
# All $I$ directions together keep everything, $\sum_n |x_n|^2 = \sum_i s_i^2$. This and (5.5) into (5.3):
#
# $$ \frac{1}{N I} \sum_n |x_n - y_n|^2 \;\geq\; \frac{1}{N I} \sum_{i > k} s_i^2 \tag{5.6} $$
#
# That is the theorem of Eckart and Young; call its right side the **PCA line**. Rows $v_1, \ldots, v_k$ in the
# encoder, and the same as columns in the decoder, reach it: $q_j = v_j$.
#
# **The gradient**, without biases. With $z_{n,j} = \sum_i x_{n,i} E_{j,i}$ and
# $y_{n,o} = \sum_j z_{n,j} D_{o,j}$, and $dy = 2 (y - x) / (N I)$ from [chapter 1](ch01_loss.py), it is
# [chapter 2](ch02_linear.py) twice. What the decoder finds for its input, $dz$, is what arrives at the encoder:
#
# $$ dD_{o,j} = \sum_n dy_{n,o}\, z_{n,j} \qquad dz_{n,j} = \sum_o dy_{n,o}\, D_{o,j} \qquad
#  dE_{j,i} = \sum_n dz_{n,j}\, x_{n,i} \tag{5.7} $$
#
# ## Matrix form
#
# With a row for each digit, $X$ and $Y$ are (N, I), $Z$ is (N, k), $E$ is (k, I) and $D$ is (I, k):
#
# $$ Z = X E^\top \quad Y = Z D^\top \qquad dD = dY^\top Z \quad dZ = dY\, D \quad dE = dZ^\top X \tag{5.8} $$
#
# ## Code
#
# The *singular value decomposition* of $X$ returns all $s_i$ and $v_i$. Of 1,000 random planes none is better:


# %%
def pca(x, k):
    """The lowest error with k numbers for x (N, I) around 0, and the directions (k, I)."""
    _, s, v = torch.linalg.svd(x, full_matrices=False)
    return s[k:].square().sum().item() / x.numel(), v[:k]  # (5.6)


(line, v), everything = pca(digits, 3), pca(digits, 196)[1]
g = torch.Generator().manual_seed(0)
for _ in range(1000):
    q = torch.linalg.qr(torch.randn(196, 3, generator=g).double())[0]  # (196, 3)
    w = (everything @ q).square().sum(dim=1)
    assert w.max() < 1 and abs(w.sum() - 3) < 1e-9
    assert mse_forward(digits @ q @ q.T, digits) > line  # (5.6)
assert abs(mse_forward(digits @ v.T @ v, digits) - line) < 1e-9
print(f"saying nothing costs {pca(digits, 0)[0]:.4f}, three numbers of PCA {line:.4f}")

# %% [markdown]
# ## Write it
#
# **The pair.** `sizes` is the way down: `(196, 64, 3)` means Linear 196 to 64, ReLU, Linear 64 to 3. The decoder
# goes back up. No ReLU behind the last layer of either. **The step.** Empty the gradients, forward, loss,
# backward with the loss's gradient, step. The target is the digit itself: nobody has to label anything. **The
# loop.** `batches.epoch(3)` gives the rows of each batch of epoch 3; `x[rows]` are those digits.


# %% tags=["write-it"]
def autoencoder(sizes, generator=None):
    """The Autoencoder of x (N, sizes[0]) with a code of sizes[-1] numbers."""
    # your turn: Autoencoder(encoder, decoder, (sizes[0],)), each a Sequential
    halves = []
    for way in (sizes, sizes[::-1]):
        layers = []
        for i in range(1, len(way)):
            layers += [Linear(way[i - 1], way[i], generator=generator), ReLU()]
        halves.append(Sequential(*layers[:-1]))
    return Autoencoder(*halves, (sizes[0],))


def train_step(model, optimizer, x):
    """Move the model once towards giving back x; returns the loss before the move."""
    # your turn: five calls, in the order above
    optimizer.zero_grad()
    y = model.forward(x)
    loss = mse_forward(y, x)
    model.backward(mse_backward(y, x))  # (5.8), layer by layer
    optimizer.step()
    return loss


def train(model, optimizer, x, epochs, batches):
    """Every step's loss in order, a float each."""
    # your turn: epochs, their batches, a step for each
    orders = (batches.epoch(epoch) for epoch in range(epochs))
    return [train_step(model, optimizer, x[rows]).item() for order in orders for rows in order]


# %% [markdown]
# ## Check

# %% tags=["check"]
x = 9 * torch.randn(50, 8, generator=g)
model, again = (autoencoder((8, 7, 5, 2), g.manual_seed(1)) for _ in range(2))
codes = model.encode(x)
assert codes.shape == (50, 2), "a code is to have sizes[-1] numbers, here 2"
assert model(x).shape == x.shape, "the decoder does not lead back: it takes the sizes backwards"
assert (codes < 0).any(), "codes are never negative: no ReLU behind the encoder"
assert (model(x) < 0).any(), "digits are never negative: no ReLU behind the decoder"
for half, at in ((model.encode, x), (model.decode, codes)):
    bend = half(at) + half(-at) - 2 * half(0 * at)
    assert bend.abs().max() > 1e-3, "a half does not bend: a ReLU belongs between its layers"
found = [tuple(p.shape) for p in model.parameters() if p.ndim == 2]
assert found == [(7, 8), (5, 7), (2, 5), (5, 2), (7, 5), (8, 7)], f"the weights are {found}"
assert torch.equal(model(x), again(x)), "two of one seed differ: give every layer the generator"
report = check(train_step)
print(report)
assert report, "\n".join(report.sentences)

# %% tags=["check"]
model, x, seen = Linear(1, 1), torch.arange(7.0)[:, None], []  # seen: which samples came
model.forward = lambda x: seen.append(x[:, 0].int().tolist()) or Linear.forward(model, x)
losses = train(model, SGD(model.parameters(), lr=0.001), x, 2, Batches(7, 3, seed=0))
assert seen[0] != list(range(7)), "all samples go in at every step: take x[rows]"
assert len(seen) != 3, "that is one epoch: the outer loop counts epochs"
assert len(losses) == len(seen) == 6, f"6 batches: {len(seen)} steps, {len(losses)} losses"
first, second = ([n for batch in part for n in batch] for part in (seen[:3], seen[3:]))
assert sorted(first) == sorted(second) == list(range(7)), "not every sample came once an epoch"
assert first != second, "both epochs have the same order: ask for batches.epoch(epoch)"
assert all(isinstance(loss, float) for loss in losses), "you will want floats: .item()"

# %% [markdown]
# ## See it: the race


# %%
def race(model, lr, size):
    """Errors (17, 2) on digits and unseen ones, and codes, every 50 steps; every step's loss."""
    errors, codes, losses = [], [], []
    optimizer = Adam(model.to(torch.float64).parameters(), lr=lr)
    for k in range(17):
        errors.append([mse_forward(model(x), x).item() for x in (digits, unseen)])
        codes.append(model.encode(digits))
        if k < 16:
            losses += train(model, optimizer, digits, size // 20, Batches(1000, size, seed=k))
    return torch.tensor(errors), codes, losses


costs = torch.tensor([line, mse_forward(unseen @ v.T @ v, unseen)])
linear, deep = (autoencoder(sizes, g.manual_seed(0)) for sizes in [(196, 3), (196, 64, 3)])
straight, _, losses = race(linear, lr=0.01, size=1000)  # all digits at every step
bent, codes, _ = race(deep, lr=0.003, size=200)  # in batches of 200
for name, errors in {"linear": straight[-1], "deep": bent[-1]}.items():
    print(name, "has {:.4f} of PCA's error; on unseen digits {:.4f}".format(*errors / costs))
assert line < min(losses) <= losses[-1] < 1.01 * line  # never below, at no step
assert (bent[-1] < torch.tensor([0.7, 0.9]) * costs).all() and bent[:, 1].argmin() < 9  # 400 steps

# %% tags=["picture"]
# alt: Two plots of the error over 800 steps, PCA's a dashed line. The linear pair falls to it and stays there.
#   The deep one is below it at step 50 and falls on; on unseen digits, right, it stops falling before 400.
_, axes = plt.subplots(1, 2, figsize=(7, 2.6), sharey=True)
for ax, i, which in zip(axes, (0, 1), ("digits they learn from", "unseen digits"), strict=True):
    ax.axhline(costs[i], color="black", ls="--", lw=1, label="PCA")
    ax.plot(range(0, 801, 50), straight[:, i], "o-", ms=4, color="#e69f00", label="linear")
    ax.plot(range(0, 801, 50), bent[:, i], "s-", ms=4, color="#0072b2", label="deep")
    ax.set(title=f"error on {which}", xlabel="step", ylim=(0.07, 0.25))
ax.legend()

# %% [markdown]
# **Does it beat PCA?** A linear one never, where it learns: it *is* PCA, found the slow way. A deep one does, on
# unseen digits by less; after 400 steps it wins no more there, and learns by heart. Here are its codes while it
# trains, seen from one side, and then unseen digits, drawn by all. Not each of them gains: see the five.

# %% tags=["picture"]
# alt: Four scatter plots of codes, each a numeral in the colour of its kind, a large one at the kind's middle.
#   At step 0 all lie in one lump; at step 50 zeros and ones have left it; at step 800 most kinds have a region.
labels, halo = sample.train.labels[:1000], [withStroke(linewidth=3, foreground="white")]
_, axes = plt.subplots(2, 2, figsize=(7, 6))
side = pca(codes[-1] - codes[-1].mean(dim=0), 2)[1].T  # (3, 2): from where we look
for ax, step in zip(axes.flat, (0, 50, 200, 800), strict=True):
    for kind, colour in enumerate(DIGIT_COLOURS):
        own, look = (codes[step // 50] @ side)[labels == kind], {"c": colour, "marker": f"${kind}$"}
        ax.scatter(*own[:25].T, s=26, lw=0.6, **look)
        ax.scatter(*own.median(dim=0).values, s=250, lw=0.3, path_effects=halo, zorder=3, **look)
    ax.set(title=f"step {step}", xticks=[], yticks=[])

# %% tags=["picture"]
# alt: Four rows of ten unseen digits, zero to nine: the digit; drawn by PCA, blurred, several not to be read;
#   by the linear pair, the same; by the deep one, zero, one and seven sharp, five and nine lost.
shown = unseen[torch.stack([(sample.test.labels == kind).nonzero()[0, 0] for kind in range(10)])]
drawn = {"digit": shown, "PCA": shown @ v.T @ v, "linear": linear(shown), "deep": deep(shown)}
assert (drawn["deep"] - shown)[5].norm() > (drawn["PCA"] - shown)[5].norm()  # the five
_, axes = plt.subplots(4, 10, figsize=(7, 3.2))
for row, (name, pictures) in zip(axes, drawn.items(), strict=True):
    row[0].set_title(name)
    for ax, cells in zip(row, (pictures + mean).reshape(-1, 14, 14), strict=True):
        ax.imshow(cells, cmap="gray", vmin=-1, vmax=1)
        ax.set_axis_off()

# %% [markdown]
# ## Break it
#
# **1. Who has to bend?** A deep encoder with a linear decoder, or the reverse: which beats PCA? Write it down.

# %% tags=["predict"]
for down, up in [((196, 64, 3), (196, 3)), ((196, 3), (196, 64, 3))]:
    encoder, decoder = autoencoder(down, g.manual_seed(0)).encoder, autoencoder(up, g).decoder
    errors = race(Autoencoder(encoder, decoder, (196,)), lr=0.003, size=200)[0]
    print(f"encoder {down}, decoder {up[::-1]}: {errors[-1, 0] / line:.3f} of PCA's error")
    assert (errors[-1, 0] < line) == (up == (196, 64, 3))

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# Only the one whose *decoder* bends. Look for the encoder in the proof: there is none. (5.1) says that a linear
# decoder draws on a plane, and no encoder, however deep, can lift a drawing off it.
#
# </details>
#
# **2. The same numbers?** The linear pair has PCA's error. Is its first number PCA's first?

# %% tags=["predict"]
cosines = (v @ linear.decoder[0].weight / linear.decoder[0].weight.norm(dim=0)).float()  # (3, 3)
print("lengths in PCA's plane:", cosines.norm(dim=0), "cosines with its axes:", cosines, sep="\n")
assert cosines.norm(dim=0).min() > 0.999 and cosines.abs().max() < 0.95

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# It found the plane (lengths 1) with other axes (no cosine is $\pm 1$). Replace $D$ by $D A$ and $E$ by
# $A^{-1} E$, if $A$ can be undone: it draws the same. A single number of a code need not mean anything.
#
# </details>
#
# ## Recap card
#
# | | formula | shape | line of code |
# |---|---|---|---|
# | PCA line | $\sum_{i > k} s_i^2 / (N I)$ | () | `s[k:].square().sum() / x.numel()` |
# | pair | $Z = X E^\top$, $Y = Z D^\top$ | (N, k), (N, I) | `model.decode(model.encode(x))` |
# | backward | $dY = 2 (Y - X) / (N I)$ | (N, I) | `model.backward(mse_backward(y, x))` |
#
# The plane that keeps most lies along the cloud. To beat it, the decoder has to bend.
#
# ## Assignment
#
# [**hw2**](../course.md) asks for `train_step`. What does `scratchae/step.py` ask that yours does not?
