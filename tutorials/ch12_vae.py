# %% [markdown]
# # 12. Room to invent: the VAE
#
# ## The question
#
# An autoencoder tells a digit in a few numbers, and draws it again from them. Can it also draw a *new* digit? Its
# decoder turns any code into a picture. So train an autoencoder, choose a code at random, and look. (Its loss, the
# BCE, is derived below.)

# %%
import math

import matplotlib.pyplot as plt
import torch

from scratchae.checking import check
from scratchae.data import Batches, load
from scratchae.layers import Linear, ReLU, Sequential
from scratchae.layers.activations import sigmoid_forward
from scratchae.losses import BCEWithLogitsLoss, mse_backward, mse_forward
from scratchae.models import VAE, Autoencoder
from scratchae.optim import Adam
from scratchae.plots.latent import DIGIT_COLOURS
from scratchae.plots.style import STYLE
from scratchae.step import compute_loss, train_step

plt.rcParams.update(STYLE)
sample, g = load("sample"), torch.Generator().manual_seed(0)
digits, unseen = (part.pixels.flatten(1) / 255 for part in (sample.train, sample.test))  # [0, 1]
EPOCHS = 8


def pair(code, out, seed=0):
    """An encoder 784-200-out and a decoder code-200-784."""
    g = torch.Generator().manual_seed(seed)
    encoder = Sequential(Linear(784, 200, generator=g), ReLU(), Linear(200, out, generator=g))
    decoder = Sequential(Linear(code, 200, generator=g), ReLU(), Linear(200, 784, generator=g))
    return encoder, decoder


plain = Autoencoder(*pair(code=10, out=10), (784,), loss=BCEWithLogitsLoss(reduction="batchmean"))
optimizer, batches = Adam(plain.parameters(), lr=2e-3), Batches(len(digits), 100, seed=0)
for epoch in range(EPOCHS):
    for rows in batches.epoch(epoch):
        train_step(plain, optimizer, digits[rows])
codes = plain.encode(digits)  # (10000, 10)
noise = torch.randn(1000, 10, generator=g)  # codes chosen at random: standard normal numbers
middle, spread = codes.mean(dim=0), torch.linalg.cholesky(torch.cov(codes.T))
plain_draws = {
    "random codes": noise,
    "random, with the spread of the codes": middle + noise @ spread.T,
}
plain_draws = {name: sigmoid_forward(plain.decode(z)) for name, z in plain_draws.items()}
length = [z.norm(dim=1).mean().item() for z in (codes, noise)]
ink = [x.sum(dim=1).mean().item() for x in (digits, plain_draws["random codes"])]
print(f"length of a digit's code: {length[0]:.1f}; of a random code: {length[1]:.1f}")
print(f"ink of a digit: {ink[0]:.0f} pixels; of what a random code draws: {ink[1]:.0f}")
assert length[0] > 2.5 * length[1] and ink[0] > 2 * ink[1]


# %% tags=["picture"]
# alt: Three rows of twelve pictures. Real digits; what the decoder makes of random codes, pale grey stains; and of
#   random codes that spread as the digits' codes do, of which several are digits and the others broken strokes.
def show(axes, rows):
    """Draw rows {name: pictures (at least as many as there are columns, 784) in [0, 1]}."""
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        line[0].set_title(" ")  # room for the name, which is wider than a picture
        line[0].text(0, -3, name).set_in_layout(False)
        for ax, cells in zip(line, pictures, strict=False):
            ax.imshow(cells.reshape(28, 28), cmap="gray", vmin=0, vmax=1)
            ax.set_axis_off()


_, axes = plt.subplots(3, 12, figsize=(7, 2.2))
show(axes, {"digits": unseen} | plain_draws)

# %% [markdown]
# A random code draws a stain. The codes of the digits are elsewhere: nobody told the encoder where to put them. It
# helps to draw codes with the mean and the covariance of the digits' codes (third row), but some are still broken.
# Between the digits' codes there are holes, and the decoder has never been asked to draw what lies there.
#
# This chapter says where the codes have to be, and makes the decoder learn what lies around every code. What is
# more, it says how *probable* a picture is. The result is the **variational autoencoder**, VAE.
#
# ## What you need
#
# [Chapter 2](ch02_linear.py) (backward through a list of layers) and [chapter 5](ch05_autoencoder.py) (the
# autoencoder). Plan an hour and a half with paper and pencil. And some words of probability:
#
# <details><summary>Mean, density, Bayes' rule: a page to remember</summary>
#
# **Mean.** $E_p[f(z)]$ is the mean of $f(z)$ over many $z$ that are drawn from the distribution $p$. If $z$ has
# the *density* $p(z)$, it is $\int p(z) f(z)\, dz$. The mean of a sum is the sum of the means.
#
# **Normal distribution.** $N(\mu, s^2)$ has the density $\frac{1}{\sqrt{2 \pi s^2}} \exp(-(z - \mu)^2 / (2
# s^2))$. Its mean is $\mu$. The mean of $(z - \mu)^2$, its *variance*, is $s^2$, and $s$ is its *deviation*. So
# the mean of $z^2 = (z - \mu)^2 + 2 \mu (z - \mu) + \mu^2$ is $s^2 + \mu^2$. If $\varepsilon$ has the
# distribution $N(0, 1)$, then $\mu + s\, \varepsilon$ has $N(\mu, s^2)$.
#
# **Independent.** The probability of several independent things together is a product, so its logarithm is a sum.
#
# **Bayes' rule.** $p(x|z)$ is the probability of $x$ if $z$ is known. The probability of both is
# $p(x|z)\, p(z)$, and as well $p(z|x)\, p(x)$. So $p(z|x) = p(x|z)\, p(z) / p(x)$.
#
# **Nat.** The unit of a natural logarithm of a probability. $\ln 2 = 0.69$ nats are one bit. Here $\log$ is $\ln$.
#
# </details>
#
# ## One picture
#
# Five digits, and a code of one number. The autoencoder gives every digit a *point*. The VAE gives every digit a
# *hill*: a normal distribution. It draws the code from the hill, so the decoder learns what to draw all around it.
# And the hills together should look like one distribution from which anybody can draw, the **prior**.

