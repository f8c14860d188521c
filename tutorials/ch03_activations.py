# %% [markdown]
# # 3. Why bend the line?
#
# ## The question
#
# Linear layers are cheap and well understood. So why not stack ten of them? And if something has to stand
# between them: what is the least that helps, and what does it do to the gradient on its way back?

# %%
import matplotlib.pyplot as plt
import torch

from scratchae.checking import check, gradcheck
from scratchae.layers import Linear, ReLU, Tanh
from scratchae.losses import MSELoss
from scratchae.optim import Adam
from scratchae.plots.style import STYLE

plt.rcParams.update(STYLE)

# %% [markdown]
# ## One picture
#
# An **activation** takes each number by itself and bends the line. ReLU cuts off what is negative, Tanh flattens
# both ends. On the right are their slopes, which are all that the way back will need.

# %% tags=["picture"]
# alt: Two panels over x from −4 to 4. Left, the functions: ReLU is 0 up to x = 0 and then the diagonal; Tanh is an
#   S from −1 to 1. Right, their slopes: ReLU's jumps from 0 to 1 at x = 0; Tanh's is a hill of height 1 at 0 that
#   has all but vanished at −3 and 3.
x = torch.linspace(-4, 4, 401)
slopes = (torch.where(x.abs() < 1e-3, torch.nan, (x > 0).float()), 1 - x.tanh() ** 2)
lines = [("ReLU", "-", "#0072b2", x.clamp(min=0)), ("Tanh", "--", "#d55e00", x.tanh())]
figure, axes = plt.subplots(1, 2, figsize=(7, 2.6))
for (name, dashes, colour, y), slope in zip(lines, slopes, strict=True):
    axes[0].plot(x, y, dashes, color=colour, lw=2, label=name)
    axes[1].plot(x, slope, dashes, color=colour, lw=2)
axes[0].set(title="y = f(x)", xlabel="x", ylim=(-1.3, 4))
axes[1].set(title="slope f'(x)", xlabel="x", ylim=(-0.1, 1.3))
axes[0].legend()

# %% [markdown]
# ## By hand: two samples, three numbers
#
# Forward, what is negative becomes 0. Then the way back: `dy` says how much the loss cares about each output.
# Where the number passed, `dy` passes; where it was cut off, a small move of `x` changes nothing behind it, and
# the gradient is 0, **however much `dy` cares**. Take a pencil, and fill in `y` and `dx` before you look.

# %%
x = torch.tensor([[-1.0, 0.5, 2], [3, -2, 4]])
dy = torch.tensor([[5.0, 6, -7], [8, 9, 1]])
y = x.clamp(min=0)
dx = dy * (y > 0)
print(y, dx, sep="\n")
assert dx.tolist() == [[0, 6, -7], [8, 0, 1]]  # the negative dy passes too: only x decides

