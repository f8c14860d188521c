"""Several workers make the steps of one: the same gradients, statistics, losses and images."""

import copy
import math
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reference import scaling
from scratchae.cli import main
from scratchae.data import Batches
from scratchae.distributed import (
    DataParallel,
    WorkerLostError,
    Workers,
    broadcast_state,
    joined,
    shard_by_batches,
    shard_of,
    workers,
)
from scratchae.engines import Engine, make_engine
from scratchae.errors import ScratchaeError
from scratchae.layers import BatchNorm1d, BatchNorm2d, Conv2d, Linear, ReLU, Sequential, Tanh
from scratchae.losses import MSELoss
from scratchae.models import build
from scratchae.optim import SGD, Adam
from scratchae.training import fit, open_run
from tests.helpers.runs import few_digits, same_bits, weights, write_npz
from tests.helpers.workers import Processes, in_threads, together
from tests.test_written_by_hand import Recorder, only_arithmetic

ROOT = Path(__file__).parents[2]
ENGINES = ["eager", "buffered"]  # those that leave a gap between gradients and update
FEW = settings(max_examples=60)


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


# ------------------------------------------------------------------------------- who gets what
@given(st.integers(0, 300), st.integers(1, 40))
def test_shards_make_up_the_batch_in_order_and_differ_by_one_at_most(n, size):
    batch = torch.arange(n)
    shards = [shard_of(batch, rank, size) for rank in range(size)]
    assert torch.equal(torch.cat(shards), batch)
    counts = [len(shard) for shard in shards]
    assert max(counts) - min(counts) <= 1


@given(st.integers(1, 200), st.integers(1, 70), st.integers(1, 9), st.integers(0, 9))
def test_every_image_comes_once_an_epoch_in_the_batches_of_a_single_process(n, batch, size, seed):
    alone = list(Batches(n, batch, seed).epoch(1))
    of_rank = [Batches(n, batch, seed).epoch(1) for _ in range(size)]
    for whole, *each in zip(alone, *of_rank, strict=True):
        shards = [shard_of(index, rank, size) for rank, index in enumerate(each)]
        assert torch.equal(torch.cat(shards), whole)
    assert torch.cat(alone).sort().values.tolist() == list(range(n))


@given(st.integers(0, 100), st.integers(1, 9), st.integers(1, 30))
def test_test_images_are_evaluated_in_the_batches_of_a_single_process(n, size, batch_size):
    images = torch.arange(n)
    shards = [shard_by_batches(images, rank, size, batch_size) for rank in range(size)]
    assert sorted(torch.cat(shards).tolist()) == list(range(n))
    whole = {tuple(batch.tolist()) for batch in images.split(batch_size)}
    for own in shards:
        assert {tuple(batch.tolist()) for batch in own.split(batch_size)} <= whole | {()}


# ------------------------------------------------------------------------------- BatchNorm
@st.composite
def uneven(draw, least: int = 1) -> list[int]:
    """The number of images of each of two to four workers."""
    return draw(st.lists(st.integers(least, 5), min_size=2, max_size=4).filter(sum))


@st.composite
def norms(draw):
    """(BatchNorm, the shape of one sample)."""
    C = draw(st.integers(1, 4))
    sizes = draw(st.sampled_from([(), (3,), (2, 3), (1, 1)]))
    kind = BatchNorm2d if len(sizes) == 2 else BatchNorm1d
    momentum = draw(st.sampled_from([0.1, 0.7, None]))
    layer = kind(
        *(
            C,
            draw(st.sampled_from([1e-5, 0.1])),
            momentum,
            draw(st.booleans()),
            draw(st.booleans()),
        ),
        bias=draw(st.booleans()),
    )
    return layer.to(torch.float64), (C, *sizes)


def norm_steps(workers, layer, xs, dys, counts):
    """Two steps of a worker's BatchNorm: (its outputs and dx, gradients, buffers).

    As in training, the loss of a worker is a mean over its n_r rows, so its dy is N / n_r times that
    of the whole batch. Here the results are brought back to the whole batch's measure.
    """
    layer, found = copy.deepcopy(layer), []
    rows = [sum(counts[:r]) for r in (workers.rank, workers.rank + 1)]
    part = counts[workers.rank] / sum(counts)
    with joined([layer], workers):
        for x, dy in zip(xs, dys, strict=True):
            found.append(layer.forward(x[slice(*rows)]))
            found.append(layer.backward(dy[slice(*rows)] / (part or 1.0)) * part)
    gradients = [p.grad * part for p in layer.parameters()]
    return found, gradients, [b for _, b in layer.named_buffers()]


