"""The torch.nn twin of a VAE: autograd, with the same weights at the start, batches and noise."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from reference.twins import twin
from scratchae.data import Batches
from scratchae.layers import Sequential
from scratchae.models import VAE
from scratchae.noise import noise_keys, normal, split_keys
from scratchae.training.floating_point import flushing_denormals


class TwinVAE(nn.Module):
    """A VAE as a user of torch.nn writes it; but the noise comes from keys, one for each image."""

    def __init__(self, start: VAE) -> None:
        super().__init__()
        self.encoder = twin(Sequential(*list(start.encoder)[:-1]))
        self.decoder = twin(start.decoder)

    def forward(self, x: Tensor, keys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        noise = normal(split_keys(keys, 0), mu.shape[1:])
        return self.decoder(mu + torch.exp(0.5 * logvar) * noise), mu, logvar


def parts(model: TwinVAE, x: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Return the reconstruction and the KL of x (N, ...), both in nats per image."""
    logits, mu, logvar = model(x, keys)
    fit = binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
    kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp()) / len(x)
    return fit, kl


def fit_twin(
    start: VAE, train: Tensor, test: Tensor, epochs: int, batch_size: int, seed: int
) -> list[dict]:
    """Train with autograd and torch.optim.Adam; return a row for each epoch."""
    model, rows = TwinVAE(start), []
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches = Batches(len(train), batch_size, seed)
    with flushing_denormals():
        for epoch in range(1, epochs + 1):
            total = 0.0
            keys = noise_keys(seed, epoch, len(train))
            for index in batches.epoch(epoch):
                x = train.index_select(0, index)
                loss = sum(parts(model, x, keys[index]))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item() * len(x)
            with torch.no_grad():
                rest = zip(test.split(500), noise_keys(seed, 0, len(test)).split(500), strict=True)
                each = [[part.item() * len(x) for part in parts(model, x, own)] for x, own in rest]
            fit, kl = (sum(column) / len(test) for column in zip(*each, strict=True))
            rows.append(
                {
                    "epoch": epoch,
                    "train_loss": total / len(train),
                    "test_loss": fit + kl,
                    "test_penalty": kl,
                }
            )
    return rows