# %% [markdown]
# ## Derivation
#
# **Why anything at all has to stand in between.** Put a second linear layer behind the first:
#
# $$ y = (x W_1^\top + b_1) W_2^\top + b_2 = x\, (W_2 W_1)^\top + (b_1 W_2^\top + b_2) \tag{3.1} $$
#
# (multiply out; and $W_1^\top W_2^\top = (W_2 W_1)^\top$, for cell $[i, o]$ of both is
# $\sum_k (W_1)_{k,i} (W_2)_{o,k}$). That is *one* linear layer, with $W = W_2 W_1$ and $b = b_1 W_2^\top + b_2$. A
# third changes nothing, nor does a tenth. A bend in between cannot be multiplied out: ReLU makes 0, 0 and 1 of
# −1, 0 and 1, and no straight line does that.
#
# **The way back.** An activation is one function $f$, for each number by itself:
#
# $$ y_{n,i} = f(x_{n,i}) \tag{3.2} $$
#
# The chain rule sums over all outputs. But $y_{m,j}$ depends on $x_{n,i}$ only if it is the same cell, where the
# derivative is $f'(x_{n,i})$. So of the sum one term is left:
#
# $$ dx_{n,i} = \sum_m \sum_j dy_{m,j}
#  \frac{\partial y_{m,j}}{\partial x_{n,i}} = dy_{n,i}\, f'(x_{n,i}) \tag{3.3} $$
#
# **ReLU** is $f(x) = x$ where $x > 0$, with slope 1, and $f(x) = 0$ where $x < 0$, with slope 0. At 0 the slope
# is 1 on the right and 0 on the left: there is no derivative. We have to choose, and choose 0, as torch does.
# With $[\ldots]$ for "1 if it is so, else 0", as in [chapter 2](ch02_linear.py):
#
# $$ f'(x) = [x > 0] = [y > 0] \tag{3.4} $$
#
# The last form says that the output is enough: it is positive exactly where the input was.
#
# **Tanh** is a fraction, $f = u / v$ with $u = e^x - e^{-x}$ and $v = e^x + e^{-x}$. Differentiate both: the
# derivative of $e^{-x}$ is $-e^{-x}$, so $u' = e^x + e^{-x} = v$, and $v' = e^x - e^{-x} = u$. The rule for
# fractions:
#
# $$ f' = \frac{u' v - u v'}{v^2} = \frac{v^2 - u^2}{v^2} = 1 - \frac{u^2}{v^2} = 1 - y^2 \tag{3.5} $$
#
# Again the output is enough, and the exponentials need not be done twice.
#
# **The chain.** Let $h_0 = x$ go through $K$ layers, $h_l = f_l(h_{l-1})$. Each turns the gradient of its output
# into that of its input, which *is* the output of the layer before. So hand the gradient on, from the last:
#
# $$ dh_{l-1} = \text{backward}_l(dh_l) \quad l = K, \ldots, 1 \tag{3.6} $$
#
# That is all of backpropagation: a list, walked forwards and then backwards. In passing, each layer finds the
# gradients of its own weights from $dh_l$, as in chapter 2.
#
# ## Matrix form
#
# (3.3) in one line, where $\odot$ multiplies cell by cell:
#
# $$ dx = dy \odot f'(x) \tag{3.7} $$
#
# A matrix product would need a diagonal matrix: for 64 pictures of 784 pixels one of $(64 \cdot 784)^2$ numbers.
#
# ## Code
#
# The two sides of (3.1), and then (3.6) by hand for two layers. It has to give what the one layer gives:

# %%
generator = torch.Generator().manual_seed(0)
first, second = Linear(3, 4, generator=generator), Linear(4, 2, generator=generator)
W = second.weight @ first.weight  # (3.1)
b = first.bias @ second.weight.T + second.bias  # (3.1)
assert torch.allclose(second(first(x)), x @ W.T + b, atol=1e-6)

dh2 = torch.tensor([[1.0, -2], [3, 4]])
dh1 = second.backward(dh2)  # (3.6), l = 2
dh0 = first.backward(dh1)  # (3.6), l = 1
assert torch.allclose(dh0, dh2 @ W, atol=1e-6)  # chapter 2: dx = dy @ weight

# %% [markdown]
# ## Write it: two activations
#
# The backward functions are given the output `y`, not the input.


# %% tags=["write-it"]
def relu_forward(x):
    """max(x, 0) for x of any shape."""
    # your turn: cut off what is negative, in a new tensor
    return x.clamp(min=0)


def relu_backward(dy, y):
    """dx, given the output y."""
    # your turn: (3.7) with the slope (3.4)
    return dy * (y > 0)  # (3.4)


def tanh_forward(x):
    """tanh x for x of any shape; torch.tanh is allowed."""
    # your turn: one line
    return torch.tanh(x)


def tanh_backward(dy, y):
    """dx, given the output y."""
    # your turn: (3.7) with the slope (3.5)
    return dy * (1 - y * y)  # (3.5)


# %% [markdown]
# ## Check
#
# One of the corners is *exact zeros*, where (3.4) had to choose. Try a mask of `y >= 0` in place of `y > 0`, too:
# it is found out everywhere, for `y` is never negative.