# %% tags=["picture"]
# alt: Two plots over the code, from -9 to 9 and from -3 to 3. Left, an autoencoder: five points far from each
#   other with nothing between them. Right, a VAE: five low hills that overlap; the mean of them, a thick line,
#   lies close to the dashed curve of the standard normal distribution.
z, means = torch.linspace(-3, 3, 200), torch.tensor([-1.28, -0.52, 0, 0.52, 1.28])


def density(z, mean, deviation):
    return torch.exp(-(((z - mean) / deviation) ** 2) / 2) / (deviation * math.sqrt(2 * math.pi))


hills = torch.stack([density(z, mean, 0.5) for mean in means])
_, (left, right) = plt.subplots(1, 2, figsize=(7, 2.4))
for k, at in enumerate((-7.5, -4, 1, 3.5, 8)):
    left.plot([at, at], [0, 1], color=DIGIT_COLOURS[k], lw=2)
    left.plot(at, 1, "o", color=DIGIT_COLOURS[k])
    right.plot(z, hills[k] / 5, color=DIGIT_COLOURS[k], lw=2)
left.text(-1.5, 0.4, "what is\ndrawn here?", ha="center")
left.set(title="autoencoder: points", xlabel="code", yticks=[], xlim=(-9, 9))
right.plot(z, hills.mean(dim=0), color="black", lw=3, label="all hills together")
right.plot(z, density(z, 0, 1), "--", color="#cc6677", label="prior, N(0, 1)")
right.set(title="VAE: hills", xlabel="code", yticks=[])
right.legend(loc="upper left", fontsize=7)

# %% [markdown]
# ## By hand: three pixels, one number
#
# The encoder says $\mu = 2$ and a variance of 4 for the picture $x = (1, 1, 0)$. It gives the variance as a
# logarithm, $\ell = \log 4$, so that every number is allowed. The deviation is $\sqrt 4 = 2$. The noise drawn is
# $\varepsilon = -\frac12$, so the code is $z = 2 - 2 \cdot \frac12 = 1$. The decoder multiplies it by the weights
# $(\log 3, 0, -\log 3)$. The results are the **logits**: $a = (\log 3, 0, -\log 3)$.
#
# **Reconstruction.** A logit $a$ means the probability $\sigma(a) = 1 / (1 + e^{-a})$ that the pixel is 1:
# $\frac34, \frac12, \frac14$. The picture is $(1, 1, 0)$, so its probability is
# $\frac34 \cdot \frac12 \cdot \frac34 = \frac{9}{32}$, and minus its logarithm is $\log \frac{32}{9} = 1.268$.
#
# **KL.** The divergence from the prior is $\frac12 (\mu^2 + e^\ell - 1 - \ell)$, as you will derive:
# $\frac12 (4 + 4 - 1 - \log 4) = 2.807$. The loss is the sum of both, 4.075.
#
# **Back.** For a logit the gradient is $\sigma(a) - x$: $-\frac14, -\frac12, \frac14$. Times the weights, and
# summed, that is $dz = -\frac12 \log 3 = -0.549$. A larger code would help the reconstruction. But the KL pulls
# at $\mu$ with $\mu = 2$: $d\mu = -0.549 + 2 = 1.451$. And $\ell$ feels $dz$ through the noise, $dz \cdot
# \varepsilon \cdot 2 / 2$, and the KL with $\frac12 (e^\ell - 1)$: $d\ell = 0.275 + 1.5 = 1.775$. Both will fall.

# %%
mu, logvar, eps = torch.tensor(2.0), torch.tensor(4.0).log(), torch.tensor(-0.5)
x, w = torch.tensor([1.0, 1, 0]), torch.tensor([3.0, 1, 1 / 3]).log()


def by_hand(mu, logvar):
    probability = 1 / (1 + torch.exp(-w * (mu + torch.exp(logvar / 2) * eps)))
    reconstruction = -torch.where(x == 1, probability, 1 - probability).log().sum()
    return reconstruction + (mu**2 + logvar.exp() - 1 - logvar) / 2


h = 1e-2
dmu = (by_hand(mu + h, logvar) - by_hand(mu - h, logvar)) / (2 * h)
dlogvar = (by_hand(mu, logvar + h) - by_hand(mu, logvar - h)) / (2 * h)
for got, said in ((by_hand(mu, logvar), 4.075), (dmu, 1.451), (dlogvar, 1.775)):
    assert abs(got - said) < 1e-3

