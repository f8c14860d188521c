"""PyTorch's own samples of its optimisers: ours make the same steps, and refuse what torch refuses."""

import pytest
import torch

from scratchae import optim
from scratchae.errors import ScratchaeError
from tests.helpers.tensors import assert_close
from tests.helpers.torch_samples import OPTIMIZERS, torch_samples

# arguments of torch.optim that only choose among its implementations, which are not here
NOT_HERE = {"foreach", "fused", "capturable", "differentiable"}


def samples(name: str, refused: bool) -> list[dict]:
    return [s for s in torch_samples()["optimizers"][name] if bool(s["refused"]) == refused]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_sample_of_torch_makes_the_same_steps(name):
    for sample in samples(name, refused=False):
        assert not sample["kwargs"].keys() & NOT_HERE
        torch.manual_seed(0)
        ours = [torch.randn(3, 5, dtype=torch.float64), torch.randn(4, dtype=torch.float64)]
        theirs = [p.clone().requires_grad_() for p in ours]
        mine = getattr(optim, name)(ours, **sample["kwargs"])
        reference = getattr(torch.optim, name)(theirs, **sample["kwargs"])
        for _ in range(5):
            mine.zero_grad()
            for p, q in zip(ours, theirs, strict=True):
                q.grad = torch.randn_like(q)
                p.grad += q.grad
            mine.step(), reference.step()
            for p, q in zip(ours, theirs, strict=True):
                assert_close(sample["desc"], p, q, 1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_sample_that_torch_refuses_is_refused(name):
    assert samples(name, refused=True)
    for sample in samples(name, refused=True):
        chosen = sample["kwargs"].keys() & NOT_HERE
        with pytest.raises(TypeError if chosen else ScratchaeError) as caught:
            getattr(optim, name)([torch.zeros(3, 5)], **sample["kwargs"])
        assert chosen or "\n" not in str(caught.value)


def test_a_learning_rate_that_is_a_tensor_can_be_changed_in_place():
    weight = torch.zeros(2)
    lr = torch.tensor([0.5])
    optimizer = optim.SGD([weight], lr=lr)
    for rate in (0.5, 0.25):
        lr.fill_(rate)
        weight.grad.fill_(1.0)
        optimizer.step()
    assert weight.tolist() == [-0.75, -0.75]