# %% tags=["check"]
report = check(relu_forward, relu_backward, tanh_forward, tanh_backward)
print(report)
assert report, "\n".join(report.sentences)

# %% [markdown]
# The judge that you wrote in [chapter 1](ch01_loss.py) would say $(h - 0)/2h = 1/2$ at $x = 0$, the mean of both
# slopes. The library's `gradcheck` knows what a kink is: it finds two slopes there, and leaves the number out.

# %% tags=["check"]
at = torch.tensor([-2.0, 0.0, 3.0], dtype=torch.float64)
result = gradcheck(relu_forward, at, backward=lambda dy, x: relu_backward(dy, relu_forward(x)))
print(result)
assert result, result.diagnosis
assert result.rows[0].kinks == 1

# %% [markdown]
# ## Write it: the chain as a list
#
# A layer has `forward(x)`, `backward(dy)` and `parameters()`, a list of tensors. Make a chain of layers a layer
# itself.


# %% tags=["write-it"]
class Sequential:
    """Layers in a row."""

    def __init__(self, *layers):
        self.layers = layers

    def forward(self, x):
        # your turn: through all layers, from the first to the last
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy):
        # your turn: (3.6), and return dx
        for layer in reversed(self.layers):
            dy = layer.backward(dy)  # (3.6)
        return dy

    def parameters(self):
        return [parameter for layer in self.layers for parameter in layer.parameters()]


# %% [markdown]
# ## Check: with layers that say when they are called


# %% tags=["check"]
class Witness:
    """A layer y = factor · x that enters its calls in a list."""

    def __init__(self, factor, calls):
        self.factor, self.calls = factor, calls

    def forward(self, x):
        self.calls.append(f"forward {self.factor}")
        return self.factor * x

    def backward(self, dy):
        self.calls.append(f"backward {self.factor}")
        return self.factor * dy


calls = []
chain = Sequential(Witness(2, calls), Witness(3, calls), Witness(5, calls))
y, dx = chain.forward(1), chain.backward(1)
print(calls)
assert calls[:3] == ["forward 2", "forward 3", "forward 5"], (
    f"forward goes 2, 3, 5, not {calls[:3]}"
)
assert calls[3:] == ["backward 5", "backward 3", "backward 2"], (
    "backward has to begin at the last layer"
)
assert y == 30, f"each layer's output is the next one's input: 2 · 3 · 5 = 30, not {y}"
assert dx is not None, "backward has to return dx"
assert dx == 30, f"each layer is given the gradient that the one behind it returned: 30, not {dx}"

# %% [markdown]
# ## See it: the folded plane
#
# Three chains have to tell an inner ring of points (+1) from an outer one (−1), by two coordinates: one without a
# bend, one with ReLUs, one with Tanhs; all else is the same. (Adam, of chapter 4, takes the steps.) The output of
# a ReLU, drawn over the plane, is a sheet folded along a straight line, and the second layer folds what is folded
# already: look for the creases. Purple is above 0, orange below, and the black line is where a chain says 0.

# %%
angle = torch.rand(300, generator=generator) * 2 * torch.pi
inner = torch.arange(300) < 150
radius = torch.where(inner, 0.8, 2.0) + 0.2 * torch.randn(300, generator=generator)
points = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)  # (300, 2)
wanted = torch.where(inner, 1.0, -1.0)[:, None]  # (300, 1)


def learn(bend, steps=300, first_bias=None):
    """A trained chain with a bend between each two of its three linear layers, and its last loss."""
    g = torch.Generator().manual_seed(1)
    a, b, c = Linear(2, 16, generator=g), Linear(16, 16, generator=g), Linear(16, 1, generator=g)
    if first_bias is not None:
        a.bias.fill_(first_bias)
    model = Sequential(a, bend(), b, bend(), c) if bend else Sequential(a, b, c)
    loss, optimizer = MSELoss(), Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()  # gradients add up, so each step begins at 0
        value = loss(model.forward(points), wanted)
        model.backward(loss.backward())
        optimizer.step()
    return model, value.item()