# %% [markdown]
# ## Derivation
#
# **1. How a picture comes about.** Draw a code $z$ from the prior $p(z)$: all its numbers are independent and
# standard normal. The decoder gives a logit $a_i$ for every pixel, and the pixel is 1 with the probability
# $\sigma(a_i)$, else 0. A picture $x$ can come from any code, so its probability is the mean of $p(x|z)$:
#
# $$ p(x) = \int p(x|z)\, p(z)\, dz \qquad
#  p(x|z) = \prod_i \sigma(a_i)^{x_i}\, (1 - \sigma(a_i))^{1 - x_i} \tag{12.1} $$
#
# We want the decoder under which our digits are probable: the largest $\log p(x)$, in the mean over the digits.
# But nearly all codes draw another digit, with $p(x|z)$ around $e^{-500}$. Among codes that are drawn from the
# prior, the few that matter are very rare. The encoder can tell where they are: for each $x$ it gives a normal
# distribution $q(z|x)$, with mean $\mu_d$ and variance $e^{\ell_d}$ for each number $d$ of the code.
#
# **2. A bound.** Draw the code from $q$, and correct with a *weight* for having drawn there and not from $p(z)$:
#
# $$ w = \frac{p(x|z)\, p(z)}{q(z|x)} \qquad
#  E_q[w] = \int q(z|x)\, \frac{p(x|z)\, p(z)}{q(z|x)}\, dz = p(x) \tag{12.2} $$
#
# We want the logarithm of this mean. The curve of $\log$ lies nowhere above its tangents. With the tangent at $m$,
# $\log w \le \log m + (w - m) / m$. Let $m = E[w]$ and take the mean of both sides: the last term becomes 0, and
#
# $$ E[\log w] \le \log E[w] \tag{12.3} $$
#
# This is **Jensen's inequality**. The logarithm of (12.2) is a sum of three, and so a lower bound of $\log p(x)$
# is
#
# $$ \log p(x) \;\ge\; \underbrace{E_q[\log p(x|z)]}_{\text{reconstruction}} -
#  \underbrace{E_q[\log q(z|x) - \log p(z)]}_{\text{KL}} = \text{ELBO} \tag{12.4} $$
#
# the *evidence lower bound*. The second mean is the **Kullback-Leibler divergence** $\text{KL}(q \| p)$: what the
# encoder pays for saying something about $x$. How much is lost? By Bayes' rule $p(x|z)\, p(z) = p(z|x)\, p(x)$, so
# $\log w = \log p(x) + \log p(z|x) - \log q(z|x)$, and the mean of this is
#
# $$ \text{ELBO} = \log p(x) - \text{KL}\big(q(z|x) \,\|\, p(z|x)\big) \tag{12.5} $$
#
# A KL is never below 0, and 0 only if both are the same: (12.3), with the weight $p / q$, whose mean is 1, says
# $E_q[\log (p / q)] \le \log 1$. So the bound is reached if $q$ says exactly which codes $x$ can come from. To
# raise the ELBO makes the digits more probable and the encoder more exact.
#
# **3. The reconstruction.** Minus the logarithm of one factor in (12.1) is $\log(1 + e^a) - x a$. For
# $1 - \sigma(a) = 1 / (1 + e^a)$ is the case $x = 0$, and $\sigma(a) = e^a / (1 + e^a)$ is the case $x = 1$. Its
# derivative is $e^a / (1 + e^a) - x$:
#
# $$ -\log p(x|z) = \sum_i \big( \log(1 + e^{a_i}) - x_i a_i \big) \qquad
#  \frac{\partial}{\partial a_i} = \sigma(a_i) - x_i \tag{12.6} $$
#
# This is the *binary cross-entropy*, **BCE**, with logits. A network is sure of a pixel in the middle of a
# stroke, $a = 100$ say, and $e^{100}$ is infinity in 32 bits. So take the larger of the exponents 0 and $a$ out
# of the logarithm:
#
# $$ \log(1 + e^a) = \max(a, 0) + \log(1 + e^{-|a|}) \tag{12.7} $$
#
# **4. The KL.** The numbers of the code are independent, so their KLs add up. For one of them, the constants
# $\log 2 \pi$ cancel, and $\log q - \log p = -\frac12 \ell - \frac12 (z - \mu)^2 e^{-\ell} + \frac12 z^2$. Under
# $q$ the mean of $(z - \mu)^2$ is $e^\ell$, and that of $z^2$ is $\mu^2 + e^\ell$. So
#
# $$ \text{KL} = \tfrac12 \sum_d \big( \mu_d^2 + e^{\ell_d} - 1 - \ell_d \big) \qquad
#  \frac{\partial}{\partial \mu_d} = \mu_d \qquad
#  \frac{\partial}{\partial \ell_d} = \tfrac12 (e^{\ell_d} - 1) \tag{12.8} $$
#
# It pulls every mean to 0 and every variance to 1. The reconstruction pulls the means apart and the variances to
# 0.
#
# **5. Through the draw.** The reconstruction is a mean over codes that are drawn from $q$. How does one
# differentiate a draw? Draw something that depends on nothing, $\varepsilon_d$ from $N(0, 1)$, and *compute* the
# code:
#
# $$ z_d = \mu_d + e^{\ell_d / 2}\, \varepsilon_d \tag{12.9} $$
#
# This is the **reparameterisation**. For a given $\varepsilon$ it is a formula like any other, so $dz$ goes back:
#
# $$ d\mu_d = dz_d \qquad d\ell_d = \tfrac12\, dz_d\; e^{\ell_d / 2}\, \varepsilon_d \tag{12.10} $$
#
# One draw for each digit and step is enough: it is right in the mean.
#
# **6. The loss** is minus the ELBO: summed over the pixels, summed over the code, and *averaged over the batch*.
# $\beta$ is 1; other values are for experiments:
#
# $$ L = \frac1N \sum_n \Big[ \sum_i \big( \log(1 + e^{a_{n,i}}) - x_{n,i} a_{n,i} \big) +
#  \frac{\beta}{2} \sum_d \big( \mu_{n,d}^2 + e^{\ell_{n,d}} - 1 - \ell_{n,d} \big) \Big] \tag{12.11} $$
#
# **7. Why not the mean over the pixels?** Suppose that somebody adds the KL to `MSELoss`. If a pixel is drawn from
# $N(y_i, 1)$, then $-\log p(x|z)$ is $\frac12 \sum_i (x_i - y_i)^2$ and a constant. `MSELoss` is that sum times
# $\frac{2}{784}$. To minimise it together with the KL is to minimise
#
# $$ \frac{2}{784} \cdot \tfrac12 \sum_i (x_i - y_i)^2 + \text{KL} = \frac{2}{784}
#  \Big( \tfrac12 \sum_i (x_i - y_i)^2 + 392\, \text{KL} \Big) \tag{12.12} $$
#
# So $\beta$ is 392, without anybody having written it. With the mean of the BCE it is 784. You will see what it
# does.
#
# **8. A better bound.** (12.2) holds for the mean of $K$ weights too, and (12.3) for its logarithm:
#
# $$ \log p_K(x) = \log \frac1K \sum_k w_k = \log \sum_k e^{\log w_k} - \log K \qquad
#  E[\log p_K(x)] \le \log p(x) \tag{12.13} $$
#
# With $K = 1$ it is a draw of the ELBO. With many, the mean comes close to $p(x)$ and its logarithm to $\log
# p(x)$: the **importance-weighted bound**. By (12.9) $(z - \mu)^2 e^{-\ell} = \varepsilon^2$, so
#
# $$ \log w = \log p(x|z) + \tfrac12 \sum_d \big( \varepsilon_d^2 + \ell_d - z_d^2 \big) \tag{12.14} $$
#
# ## Matrix form
#
# A row for each digit: $X$ and the logits $A$ are $(N, 784)$; $M$ (the $\mu$), $\Lambda$ (the $\ell$), $E$ and
# $Z$ are $(N, D)$. The encoder gives $M$ beside $\Lambda$, $(N, 2D)$. With $\odot$ for the product number by
# number,
#
# $$ \begin{aligned} Z &= M + e^{\Lambda / 2} \odot E & dA &= (\sigma(A) - X) / N \\
#  dM &= dZ + \beta M / N &
#  d\Lambda &= \tfrac12\, dZ \odot e^{\Lambda / 2} \odot E + \beta (e^{\Lambda} - 1) / (2 N)
#  \end{aligned} \tag{12.15} $$
#
# The decoder's backward makes $dZ$ of $dA$, and the encoder's takes $dM$ beside $d\Lambda$.
#
# ## Code
#
# Is (12.8) really the mean in (12.4)? Draw 200,000 codes and take the mean: this is the **Monte Carlo** method.
# Its *standard error* is the deviation of the terms divided by $\sqrt{200{,}000}$. And a check of (12.6) and
# (12.7):

