# %% [markdown]
# # 14. Where does the time go?
#
# ## The question
#
# Your training is slow. Most people guess why, rewrite what they guessed, and see no difference. This chapter
# measures: how to read a clock so that it does not lie, how fast a step *could* be, and where a small network
# spends its time. Much of it goes into *asking*, Python telling torch what to do next. You will write the idea
# that does away with that: a step that is **recorded** once and then replayed.

# %%
import json
import statistics
import time
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import scratchae
from scratchae.data import load
from scratchae.engines import make_engine
from scratchae.engines.device import DeviceEngine
from scratchae.models import build
from scratchae.optim import Adam
from scratchae.plots.style import STYLE
from scratchae.profiling import profile
from scratchae.step import train_step

plt.rcParams.update(STYLE)

# %% [markdown]
# ## One picture
#
# One training step of the network `fc` on 64 images, on the computer that built this page. `profile` times each
# layer's forward and each backward pass by itself, and counts how long it would take if this computer did
# nothing but the arithmetic and the moving of memory, at the best rates that it has shown: its **floor**.

# %% tags=["picture"]
# alt: Boxes side by side, each as wide as a pass takes: forward, backward, update. In each a darker part on the
#   left is its floor. It fills a good half of the widest boxes; many narrow ones have nearly none.
table, at = profile(build("fc", 1), 64, steps=10).table, 0.0
figure, ax = plt.subplots(figsize=(7, 1.5))
for name, colour in (("forward", "#0072b2"), ("backward", "#e69f00"), ("update", "#009e73")):
    rows = table[table["pass"] == name][:: -1 if name == "backward" else 1]
    for ms, floor in zip(rows["ms"], rows["floor_ms"], strict=True):
        ax.barh(0, ms, left=at, color=colour, alpha=0.4, edgecolor="white")
        ax.barh(0, min(floor, ms), left=at, color=colour)
        at += ms
    ax.barh(0, 0, color=colour, label=name)
ax.set(yticks=[], xlabel="milliseconds; dark: the floor", xlim=(0, at))
ax.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
print(f"{at:.2f} ms; {sum(table['ratio'] > 5)} of {len(table)} passes take more than five floors")

# %% [markdown]
# ## By hand: what a product costs
#
# Take $x$ of shape $(2, 3)$ and a layer with two outputs. Each of the $2 \cdot 2$ outputs is a sum of three
# products: 12 **multiply-adds**. $2 \cdot 3$ numbers of $x$ and $2 \cdot 3$ weights are read and $2 \cdot 2$
# numbers written, 16 in all of 4 bytes each: 64 bytes. Suppose a computer does $10^9$ multiply-adds and moves
# $10^{10}$ bytes a second. Then the arithmetic takes 12 ns and the moving 6.4 ns. Really?

# %%
x, weight = torch.ones(2, 3), torch.ones(2, 3)
assert 2 * 2 * 3 == 12 and 4 * (x.numel() + weight.numel() + (x @ weight.T).numel()) == 64
started = time.perf_counter()
for _ in range(1000):
    x @ weight.T
nanoseconds = (time.perf_counter() - started) * 1e9 / 1000
print(f"{nanoseconds:,.0f} ns a product")
assert nanoseconds > 20 * 12