@FEW
@given(norms(), uneven(least=0), st.integers(0, 10**6), st.sampled_from([0.0, 1e4]))
def test_joined_batchnorms_are_one_of_the_whole_batch(norm, counts, seed, offset):
    """Forward, dx, gradients and running statistics, of 0 to 5 rows a worker, far from 0 too."""
    layer, shape = norm
    n, g = sum(counts), torch.Generator().manual_seed(seed)
    assume(n > 1)
    for p in layer.parameters():
        p.copy_(torch.randn(p.shape, generator=g, dtype=p.dtype))
    xs = [torch.randn(n, *shape, generator=g, dtype=torch.float64) + offset for _ in range(2)]
    dys = [torch.randn(n, *shape, generator=g, dtype=torch.float64) for _ in range(2)]
    everybodys = in_threads(len(counts), norm_steps, layer, xs, dys, counts)
    joined = []
    for x, dy in zip(xs, dys, strict=True):
        joined += [layer.forward(x), layer.backward(dy)]
    tolerance = (
        1e-12 if not offset else 1e-9
    )  # x itself is rounded at 1e4 · 1e-16, and divided by s
    for i, expected in enumerate(joined):
        close(torch.cat([found[i] for found, _, _ in everybodys]), expected, tolerance)
    for i, p in enumerate(layer.parameters()):
        close(sum(gradients[i] for _, gradients, _ in everybodys), p.grad, tolerance)
    for _, _, buffers in everybodys:
        for own, (_, expected) in zip(buffers, layer.named_buffers(), strict=True):
            close(own, expected)


def test_a_worker_with_one_value_a_channel_takes_part_but_all_together_need_two():
    x = torch.tensor([[2.0], [6.0]])

    def own_row(w):
        layer = BatchNorm1d(1)
        with joined([layer], w):
            return layer(shard_of(x, w.rank, 2)).item()

    assert in_threads(2, own_row) == pytest.approx([-1.0, 1.0], rel=1e-4)

    def one_value(w):
        layer = BatchNorm1d(1)
        with joined([layer], w):
            layer(shard_of(x[:1], w.rank, 2))

    with pytest.raises(ScratchaeError, match="no spread"):
        in_threads(2, one_value)


def test_a_joined_batchnorm_evaluates_by_itself_and_sends_nothing():
    for layer in (BatchNorm2d(2), BatchNorm2d(2, track_running_stats=False)):
        x = torch.randn(3, 2, 2, 2)
        layer(x)
        y, dx = layer.eval()(x), layer.backward(x)
        with joined([layer], Workers(0, 2)):  # the other worker does not exist
            assert torch.equal(layer(x), y)
            assert torch.equal(layer.backward(x), dx)


def test_one_worker_joins_to_the_same_numbers():
    one, other = BatchNorm2d(3), BatchNorm2d(3)
    x, dy = torch.randn(2, 5, 3, 4, 4)
    y, dx = one(x), one.backward(dy)
    with joined([other], Workers()):
        close(other(x), y, 1e-6)
        close(other.backward(dy), dx, 1e-6)


# ------------------------------------------------------------------------------- gradients
@st.composite
def models(draw):
    """(model in float64, the shape of one sample): with and without BatchNorm, dense and of images."""
    if draw(st.booleans()):
        sizes = [draw(st.integers(1, 6)) for _ in range(3)]
        middle = [BatchNorm1d(sizes[1])] if draw(st.booleans()) else []
        layers = [Linear(sizes[0], sizes[1]), *middle, ReLU(), Linear(sizes[1], sizes[0]), Tanh()]
        shape = (sizes[0],)
    else:
        channels = draw(st.integers(1, 3))
        norm = [BatchNorm2d(channels, affine=draw(st.booleans()))] if draw(st.booleans()) else []
        layers = [
            Conv2d(2, channels, 3, padding=1),
            *norm,
            ReLU(),
            Conv2d(channels, 2, 1),
            BatchNorm2d(2),
        ]
        shape = (2, 3, 2)
    return Sequential(*layers).to(torch.float64), shape