# %%
mu, logvar = torch.tensor([[2.0, -0.3]]), torch.tensor([[1.4, -2.0]])
eps = torch.randn(200_000, 2, generator=g)
z = mu + torch.exp(logvar / 2) * eps  # (12.9)
log_q = -0.5 * (math.log(2 * math.pi) + logvar + (z - mu) ** 2 / logvar.exp()).sum(dim=1)
log_p = -0.5 * (math.log(2 * math.pi) + z**2).sum(dim=1)
drawn = log_q - log_p
exact = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum()  # (12.8)
error = drawn.std() / math.sqrt(len(drawn))
print(f"KL {exact:.4f}; mean of 200,000 draws {drawn.mean():.4f} ± {error:.4f}")
assert abs(drawn.mean() - exact) < 3 * error
a = torch.tensor([-3.0, 0.0, 2.0, 100.0])
stable = a.clamp(min=0) + torch.log1p(torch.exp(-a.abs()))  # (12.7)
print("log(1 + e^a):", torch.log(1 + torch.exp(a)).tolist(), "and stable:", stable.tolist())
assert torch.log(1 + torch.exp(a))[-1] == torch.inf and stable[-1] == 100

# %% [markdown]
# ## Write it: sampling, BCE and KL
#
# Three pairs, forward and backward. `bce_with_logits_forward` gives one number for *every* pixel, and its
# backward the derivative of each by its own logit: the sum comes later. `kl_forward` sums over the code and
# averages over the batch, as in (12.11) with $\beta = 1$.


# %% tags=["write-it"]
def sampling_forward(mu, logvar, eps):
    """The code z for the mean, the log-variance and the noise, all of one shape."""
    # your turn: (12.9)
    return mu + torch.exp(logvar / 2) * eps  # (12.9)


def sampling_backward(dz, logvar, eps):
    """(dmu, dlogvar) for dz; the noise is the one of the forward pass."""
    # your turn: (12.10)
    return dz.clone(), 0.5 * dz * torch.exp(logvar / 2) * eps  # (12.10)


# %% tags=["check"]
for function in (sampling_forward, sampling_backward):
    report = check(function)
    print(report)
    assert report, "\n".join(report.sentences)


# %% tags=["write-it"]
def bce_with_logits_forward(logits, target):
    """−log p(target) for every element; target in [0, 1], both of one shape."""
    # your turn: (12.6), with (12.7)
    softplus = logits.clamp(min=0) + torch.log1p(torch.exp(-logits.abs()))  # (12.7)
    return softplus - target * logits  # (12.6)


def bce_with_logits_backward(logits, target):
    """The derivative of every term by its own logit."""
    # your turn: (12.6); torch.exp(1000.) is infinity: does your σ survive it?
    return 1 / (1 + torch.exp(-logits)) - target  # (12.6)


# %% tags=["check"]
for function in (bce_with_logits_forward, bce_with_logits_backward):
    report = check(function)
    print(report)
    assert report, "\n".join(report.sentences)


# %% tags=["write-it"]
def kl_forward(mu, logvar):
    """The KL of (N, D) from the prior: summed over the code, averaged over the batch, shape ()."""
    # your turn: (12.8), and divide by the size of the batch
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum() / len(mu)  # (12.8)


def kl_backward(mu, logvar):
    """(dmu, dlogvar) of kl_forward."""
    # your turn: (12.8), and divide as in the forward
    return mu / len(mu), 0.5 * (logvar.exp() - 1) / len(mu)  # (12.8)


# %% tags=["check"]
for function in (kl_forward, kl_backward):
    report = check(function)
    print(report)
    assert report, "\n".join(report.sentences)

# %% [markdown]
# ## Write it: the step
#
# Put the six together. `encoder.forward(x)` gives (N, 2 D), and `.chunk(2, dim=1)` halves it. The loss is
# (12.11). Add the gradients to the parameters as (12.15) says: `decoder.backward(da)` returns $dZ$, and
# `encoder.backward` takes $dM$ beside $d\Lambda$. Do not draw noise of your own: with `eps` given, the step is a
# function, and can be checked.


# %% tags=["write-it"]
def vae_step(encoder, decoder, x, eps, beta=1.0):
    """(reconstruction, kl), both of shape (); adds the gradients of reconstruction + beta * kl."""
    # your turn: forward, the two numbers, backward
    mu, logvar = encoder.forward(x).chunk(2, dim=1)  # (N, D) each
    a = decoder.forward(sampling_forward(mu, logvar, eps))  # (N, 784)
    reconstruction = bce_with_logits_forward(a, x).sum() / len(x)
    dz = decoder.backward(bce_with_logits_backward(a, x) / len(x))
    dmu, dlogvar = sampling_backward(dz, logvar, eps)
    kl_dmu, kl_dlogvar = kl_backward(mu, logvar)
    encoder.backward(torch.cat([dmu + beta * kl_dmu, dlogvar + beta * kl_dlogvar], dim=1))
    return reconstruction, kl_forward(mu, logvar)  # the two parts of (12.11)


# %% [markdown]
# ## Check
#
# Finite differences, with the noise fixed: move each number in the encoder's last bias, and each in the decoder's
# first, and see how the loss changes.


# %% tags=["check"]
def halves(step=0.0, half=0, at=0):
    """A small encoder and decoder in 64 bits. One number in the bias of one of them is moved by `step`."""
    few = {"generator": torch.Generator().manual_seed(3), "dtype": torch.float64}
    both = Sequential(Linear(7, 6, **few)), Sequential(Linear(3, 7, **few))
    both[half][0].bias[at] += step
    return both


