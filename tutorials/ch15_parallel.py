# %% [markdown]
# # 15. Can many hands make one gradient?
#
# ## The question
#
# Your network trains well, but an epoch takes an hour, and you have four machines. **Data parallel** training:
# everybody has the whole network and works on a part of each batch, then all add up what they found. Is that
# *the same training*, up to rounding, or only something like it? After this chapter you know what is added and
# by which weights, have written the ring in which computers add, and know how many machines are worth it.

# %%
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import scratchae
from scratchae.data import load
from scratchae.layers import BatchNorm1d, Linear, Sequential
from scratchae.models import build
from scratchae.optim import SGD
from scratchae.plots.style import STYLE
from scratchae.step import fill_gradients

plt.rcParams.update(STYLE)

# %% [markdown]
# ## One picture
#
# A batch is cut into as many shares as there are **workers**, processes that may sit on as many machines. Each
# has the same weights and finds a gradient from its share. Then everybody needs the sum of all gradients: an
# **all-reduce**. Here it is, for four workers, each with a gradient cut into four chunks. A cell says of how
# many workers' gradients it is the sum. In every round each worker sends *one* chunk to the worker below it (the
# last to the first). Three rounds of adding, three of copying, and all have everything.

# %% tags=["picture"]
# alt: Seven tables, four above and three below: a row for each of four workers, a column for each of four
#   chunks. At first all cells are 1. In rounds 1, 2 and 3 one cell a row, on a diagonal, becomes 2, then the
#   next 3, then the next 4. In rounds 4, 5 and 6 the fours are copied on, until all cells are 4.
worker, tables = torch.arange(4), [torch.ones(4, 4, dtype=torch.int64)]
for s in range(6):  # the same six rounds as in all_reduce below
    chunk, after, now = (worker - s) % 4, (worker + 1) % 4, tables[-1].clone()
    now[after, chunk] = now[worker, chunk] + (now[after, chunk] if s < 3 else 0)
    tables.append(now)
figure, axes = plt.subplots(2, 4, figsize=(7, 4))
titles = ["start", *3 * ["add"], *3 * ["copy"]]
for ax, cells, title in zip(axes.flat, tables, titles, strict=False):
    ax.imshow(cells, cmap="Blues", vmin=0, vmax=8)
    for r, c in torch.cartesian_prod(worker, worker).tolist():
        ax.text(c, r, cells[r, c].item(), ha="center", va="center", size=14)
    ax.set(xticks=range(4), yticks=range(4), xlabel="chunk", ylabel="worker")
    ax.set_title(title, size=12)
    ax.grid(False)
axes[1, 3].remove()

# %% [markdown]
# ## By hand: three samples, two workers
#
# The smallest network there is, $y = wx$ with one weight $w = 2$, and the mean square error. Three samples:
# worker 0 gets the first, worker 1 the others. A sample has the loss $(wx - t)^2$, and the slope $2x(wx - t)$.

# %%
x, t, w = torch.tensor([1.0, 2, 3]), torch.tensor([1.0, 6, 3]), 2.0
each = 2 * x * (w * x - t)  # the slope of every sample
alone, worker0, worker1 = each.mean(), each[:1].mean(), each[1:].mean()
print(f"slopes {each.tolist()}; one worker {alone}, worker 0 {worker0}, worker 1 {worker1}")
assert (worker0 + worker1) / 2 == 3.5
assert (1 * worker0 + 2 * worker1) / 3 == alone == 4

# %% [markdown]
# Each worker takes the mean over *its* samples, as its loss tells it to: 2, and $(-8 + 18) / 2 = 5$. All three
# samples together have the slope $(2 - 8 + 18) / 3 = 4$. The mean of 2 and 5 is 3.5, and wrong: in it the first
# sample counts as much as the two others together. Count every worker as often as it has samples:
# $(1 \cdot 2 + 2 \cdot 5) / 3 = 4$.
#
# ## Derivation: a weighted mean
#
# Let $\ell_n$ be the loss of image $n$. The loss of a batch of $N$ images is their mean. Worker $r$ has the
# $N_r$ images of its share $S_r$, and takes the mean over these:
#
# $$ L = \frac{1}{N} \sum_n \ell_n \qquad L_r = \frac{1}{N_r} \sum_{n \in S_r} \ell_n \tag{15.1} $$
#
# So the sum over a share is $N_r L_r$. Every image is in one share, and an empty share adds nothing:
#
# $$ L = \frac{1}{N} \sum_r \sum_{n \in S_r} \ell_n = \sum_r \frac{N_r}{N} L_r \tag{15.2} $$
#
# $N_r$ and $N$ do not depend on any weight $\theta$, so the derivative of the sum is the sum of the derivatives
# with the same factors. With $d\theta_r = \partial L_r / \partial \theta$ for worker $r$'s gradient:
#
# $$ d\theta = \sum_r \frac{N_r}{N}\, d\theta_r \tag{15.3} $$
#
# One thing was taken for granted: that $\ell_n$ is the same on a worker as in the whole batch. It will break.
#
# ## Matrix form
#
# Write the gradients of $W$ workers below one another, a matrix $G$ of shape $(W, P)$ for $P$ weights, and the
# counts as a row $c = (N_0, N_1, \ldots)$. Then (15.3) is $c\, G$, $(1, W)(W, P) = (1, P)$, over the sum of $c$:
#
# $$ d\theta = \frac{c\, G}{\sum_r c_r} \tag{15.4} $$
#
# No worker sees $G$. But *sums over workers* they can have, and above and below the line there is one. So each
# puts its count behind its weighted gradient. Sum these messages of $P + 1$ numbers, divide by the last, $N$:
#
# $$ m = \sum_r (N_r\, d\theta_r,\ N_r) \tag{15.5} $$
#
# ## Code
#
# Two workers in one process, on real digits and the network `fc`. In 64 bits, so that only rounding is left.