models = {"no bend": learn(None), "ReLU": learn(ReLU), "Tanh": learn(Tanh)}
print({name: round(loss, 3) for name, (_, loss) in models.items()})
assert models["no bend"][1] > 0.9 > 0.2 > max(models["ReLU"][1], models["Tanh"][1])

# %% tags=["picture"]
# alt: Three maps of what the chains say over the plane, with the points of both rings. Without a bend it rises a
#   little from left to right, with its 0 on a straight line across both rings. With ReLU, straight facets meet in
#   sharp edges and close into a polygon round the inner ring. With Tanh the border there is a smooth curve.
axis = torch.linspace(-3, 3, 121)
grid = torch.cartesian_prod(axis, axis)
figure, axes = plt.subplots(1, 3, figsize=(7, 2.6), sharey=True)
for ax, (name, (model, _)) in zip(axes, models.items(), strict=True):
    says = model.forward(grid).reshape(121, 121).T
    ax.contourf(axis, axis, says.clamp(-1.5, 1.5), levels=25, cmap="PuOr", vmin=-1.5, vmax=1.5)
    ax.contour(axis, axis, says, levels=[0], colors="black", linewidths=1)
    for ring, mark, face in [(inner, "o", "black"), (~inner, "^", "white")]:
        ax.plot(*points[ring].T, mark, ms=3, mfc=face, mec="black", mew=0.4)
    ax.set(title=name, aspect="equal")

# %% [markdown]
# ## Break it
#
# **1. Too loud.** Multiply what goes into a Tanh by 20. What comes out looks tidy, near −1 or 1. What will be
# left, on average, of a gradient of 1 when it has come back through the Tanh?

# %% tags=["predict"]
x = torch.randn(10_000, generator=generator)
for loudness in (1, 20):
    dx = tanh_backward(torch.ones(10_000), tanh_forward(loudness * x))
    lost = (dx < 1e-6).float().mean()
    print(f"times {loudness:>2}: mean gradient {dx.mean():.3f}, below 1e-6 for {lost:.0%}")
assert dx.mean() < 0.05 and lost > 0.5

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# The ends of a Tanh are flat: $1 - y^2$ is all but 0 there. The units **saturate**: only an input that happens to
# lie near 0 lets a gradient through, and from all others the layers before learn next to nothing.
#
# </details>
#
# **2. Dead on arrival.** The first layer of the ReLU chain starts with biases of −10. All points lie within 3 of
# the middle. Will 300 steps bring it back?

# %% tags=["predict"]
chain, loss = learn(ReLU, first_bias=-10)
layer = chain.layers[0]
fire = (layer.forward(points) > 0).any(dim=0).sum().item()
print(f"loss {loss:.3f}, units of the first layer that fire: {fire} of 16")
assert fire == 0 and layer.weight.grad.abs().max() == 0 and (layer.bias == -10).all()
assert points.norm(dim=1).max() < 3 and loss > 0.9

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# No. Every unit is cut off for every point, so (3.4) is 0 and its weights and bias stay as they are, at every
# step. Such a unit is **dead**. Too large a learning rate can kill units so in the middle of a training.
#
# </details>
#
# ## Recap card
#
# | | formula | shape | line of code |
# |---|---|---|---|
# | ReLU | $y = \max(x, 0)$ | that of x | `x.clamp(min=0)` |
# | its way back | $dx = dy \odot [y > 0]$ | that of x | `dy * (y > 0)` |
# | Tanh's way back | $dx = dy \odot (1 - y^2)$ | that of x | `dy * (1 - y * y)` |
# | the chain | $dh_{l-1} = \text{backward}_l(dh_l)$ | that of the input | `for layer in reversed(layers)` |
#
# Without a bend in between, a stack of linear layers is one linear layer.
#
# ## Assignment
#
# [**hw1**](../course.md) asks for the four functions. The library's are in `scratchae/layers/activations.py`, its
# chain in `sequential.py`. [Chapter 4](ch04_optimisers.py) asks how far to go, now that you know which way.
