# %% [markdown]
# # 10. What does a picture's network keep?
#
# ## The question
#
# You have a layer that knows what a picture is ([chapter 8](ch08_conv2d.py)), its mirror that makes small
# pictures large, and the gradients of both ([chapter 9](ch09_backward_window.py)). Put them together: an encoder
# of convolutions that tells a digit in 16 numbers, and a decoder that draws it from them. Is it better than an
# autoencoder of linear layers? A fair race needs rules. Both have BatchNorm, tell a digit in the *same* 16
# numbers and see the same 1,000 digits 15 times, in the same order. Each has the learning rate that suits it
# best of three, chosen by 500 other digits; and what counts are 500 more, that nobody has seen. And then we look
# inside: what does it keep, and what does it leave out?

# %%
import matplotlib.pyplot as plt
import torch

from scratchae.data import Batches, load
from scratchae.layers import (
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    Linear,
    ReLU,
    Sequential,
    Tanh,
    Unflatten,
)
from scratchae.losses import mse_forward
from scratchae.models import Autoencoder, build
from scratchae.optim import Adam
from scratchae.plots.style import STYLE
from scratchae.step import train_step

plt.rcParams.update(STYLE)
sample = load("sample")
digits = sample.train.pixels[:1000, None].float() / 127.5 - 1  # (1000, 1, 28, 28), from −1 to 1
referees, unseen = (sample.test.pixels[:1000, None].float() / 127.5 - 1).split(500)

# %% [markdown]
# ## One picture
#
# An hourglass. On the way down the pictures get smaller and more: 1 of 28 by 28, 8 of 14 by 14, 16 of 7 by 7.
# Then a linear layer tells all of that in 16 numbers. The way up is the way down in the mirror.

# %% tags=["picture"]
# alt: Seven bars side by side, an hourglass: each is as high as its pictures are wide, 28, 14, 7, then 1 for
#   the code, then 7, 14, 28. Below each stands what it is: 1 of 28 by 28, 8 of 14 by 14, 16 of 7 by 7, 16
#   numbers, and the same backwards. Between them: Conv2d twice, Linear twice, ConvTranspose2d twice.
shapes = ["1 of\n28 × 28", "8 of\n14 × 14", "16 of\n7 × 7", "16\nnumbers"]
figure, ax = plt.subplots(figsize=(7, 2.5))
sides = [28, 14, 7, 1, 7, 14, 28]
ax.bar(range(7), sides, bottom=[-side / 2 for side in sides], width=0.3, color="#0072b2")
ax.set(xticks=range(7), xticklabels=shapes + shapes[2::-1], yticks=[])
for k, words in enumerate(["Conv2d", "Conv2d", "Linear", "Linear", "ConvTr.", "ConvTr."]):
    ax.text(k + 0.5, 0, f"{words}\n→", ha="center", va="center", size=10)
ax.tick_params(length=0, labelsize=11), ax.grid(False)
ax.spines[["left", "bottom"]].set_visible(False)

# %% [markdown]
# ## By hand: a picture of two rows and four columns
#
# The smallest convolutional autoencoder: one kernel of 2 by 2, all four weights ¼, stride 2, as encoder, and one
# of ones as decoder. The picture has 1 in its left half, and 5, 5 above 5, 9 in its right half. The encoder
# tells each half by its mean, 1 and 6. The decoder stamps them: ones on the left, sixes on the right. What is
# missing, the **residual**, is 0 on the left and −1, −1, −1, 3 on the right. So the loss is
# $(3 \cdot 1 + 9) / 8 = 1.5$. Eight numbers told in two: the flat half is kept, the corner is lost.

# %%
down, up = Conv2d(1, 1, 2, stride=2, bias=False), ConvTranspose2d(1, 1, 2, stride=2, bias=False)
down.weight.fill_(0.25), up.weight.fill_(1)
x = torch.tensor([[[[1.0, 1, 5, 5], [1, 1, 5, 9]]]])
assert down(x).tolist() == [[[[1, 6]]]] and mse_forward(up(down(x)), x) == 1.5
print(x - up(down(x)))

