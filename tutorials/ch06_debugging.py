# %% [markdown]
# # 6. Which line is wrong?
#
# ## The question
#
# Your network does not learn. No error, no warning, only a loss that does not do what it should. Which of two
# hundred lines is it? Staring does not help, and trying other learning rates least of all. But there are a few
# cheap **measurements**, each with a value that it *must* have if all is well, and each fault spoils a
# different one. You will derive these values, write the instruments, and name the fault in eight broken networks.

# %%
import matplotlib.pyplot as plt
import torch

from scratchae.data import load
from scratchae.layers import Linear, ReLU, Sequential, Tanh
from scratchae.losses import mse_backward, mse_forward
from scratchae.optim import Adam
from scratchae.plots.style import STYLE

plt.rcParams.update(STYLE)

# %% [markdown]
# Here are the patients. All have the task that you should give to *any* new network first: learn **one batch of
# 20 digits by heart**. Who cannot do that will not do more.

# %%
FAULTS = ["raw pixels", "all weights alike", "no step", "rate too large"]
FAULTS += ["wrong sign", "wrong backward", "gradients not emptied", "wrong targets"]
pixels = load("sample").train.pixels[:100].float() / 127.5 - 1  # ink from −1 to 1
digits = pixels.reshape(-1, 14, 2, 14, 2).mean(dim=(2, 4)).flatten(1)  # (100, 196)


class Patient:
    def __init__(self, fault, seed=0):
        self.fault, self.generator = fault, torch.Generator().manual_seed(seed)
        first, last = (Linear(*size, generator=self.generator) for size in [(196, 64), (64, 196)])
        relu = ReLU()
        if fault == "wrong backward":
            relu.backward = lambda dy: dy  # without its mask
        if fault == "all weights alike":  # below 0, as most pixels are: so all units fire
            first.weight[:] = first.bias[:] = last.weight[:] = last.bias[:] = -0.005
        self.model = Sequential(first, relu, last, Tanh())
        rate = 1.0 if fault == "rate too large" else 0.003
        self.optimizer = Adam(self.model.parameters(), lr=rate)
        self.x = digits[20 * seed : 20 * seed + 20]  # (20, 196)
        if fault == "raw pixels":
            self.x = (self.x + 1) * 127.5

    def loss_and_gradient(self):
        target = self.x
        if self.fault == "wrong targets":
            target = target[torch.randperm(len(target), generator=self.generator)]
        if self.fault != "gradients not emptied":
            self.optimizer.zero_grad()
        y = self.model(self.x)
        dy = mse_backward(y, target)
        self.model.backward(-dy if self.fault == "wrong sign" else dy)
        return mse_forward(y, target).item()

    def step(self):
        loss = self.loss_and_gradient()
        if self.fault != "no step":
            self.optimizer.step()
        return loss


# %% [markdown]
# ## One picture
#
# Their losses, 80 steps each, in another order. Guess, before you read on, which is which.

# %%
patients = {fault: Patient(fault) for fault in ["healthy", *FAULTS]}
curves = {fault: [patient.step() for _ in range(80)] for fault, patient in patients.items()}
order = [FAULTS[k] for k in torch.randperm(8, generator=torch.Generator().manual_seed(3)).tolist()]

# %% tags=["picture"]
# alt: Eight small plots of a loss over 80 steps, named A to H, each beside the grey curve of the healthy
#   network, which falls from 0.9 to nearly 0. One is flat, one stands at 5,000, one climbs, some fall and
#   get stuck, and one can hardly be told from the healthy one.
figure, axes = plt.subplots(2, 4, figsize=(7, 3.4), sharex=True)
for letter, ax, fault in zip("ABCDEFGH", axes.flat, order, strict=True):
    ax.plot(curves["healthy"], color="#999999", lw=1)
    ax.plot(curves[fault], color="#0072b2")
    ax.set(title=letter, ylim=(0, None))
figure.supxlabel("step (grey: healthy)")
figure.supylabel("loss")

# %% [markdown]
# ## By hand: two digits of three pixels
#
# Let the two targets be $(1, -1, -1)$ and $(1, 1, -1)$. A fresh network says nearly 0 to everything. Its loss is
# the mean of the squares of the targets: 1. A network that cannot tell the two apart does best with their mean,
# $(1, 0, -1)$: the errors are $0, 1, 0$ and $0, 1, 0$, and the loss is $2/6$. So on this batch a loss near 1 is
# a beginner, a third is one who knows what digits look like *on average*, and below that begins knowledge.