# %% [markdown]
# Nearly all of it is Python and torch finding out *what* is to be multiplied.
#
# ## Derivation: a floor, and a line
#
# A product $(N, I)(I, O)$ has $N O$ outputs, each a sum of $I$ products, and has to read and write its three
# tables:
#
# $$ \begin{aligned} M &= N I O \text{ multiply-adds} \\
#  V &= 4 (N I + I O + N O) \text{ bytes} \end{aligned} \tag{14.1} $$
#
# Let a computer do $\mu$ multiply-adds and move $\nu$ bytes a second at the very best. Both can go on at once,
# so no program can be faster than the slower of the two:
#
# $$ t \ge \max\Big(\frac{M}{\mu}, \frac{V}{\nu}\Big) \tag{14.2} $$
#
# Now a whole step on a batch of $B$ images. Some of its work does not depend on $B$: asking, reading the
# weights, updating them. Call its time $a$. The rest is done for every image, and takes $B$ times as long as for
# one, $bB$:
#
# $$ t_B = a + b B \tag{14.3} $$
#
# In a second you get through $B / t_B$ images. Divide above and below the line by $bB$:
#
# $$ \frac{B}{a + b B} = \frac{1}{b} \cdot \frac{1}{1 + a / (b B)} \tag{14.4} $$
#
# $1 / b$ is the best that there is, and only endless batches come close. Where $B = a / b$ the second factor is
# $1 / (1 + 1)$: **half speed, at the batch whose images take as long as all the rest.**
#
# ## Matrix form
#
# Measure the times $t_k$ of several batches $B_k$: an equation (14.3) each. Divide each by its $t_k$: a per cent
# then counts alike in short and long times. None fit all: take $a$ and $b$ with the least sum of squared errors:
#
# $$ \begin{pmatrix} 1 / t_1 & B_1 / t_1 \\ 1 / t_2 & B_2 / t_2 \\ \vdots & \vdots \end{pmatrix}
#    \begin{pmatrix} a \\ b \end{pmatrix} \approx \begin{pmatrix} 1 \\ 1 \\ \vdots \end{pmatrix} \tag{14.5} $$
#
# ## Code


# %%
def line_through(times):
    """(a, b) of (14.3) for times {B: t}."""
    B, t = (torch.tensor(list(values), dtype=torch.float64) for values in (times, times.values()))
    rows = torch.stack([torch.ones_like(B), B], dim=1) / t[:, None]  # (14.5)
    return torch.linalg.lstsq(rows, torch.ones_like(t)[:, None]).solution[:, 0].tolist()


a, b = line_through({10: 7.0, 20: 9.0, 40: 13.0})
assert abs(a - 5) + abs(b - 0.2) < 1e-9

# %% [markdown]
# ## Write it: a stopwatch
#
# Three things make a clock lie. The **first call** is slow: libraries set themselves up. Now and then a call is
# slow because the computer did something else: take no mean, but the **median**. And a **GPU works on its own**:
# a call returns when the work is *ordered*, so `wait` before you look at the clock.


# %% tags=["write-it"]
def stopwatch(call, wait=lambda: None, clock=time.perf_counter, repeats=5):
    """The median seconds of `repeats` calls, each until the device is done, after one to warm up."""
    # your turn: warm up, then time each call by itself
    call()
    wait()
    times = []
    for _ in range(repeats):
        started = clock()
        call()
        wait()
        times.append(clock() - started)
    return statistics.median(times)


# %% [markdown]
# ## Check
#
# By a device whose time is only a number: the first call takes 50 seconds, the next 9; ordering one takes 0.001.


# %% tags=["check"]
class SlowDevice:
    def __init__(self):
        self.work, self.now, self.done = iter([50, 9, 2, 3, 40, 1, 1, 1]), 0.0, 0.0

    def call(self):
        self.now += 0.001
        self.done = max(self.done, self.now) + next(self.work)

    def wait(self):
        self.now = max(self.now, self.done)


device = SlowDevice()
got = round(stopwatch(device.call, device.wait, lambda: device.now, repeats=5), 2)
assert got != 0, "only the ordering was timed: wait for the device before you read the clock"
assert got != 9, "the first call is among them: warm up once, and do not count it"
assert got != 11, "that is the mean: one slow call spoils it"
assert got == 3, f"got {got}, want the median of 9, 2, 3, 40 and 1"
print(f"{stopwatch(lambda: x @ weight.T, repeats=1001) * 1e9:,.0f} ns a product, clock and all")

# %% [markdown]
# ## Write it: a step that is recorded
#
# Every step makes the same operations on tensors of the same shapes. Let every tensor **stay at its place in
# memory**, write the operations down once, and then just go through the list. That is what a **CUDA graph** is,
# made by the GPU's driver. On a CPU torch lets us do the same: inside `with Recorder() as recorder:` it shows us
# every operation. A line of the list is `(function, args, kwargs, result)`. To **replay** it, call the function
# again. What it gives back lies at a new place, but the lines behind it will look at the old one: copy it there.
# Where it lies at the old place already (`data_ptr` is the address) there is nothing to copy: the operation
# worked in place, or its result is a view. What is no tensor (a list of views, a number) is not copied either.