def two_parts(encoder, decoder):
    mu, logvar = encoder(x).chunk(2, dim=1)
    a = decoder(mu + torch.exp(logvar / 2) * eps)
    return (torch.log1p(a.exp()) - x * a).sum() / 5, (mu**2 + logvar.exp() - 1 - logvar).sum() / 10


def slopes(half, count):
    """Finite differences of reconstruction + 2 KL."""
    sides = [[two_parts(*halves(h, half, at)) for h in (1e-5, -1e-5)] for at in range(count)]
    return torch.stack([(r1 + 2 * k1 - r2 - 2 * k2) / 2e-5 for (r1, k1), (r2, k2) in sides])


def near(got, want):
    return torch.allclose(got, want, rtol=1e-4, atol=1e-6)


few = {"generator": g.manual_seed(4), "dtype": torch.float64}
x, eps, gradients = torch.rand(5, 7, **few), torch.randn(5, 3, **few), []
for _ in range(2):
    both = halves()
    reconstruction, kl = vae_step(*both, x, eps, beta=2.0)
    gradients.append([half[0].bias.grad for half in both])
(mine, decoders), again = gradients
assert near(mine, again[0]), (
    "two calls with one eps differ: draw no noise of your own, nor in backward"
)
want, want_kl = two_parts(*halves())
assert not near(reconstruction, want / 7), "the reconstruction is averaged over the pixels: sum it"
assert not near(reconstruction, want * 5), (
    "the reconstruction is summed over the batch: divide by N"
)
assert near(reconstruction, want), f"the reconstruction is {reconstruction:.4f}, not {want:.4f}"
assert near(kl, want_kl), f"the KL is {kl:.4f}, not {want_kl:.4f}: return it without beta"
decoders_right, right = slopes(half=1, count=7), slopes(half=0, count=6)
assert not near(decoders, 5 * decoders_right), (
    "dA is N times too large: divide the BCE's by the size of the batch"
)
assert near(decoders, decoders_right), (
    "the decoder's gradients are wrong: what does its backward get?"
)
mu, logvar = both[0](x).chunk(2, dim=1)
by_kl = mu.mean(dim=0), (logvar.exp() - 1).mean(dim=0) / 2  # of the KL, without beta
for name, got, want, part in zip(
    ("dmu", "dlogvar"), mine.chunk(2), right.chunk(2), by_kl, strict=True
):
    assert not near(got, want - 2 * part), f"{name} lacks the KL's part, see (12.15)"
    assert not near(got, want - part), f"{name} has the KL's part without beta"
    assert not near(got, 2 * part), f"{name} lacks what comes through z"
    assert near(got, want), f"{name} is wrong: compare it with (12.15)"
print("every gradient agrees with finite differences")

# %% [markdown]
# ## Write it: the bound
#
# (12.13), from the logarithms of the weights, since the weights themselves, around $e^{-100}$, are 0 in 32 bits.


# %% tags=["write-it"]
def importance_bound(log_w):
    """log p_K(x) (N,) from log w (N, K)."""
    # your turn: (12.13); torch.logsumexp takes the largest exponent out, as (12.7) does
    return torch.logsumexp(log_w, dim=1) - math.log(log_w.shape[1])  # (12.13)


# %% tags=["check"]
log_w = torch.tensor([[1.0, 2.0, 3.0], [4.0, 4.0, 4.0]]).log()
found, right = importance_bound(log_w), torch.tensor([2.0, 4.0]).log()
assert found.shape == (2,), f"one number a picture is (2,), not {tuple(found.shape)}"
assert not torch.allclose(found, log_w.mean(dim=1)), "the logarithms are averaged: that is the ELBO"
assert not torch.allclose(found, right + math.log(3)), (
    "that is the sum of the weights: subtract log K"
)
assert torch.allclose(found, right), "not the logarithm of the mean weight"
far = importance_bound(torch.full((1, 3), -900.0))
assert torch.allclose(far, torch.tensor([-900.0])), (
    f"log w = -900 gives {far.item()}: use logsumexp"
)
print("importance_bound is right")

# %% [markdown]
# ## See it: two parts that pull
#
# The training loop is that of chapter 5, with noise for every digit of the batch. `judge` gives the two parts of
# the ELBO on other digits, and how many numbers of the code are **active**: a number whose mean $\mu_d$ varies
# from digit to digit, with a variance above 0.01. What does not vary tells nothing.
# At the end, the library's `VAE` with the same weights has to find the same loss as your step.


# %%
def train(code, epochs=EPOCHS, noise=1.0, beta=1.0, step=vae_step, x=digits):
    """The trained encoder and decoder, and the two parts of every step's loss, (steps, 2)."""
    encoder, decoder = pair(code, 2 * code)
    optimizer = Adam([*encoder.parameters(), *decoder.parameters()], lr=2e-3)
    batches, g, losses = Batches(len(x), 100, seed=0), torch.Generator().manual_seed(1), []
    for epoch in range(epochs):
        for rows in batches.epoch(epoch):
            optimizer.zero_grad()
            eps = noise * torch.randn(len(rows), code, generator=g)
            losses.append(torch.stack(step(encoder, decoder, x[rows], eps, beta)))
            optimizer.step()
    return encoder, decoder, torch.stack(losses)


def judge(encoder, decoder, x, seed=2):
    """(reconstruction, kl, active numbers) on x (N, 784)."""
    mu, logvar = encoder(x).chunk(2, dim=1)
    eps = torch.randn(mu.shape, generator=torch.Generator().manual_seed(seed))
    a = decoder(sampling_forward(mu, logvar, eps))
    reconstruction = bce_with_logits_forward(a, x).sum() / len(x)
    active = (mu.var(dim=0) > 0.01).sum()
    return reconstruction.item(), kl_forward(mu, logvar).item(), active.item()


encoder, decoder, losses = train(code=10)
reconstruction, kl, active = judge(encoder, decoder, unseen)
print(f"unseen digits: reconstruction {reconstruction:.1f} + KL {kl:.1f}, so ELBO", end=" ")
print(f"{-reconstruction - kl:.1f} nats; {active} of 10 numbers are active")
assert reconstruction + kl < 127 and 12 < kl < 22 and active == 10
model = VAE(encoder, decoder, (784,), BCEWithLogitsLoss(reduction="batchmean"), latent=10).eval()
ours = sum(vae_step(encoder, decoder, unseen, torch.zeros(len(unseen), 10)))
assert torch.isclose(compute_loss(model, unseen), ours)  # the library's, which draws none in eval()