# %%
targets = torch.tensor([[1.0, -1, -1], [1, 1, -1]])
assert mse_forward(torch.zeros(2, 3), targets) == 1
assert torch.isclose(mse_forward(targets.mean(dim=0).expand(2, 3), targets), torch.tensor(2 / 6))

# %% [markdown]
# ## Derivation: four numbers that you know beforehand
#
# **1. The loss at the start.** Multiply out: $(y - t)^2 = y^2 - 2yt + t^2$. Had the last layer's weights the
# other sign, which is as likely, $y$ would be $-y$. So, whatever $t$ is, the middle term averages out.
#
# $$ L_\text{start} \approx \text{mean}(t^2) + \text{mean}(y^2) \tag{6.1} $$
#
# And if both lie in $[-1, 1]$, no error is larger than 2, and no loss than 4.
#
# **2. The update ratio** is how far a step moves the weights $\theta$, in units of their own length:
#
# $$ u = \frac{\lVert \theta_\text{after} - \theta_\text{before} \rVert}{\lVert \theta_\text{before} \rVert}
#  \tag{6.2} $$
#
# Adam's first step moves each of the $P$ weights by $\eta$ (chapter 4), but for a few with gradient 0: in all by
# $\sqrt{P \eta^2} = \eta \sqrt P$. With a weight's size $\text{rms}(\theta) = \lVert \theta \rVert / \sqrt P$:
#
# $$ u \approx \eta / \text{rms}(\theta) \tag{6.3} $$
#
# Some hundredths at first, and less later, is healthy. 0 is no step; above 1, all that was there is gone.
#
# **3. The slope ratio.** Let $G$ be the true gradient and $g$ what your backward pass says. Walk along $g$, in
# the direction $g / \lVert g \rVert$, a length $h$. By the chain rule the loss changes, at $h = 0$, at the rate
#
# $$ \frac{dL(\theta + h g / \lVert g \rVert)}{dh} = \sum_i \frac{\partial L}{\partial \theta_i}
#  \frac{g_i}{\lVert g \rVert} = \frac{\sum_i G_i g_i}{\lVert g \rVert} \tag{6.4} $$
#
# If $g = G$ that is $\lVert g \rVert$, since $\sum_i g_i^2 = \lVert g \rVert^2$. The rate can be *measured*, by
# two losses and a central difference (chapter 1). Divide it by $\lVert g \rVert$:
#
# $$ \rho = \frac{L(\theta + h g / \lVert g \rVert) - L(\theta - h g / \lVert g \rVert)}{2 h \lVert g \rVert}
#  \approx \frac{\sum_i G_i g_i}{\sum_i g_i^2} \tag{6.5} $$
#
# A right gradient has $\rho = 1$. For $g = kG$ it is $k \sum G_i^2 / (k^2 \sum G_i^2) = 1/k$: with the wrong
# sign $-1$, and twice too large $\frac12$. The latter happens in the second step to somebody who does not empty
# the gradients: theirs is $G' + G$, the old and the new, much alike. Anything else is a wrong backward pass.
#
# **4. The floor.** If the answer is the same $c$ for every sample, the loss of each pixel is
# $\text{mean}((c - t)^2)$ over the samples. Its slope $2\, \text{mean}(c - t)$ is 0 at $c = \text{mean}(t)$; so
#
# $$ L_\text{floor} = \text{mean}((t - \text{mean}(t))^2) \tag{6.6} $$
#
# Whoever overfits a batch goes far below; whoever stays there sees no tie between question and answer. **And one
# glance**, for free: two units with the same weights, before and behind them, say the same and get the same `dy`
# back. So all their gradients are the same, and they stay alike for ever. Count the hidden units that differ.
#
# ## Matrix form
#
# With all weights in one vector, as the optimiser has them, (6.5) is $\rho = g^\top G / g^\top g$: $\rho\, g$ is
# the shadow of the true gradient on yours (its projection). Note what this does *not* see; we come back to it.
#
# ## Write it: two instruments


# %% tags=["write-it"]
def update_ratio(before, after):
    """How far the weights moved, in units of their own length; two vectors."""
    # your turn: (6.2)
    return ((after - before).norm() / before.norm()).item()  # (6.2)