def parallel_step(workers, model, name, x, counts):
    """(loss, gradients, buffers) of one worker."""
    model = copy.deepcopy(model)
    engine = make_engine(name, model, SGD(model.parameters(), lr=0.1))
    engine = DataParallel(engine, workers)
    start = sum(counts[: workers.rank])
    for _ in range(2):  # the second time nothing may be left of the first
        loss = engine.gradients(
            engine.model, engine.optimizer, x[start : start + counts[workers.rank]]
        ).item()
    return loss, engine.optimizer.grad.clone(), [b for _, b in model.named_buffers()]


@FEW
@given(models(), st.sampled_from(ENGINES), uneven(least=0), st.integers(0, 10**6))
def test_the_gradient_is_that_of_one_worker_on_the_joined_batch(drawn, name, counts, seed):
    """Of 0 to 5 images a worker, also where some have none."""
    model, shape = drawn
    assume(sum(counts) > 1)
    g = torch.Generator().manual_seed(seed)
    for p in model.parameters():
        p.copy_(torch.randn(p.shape, generator=g, dtype=p.dtype))
    x = torch.rand(sum(counts), *shape, generator=g, dtype=torch.float64) * 2 - 1
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the buffered engine does not support")
        everybodys = in_threads(len(counts), parallel_step, model, name, x, counts)
    alone = Engine(model, SGD(model.parameters(), lr=0.1))
    for _ in range(2):
        expected = alone.gradients(alone.model, alone.optimizer, x).item()
    for loss, gradients, buffers in everybodys:
        assert loss == pytest.approx(expected, rel=1e-12)
        largest = alone.optimizer.grad.abs().max().clamp(min=1)  # some are zero by cancellation
        close(gradients / largest, alone.optimizer.grad / largest)
        for own, (_, buffer) in zip(buffers, model.named_buffers(), strict=True):
            close(own, buffer)
        assert torch.equal(gradients, everybodys[0][1])


def test_the_wrapper_changes_nothing_where_a_worker_is_alone():
    x = torch.rand(4, 784)
    one, two = build("fc", 1), build("fc", 1)
    plain = Engine(one, Adam(one.parameters()))
    wrapped = DataParallel(Engine(two, Adam(two.parameters())), Workers())
    for _ in range(3):
        close(wrapped.step(x), plain.step(x), 1e-6)
    for key, tensor in one.state_dict().items():
        close(two.state_dict()[key], tensor, 1e-4)


def test_an_engine_that_makes_whole_steps_cannot_be_used():
    class Whole(Engine):
        name, in_halves = "whole", False

    model = build("fc")
    with pytest.raises(ScratchaeError, match="whole engine makes whole steps"):
        DataParallel(Whole(model, SGD(model.parameters())), Workers())


def test_a_loss_that_is_no_mean_cannot_be_used():
    model = build("fc")
    model.loss = MSELoss(reduction="sum")
    with pytest.raises(ScratchaeError, match=r"not MSELoss\(reduction='sum'\)"):
        DataParallel(Engine(model, SGD(model.parameters())), Workers())


# ------------------------------------------------------------------------------- processes
def lockstep(workers, name, engine):
    """Largest differences from a single process over three epochs with a last batch of one image."""
    warnings.simplefilter("error")  # no engine is to fall back to another
    found, single = [], build(name, 1).to(torch.float64)
    model = build(name, 1 + workers.rank).to(torch.float64)  # rank 0's weights are to win
    alone = Engine(single, Adam(single.parameters(), weight_decay=1e-5))
    inner = make_engine(engine, model, Adam(model.parameters(), weight_decay=1e-5))
    broadcast_state(model, inner.optimizer, workers)
    engine = DataParallel(inner, workers)
    g = torch.Generator().manual_seed(0)
    x = torch.rand(17, *model.input_shape, generator=g, dtype=torch.float64) * 2 - 1
    for epoch in range(3):
        batches = Batches(17, 8, seed=3)
        losses = [e.epoch(x, batches.epoch(epoch)).item() for e in (alone, engine)]
        found.append(abs(losses[0] - losses[1]))
        pairs = zip(single.state_dict().values(), model.state_dict().values(), strict=True)
        found += [(a - b).abs().max().item() for a, b in pairs]
    replicas = workers.all_gather(inner.optimizer.value)
    return max(found), all(torch.equal(replicas[0], other) for other in replicas)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("name", ["fc", "conv"])