# %% [markdown]
# ## Derivation
#
# **Sizes.** Kernel 3, stride 2, padding 1 on $H$ rows give, by (8.4), $P = \lfloor (H - 1) / 2 \rfloor + 1$: 28
# becomes 14, and 14 becomes 7. Back, with kernel $k$, stride 2 and padding 1, (9.7) says
#
# $$ \begin{aligned} H &= 2 (P - 1) + (k - 1) + 1 - 2 + \text{extra} \\ &= 2 P + k - 4 + \text{extra}
#  \end{aligned} \tag{10.1} $$
#
# To get $2 P$, either $k = 3$ with `output_padding` 1, or $k = 4$ with none. Chapter 9 tells which: 2 divides 4
# and not 3, so $k = 4$ paints no checkerboard.
#
# **How far does a number see?** Let layer $\ell$ have kernel $k_\ell$ and stride $s_\ell$. Let one of its
# outputs see $R_\ell$ rows of the picture, and let neighbouring outputs begin $S_\ell$ rows apart; before all
# layers, $R_0 = S_0 = 1$. An output sees $k_\ell$ neighbours in the layer before. The first of them sees
# $R_{\ell - 1}$ rows, and each of the $k_\ell - 1$ others begins $S_{\ell - 1}$ rows later:
#
# $$ R_\ell = R_{\ell - 1} + (k_\ell - 1)\, S_{\ell - 1} \qquad S_\ell = s_\ell\, S_{\ell - 1} \tag{10.2} $$
#
# because the windows of neighbours begin $s_\ell$ outputs apart in the layer before. For our two layers
# $R_1 = 1 + 2 \cdot 1 = 3$, $S_1 = 2$, and $R_2 = 3 + 2 \cdot 2 = 7$. So the 7 by 7 numbers each see 7 by 7
# pixels, a piece of a stroke. This is the **receptive field**. The linear layer behind them sees all.
#
# **What does it cost?** A Conv2d from $C$ channels to $O$ has $O\, C\, k^2$ weights (and $O$ biases). Each
# weight is used once for each of the $P$ rows and $Q$ columns of the output, so
#
# $$ \text{products a digit} = \text{weights} \cdot P\, Q = O\, C\, k^2\, P\, Q \tag{10.3} $$
#
# A linear layer uses each weight once a digit: few weights is not little work. And the gradient? Nothing is new.
# The chain of [chapter 3](ch03_activations.py) walks back through the list and asks each layer for its `dx`.
#
# ## Matrix form
#
# By chapters 8 and 9 a Conv2d is a product with a nearly empty table $A$, a ConvTranspose2d one with such a
# table $B$ transposed; the Linears are $E$ and $D$. Without bends (and biases aside) all would be *one* product,
#
# $$ y = B_1^\top B_2^\top D\, E\, A_2\, A_1\, x \tag{10.4} $$
#
# with $E$ (16, 784) and $D$ (784, 16), so of rank 16 at most. By (5.6) it could not tell the digits that it
# learns from better than PCA with 16 directions. What a network has beyond that comes from the bends.
#
# ## Code
#
# (10.2) and (10.3) for a list of layers, and a test of (10.2) that knows nothing of it: send a gradient into one
# number in the middle, and see which pixels it reaches.


# %%
def account(layers, size=28):
    """(rows seen by an output, products a digit) of Conv2d layers on pictures of size by size."""
    sees, apart, products = 1, 1, 0
    for layer in layers:
        k, s, r = layer.kernel_size[0], layer.stride[0], layer.padding[0]
        sees, apart = sees + (k - 1) * apart, s * apart  # (10.2)
        size = (size + 2 * r - k) // s + 1
        products += layer.weight.numel() * size * size  # (10.3)
    return sees, products