def slope_ratio(loss_of, theta, g, h):
    """(6.5) for a function loss_of(theta) and a supposed gradient g (P,); theta stays as it is."""
    # your turn: a direction of length 1, two losses, (6.5)
    direction = g / g.norm()
    rise = loss_of(theta + h * direction) - loss_of(theta - h * direction)
    return float(rise / (2 * h * g.norm()))  # (6.5)


# %% [markdown]
# ## Check
#
# $\theta = (3, 4)$ has the length 5. For $L = \frac12 \lVert \theta \rVert^2$ the gradient is $\theta$ itself.


# %% tags=["check"]
def bowl(theta):
    return theta.square().sum() / 2


theta = torch.tensor([3.0, 4.0])
got = update_ratio(theta, torch.tensor([3.0, 4.5]))
known = {
    1.0817: "this compares the two lengths: take the length of the difference",
    0.01: "this is the ratio of squares: take the root",
    0.5: "this is the length of the step alone: divide it by that of the weights",
    0.0925: "divide by the length before the step, not after it",
}
for number, sentence in known.items():
    assert abs(got - number) > 1e-3, sentence
assert abs(got - 0.1) < 1e-6, f"a step of 0.5 from (3, 4) is 0.1, got {got}"
got = slope_ratio(bowl, theta, theta.clone(), h=0.5)
known = {
    1.05: "this is a difference to one side: take theta - h * direction as the second point",
    2.0: "the two points are 2 h apart",
    5.0: "the length of g is not taken off: divide both direction and rise by it",
    -1.0: "the sign is wrong: the loss ahead comes first",
}
for number, sentence in known.items():
    assert abs(got - number) > 1e-3, sentence
assert abs(got - 1) < 1e-5, f"for a right gradient it is 1, got {got}"
got = slope_ratio(bowl, theta, 2 * theta, h=0.5)
assert abs(got - 0.5) < 1e-5, f"for one twice too large it is 0.5, got {got}"
assert theta.tolist() == [3.0, 4.0], "theta has been changed"

# %% [markdown]
# ## Code: all measurements of a patient


# %%
def examine(patient):
    model, optimizer, x = patient.model, patient.optimizer, patient.x

    def slope():  # of the true loss, against the gradient that the patient believes in
        def loss_of(theta):
            optimizer.value.copy_(theta)
            return mse_forward(model(x), x).double()

        patient.loss_and_gradient()
        here = optimizer.value.clone()
        ratio = slope_ratio(loss_of, here, optimizer.grad.clone(), h=0.01)
        optimizer.value.copy_(here)
        return ratio

    seen = {"units": len(torch.unique(model[0].weight, dim=0))}  # hidden ones that differ
    seen["slope"] = slope()
    optimizer.zero_grad()
    before = optimizer.value.clone()
    seen["start"] = patient.step()
    seen["update"] = update_ratio(before, optimizer.value)  # (6.2)
    seen["second slope"] = slope()
    seen["end"] = [patient.step() for _ in range(80)][-1]
    seen["floor"] = (x - x.mean(dim=0)).square().mean().item()  # (6.6)
    return seen


names = ["healthy", *order]
files = {(name, seed): examine(Patient(name, seed)) for name in names for seed in range(3)}
print("  ", *[f"{name:>12}" for name in files["healthy", 0]])
for letter, name in zip("·ABCDEFGH", names, strict=True):
    print(letter, "", *[f"{value:12.3g}" for value in files[name, 0].values()])
fresh, alike = Patient("healthy"), patients["all weights alike"].model[0].weight
start = (fresh.x.square().mean() + fresh.model(fresh.x).square().mean()).item()  # (6.1)
ratio = 0.003 / fresh.optimizer.value.square().mean().sqrt().item()  # (6.3)
print(f"(6.1) and (6.3) say {start:21.3g} {ratio:12.3g}")
seen = files["healthy", 0]
assert abs(seen["start"] / start - 1) < 0.1 and 0.9 < seen["update"] / ratio < 1
assert (alike - alike[0]).abs().max() < 1e-6  # after 80 steps

# %% [markdown]
# The line with the dot is the healthy one. Each patient has one number that is out of order *first*.
#
# ## Write it: the diagnosis
#
# From such a line (a dict, as `examine` returns it) to a word of `FAULTS`, or `"healthy"`.