def test_processes_train_in_lockstep_with_a_single_one(name, size):
    for engine in ENGINES:
        for difference, replicas_are_equal in together(size, lockstep, name, engine):
            assert difference < 1e-10
            assert replicas_are_equal


def recorded(workers, name):
    """What runs in two steps of every engine, one of them without images."""
    engines = []
    for engine in ENGINES:
        model = build(name, 1)
        engine = make_engine(engine, model, Adam(model.parameters(), weight_decay=1e-5))
        engines.append(DataParallel(engine, workers))
    x = torch.rand(5, *model.input_shape) * 2 - 1
    with Recorder() as recorder:
        for engine in engines:
            engine.step(x)
            engine.step(x if workers.rank else x[:0])
    only_arithmetic(recorder)
    return recorder.names


@pytest.mark.parametrize(
    "name, messages", [("fc", {"allreduce_"}), ("conv", {"allreduce_", "allgather_"})]
)
def test_a_step_of_several_workers_runs_nothing_but_arithmetic_and_messages(name, messages):
    for names in together(2, recorded, name):
        assert messages <= names


def notes(workers):
    """What workers say to each other besides gradients."""
    kept = torch.full((2,), float(workers.rank))
    workers.broadcast(kept)
    try:
        workers.from_rank_0(lambda: (_ for _ in ()).throw(ScratchaeError("the disk is full")))
    except ScratchaeError as error:
        said = str(error)
    return {
        "sum": workers.sum(torch.tensor([1.0, workers.rank])).tolist(),
        "gather": workers.all_gather(torch.tensor([workers.rank, 7])).tolist(),
        "first": workers.from_rank_0(lambda: f"from {workers.rank}"),
        "said": said,
        "after": workers.rank_0_first(lambda: workers.rank),
        "copied": kept.tolist(),
        "mean": workers.mean(lambda: float(workers.rank), workers.rank),
        "is rank 0": workers.is_rank_0,
    }


def test_what_workers_say_to_each_other():
    for rank, heard in enumerate(together(3, notes)):
        assert heard == {
            "sum": [3.0, 3.0],
            "gather": [[0, 7], [1, 7], [2, 7]],
            "first": "from 0",
            "said": "the disk is full",
            "after": rank,
            "copied": [0.0, 0.0],
            "mean": pytest.approx((1 * 1 + 2 * 2) / 3),
            "is rank 0": rank == 0,
        }


OPTIONS = {
    "fc": {},
    "conv": {"schedule": "cosine,T_max=2", "clip_norm": 0.5, "ema": 0.9, "patience": 2},
}


def validated_digits():
    digits = few_digits()
    return replace(digits, validation=digits.test.select(torch.arange(41)))


def runs(workers, name, folder):
    """Two epochs at once and, in another folder, one and then another; every rank has its folders."""
    own = folder / str(workers.rank)
    given = {"batch_size": 64, "device": "cpu", "progress": False, "seed": 4, **OPTIONS[name]}
    straight = fit(name, validated_digits(), epochs=2, out=own / "straight", **given)
    fit(name, validated_digits(), epochs=1, out=own / "resumed", **given)
    resumed = fit(name, validated_digits(), epochs=2, out=own / "resumed", resume=True, **given)
    joins = [n.join_sums for _, n in straight.model.modules() if isinstance(n, BatchNorm2d)]
    rows = [[{**row, "seconds": 0} for row in run.rows] for run in (straight, resumed)]
    shown = [[output.numpy() for output in run.outputs[0][1:]] for run in (straight, resumed)]
    return weights(straight.model), weights(resumed.model), rows, joins, shown