convs = [Conv2d(1, 8, 3, stride=2, padding=1), Conv2d(8, 16, 3, stride=2, padding=1)]
y = Sequential(*convs)
dy = torch.zeros_like(y(digits[:1]))
dy[0, 0, 3, 3] = 1
reached = y.backward(dy)[0, 0].nonzero()
rows = (reached.max(dim=0).values - reached.min(dim=0).values + 1).tolist()
sees, products = account(convs)
weights = sum(layer.weight.numel() for layer in convs)
print(f"sees {sees} rows; {weights:,} weights make {products:,} products")
assert [sees, sees] == rows == [7, 7]

# %% [markdown]
# ## Write it
#
# **The model.** Encoder: Conv2d to 8 and to 16 channels, kernel 3, stride 2, padding 1, then `Flatten()` and a
# Linear to `code` numbers. Decoder: the mirror; `Unflatten(1, (16, 7, 7))` makes pictures of a list, and the
# kernels are of 4. A BatchNorm2d and a ReLU behind each convolution but the last, a ReLU behind the decoder's
# Linear, and a Tanh at the end, since pixels go from −1 to 1. First weights from the generator.
#
# **The error.** The mean over all pixels of all digits, in batches of `size`, in evaluation mode, where no digit
# depends on its neighbours; then back to training.


# %% tags=["write-it"]
def conv_autoencoder(code=16, generator=None):
    """An Autoencoder of (N, 1, 28, 28) in [-1, 1] that tells a digit in `code` numbers."""
    # your turn: the encoder, the decoder, Autoencoder(..., (1, 28, 28))
    g = generator
    encoder = Sequential(
        *(Conv2d(1, 8, 3, stride=2, padding=1, generator=g), BatchNorm2d(8), ReLU()),
        *(Conv2d(8, 16, 3, stride=2, padding=1, generator=g), BatchNorm2d(16), ReLU()),
        *(Flatten(), Linear(16 * 7 * 7, code, generator=g)),
    )
    decoder = Sequential(
        *(Linear(code, 16 * 7 * 7, generator=g), ReLU(), Unflatten(1, (16, 7, 7))),
        *(ConvTranspose2d(16, 8, 4, stride=2, padding=1, generator=g), BatchNorm2d(8), ReLU()),
        *(ConvTranspose2d(8, 1, 4, stride=2, padding=1, generator=g), Tanh()),  # (10.1)
    )
    return Autoencoder(encoder, decoder, (1, 28, 28))


def test_error(model, digits, size=200):
    """The mean squared error (a float) over all pixels of the digits (N, ...)."""
    # your turn: eval(), the squares of all batches, their mean, train()
    model.eval()
    total = sum((model(x) - x).square().sum().item() for x in digits.split(size))
    model.train()
    return total / digits.numel()


# %% [markdown]
# ## Check

# %% tags=["check"]
g = torch.Generator()
model = conv_autoencoder(12, g.manual_seed(1))
codes = model.encode(digits[:3])
assert codes.shape == (3, 12), f"the codes are {tuple(codes.shape)}, want (N, code) = (3, 12)"
assert (codes < 0).any(), "the codes are all positive: no ReLU behind the encoder's last layer"
y = model(digits[:3])
assert y.shape == (3, 1, 28, 28), f"28 by 28 became {tuple(y.shape)}: see (10.1) for the way up"
loud = model.decode(1000 * torch.randn(3, 12, generator=g))
assert loud.abs().max() <= 1, "pixels leave [-1, 1]: a Tanh belongs behind the last layer"
assert loud.min() < -0.5, "no pixel is dark: is there a ReLU behind the last layer?"
again = conv_autoencoder(12, g.manual_seed(1))(digits[:3])
assert torch.equal(y, again), "two models of one seed differ: pass the generator to every layer"
right = 8 * 9 + 16 * 8 * 9 + 12 * 784 + 784 * 12 + 16 * 8 * 16 + 8 * 16  # weights, layer by layer
right += 8 + 16 + 12 + 784 + 8 + 1 + 2 * (8 + 16 + 8)  # biases, and two in each channel's BatchNorm
mine = sum(p.numel() for p in model.parameters())
assert mine == right, f"{mine:,} parameters, want {right:,}: look at channels, kernels, BatchNorm"
print("conv_autoencoder is right")