# %% tags=["write-it"]
def diagnose(seen):
    """The name of the fault, or "healthy"."""
    # your turn: one question after the other, the coarsest first
    if seen["start"] > 4:  # (6.1)
        return "raw pixels"
    if seen["units"] == 1:
        return "all weights alike"
    if seen["update"] == 0 or seen["update"] > 1:  # (6.3)
        return "no step" if seen["update"] == 0 else "rate too large"
    if abs(seen["slope"] - 1) > 0.1:  # (6.5)
        return "wrong sign" if abs(seen["slope"] + 1) < 0.1 else "wrong backward"
    if seen["second slope"] < 0.8:
        return "gradients not emptied"
    return "wrong targets" if seen["end"] > 0.8 * seen["floor"] else "healthy"  # (6.6)


# %% [markdown]
# ## Check: eight broken networks and a healthy one, each with three seeds

# %% tags=["check"]
for (fault, seed), seen in files.items():
    said = diagnose(seen)
    assert said == fault, f"seed {seed}: it is {fault}, but was called {said}: {seen}"
print(f"all {len(files)} diagnoses are right")

# %% [markdown]
# ## See it: the names

# %% tags=["picture"]
# alt: The eight plots again, from 0 to 1 and named. No step is flat at 0.9. Rate too large and gradients not
#   emptied get stuck at 0.3, wrong targets and weights alike near 0.17. Wrong sign and raw pixels have left the
#   picture, as an arrow says. Wrong backward falls as the healthy one does.
figure, axes = plt.subplots(2, 4, figsize=(7, 3.4), sharex=True, sharey=True)
for letter, ax, fault in zip("ABCDEFGH", axes.flat, order, strict=True):
    ax.plot(curves["healthy"], color="#999999", lw=1)
    ax.plot(curves[fault], color="#d55e00", ls="--")
    ax.set(ylim=(0, 1), title=f"{letter}: {fault.removeprefix('gradients ')}")
    if curves[fault][-1] > 1:
        ax.text(75, 0.87, f"↑ at {curves[fault][-1]:,.0f}", ha="right")
figure.supxlabel("step (grey: healthy)")
figure.supylabel("loss")

# %% [markdown]
# ## Break it
#
# **1. "It learns, so it is right."** How many of the eight come below half of their first loss? And does the one
# with the wrong backward pass end above or below the healthy network?

# %% tags=["predict"]
print(fallen := [fault for fault in order if curves[fault][-1] < curves[fault][0] / 2])
assert len(fallen) == 5 and curves["wrong backward"][-1] < curves["healthy"][-1]

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# Five do, and the wrong backward pass even *wins* on this batch: its gradient points roughly downhill, and Adam,
# which looks at signs, makes the best of it. A falling loss proves nothing. So measure the slope ratio first.
#
# </details>
#
# **2. What the slope ratio cannot see.** Somebody's first layer never gets its gradient: it stays 0. The rest is
# right. What is $\rho$?

# %% tags=["predict"]
theta, g = torch.tensor([3.0, 4.0]), torch.tensor([0.0, 4.0])  # of the bowl; the truth is (3, 4)
print(slope_ratio(bowl, theta, g, h=0.5))
assert abs(slope_ratio(bowl, theta, g, h=0.5) - 1) < 1e-5

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# It is 1. In (6.5) what is missing in $g$ counts neither above nor below: what you do say is true, only not all
# of it. `gradcheck` looks at every single weight.
#
# </details>
#
# ## Recap card
#
# | measurement | formula | healthy | else |
# |---|---|---|---|
# | start | $\text{mean}(t^2) + \text{mean}(y^2)$ | below 4 | data not scaled |
# | update | $\lVert \Delta \theta \rVert / \lVert \theta \rVert$ | 0.001 to 0.1 | step forgotten, rate |
# | slope | $\sum G g / \sum g^2$ | 1 | sign, factor, backward |
# | one batch | $\text{mean}((t - \text{mean}(t))^2)$ | far below | wrong targets |
#
# ## Assignment
#
# [**hw5**](../course.md) is a hunt for such faults. The library's instruments are
# `scratchae/checking/gradcheck.py` and `scratchae/checking/trace.py`, which looks at every layer of a network.