# %% tags=["picture"]
# alt: Two plots over eight epochs. Left, the reconstruction falls from above 200 to about 105 nats, steeply at
#   first, and minus the ELBO falls above it. Right, the KL rises from about 9 to 17 nats, ever more slowly.
epochs = losses.reshape(EPOCHS, -1, 2).mean(dim=1)  # (EPOCHS, 2)
_, (left, right) = plt.subplots(1, 2, figsize=(7, 2.4))
left.plot(
    range(1, EPOCHS + 1), epochs.sum(dim=1), "s-", ms=4, color="black", label="−ELBO: their sum"
)
left.plot(range(1, EPOCHS + 1), epochs[:, 0], "o-", ms=4, color="#0072b2", label="reconstruction")
left.set(title="nats a digit", xlabel="epoch"), left.legend()
right.plot(range(1, EPOCHS + 1), epochs[:, 1], "o-", ms=4, color="#e69f00")
right.set(title="KL, nats a digit", xlabel="epoch")

# %% [markdown]
# The KL rises, and the reconstruction falls by more, so the loss falls: it is worth saying more about each digit.
# And now the question of the beginning. Random codes again, the same ones, standard normal:

# %% tags=["picture"]
# alt: Three rows of twelve pictures. The autoencoder's from random codes are stains; those from codes that spread
#   as the digits' do are digits and broken strokes. The VAE's, from random codes, are blurred, and most
#   can be read as digits.
rows = {f"autoencoder, {name}": pictures for name, pictures in plain_draws.items()}
rows["VAE, random codes"] = sigmoid_forward(decoder(noise))
_, axes = plt.subplots(3, 12, figsize=(7, 2.2))
show(axes, rows)

# %% [markdown]
# Many can be read as digits that nobody has written. Others are between two kinds. It is a small network after a
# short training.
#
# **Be fair** to the second row. A normal distribution that is fitted to the codes *afterwards* makes something to
# draw from, too. To compare, make a VAE of it: move and turn the codes so that the fitted distribution is the
# prior, add noise of one deviation, the best of six, and judge it by its ELBO.

# %%
turned = torch.linalg.solve_triangular(spread, (plain.encode(unseen) - middle).T, upper=False).T
eps, afterwards = torch.randn(turned.shape, generator=g), []
for deviation in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3):
    logvar = torch.full_like(turned, 2 * math.log(deviation))
    a = plain.decode(middle + sampling_forward(turned, logvar, eps) @ spread.T)
    costs = bce_with_logits_forward(a, unseen).sum() / len(unseen), kl_forward(turned, logvar)
    afterwards.append((sum(costs).item(), deviation))
least, deviation = min(afterwards)
print(
    f"−ELBO of the autoencoder {least:.1f}, with noise of {deviation}; of the VAE {reconstruction + kl:.1f}"
)
assert abs(least - reconstruction - kl) < 6 and 0.02 < deviation < 0.3

# %% [markdown]
# They are about equal. For so small a code, a distribution fitted afterwards does nearly as well, and larger
# models have shown the same (Ghosh et al. 2020). What the VAE has beyond: nobody had to search for a deviation,
# where to draw is known before any digit has been seen, and the number by which one judges is the one that is
# trained.
#
# ## See it: the plane
#
# With a code of two numbers one sees where the digits are. The autoencoder needs no new program: without noise and
# without the KL, `vae_step` *is* an autoencoder, trained on the same loss.

# %%
flat = {"autoencoder": train(2, noise=0.0, beta=0.0), "VAE": train(2)}
radius, inside, clouds = math.sqrt(-2 * math.log(0.05)), {}, {}  # 95 % of the prior are inside
for name, (encoder2, _, _) in flat.items():
    mu, logvar = encoder2(unseen).chunk(2, dim=1)
    eps = torch.randn(mu.shape, generator=g) * (name == "VAE")
    clouds[name] = sampling_forward(mu, logvar, eps)
    inside[name] = (clouds[name].norm(dim=1) < radius).float().mean().item()
    print(f"{name}: {inside[name]:.0%} of the codes are where the prior has 95 %")
assert inside["VAE"] > 0.75 and inside["autoencoder"] < 0.5
outside = clouds["VAE"].norm(dim=1) > radius
assert torch.bincount(sample.test.labels[outside]).argmax() == 1

# %% tags=["picture"]
# alt: Two scatter plots of 2,000 codes, numerals in the colours of their kinds, with a dashed circle of radius
#   2.4. Left, the autoencoder's: a fan that begins at the circle and reaches far beyond it to one side, with
#   gaps. Right, the VAE's: one cloud around the circle's middle, a little larger than the circle, the kinds side
#   by side.
_, axes = plt.subplots(1, 2, figsize=(7, 3.6))
for ax, (name, z) in zip(axes, clouds.items(), strict=True):
    for kind, colour in enumerate(DIGIT_COLOURS):
        own = z[sample.test.labels == kind]
        ax.scatter(*own.T, s=16, lw=0.5, color=colour, marker=f"${kind}$")
    ax.add_patch(plt.Circle((0, 0), radius, fill=False, ls="--", lw=2, zorder=3))
    ax.set(title=name, aspect="equal", xlabel="number 0", ylabel="number 1")

# %% tags=["picture"]
# alt: A square of 15 by 15 pictures, drawn by the VAE from a grid of codes. Sevens and nines are at the upper
#   left, ones at the upper right, twos and threes at the right, zeros at the bottom; between them one shape turns
#   into the next, and no place is empty.
steps = torch.linspace(0.03, 0.97, 15, dtype=torch.float64)
places = (math.sqrt(2) * torch.erfinv(2 * steps - 1)).float()  # where so much of N(0, 1) is below
grid = torch.cartesian_prod(places.flip(0), places).flip(1)  # rows from the top
plane = sigmoid_forward(flat["VAE"][1](grid))
whole = plane.reshape(15, 15, 28, 28).transpose(1, 2).reshape(15 * 28, 15 * 28)
_, ax = plt.subplots(figsize=(5, 5))
ax.imshow(whole, cmap="gray", vmin=0, vmax=1)
ax.set(xticks=[], yticks=[], xlabel="number 0", ylabel="number 1", title="the plane, decoded")
ax.grid(False)

