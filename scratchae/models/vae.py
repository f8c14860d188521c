"""vae, conv-vae and linear-vae: variational autoencoders, whose codes have a distribution to draw from.

The encoder ends with GaussianSampling, so an image has not one code but a normal distribution of codes.
The loss is the negative ELBO in nats per image: the reconstruction, summed over the pixels and averaged over
the batch, plus β times the KL divergence, which is the penalty of GaussianSampling.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.layers import (
    Conv2d,
    ConvTranspose2d,
    Flatten,
    GaussianSampling,
    Layer,
    Linear,
    ReLU,
    Sequential,
    Unflatten,
    accumulate,
    parameter,
)
from scratchae.layers.base import LossFunction, check_tensor
from scratchae.losses import BCEWithLogitsLoss, GaussianNLLLoss
from scratchae.models.autoencoder import Autoencoder, check_counts


class VAE(Autoencoder):
    """An autoencoder whose encoder ends with GaussianSampling.

    `encode` returns the mean of the code in evaluation mode, and a sample in training mode. latent: the
    number L of numbers in the code. beta: the weight β of the KL divergence.

    >>> model = vae(latent=2).eval()
    >>> mu, logvar = model.posterior(torch.zeros(5, 784))
    >>> mu.shape, logvar.shape, torch.equal(model.encode(torch.zeros(5, 784)), mu)
    (torch.Size([5, 2]), torch.Size([5, 2]), True)
    >>> model.expected(model.decode(torch.zeros(3, 2))).shape  # three images of the mean of the prior
    torch.Size([3, 784])
    """

    def __init__(
        self,
        encoder: Sequential,
        decoder: Sequential,
        input_shape: tuple[int, ...],
        loss: LossFunction,
        pixel_range: tuple[float, float] = (0.0, 1.0),
        *,
        latent: int,
        beta: float = 1.0,
    ) -> None:
        sampling = GaussianSampling(beta)
        super().__init__(Sequential(*encoder, sampling), decoder, input_shape, loss, pixel_range)
        self.latent, self.beta = latent, beta

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (mu, logvar), each (N, L): the distribution of the codes of x (N, *input_shape)."""
        for layer in list(self.encoder)[:-1]:
            x = layer.forward(x)
        mu, logvar = x.chunk(2, dim=1)
        return mu, logvar


def vae(generator: torch.Generator | None = None, latent: int = 20, beta: float = 1.0) -> VAE:
    """A variational autoencoder 784-400-latent-400-784 for pixels in [0, 1], with a Bernoulli likelihood.

    Input (N, 784) in [0, 1]; output (N, 784), the logits of the pixels; code (N, latent). These are the
    sizes of the paper of Kingma and Welling (2014) in its usual form.

    >>> model = vae(latent=2, beta=0.5)
    >>> model.latent, model.beta, model.pixel_range, sum(p.numel() for p in model.parameters())
    (2, 0.5, (0.0, 1.0), 631188)
    """
    check_counts("vae", latent=latent)
    g = generator
    encoder = Sequential(
        Linear(784, 400, generator=g),
        ReLU(),
        Linear(400, 2 * latent, generator=g),  # the means, then the log-variances
    )
    decoder = Sequential(
        Linear(latent, 400, generator=g),
        ReLU(),
        Linear(400, 784, generator=g),
    )
    loss = BCEWithLogitsLoss(reduction="batchmean")
    return VAE(encoder, decoder, (784,), loss, latent=latent, beta=beta)


def conv_vae(generator: torch.Generator | None = None, latent: int = 2, beta: float = 1.0) -> VAE:
    """A convolutional variational autoencoder for pixels in [0, 1], with a Bernoulli likelihood.

    Input (N, 1, 28, 28) in [0, 1]; output (N, 1, 28, 28), the logits of the pixels; code (N, latent).

    >>> model = conv_vae()
    >>> model.posterior(torch.zeros(5, 1, 28, 28))[0].shape, model(torch.zeros(5, 1, 28, 28)).shape
    (torch.Size([5, 2]), torch.Size([5, 1, 28, 28]))
    """
    check_counts("conv-vae", latent=latent)
    g = generator
    encoder = Sequential(
        Conv2d(1, 32, 3, stride=2, padding=1, generator=g),  # (N, 32, 14, 14)
        ReLU(),
        Conv2d(32, 64, 3, stride=2, padding=1, generator=g),  # (N, 64, 7, 7)
        ReLU(),
        Flatten(),
        Linear(64 * 7 * 7, 48, generator=g),
        ReLU(),
        Linear(48, 2 * latent, generator=g),  # the means, then the log-variances
    )
    decoder = Sequential(
        Linear(latent, 256, generator=g),  # wide: it has to fold the plane of a 2-d code
        ReLU(),
        Linear(256, 48, generator=g),
        ReLU(),
        Linear(48, 64 * 7 * 7, generator=g),
        ReLU(),
        Unflatten(1, (64, 7, 7)),
        ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1, generator=g),
        ReLU(),  # (N, 32, 14, 14)
        ConvTranspose2d(32, 1, 3, stride=2, padding=1, output_padding=1, generator=g),
    )
    loss = BCEWithLogitsLoss(reduction="batchmean")
    return VAE(encoder, decoder, (1, 28, 28), loss, latent=latent, beta=beta)


def linear_vae(generator: torch.Generator | None = None, latent: int = 8, beta: float = 1.0) -> VAE:
    """A linear variational autoencoder with a Gaussian likelihood; its optimum is known exactly.

    Encoder and decoder are one Linear each, and the variances of the code are the same for all images.
    The optimum is that of probabilistic PCA (Tipping and Bishop 1999; Lucas et al. 2019). Input and output
    (N, 784) in [-1, 1]; code (N, latent).

    >>> model = linear_vae(latent=3)
    >>> [name for name, _ in model.named_parameters()][2:]
    ['encoder.1.logvar', 'decoder.0.weight', 'decoder.0.bias', 'loss.log_sigma']
    """
    check_counts("linear-vae", latent=latent)
    encoder = Sequential(Linear(784, latent, generator=generator), SharedLogvar(latent))
    decoder = Sequential(Linear(latent, 784, generator=generator))
    loss = GaussianNLLLoss()
    return VAE(encoder, decoder, (784,), loss, (-1.0, 1.0), latent=latent, beta=beta)


class SharedLogvar(Layer):
    """Put trained log-variances, the same for all samples, beside the means: (N, L) to (N, 2 L).

    Backward: dmu is the first half of dy, and dlogvar is the sum of the second half over the samples.

    >>> SharedLogvar(2)(torch.tensor([[5.0, 6.0]])).tolist()
    [[5.0, 6.0, 0.0, 0.0]]
    """

    parameter_names = ("logvar",)

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent
        self.logvar = parameter(torch.zeros(latent))

    def forward(self, x: Tensor) -> Tensor:
        check_tensor(self, x, self.logvar.dtype, self.logvar.device)
        return self.remember(torch.cat([x, self.logvar.expand(len(x), -1)], dim=1))

    def backward(self, dy: Tensor) -> Tensor:
        self.recall(dy)
        dmu, dlogvar = dy.chunk(2, dim=1)
        accumulate(self.logvar, dlogvar.sum(dim=0))
        return dmu