# %% tags=["check"]
model.eval()
right = (model(digits[:10]) - digits[:10]).square().mean().item()
model.train()
before = [tensor.clone() for tensor in model.state_dict().values()]
errors = [test_error(model, digits[:10], size) for size in (10, 5, 4)]  # 4: the last batch is of 2
same = all(map(torch.equal, before, model.state_dict().values()))
assert same, "it moved the running statistics: call model.eval() first"
assert abs(errors[0] - right) < 1e-5, f"got {errors[0]:.4f} for ten digits, want {right:.4f}"
assert abs(errors[1] - right) < 1e-5, "in batches of 5 it is another number than for all at once"
assert abs(errors[2] - right) < 1e-5, "mean of means: the last batch is smaller and counts too much"
assert model.training and model.encoder.training, "the model is left in evaluation mode"
print("test_error is right")

# %% [markdown]
# ## See it: the race
#
# The other runner is the kind of model that [chapter 5](ch05_autoencoder.py) trains: linear layers, a code of
# 16, and seven times as many parameters. And there is chapter 5's yardstick: PCA, which needs no training.


# %%
def fc_autoencoder(code=16, generator=None):
    g, w = generator, 128
    down = Linear(784, w, generator=g), BatchNorm1d(w), ReLU(), Linear(w, code, generator=g)
    up = Linear(code, w, generator=g), BatchNorm1d(w), ReLU(), Linear(w, 784, generator=g)
    decoder = Sequential(*up, Tanh(), Unflatten(1, (1, 28, 28)))
    return Autoencoder(Sequential(Flatten(), *down), decoder, (1, 28, 28))


def trained(build, lr, epochs=15):
    model = build(generator=torch.Generator().manual_seed(0))
    optimizer, batches = Adam(model.parameters(), lr=lr), Batches(len(digits), 50, seed=0)
    for epoch in range(epochs):
        for rows in batches.order(epoch).split(50):
            train_step(model, optimizer, digits[rows])
    return model


best = {}
for make in (fc_autoencoder, conv_autoencoder):
    runs = {lr: trained(make, lr) for lr in (0.003, 0.01, 0.03)}
    lr = min(runs, key=lambda lr: test_error(runs[lr], referees))
    size = sum(p.numel() for p in runs[lr].parameters())
    best[make] = test_error(runs[lr], unseen), runs[lr], lr, size
    print(f"{make.__name__:<17}{size:>8,} parameters, lr {lr}, test error {best[make][0]:.4f}")
(fc_error, fc, _, many), (conv_error, conv, _, few) = best.values()
x, seen = (these.flatten(1) - digits.flatten(1).mean(dim=0) for these in (unseen, digits))
V = torch.linalg.svd(seen, full_matrices=False).Vh[:16]  # the best 16 directions
pca_error = (x - x @ V.T @ V).square().mean()
print(f"PCA with 16 directions, test error {pca_error:.4f}")
assert conv_error < 0.9 * fc_error < fc_error < pca_error and round(many / few) == 7

# %% [markdown]
# The convolutions win, with a seventh of the parameters and no more numbers to tell a digit in. The linear
# layers have to learn anew at every place of the picture what a stroke is, from 1,000 digits. The convolutions
# cannot but know that a stroke is a stroke wherever it stands. What do they look for, and what do they make of a
# digit? In kernels and residuals orange is above zero, purple below; in what the kernels make, bright is large.

# %% tags=["picture"]
# alt: Two rows of eight. Above, the eight kernels of the first layer, 3 by 3 cells in orange and purple; several
#   have one side orange and the other purple. Below, what each of them makes of a digit, 14 by 14: outlines
#   of it on its different sides, thick strokes, or the background.
maps = Sequential(*(conv.encoder[k] for k in range(3))).eval()(unseen[:1])[0]
figure, axes = plt.subplots(2, 8, figsize=(7, 2.1))
for k in range(8):
    most = conv.encoder[0].weight.abs().max()
    axes[0, k].imshow(conv.encoder[0].weight[k, 0], cmap="PuOr_r", vmin=-most, vmax=most)
    axes[1, k].imshow(maps[k])
    axes[0, k].set_title(f"kernel {k}", size=11)
    axes[0, k].set_axis_off(), axes[1, k].set_axis_off()