# %% tags=["write-it"]
class Recorder(TorchDispatchMode):
    """Inside `with`, each operation on tensors is carried out and written down in `lines`."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        # your turn: write down what was called, with what, and what it gave
        self.lines.append((function, args, kwargs or {}, result))
        return result


def replay(lines):
    """Carry out the lines again, in order, each result at the place where it was recorded."""
    # your turn: call each function, and copy what lies at a new place
    for function, args, kwargs, result in lines:
        new = function(*args, **kwargs)
        if isinstance(result, torch.Tensor) and new.data_ptr() != result.data_ptr():
            result.copy_(new)


# %% [markdown]
# ## Check
#
# $y = 2x$, then $y$ grows by 1; recorded with $x = 1$, replayed with $x = 10$ at the same place.

# %% tags=["check"]
x = torch.tensor([1.0])
with Recorder() as recorder:
    y = 2 * x
    y += 1
assert len(recorder.lines) == 2, f"of two operations {len(recorder.lines)} are written down"
assert y == 3, "the recorder is to carry out what it writes down, once"
x.fill_(10)
replay(recorder.lines)
assert y != 4, "y is 4: the new product was put nowhere, and 1 was added to the old one"
assert y != 20, "y is 20: the operation in place was left out, or came too early"
assert y == 21, f"y is {y.item():g}, want 21"

# %% [markdown]
# Now the real thing. The library has the step in a form that asks Python for nothing: which batch is next, and
# how many steps Adam has made, lie in tensors. Record one step, replay it to the epoch's end, compare with
# `eager`. Do not expect yours to be faster: it is Python that goes through the list, and it copies.

# %% tags=["check"]
images = load("sample").train.pixels[:48].reshape(48, -1).double() / 127.5 - 1
order = torch.arange(48).reshape(6, 8)  # six batches


def start(kind):
    model = build("fc", 1).to(torch.float64)
    return kind(model, Adam(model.parameters(), lr=1e-3))


eager, device = start(lambda *both: make_engine("eager", *both)), start(DeviceEngine)
eager.epoch(images, order)
tensors = device.gather({"images": images}, order)
step = device.laid_out(tensors)
with Recorder() as recorder:
    step(tensors)  # the first of six
for _ in range(5):
    replay(recorder.lines)
weights, want = device.optimizer.value, eager.optimizer.value
error = ((weights - want).norm() / want.norm()).item()
print(f"{len(recorder.lines)} operations; the weights differ by {error:.0e} of their size")
assert error < 1e-12, f"after six steps replay and eager differ by {error:.0e}"

# %% [markdown]
# ## See it: step time by batch
#
# (14.3), with $a$ and $b$ by (14.5), through measured steps of `fc`. Left of the dotted line most of it is $a$.

# %% tags=["picture"]
# alt: Milliseconds of a step over batch sizes from 1 to 1,024, both logarithmic. Points on a curve that is level
#   for small batches and rises straight for large ones. A dotted line at the bend.
folder = Path(scratchae.__file__).parents[1] / "reference" / "results"  # not in the package alone
recorded = {file.name: json.loads(file.read_text("utf-8")) for file in folder.glob("*.json")}

if scaling := recorded.get("scaling-cpu.json"):
    times = {int(B): ms for B, ms in scaling["step_ms"]["fc"].items()}
    a, b = line_through(times)
    print(f"buffered, {scaling['about']['device']}, 1 thread: a = {a:.2f} ms, b = {1e3 * b:.1f} µs")
    print(f"half speed at a / b = {a / b:.0f} images; at best {1e3 / b:,.0f} images a second")
    figure, ax = plt.subplots(figsize=(7, 2.6))
    ax.plot(range(1, 1025), [a + b * B for B in range(1, 1025)], color="#0072b2", label="a + b B")
    ax.plot(list(times), list(times.values()), "o", color="#e69f00", label="measured")
    ax.axvline(a / b, color="#555555", ls=":", label="B = a / b")
    ax.set(xscale="log", yscale="log", xlabel="images in a batch", ylabel="ms a step")
    ax.legend()

# %% [markdown]
# ## See it: who is how fast?
#
# The repository's benchmark lets several make the same steps in turn: `eager` runs our layers as they are written,
# `buffered` in memory that is laid out once; torch.nn and JAX are others'. Milliseconds a step, by model and batch
# size, one thread; [more on a page](../speed.md). On a GPU, where there is one, `eager` and the recorded `graph`.

# %%
for name in ("benchmark-cpu.json", "benchmark-cuda.json"):
    steps = recorded.get(name, {}).get("steps") or {"about": {"device": "not measured"}, "rows": []}
    print(f"{name}: {steps['about']['device']}")
    rows = {(r["model"], r["batch_size"]): r["ms"] for r in steps["rows"] if r["threads"] == 1}
    print(pd.DataFrame(rows).round(2).to_string(na_rep="-") if rows else "")

if torch.cuda.is_available():
    batch = torch.rand(64, 784, device="cuda") * 2 - 1
    for name in ("eager", "graph"):
        model = build("fc", 1).to("cuda")
        engine = make_engine(name, model, Adam(model.parameters()))
        seconds = stopwatch(partial(engine.step, batch), torch.cuda.synchronize, repeats=100)
        print(f"{name}: {1e3 * seconds:.3f} ms a step now, {torch.cuda.get_device_name()}")

# %% [markdown]
# ## Break it
#
# **What a recording cannot know.** The `eager` step with the plain Adam counts its steps in Python: `t` is 1 in
# the first, 2 in the second, as [chapter 4](ch04_optimisers.py) needs it. Record its first step, replay it five
# times, compare with six eager steps: the same weights, others (how far off?), or a crash? Write it down first.

# %% tags=["predict"]
eager, taped = (start(lambda *both: make_engine("eager", *both)) for _ in range(2))
for _ in range(6):
    eager.step(images)
with Recorder() as recorder:
    train_step(taped.model, taped.optimizer, images)
for _ in range(5):
    replay(recorder.lines)
moved = (eager.optimizer.value - start(DeviceEngine).optimizer.value).norm()
error = ((taped.optimizer.value - eager.optimizer.value).norm() / moved).item()
print(f"the weights are off by {error:.0%} of the way that they went; t is {taped.optimizer.steps}")
ratios = [(1 - 0.9**t) / 0.1 / ((1 - 0.999**t) / 0.001) ** 0.5 for t in range(1, 7)]
assert taped.optimizer.steps == 1 and round(sum(ratios) / 6, 2) == 1.56 and 0.5 < error < 0.6

# %% [markdown]
# <details class="answer"><summary>Why</summary>
#
# Nothing crashes. A recording holds operations on tensors and the *numbers that Python had at the time*: the `t`
# of the first step, in all six. Adam divides the mean of the slopes by $1 - 0.9$ in place of $1 - 0.9^t$, and that
# of their squares, under a root, by $1 - 0.999$ in place of $1 - 0.999^t$. While the slopes stay alike, this
# makes a step `ratios` times as long, 1.56 in the mean. Of an `if`, the branch that was taken is recorded. So the
# library's step keeps its count, its batch number and even "is the loss finite?" in tensors.
#
# </details>
#
# ## Recap card
#
# | | formula | unit | line of code |
# |---|---|---|---|
# | arithmetic | $M = N I O$ | multiply-adds | `scratchae profile fc` |
# | floor | $\max(M / \mu, V / \nu)$ | s | `profile(model).table["floor_ms"]` |
# | a step | $t_B = a + b B$ | s | `line_through(times)` |
# | a recording | operations, places | | `result.copy_(function(*args))` |
#
# Warm up, wait, take the median. Small networks wait for Python; what repeats can be recorded.
#
# ## Assignment
#
# No homework here. Run `scratchae profile conv --threads 1`: which layer stands furthest above its floor? The
# library's own versions are in `scratchae/engines/device`: `step.py`, `cuda_graph.py`.