# %% [markdown]
# The VAE's cloud is around 0, but larger than the prior's: the KL pulls each hill towards the prior, not their
# mean. Of the codes outside of the circle, most are ones. The prior hardly ever draws there, so too few of the
# draws are ones.
#
# ## See it: how probable is a digit?
#
# For a probability, pixels have to be 0 or 1. So take each grey value as the probability that the pixel is 1, and
# draw each pixel once.
# Then (12.14) and your `importance_bound`:

# %%
binary = (torch.rand(unseen[:200].shape, generator=g.manual_seed(3)) < unseen[:200]).float()
mu, logvar = (part.unsqueeze(1) for part in encoder(binary).chunk(2, dim=1))  # (200, 1, 10)
eps = torch.randn(200, 200, 10, generator=g)  # 200 codes for each picture
z = sampling_forward(mu, logvar, eps)
fits = [
    -bce_with_logits_forward(decoder(own), x).sum(dim=1) for own, x in zip(z, binary, strict=True)
]
log_w = torch.stack(fits) + 0.5 * (eps**2 + logvar - z**2).sum(dim=2)  # (12.14), (200, 200)
averaged = log_w.mean().item()
bounds = {k: importance_bound(log_w[:, :k]).mean().item() for k in (1, 10, 200)}
for k, bound in bounds.items():
    print(f"K = {k:>3}: {bound:.2f} nats")
print(f"the mean of all 200 logarithms: {averaged:.2f} nats")
assert bounds[200] > bounds[10] > averaged + 1 and abs(bounds[1] - averaged) < 1.5

# %% [markdown]
# With more codes the bound rises: the ELBO is too low. The mean of the *logarithms* stays where it is: that
# is the ELBO again, for any $K$. Mistaking one for the other is common. The standard error belongs to such a
# number: `scratchae.training.likelihood` gives it, and has the same three lines.
#
# ## See it: a letter
#
# This VAE knows nothing but digits. What does it make of a letter? And how probable is one?

# %%
letters = load("letters").test.pixels.flatten(1) / 255  # drawn from fonts: A C E F H K M R T X
costs = {"digits": judge(encoder, decoder, unseen), "letters": judge(encoder, decoder, letters)}
for name, (r, k, _) in costs.items():
    print(f"{name}: reconstruction {r:.0f} + KL {k:.0f} = {r + k:.0f} nats")
assert sum(costs["letters"][:2]) > 1.3 * sum(costs["digits"][:2])

# %% tags=["picture"]
# alt: Two rows of ten pictures. Above, the letters A, C, E, F, H, K, M, R, T and X. Below, what the VAE draws of
#   them: blurred shapes that look like digits, such as an eight or a six, or like none.
a = decoder(encoder(letters[:10]).chunk(2, dim=1)[0])
_, axes = plt.subplots(2, 10, figsize=(7, 2))
show(axes, {"letter": letters[:10], "as the VAE draws it": sigmoid_forward(a)})

# %% [markdown]
# It draws the digit that is nearest to the letter. The negative ELBO is much larger for letters than for digits,
# so it shows that these images are of another kind.
#
# ## Break it
#
# Write down what you expect, before you look. **1. The sign of the KL.** In (12.11) it is subtracted. What do
# reconstruction, KL and their difference do in a hundred steps?

# %% tags=["predict"]
_, _, losses = train(code=10, epochs=1, beta=-1.0)
for at in (0, 9, 49, 99):
    r, k = losses[at].tolist()
    print(f"step {at + 1:>3}: reconstruction {r:.3g}, KL {k:.3g}, loss {r - k:.3g}")
assert losses[-1, 1] > 1e9 and losses[-1, 0] > 1e6

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# The loss falls for ever, and everything else is lost. A KL has no upper limit, $e^\ell$ least of all. A loss that
# falls below 0 here is no success: neither the BCE nor the KL can be negative.
#
# </details>
#
# **2. The wrong range.** Chapters 5 and 10 use pixels in $[-1, 1]$. Give those to the BCE. What does the
# reconstruction do?

# %% tags=["predict"]
_, _, losses = train(code=10, epochs=1, x=2 * digits - 1)
print("reconstruction:", [round(losses[at, 0].item()) for at in (0, 9, 49, 99)])
assert losses[-1, 0] < -1e5

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# For $x = -1$ the derivative $\sigma(a) + 1$ is above 0 at every $a$: there is no lowest point, and the logit runs
# to $-\infty$. The library refuses it: `BCEWithLogitsLoss` has the range $[0, 1]$, and `fit` compares.
#
# </details>
#
# **3. A deviation of** $e^\ell$. Somebody forgets the $\frac12$ in (12.9), and differentiates what is written: so
# every gradient check passes. Does it train? Is the ELBO it reports larger or smaller than the right program's?
# Is it true?

# %% tags=["predict"]
right = sampling_forward, sampling_backward
sampling_forward = lambda mu, logvar, eps: mu + torch.exp(logvar) * eps  # noqa: E731
sampling_backward = lambda dz, logvar, eps: (dz, dz * torch.exp(logvar) * eps)  # noqa: E731
mistaken, mistaken_decoder, _ = train(code=10)
wrong_reconstruction, wrong_kl, _ = judge(mistaken, mistaken_decoder, unseen)
sampling_forward, sampling_backward = right
mu, logvar = mistaken(unseen).chunk(2, dim=1)
true_kl = kl_forward(mu, 2 * logvar).item()  # the variance of its codes is e^(2 l)
print(
    f"reported: ELBO {-wrong_reconstruction - wrong_kl:.1f}; the right program: {-reconstruction - kl:.1f}"
)
print(f"with the KL of the codes that it draws: {-wrong_reconstruction - true_kl:.1f}")
assert (
    -wrong_reconstruction - wrong_kl
    > -reconstruction - kl + 3
    > -wrong_reconstruction - true_kl + 3
)

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# It trains, and reports a better ELBO. But it draws codes of deviation $e^\ell$ and pays the KL of codes of
# deviation $e^{\ell / 2}$, which costs about half as much. What it reports is no bound of anything. With the KL
# of what it does, it is worse than the right program. No gradient check can find it: the gradient is right, the
# loss is wrong. `check(sampling_forward)` finds it.
#
# </details>
#
# **4. A mean.** Add the KL to `MSELoss`, as in (12.12). How many numbers of the code stay active? What does it
# draw?


