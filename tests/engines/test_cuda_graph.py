"""How steps are recorded and replayed, with a stand-in for CUDA graphs that works on a CPU.

The stand-in keeps what matters of a graph: recording carries nothing out, a replay works on the very
tensors that were there when it was recorded, and the loss comes back in one tensor that stays.
What only a GPU can show is in test_engines_cuda.py.
"""

import copy
from contextlib import contextmanager, nullcontext
from functools import partial

import pytest
import torch

from scratchae.data import Batches
from scratchae.engines import Engine, NotFiniteError
from scratchae.engines.device import DeviceEngine, cuda_graph
from scratchae.engines.device.cuda_graph import STEPS_A_REPLAY
from scratchae.layers import BatchNorm1d, Linear, Sequential, Tanh
from scratchae.optim import Adam, CosineAnnealingLR, LinearLR, SequentialLR


class StandIn:
    """A CUDAGraph that is a list of calls."""

    recording: "StandIn | None" = None

    def __init__(self):
        self.calls, self.replays = [], 0

    def replay(self):
        self.replays += 1
        for step, tensors, loss in self.calls:
            loss.copy_(step(tensors))


@contextmanager
def graph(stand_in, pool):
    StandIn.recording = stand_in
    yield
    StandIn.recording = None


class Stream:
    def wait_stream(self, other):
        pass


@pytest.fixture
def on_a_cpu(monkeypatch):
    for name, value in {
        "CUDAGraph": StandIn,
        "graph": graph,
        "graph_pool_handle": lambda: None,
        "Stream": Stream,
        "current_stream": Stream,
        "stream": lambda stream: nullcontext(),
    }.items():
        monkeypatch.setattr(cuda_graph.torch.cuda, name, value)


class Recorded(DeviceEngine):
    """GraphEngine without its refusal of a CPU, on stand-ins."""

    name, captured = "recorded", True

    def prepare(self, net, tensors):
        real = super().prepare(net, tensors)

        def step(tensors):
            if StandIn.recording is None:
                return real(tensors)
            loss = torch.zeros((), dtype=tensors["images"].dtype)
            StandIn.recording.calls.append((real, dict(tensors), loss))
            return loss

        return step


def pair(dtype=torch.float64):
    g = torch.Generator().manual_seed(0)
    model = Sequential(
        Linear(5, 4, generator=g), BatchNorm1d(4), Tanh(), Linear(4, 5, generator=g)
    ).to(dtype)
    other, adam = copy.deepcopy(model), partial(Adam, eps=1e-3, weight_decay=0.1)
    return Engine(model, adam(model.parameters())), Recorded(other, adam(other.parameters()))


