"""Twins: for every hand-written layer, the torch.nn module that promises the same.

`twin(model)` builds it from the layer's type and arguments and carries the weights over. `fc` and
`conv`, the two models of record, are written out once more as a user of torch.nn would,
so that our text is compared with an independent one; the keys of their weights are ours.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from scratchae.layers import Dropout, GaussianSampling, Layer, Residual, Sequential
from scratchae.losses import GaussianNLLLoss
from scratchae.models.vae import SharedLogvar


def twin(model: Layer) -> nn.Module:
    """The torch.nn twin: same weights (copied), mode, dtype and device; keys as in `model`."""
    module = build(model)
    state = model.state_dict()
    tensor = next((t for t in state.values() if t.is_floating_point()), None)
    if tensor is not None:
        module.to(tensor.device, tensor.dtype)
    copy_weights(model, module)
    return module.train(model.training)


def build(model: Layer) -> nn.Module:
    """The torch.nn module of this layer's type and arguments, with weights of its own."""
    if isinstance(model, Sequential):
        children = OrderedDict((name, build(child)) for name, child in model.layers.items())
        module = nn.Sequential(children)
        if isinstance(model.loss, GaussianNLLLoss):
            module = WithGaussianLoss(module)
    elif isinstance(model, Residual):
        parts = (model.body, model.shortcut)
        module = ResidualTwin(*(None if part is None else build(part) for part in parts))
    elif isinstance(model, GaussianSampling):
        module = SamplingTwin(model)
    elif isinstance(model, Dropout):
        module = DropoutTwin(model)
    elif isinstance(model, SharedLogvar):
        module = SharedLogvarTwin(model.latent)
    elif kind := getattr(nn, type(model).__name__, None):
        arguments = model.arguments()
        if arguments.get("bias") is True:
            del arguments[
                "bias"
            ]  # the default; torch before 2.12 has no such argument of BatchNorm
        module = kind(**arguments)
    else:
        raise TypeError(f"there is no torch.nn.{type(model).__name__} to be the twin of {model!r}")
    return module.train(model.training)


class ResidualTwin(nn.Module):
    """A skip around a module."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + (x if self.shortcut is None else self.shortcut(x))


class SamplingTwin(nn.Module):
    """A sample from the normal distribution of mu and logvar, with the noise of a GaussianSampling.

    penalty: beta times the KL divergence from the prior, from torch.distributions.
    """

    def __init__(self, layer: GaussianSampling) -> None:
        super().__init__()
        self.layer, self.penalty = layer, None

    def forward(self, x: Tensor) -> Tensor:
        mu, logvar = x.chunk(2, dim=1)
        code = Normal(mu, (logvar / 2).exp())
        divergence = kl_divergence(code, Normal(torch.zeros_like(mu), torch.ones_like(mu)))
        self.penalty = self.layer.beta * divergence.sum(dim=1).mean()
        return mu + code.stddev * self.layer.noise(mu.detach())


class DropoutTwin(nn.Module):
    """Dropout with the mask of a Dropout layer of ours."""

    def __init__(self, layer: Dropout) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        p = self.layer.p
        if not self.training or p == 0:
            return x
        kept = torch.where(self.layer.mask(x.detach()), x, torch.zeros_like(x))
        return kept / (1 - p) if p < 1 else kept


class WithGaussianLoss(nn.Module):
    """A model whose loss is a Gaussian likelihood with one trained deviation for all pixels."""

    def __init__(self, model: nn.Sequential) -> None:
        super().__init__()
        for name, child in model.named_children():
            self.add_module(name, child)
        self.loss = GaussianLossTwin()

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


class GaussianLossTwin(nn.Module):
    """The negative log-likelihood, summed over the pixels and averaged over the images."""

    def __init__(self) -> None:
        super().__init__()
        self.log_sigma = nn.Parameter(torch.zeros(()))

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        likelihood = Normal(prediction, self.log_sigma.exp())
        return -likelihood.log_prob(target).sum() / len(target)


class SharedLogvarTwin(nn.Module):
    """Trained log-variances beside the means."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.logvar = nn.Parameter(torch.zeros(latent))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.logvar.expand(len(x), -1)], dim=1)


def copy_weights(source: Layer | nn.Module, target: Layer | nn.Module) -> None:
    """Every parameter and buffer from one side to the other, whichever side is which."""
    target.load_state_dict(source.state_dict())


def fc() -> nn.Module:
    """The fully connected model of record in torch.nn; its code is three numbers."""
    encoder = nn.Sequential(
        nn.Linear(784, 128),
        nn.ReLU(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Linear(32, 16),
        nn.ReLU(),
        nn.Linear(16, 12),
        nn.ReLU(),
        nn.Linear(12, 3),
    )
    decoder = nn.Sequential(
        nn.Linear(3, 12),
        nn.ReLU(),
        nn.Linear(12, 16),
        nn.ReLU(),
        nn.Linear(16, 32),
        nn.ReLU(),
        nn.Linear(32, 64),
        nn.ReLU(),
        nn.Linear(64, 128),
        nn.ReLU(),
        nn.Linear(128, 784),
        nn.Tanh(),
    )
    return nn.Sequential(OrderedDict(encoder=encoder, decoder=decoder))


def conv() -> nn.Module:
    """The convolutional model of record in torch.nn; its code is (N, 64, 5, 5)."""
    encoder = nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.BatchNorm2d(64),
    )
    decoder = nn.Sequential(
        nn.ConvTranspose2d(64, 32, 3),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 16, 3, stride=2, padding=1, output_padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 3, stride=2, padding=1, output_padding=1),
        nn.Tanh(),
    )
    return nn.Sequential(OrderedDict(encoder=encoder, decoder=decoder))


MODELS: dict[str, Callable[[], nn.Module]] = {"fc": fc, "conv": conv}