# %% tags=["predict"]
def mean_step(encoder, decoder, x, eps, beta):
    mu, logvar = encoder.forward(x).chunk(2, dim=1)
    y = decoder.forward(sampling_forward(mu, logvar, eps))
    dz = decoder.backward(mse_backward(y, x))
    pairs = zip(sampling_backward(dz, logvar, eps), kl_backward(mu, logvar), strict=True)
    encoder.backward(torch.cat([of_z + beta * of_kl for of_z, of_kl in pairs], dim=1))
    return mse_forward(y, x), kl_forward(mu, logvar)


largest = torch.linalg.eigvalsh(torch.cov(digits.T))[-1]
print(f"largest variance of the digits in any direction: {largest:.1f}")
for name, beta in {"added to the mean": 1.0, "divided by 392": 1 / 392}.items():
    collapsed, collapsed_decoder, _ = train(code=10, epochs=3, beta=beta, step=mean_step)
    _, k, active = judge(collapsed, collapsed_decoder, unseen)
    drawn = collapsed_decoder(noise)
    print(
        f"KL {name}: {active} active, KL {k:.4f}; spread of its draws {drawn.std(dim=0).mean():.4f}"
    )
    if beta == 1:
        assert largest < 392 and active == 0 and k < 1e-3
        assert (drawn.mean(dim=0) - digits.mean(dim=0)).abs().max() < 0.2
    else:
        assert active > 3 and k > 1

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# None. The KL counts 392 times, so to use a number of the code raises this term by more than it lowers the
# reconstruction. All $\mu$ go to 0 and all variances to 1: the encoder says the same of every digit, and the
# decoder draws the mean of all digits. This is **posterior collapse**. It can be predicted. With a *linear*
# decoder and pixels of variance $v$, a direction is used only if the digits' variance along it is above $v$ (Lucas
# et al. 2019), and to weight the KL with 392 is to set $v = 392$. The largest variance in any direction is the
# number that the cell prints first. The number printed as the KL looks excellent: 0. Divide the KL by 392, or
# better: sum over the pixels.
#
# </details>
#
# **5. Grey pixels.** Somebody reports the number above, reconstruction + KL of the grey digits, as "the negative
# log-likelihood", beside the 86.8 nats of a paper with binary digits. Suppose that a decoder draws every pixel
# exactly as it is. What is its reconstruction, on grey and on binary digits?

# %% tags=["predict"]
for name, x in {"grey": unseen, "binary": binary}.items():
    least = bce_with_logits_forward(torch.logit(x, eps=1e-6), x).sum(dim=1).mean()
    print(f"{name}: the lowest possible reconstruction is {least:.1f} nats")
    assert (least > 40) == (name == "grey")
a, x = decoder(noise[:200]), unseen[:200]
many = [(torch.rand(x.shape, generator=g) < x).float() for _ in range(200)]
drawn = torch.stack([bce_with_logits_forward(a, one).sum() for one in many]).mean()
assert abs(drawn / bce_with_logits_forward(a, x).sum() - 1) < 1e-3

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# A Bernoulli variable is 0 or 1: it gives no probability to 0.3. With grey pixels (12.6) is a cross-entropy,
# which even a perfect drawing cannot lower to 0. So **grey pixels with BCE are not a likelihood**, and the number
# cannot stand beside one of binary digits. Why does one train so? (12.6) is linear in $x$. So the BCE of a grey
# picture is the mean over the binary pictures that are drawn from it: the cell's last line finds this. It is a
# good thing to train on, with no noise from drawing; it is only not to be reported.
#
# </details>
#
# ## Recap card
#
# | | formula | shape | line of code |
# |---|---|---|---|
# | code | $z = \mu + e^{\ell / 2} \varepsilon$ | (N, D) | `mu + torch.exp(logvar / 2) * eps` |
# | back | $d\ell = \frac12\, dz\, e^{\ell / 2} \varepsilon$ | (N, D) | `0.5 * dz * torch.exp(logvar / 2) * eps` |
# | BCE | $\log(1 + e^a) - x a$ | (N, 784) | `a.clamp(min=0) + torch.log1p(torch.exp(-a.abs())) - x * a` |
# | back | $\sigma(a) - x$ | (N, 784) | `1 / (1 + torch.exp(-a)) - x` |
# | KL | $\frac12 \sum_d (\mu^2 + e^\ell - 1 - \ell)$ | () | `(mu**2 + logvar.exp() - 1 - logvar).sum() / 2 / N` |
# | back | $\mu$, $\frac12 (e^\ell - 1)$ | (N, D) | `mu / N, 0.5 * (logvar.exp() - 1) / N` |
# | bound | $\log \frac1K \sum_k w_k$ | (N,) | `torch.logsumexp(log_w, dim=1) - math.log(K)` |
#
# Sum over the pixels, average over the batch. A KL of 0 is a collapse. Only $\beta = 1$ is the ELBO.
#
# ## Sources and history
#
# The VAE and the reparameterisation: D. P. Kingma and M. Welling, *Auto-Encoding Variational Bayes*, 2014
# (arXiv:1312.6114); at the same time D. J. Rezende, S. Mohamed and D. Wierstra (arXiv:1401.4082). The
# importance-weighted bound: Y. Burda, R. Grosse and R. Salakhutdinov, 2016 (arXiv:1509.00519); the 86.8 nats are
# theirs, of a code of 50 numbers and $K = 5000$. Grey pixels: G. Loaiza-Ganem and J. P. Cunningham, *The
# continuous Bernoulli*, 2019 (arXiv:1907.06845). Collapse: J. Lucas, G. Tucker, R. Grosse and M. Norouzi, *Don't
# Blame the ELBO!*, 2019 (arXiv:1911.02469). Distributions fitted afterwards: P. Ghosh, M. S. M. Sajjadi, A.
# Vergari, M. Black and B. Schölkopf, *From Variational to Deterministic Autoencoders*, 2020 (arXiv:1903.12436).
#
# ## Assignment
#
# [**hw7**](../course.md): your six functions, with hidden cases. Then `scratchae train vae --out runs/vae`: the
# library's VAE has the same two halves; its encoder ends with the layer `GaussianSampling`, in
# `scratchae/layers/sampling.py`. Read it: you have written all that it does.