def numbers(n, seed=0):
    return torch.randn(n, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_same(a, b):
    theirs = {**b.model.state_dict(), **b.optimizer.state}
    for key, tensor in {**a.model.state_dict(), **a.optimizer.state}.items():
        torch.testing.assert_close(theirs[key], tensor, rtol=1e-10, atol=1e-10)
    assert a.optimizer.steps == b.optimizer.steps


def recordings(engine):
    return list(engine.recordings.values())


@pytest.mark.parametrize("full", [1, 2, STEPS_A_REPLAY, STEPS_A_REPLAY + 1, 2 * STEPS_A_REPLAY + 3])
def test_epochs_are_those_of_eager_and_recorded_once(on_a_cpu, full):
    eager, engine = pair()
    n = 6 * full + 4
    images, batches = numbers(n), Batches(n, 6)
    for epoch in range(3):
        seen = []
        total = engine.epoch(images, batches.epoch(epoch), lambda seen=seen: seen.append(1))
        assert len(seen) == full + 1
        torch.testing.assert_close(total, eager.epoch(images, batches.epoch(epoch)))
        assert_same(eager, engine)
    made = recordings(engine)
    assert len(made) == 2  # the full batches, and the short last one
    graphs = made[0].graphs
    assert 3 * full == sum(count * graph.replays for count, graph in graphs.items())
    assert (STEPS_A_REPLAY in graphs) == (full > STEPS_A_REPLAY)


def test_several_steps_are_made_by_one_replay(on_a_cpu):
    _, engine = pair()
    n = 4 * (3 * STEPS_A_REPLAY + 1)
    engine.epoch(numbers(n), Batches(n, 4).epoch(0))
    (made,) = recordings(engine)
    assert {count: graph.replays for count, graph in made.graphs.items()} == {
        1: 1,
        STEPS_A_REPLAY: 3,
    }


def test_recording_carries_nothing_out(on_a_cpu):
    _, engine = pair()
    tensors = engine.gather({"images": numbers(12)}, torch.arange(12).view(3, 4))
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    engine.recording(engine.laid_out(tensors), tensors)
    assert all(torch.equal(tensors[name], tensor) for name, tensor in before.items())
    assert engine.optimizer.steps == 0


def test_what_moved_since_it_was_recorded_is_recorded_again(on_a_cpu):
    eager, engine = pair()
    rows = torch.arange(40).split(4)
    for seed in (0, 1):  # other images
        images = numbers(40, seed)
        torch.testing.assert_close(engine.epoch(images, rows), eager.epoch(images, rows))
        assert_same(eager, engine)
    other = Recorded(engine.model, engine.optimizer)  # brings the model's buffers elsewhere
    for recorded in (other, engine, other):
        torch.testing.assert_close(recorded.epoch(images, rows), eager.epoch(images, rows))
        assert_same(eager, recorded)


def test_the_learning_rate_and_a_loaded_state_are_seen_without_recording_again(on_a_cpu):
    eager, engine = pair()
    images, rows = numbers(40), torch.arange(40).split(4)
    engine.epoch(images, rows)
    made = recordings(engine)
    engine.model.load_state_dict(copy.deepcopy(eager.model.state_dict()))
    engine.optimizer.load_state_dict(copy.deepcopy(eager.optimizer.state_dict()))
    for lr in (1e-3, 1e-1):
        eager.optimizer.lr = engine.optimizer.lr = lr
        torch.testing.assert_close(engine.epoch(images, rows), eager.epoch(images, rows))
        assert_same(eager, engine)
    assert recordings(engine) == made


def test_schedules_clipping_and_averages_are_those_of_eager_and_recorded_once(on_a_cpu):
    eager, engine = pair()
    schedule = SequentialLR([LinearLR(0.1, total_iters=8), CosineAnnealingLR(40)], [8])
    for one in (eager, engine):
        one.optimizer.configure(schedule, clip_norm=0.1, clip_value=0.05, ema=0.9)
    images, batches = numbers(40), Batches(40, 4)
    for epoch in range(3):
        total = engine.epoch(images, batches.epoch(epoch))
        torch.testing.assert_close(total, eager.epoch(images, batches.epoch(epoch)))
        assert_same(eager, engine)
    assert len(recordings(engine)) == 1 and "average" in engine.optimizer.state


@pytest.mark.parametrize("bad", [0, 33, 36, 37])
def test_after_a_loss_that_is_not_finite_nothing_moves(on_a_cpu, bad):
    eager, engine = pair()
    images, rows = numbers(38), torch.arange(38).split(4)
    images[bad] = torch.nan
    with pytest.raises(NotFiniteError) as caught:
        engine.epoch(images, rows)
    eager.epoch(images, rows[: bad // 4])
    assert_same(eager, engine)
    assert caught.value.step == bad // 4 + 1
    assert torch.equal(caught.value.batch.isnan(), images[rows[bad // 4]].isnan())


def test_single_steps_give_their_own_losses(on_a_cpu):
    eager, engine = pair()
    for i, n in enumerate((3, 4, 3, 3)):
        x = numbers(n, seed=i)
        torch.testing.assert_close(engine.step(x), eager.step(x))
        assert_same(eager, engine)
    assert engine.step(numbers(3) * torch.nan).isnan()
    assert_same(eager, engine)