# %% tags=["picture"]
# alt: Five rows of eight digits. The digits; what the linear model draws of them, blurred and stained; its
#   residuals, strokes in orange and purple; what the convolutional model draws, cleaner; its residuals, fainter.
rows = {"digit": unseen[:8]}
for name, model in (("linear", fc), ("conv", conv)):
    y = model.eval()(unseen[:8])
    rows |= {name: y, f"{name}: residual": unseen[:8] - y}
figure, axes = plt.subplots(5, 8, figsize=(7, 5))
for line, (name, pictures) in zip(axes, rows.items(), strict=True):
    for ax, cells in zip(line, pictures[:, 0], strict=True):
        ax.imshow(cells, cmap="PuOr_r" if "residual" in name else "gray", vmin=-1, vmax=1)
        ax.set_axis_off()
    line[0].set_title(name, size=11)

# %% [markdown]
# Residuals live at the edges of strokes: *that* there is a stroke, and where, is kept; the slant of its border,
# and a hook that only this writer makes, are lost. A pixel that may as well be −1 as 1 costs $1^2 = 1$ if drawn
# grey, and a guess costs $2^2 = 4$ every other time, so 2. Squared error wants unsure edges blurred.
#
# ## Break it
#
# Write down what you expect. **1. A code of 1,600.** The library's `conv` has no Linear in the middle: its code
# is 64 pictures of 5 by 5. Suppose that its error is far lower than ours. Is it a better autoencoder?

# %% tags=["predict"]
code = build("conv").encode(digits[:1])
print(f"{code.numel():,} numbers tell {digits[0].numel()} pixels")
assert code.numel() > 2 * digits[0].numel()

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# It tells 784 pixels in twice as many numbers: there is nothing that it *must* leave out, and copying would do.
# Whatever it learns, its error says nothing about compression. Compare models only at codes of equal size, as we
# did. Whoever hides the size of the code can win any race.
#
# </details>
#
# **2. Shuffled pixels.** Shuffle the pixels of all digits in one and the same way, as in chapter 8. What becomes
# of the linear model's error, and of the convolutional one's?

# %% tags=["predict"]
order = torch.randperm(784, generator=torch.Generator().manual_seed(0))
digits, unseen = (x.flatten(1)[:, order].reshape(x.shape) for x in (digits, unseen))
fc_now, conv_now = (test_error(trained(make, lr), unseen) for make, (_, _, lr, _) in best.items())
print(f"linear {fc_error:.4f} -> {fc_now:.4f}, convolutional {conv_error:.4f} -> {conv_now:.4f}")
assert fc_now < 1.1 * fc_error < conv_now

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# To the linear model nothing has happened. The convolutional one has lost all that it knew for free: there are
# no strokes any more, and what is near does not belong together. A layer is good where its assumptions hold.
#
# </details>
#
# ## Recap card
#
# | | formula | shape | line of code |
# |---|---|---|---|
# | down | $H \to \lfloor (H - 1) / 2 \rfloor + 1$ | (N, 8, 14, 14) | `Conv2d(1, 8, 3, stride=2, padding=1)` |
# | up | $P \to 2 P$ | (N, 1, 28, 28) | `ConvTranspose2d(8, 1, 4, stride=2, padding=1)` |
# | sees | $R_\ell = R_{\ell - 1} + (k_\ell - 1) S_{\ell - 1}$ | a number | `sees + (k - 1) * apart` |
# | work | $O\, C\, k^2\, P\, Q$ products a digit | a number | `weight.numel() * P * Q` |
#
# ## Assignment
#
# [**hw6**](../course.md): an autoencoder of your own with at most 60,000 parameters and a code of 8, on a
# ranking. Read `scratchae/models/conv.py` and `scratchae/training/loop.py`; you have written everything that
# they use.