# %%
images = load("sample").train.pixels[:50].reshape(50, -1).double() / 127.5 - 1  # (50, 784)
model = build("fc", 1).to(torch.float64)
sgd = SGD(model.parameters())


def gradient(batch):
    fill_gradients(model, sgd, batch)
    return sgd.grad.clone()  # (P,), all weights' gradients in a row


def off(found, batch):
    """The relative difference of a gradient from that of one worker who has the whole batch."""
    return ((found - gradient(batch)).norm() / gradient(batch).norm()).item()


found = (20 * gradient(images[:20]) + 30 * gradient(images[20:])) / 50  # (15.3)
print(f"{len(found):,} numbers, relative difference {off(found, images):.0e}")
assert off(found, images) < 1e-13

# %% [markdown]
# ## Write it: shares, and one gradient of many
#
# **`split`** deals a batch out. An image that is left out is never learnt from; and the slowest worker is waited
# for, so the shares are to be as even as can be. Let share $r$ begin at $\lfloor N r / W \rfloor$ and end where
# the next begins: $N / W$ further, both rounded down, so the sizes differ by 1 at most. **`joined`** is (15.4).


# %% tags=["write-it"]
def split(batch, workers):
    """A list of `workers` views of batch (N, ...): in order, the whole batch, as even as can be."""
    # your turn: where share r begins and where it ends
    N = len(batch)
    return [batch[N * r // workers : N * (r + 1) // workers] for r in range(workers)]


def joined(gradients, counts):
    """The gradient (P,) of the batch, from the workers' gradients (W, P) and image counts (W,)."""
    # your turn: weigh the rows, add them up, divide (15.4)
    return counts @ gradients / counts.sum()  # (15.4)


# %% [markdown]
# ## Check
#
# First the awkward parts; then the promise of this chapter, with four workers.

# %% tags=["check"]
for N in (0, 1, 3, 4, 7, 10, 17):
    shares, batch = split(torch.arange(N), 4), torch.arange(N)
    sizes = [len(share) for share in shares]
    assert len(sizes) == 4, f"{len(sizes)} shares of {N} images, want 4, empty ones too"
    assert sum(sizes) >= N, f"{N} images, but shares of {sizes}: some are never learnt from"
    assert torch.equal(torch.cat(shares), batch), "joined, the shares are not the batch in order"
    assert max(sizes) - min(sizes) <= 1, f"shares of {sizes}: they are to differ by 1 at most"
G, c = torch.tensor([[2.0, 1], [5, 1], [0, 0], [0, 0]]), torch.tensor([1.0, 2, 0, 0])
got = joined(G, c).tolist()
assert got != G.sum(dim=0).tolist(), "that is the plain sum: the mean over images is lost"
assert got != G.mean(dim=0).tolist(), "that is the mean over workers, whatever they have"
assert got != (c @ G).tolist(), "the rows are weighed, but not divided by the number of images"
assert got == [4, 1], f"got {got}, want 4 as by hand, and 1"
for N in (4, 5, 13, 50):  # even and uneven
    shares = split(images[:N], 4)
    counts = torch.tensor([len(share) for share in shares]).double()
    error = off(joined(torch.stack(list(map(gradient, shares))), counts), images[:N])
    print(f"{N:2} images, shares of {counts.int().tolist()}: relative difference {error:.0e}")
    assert error < 1e-13, f"{N} images: 4 workers' gradient is off by {error:.0e}"

# %% [markdown]
# ## Derivation: a ring of workers
#
# Who adds? From here on there are $p$ workers, and a gradient has $n$ bytes. If all send theirs to worker 0, it
# has to receive $(p - 1) n$ bytes, and all wait for it. Let us do without a chief. Put the workers on a
# **ring**, each sends only to the next, and cut every gradient into $p$ chunks. Worker $r$ first sends its chunk
# $r$, and from then on **what came last**. So in round $s$ it sends
#
# $$ \text{chunk } (r - s) \bmod p \tag{15.6} $$
#
# because in round 0 that is $r$, and what worker $r - 1$ sent in round $s - 1$ was $(r - 1) - (s - 1) = r - s$.
# In the first $p - 1$ rounds the next worker adds what comes to its own. Follow chunk $c$: in round 0 worker $c$
# sends it, in round $s$ worker $c + s$, which has added its own part by then. After round $p - 2$ it lies at
# worker $c + p - 1$ and has passed $c, c + 1, \ldots, c + p - 1,$ modulo $p$ every worker once. It is done, and
# from now on a worker puts what comes **in the place** of its own: after $p - 1$ rounds more all have it. In
# each of the $2 (p - 1)$ rounds all send at once, $n / p$ bytes each. A message takes the **latency** $\alpha$,
# however short it is, and its bytes divided by the **bandwidth** $\beta$:
#
# $$ \begin{aligned} t_p &= 2 (p - 1) \Big(\alpha + \frac{n}{p \beta}\Big) \\
#  &= 2 (p - 1)\, \alpha + 2\, \frac{p - 1}{p}\, \frac{n}{\beta} \end{aligned} \tag{15.7} $$
#
# $(p - 1) / p$ is below 1: **however many there are, each sends less than $2n$ bytes.** Only latencies add up.
#
# ## Write it: the all-reduce
#
# A round that adds is `own[after, chunk] += own[worker, chunk]` for all at once, with three rows of $p$ numbers.


# %% tags=["write-it"]
def all_reduce(own):
    """own[r, c] is chunk c of worker r, of p chunks and workers; each becomes the sum over r."""
    p, worker = len(own), torch.arange(len(own))
    after = (worker + 1) % p
    # your turn: p - 1 rounds that add, p - 1 that copy (15.6)
    for s in range(2 * (p - 1)):
        chunk = (worker - s) % p  # (15.6)
        kept = own[after, chunk] if s < p - 1 else 0
        own[after, chunk] = kept + own[worker, chunk]


# %% [markdown]
# ## Check
#
# Worker $r$ is given $10^r$: digits of a sum say who is in it. 1111 is right, 1102 has worker 0 twice, 1 never.

# %% tags=["check"]
for p in (1, 2, 3, 4, 6):
    own = (10 ** torch.arange(p)).repeat(p, 1).T.contiguous()  # (p, p)
    all_reduce(own)
    for digits in (f"{value:0{p}d}" for value in own.ravel().tolist()):
        twice = max(digits) > "1" or len(digits) > p
        assert not twice, f"{p} workers: {digits}, somebody is counted more than once"
        assert "0" not in digits, f"{p} workers: {digits}, somebody's part is missing"

# %% [markdown]
# ## See it: two real processes
#
# Enough of pretending. Two processes run this program at the same time, and meet in a file. `gloo` sends between
# CPUs (between GPUs it is NCCL), and `dist.all_reduce` does what you wrote.

# %%
PROGRAM = """
import sys, torch, torch.distributed as dist
from scratchae.distributed import shard_of  # your split, one share of it
from scratchae.models import build
from scratchae.optim import SGD
from scratchae.step import fill_gradients
rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
model = build("fc", 1).to(torch.float64)  # the same seed, so the same weights
sgd = SGD(model.parameters())
share = shard_of(torch.load(f"{folder}/batch.pt"), rank, 2)
fill_gradients(model, sgd, share)
message = torch.cat([len(share) * sgd.grad, torch.tensor([len(share)])])  # (15.5)
dist.all_reduce(message)
torch.save(message[:-1] / message[-1], f"{folder}/{rank}.pt")
dist.destroy_process_group()
"""
with tempfile.TemporaryDirectory() as folder:
    torch.save(images[:7].clone(), f"{folder}/batch.pt")  # shares of 3 and 4
    running = [subprocess.Popen([sys.executable, "-c", PROGRAM, r, folder]) for r in "01"]
    assert [process.wait(50) for process in running] == [0, 0]
    first, second = (torch.load(f"{folder}/{r}.pt") for r in range(2))
print(f"relative difference from one process {off(first, images[:7]):.0e}")
assert off(first, images[:7]) < 1e-13 and torch.equal(first, second)

# %% [markdown]
# ## See it: how many hands are worth it?
#
# Let every worker have a batch of $B$ images, whatever their number (**weak scaling**), and let $T$ be the time
# of a worker's step. Were messages free, $p$ workers would do $pB$ images in the time $T$. They need $T + t_p$.
# What they do of what they could do is the **efficiency**
#
# $$ e_p = \frac{pB / (T + t_p)}{pB / T} = \frac{T}{T + t_p} \tag{15.8} $$
#
# So they do $p\, e_p$ times the work of one. $T$ was measured, and $t_p$ computed for three kinds of wire:
# (15.7), or along a tree where that is quicker, for `conv` with its BatchNorms' messages. Printed beside it: the
# step that two processes really took. What the model leaves out: that they [wait for one another](../speed.md).

# %% tags=["picture"]
# alt: Two plots, for fc and for conv: efficiency from 0 to 1 over 1 to 1,024 workers, a line for each of three
#   wires. All begin at 1. Ethernet falls deepest, less for conv, whose step is longer; NVLink hardly falls.
file = Path(scratchae.__file__).parents[1] / "reference" / "results" / "scaling-cpu.json"
if file.exists():  # in the repository; not where only the package is installed
    scaling = json.loads(file.read_text("utf-8"))
    B, about = scaling["weak_batch_of_a_worker"], scaling["about"]
    print(f"{about['device']}, {about['date']}, {B} images a worker")
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.8), sharey=True)
    for ax, (name, networks) in zip(axes, scaling["predicted"].items(), strict=True):
        T, two = scaling["step_ms"][name][str(B)], scaling["check"]["step"][name]
        print(f"{name} {T:.2f} ms, two workers {two['two_ms']:.2f} (model {two['model_ms']:.2f})")
        ax.set_prop_cycle(color=["#0072b2", "#d55e00", "#009e73"])
        for (wire, rows), style in zip(networks.items(), ("o-", "s--", "^:"), strict=True):
            efficiency = [T / (T + row["sending_ms"]) for row in rows]  # (15.8)
            ax.plot([row["workers"] for row in rows], efficiency, style, ms=4, label=wire)
        ax.set_xscale("log", base=2)
        ax.set(title=name, xlabel="workers", ylabel="efficiency", ylim=(0, 1.05))
        ax.set_xticks([1, 8, 64, 1024], ["1", "8", "64", "1,024"])
    axes[0].legend(loc="lower left")