@pytest.mark.parametrize("name", ["fc", "conv"])
def test_fit_gives_all_workers_one_run_and_rank_0_alone_writes_it(name, tmp_path):
    found = together(2, runs, name, tmp_path)
    given = {"batch_size": 64, "device": "cpu", "progress": False, "seed": 4, **OPTIONS[name]}
    single = fit(name, validated_digits(), epochs=2, **given)
    for straight, resumed, (rows, again), joins, shown in found:
        assert same_bits(straight, resumed)
        assert same_bits(straight, found[0][0])
        assert rows == again == found[0][2][0]
        assert not any(joins)
        assert (shown[0][1] == shown[1][1]).all()
    for row, expected in zip(found[0][2][0], single.rows, strict=True):
        assert row["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-4)
        assert row["test_loss"] == pytest.approx(expected["test_loss"], rel=1e-2)
    assert [path.name for path in tmp_path.iterdir()] == ["0"]
    run = open_run(tmp_path / "0" / "straight")
    assert same_bits(weights(run.model), found[0][0])


def sentences(workers, folder):
    """What each worker hears where something is wrong."""

    def heard(call):
        try:
            call()
        except ScratchaeError as error:
            return type(error).__name__, str(error)

    x = torch.zeros(4, 784)
    x[3, 5] = float("inf")  # in the last worker's share
    model = build("fc", 1)
    engine = DataParallel(Engine(model, Adam(model.parameters())), workers)
    before = weights(model)
    batches = [torch.tensor([0, 1]), torch.tensor([2, 3])]
    given = {"device": "cpu", "progress": False, "out": folder}
    found = [heard(lambda: engine.epoch(x[:, :], [batches[1]]))]
    unmoved = same_bits(before, weights(model))
    found.append(heard(lambda: fit("fc", few_digits(), lr=1e30, **given)))
    found.append(heard(lambda: fit("conv", few_digits(), lr=1e30, **(given | {"out": None}))))
    found.append(heard(lambda: fit("fc", few_digits(), **given)))  # the folder is taken
    found.append(heard(lambda: fit("fc", few_digits(), batch_size=1, device="cpu")))
    return found, unmoved


def test_all_workers_stop_with_the_same_sentence(tmp_path):
    (found, unmoved), *others = together(2, sentences, tmp_path / "run")
    assert all(other == (found, unmoved) for other in others)
    bad, diverged, of_images, taken, small = found
    assert unmoved
    assert bad[0] == "NotFiniteError" and "in step 1" in bad[1]
    assert "first bad tensor: the output of encoder" in diverged[1]
    assert "first bad tensor: encoder.1.running_var" in of_images[1]
    assert "already contains a run" in taken[1]
    assert "a batch of 1 cannot be divided among 2 workers" in small[1]
    assert open_run(tmp_path / "run").epoch == 0


def half_bad(workers, name):
    """The losses of two steps; in the first y is 0, so each worker's is the mean of its x²."""
    model = Sequential(BatchNorm1d(1), Linear(1, 1, bias=False))
    engine = make_engine(name, model, SGD(model.parameters(), lr=0.1))
    engine = DataParallel(engine, workers)
    model[1].weight.zero_()
    before = model[1].weight.clone()
    x = torch.tensor([[[1.0], [3.0]], [[-1e20], [2e20]]])[workers.rank]
    first = engine.step(x).item()
    unmoved = torch.equal(model[1].weight, before)
    return first, unmoved, engine.step(torch.tensor([[1.0], [3.0]])).item()


@pytest.mark.parametrize("name", ENGINES)
def test_a_loss_that_is_bad_on_one_worker_alone_leaves_nobody_waiting(name):
    """Rank 0's BatchNorm waits for the other's sums in the backward pass."""
    for first, unmoved, second in together(2, half_bad, name):
        assert first == float("inf") and unmoved
        assert second == pytest.approx(5.0)  # the mean of 1² and 3²


# ------------------------------------------------------------------------------- death
def endless(workers, folder):
    """Training that goes on until something happens."""
    data = few_digits(train=400)
    fit("conv", data, epochs=5000, out=folder, device="cpu", progress=False, resume=True)


def wait_for_epochs(folder: Path, count: int) -> None:
    history, until = folder / "history.csv", time.monotonic() + 300
    while not (history.exists() and len(history.read_text().splitlines()) > count):
        assert time.monotonic() < until, "training did not begin"
        time.sleep(0.05)


def test_a_worker_that_dies_is_noticed_by_all_others_at_once(tmp_path):
    processes = Processes(3, endless, tmp_path)
    wait_for_epochs(tmp_path, 1)
    processes.kill(1)
    began = time.monotonic()
    first, killed, last = processes.results()
    assert killed == -signal.SIGKILL
    for survivor in (first, last):
        assert isinstance(survivor, WorkerLostError)
        assert re.match(
            r"another worker has ended or cannot be reached: .*resume=True", str(survivor)
        )
    assert time.monotonic() - began < 60
    assert open_run(tmp_path).epoch >= 1


def torchrun(size: int, *words: object, folder: Path) -> subprocess.Popen:
    """`torchrun -m scratchae ...` in a folder; its output goes to `log` there."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(size)]
    command += ["--standalone", "-m", "scratchae", *map(str, words)]
    with (folder / "log").open("a") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def children(process: subprocess.Popen) -> list[int]:
    """The processes that torchrun has started, in order of rank."""
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=True
    )
    return sorted(map(int, listed.stdout.split()))


@pytest.fixture
def training(tmp_path):
    """start(size, model) -> (torchrun, the workers' processes), once two epochs are done."""
    write_npz(tmp_path / "few.npz", few_digits())
    started = []

    def start(size: int, model: str):
        words = ("train", model, "--data", "few.npz", "--epochs", 5000, "--out", "run")
        started.append(torchrun(size, *words, folder=tmp_path))
        wait_for_epochs(tmp_path / "run", 2)
        return started[0], children(started[0])

    yield start
    for process in started:
        process.kill()


def said(folder: Path) -> list[str]:
    """The sentences that our own processes said at the end."""
    text = (folder / "log").read_text()
    assert text.count("Traceback") <= 1, "torchrun's own, and none of ours"
    return re.findall(r"^error: .*$", text, re.MULTILINE)


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.slow
@pytest.mark.parametrize("size, model, rank", [(2, "fc", 1), *((3, "conv", r) for r in (0, 1, 2))])
def test_a_killed_worker_ends_the_job_with_one_sentence_and_a_run_to_go_on_with(
    size, model, rank, training, tmp_path
):
    job, pids = training(size, model)
    assert len(pids) == size
    os.kill(pids[rank], signal.SIGKILL)
    assert job.wait(300) != 0
    assert gone(pids)
    again = f"torchrun --nproc-per-node {size} -m scratchae train {model} --out run --resume"
    (sentence,) = said(tmp_path)
    assert sentence.startswith(f"error: worker {rank} (process {pids[rank]} on ")
    assert f"of {size} died or cannot be reached" in sentence
    assert sentence.endswith(f"the finished epochs are in run; continue with {again}")
    done = open_run(tmp_path / "run").epoch
    words = [*again.split()[4:], "--epochs", done + 1]
    assert words[0] == "scratchae"
    assert torchrun(size, *words[1:], folder=tmp_path).wait(300) == 0
    assert open_run(tmp_path / "run").epoch == done + 1
    assert (tmp_path / "run" / "pictures" / "loss.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_is_told_to_stop_says_how_to_go_on(number, training, tmp_path):
    job, pids = training(2, "fc")
    job.send_signal(number)
    assert job.wait(300) != 0
    assert gone(pids)
    (sentence,) = said(tmp_path)
    assert sentence.startswith("error: training was told to stop: the finished epochs are in")


def command(workers, *words):
    """The command line in a worker; its exit code."""
    os.environ["LOCAL_WORLD_SIZE"] = str(workers.size)
    try:
        main([str(word) for word in words])
    except SystemExit as end:
        return end.code
    return 0


def test_the_command_line_speaks_once_however_many_workers_there_are(tmp_path):
    data, log = write_npz(tmp_path / "few.npz", few_digits()), tmp_path / "log"
    words = ("train", "fc", "--data", data, "--epochs", 1, "--out", tmp_path / "run")
    assert Processes(2, command, *words, log=log).results() == [0, 0]
    text = log.read_text()
    for once in ("150 training images", "epoch 1/1: train 0.", "1 epoch in", "Pictures: "):
        assert text.count(once) == 1, text
    assert (tmp_path / "run" / "pictures" / "latent.png").exists()


@pytest.mark.parametrize(
    "words, sentence",
    [
        (("con",), "did you mean 'conv'?"),
        (("fc", "--data", "nosuch.csv"), "nosuch.csv"),
        (("fc", "--batch-size", 1), "a batch of 1 cannot be divided among 2 workers"),
        (("fc", "--engine", "compile"), "the compile engine makes whole steps"),
    ],
)
def test_a_mistake_is_one_sentence_of_one_worker_and_exit_code_2(words, sentence, tmp_path):
    log = tmp_path / "log"
    processes = Processes(2, command, "train", *words, "--out", tmp_path / "run", log=log)
    assert processes.results() == [2, 2]
    assert len(said(tmp_path)) == 1
    assert sentence in log.read_text()
    assert not (tmp_path / "run").exists()


# ------------------------------------------------------------------------------- environment
def test_a_process_that_is_alone_joins_nobody(monkeypatch):
    for size in (None, "1"):
        monkeypatch.delenv("WORLD_SIZE", raising=False)
        if size:
            monkeypatch.setenv("WORLD_SIZE", size)
            monkeypatch.setenv("RANK", "0")
        workers.init_workers.cache_clear()
        assert (workers.init_workers().rank, workers.init_workers().size) == (0, 1)
        assert not torch.distributed.is_initialized()
    workers.init_workers.cache_clear()


def test_workers_that_cannot_meet_are_told_to_use_torchrun(monkeypatch):
    workers.init_workers.cache_clear()
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ScratchaeError, match="start them by torchrun --nproc-per-node 2"):
        workers.init_workers()


@pytest.mark.parametrize(
    "here, omp, cores, threads",
    [
        ("2", "1", 8, 4),
        ("3", None, 8, 2),
        ("8", "1", 2, 1),
        ("2", "3", 8, None),
        (None, "1", 8, None),
    ],
)
def test_cores_are_divided_among_the_workers_of_a_machine(here, omp, cores, threads, monkeypatch):
    chosen = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(cores), raising=False)
    for name, value in (("LOCAL_WORLD_SIZE", here), ("OMP_NUM_THREADS", omp)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    workers.divide_cores()
    assert chosen == [threads] * (threads is not None)


def test_each_worker_takes_a_gpu_of_its_own_or_says_that_there_is_none(monkeypatch):
    taken = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert Workers(5, 8).own_device(torch.device("cuda")) == torch.device("cuda", 1)
    assert Workers(5, 8).own_device(torch.device("cpu")) == torch.device("cpu")
    assert Workers().own_device(torch.device("cuda", 0)) == torch.device("cuda", 0)
    assert taken == [1]
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ScratchaeError, match="there is no GPU for worker 6"):
        Workers(6, 8).own_device(torch.device("cuda"))


def on_gpus(workers):
    x = torch.ones(3, device=workers.own_device(torch.device("cuda")))
    run = fit("conv", few_digits(), epochs=2, seed=4, progress=False)
    device = next(iter(run.model.parameters())).device
    return workers.sum(x).tolist(), device.index, run.rows[-1]["train_loss"]


@pytest.mark.cuda
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are no two CUDA devices")
def test_on_two_gpus_training_over_nccl_gives_the_losses_of_the_cpu():
    single = fit("conv", few_digits(), epochs=2, seed=4, device="cpu", progress=False)
    for rank, (total, index, loss) in enumerate(together(2, on_gpus)):
        assert total == [2.0, 2.0, 2.0]
        assert index == rank
        assert loss == pytest.approx(single.rows[-1]["train_loss"], rel=1e-2)


# ------------------------------------------------------------------------------- simulation
@given(st.integers(2, 1024), st.floats(1e-7, 1e-3), st.floats(1e8, 1e12))
def test_the_simulation_sends_at_least_what_has_to_be_sent(p, alpha, beta):
    """The gradients once out and once in, and word from p workers; and less than all of it in turn."""
    size = 4 * sum(tensor.numel() for tensor in build("fc").parameters())
    seconds = scaling.sending("fc", p, alpha, beta)
    assert seconds >= size / beta
    assert seconds >= alpha * math.log2(p)
    assert seconds <= 2 * (p - 1) * (alpha + (size + 8) / beta)
    assert scaling.sending("conv", p, alpha, beta) >= 5 * 2 * alpha  # five BatchNorms


def test_one_worker_is_its_own_measure_in_the_simulation_and_free_messages_make_it_ideal():
    steps = {batch: 1e-3 * batch for batch in scaling.BATCHES}
    for row in scaling.predict("conv", steps, (0.0, math.inf)):
        assert row["weak_efficiency"] == pytest.approx(1)
        assert row["strong_speedup"] == pytest.approx(row["workers"])
    first, *_, last = scaling.predict("conv", steps, (1e-3, 1e9))
    assert first["weak_efficiency"] == first["strong_speedup"] == 1
    assert last["weak_efficiency"] < 1 and last["strong_speedup"] < last["workers"]