# %% [markdown]
# ## Break it
#
# Somebody sums the gradients and divides by the number of workers, four. His test has 48 images, and passes. How
# wrong is the gradient (by rounding, by some per cent, by more?) of **1.** the last batch of an epoch, 5 images;
# **2.** 48 images again, but with a BatchNorm in the network? Write it down before you look.


# %% tags=["predict"]
def mean_of_means(N):
    return off(sum(gradient(share) for share in split(images[:N], 4)) / 4, images[:N])


print(f"48 images {mean_of_means(48):.0e}, 5 images {mean_of_means(5):.0%}")
assert mean_of_means(48) < 1e-13 and 0.01 < mean_of_means(5) < 1
g = torch.Generator().manual_seed(0)
model = Sequential(Linear(784, 20, generator=g), BatchNorm1d(20), Linear(20, 784, generator=g))
sgd = SGD(model.to(torch.float64).parameters())
print(f"with BatchNorm, 48 images {mean_of_means(48):.0%}")
assert mean_of_means(48) > 0.01

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# **1.** 48 is shared evenly: every $N_r / N$ in (15.3) is $1/4$, and a test of even batches proves nothing. Of 5
# images one worker has two: the others' count 1/4 in place of 1/5, and its two 1/8 each. Nothing crashes; once
# an epoch the step goes astray. **2.** A BatchNorm takes mean and variance over *the images that it sees*: over
# 12 on a worker, over 48 in the whole batch. So $\ell_n$ is another number, and what (15.3) took for granted is
# gone. Cure: share the sums inside the layer, as the library's BatchNorm does.
#
# </details>
#
# ## Recap card
#
# | | formula | shape | line of code |
# |---|---|---|---|
# | shares | $r$ begins at $\lfloor N r / W \rfloor$ | (N$_r$, ...) | `batch[N * r // W : N * (r + 1) // W]` |
# | gradient | $d\theta = \sum_r N_r\, d\theta_r / N$ | (P,) | `counts @ gradients / counts.sum()` |
# | message | $(N_r\, d\theta_r,\ N_r)$ | (P + 1,) | `dist.all_reduce(message)` |
# | ring | chunk $(r - s) \bmod p$ | $n / p$ bytes | `own[after, chunk] += own[worker, chunk]` |
#
# A mean of means is no mean. Sum, count, divide once. And in a ring each sends less than $2n$ bytes.
#
# ## Assignment
#
# No homework here. Train `fc` alone and by `torchrun --nproc-per-node 2 -m scratchae train fc`, and compare the
# losses digit by digit. Then read `engine.py` in `scratchae/distributed`, (15.5) is in it, `sharding.py`, your
# `split`, and `batchnorm.py`, which mends the second mistake.
