"""Right solutions: drawing a code, BCE with logits, the KL divergence and the ELBO."""

import math

import numpy as np
import torch

from tests.helpers.solutions.common import in_float64


# ---------------------------------------------------------------------------------- drawing a code
def draw_by_loops(mu, logvar, eps):
    z = torch.empty(mu.shape, dtype=mu.dtype)
    for n in range(mu.shape[0]):
        for d in range(mu.shape[1]):
            z[n, d] = mu[n, d] + math.exp(logvar[n, d] / 2) * eps[n, d]
    return z


def draw_in_numpy(mu, logvar, eps):
    return torch.from_numpy(np.asarray(mu.numpy() + np.exp(0.5 * logvar.numpy()) * eps.numpy()))


def gradients_in_steps(dz, logvar, eps):
    deviation = torch.exp(0.5 * logvar)
    ddeviation = dz * eps
    dlogvar = ddeviation * deviation
    dlogvar *= 0.5
    return dz + 0, dlogvar


def gradients_in_numpy(dz, logvar, eps):
    d, e = dz.numpy(), eps.numpy()
    slope = np.exp(logvar.numpy() / 2) / 2
    return torch.from_numpy(d.copy()), torch.from_numpy(np.asarray(d * slope * e))


def gradients_by_samples(dz, logvar, eps):
    rows = [0.5 * d * e * v.mul(0.5).exp() for d, v, e in zip(dz, logvar, eps, strict=True)]
    return [torch.stack(list(dz)), torch.stack(rows)]


# ---------------------------------------------------------------------------------- BCE
def bce_by_loops(logits, target):
    terms = torch.empty(logits.shape, dtype=logits.dtype)
    flat = terms.view(-1)
    for i, (z, t) in enumerate(
        zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True)
    ):
        softplus = z + math.log1p(math.exp(-z)) if z > 0 else math.log1p(math.exp(z))
        flat[i] = softplus - t * z
    return terms


def bce_by_logaddexp(logits, target):
    return torch.logaddexp(logits, torch.zeros_like(logits)) - target * logits


def bce_of_both_sides(logits, target):
    def softplus(z):
        return torch.where(z > 0, z, 0) + torch.log1p(torch.exp(-z.abs()))

    return target * softplus(-logits) + (1 - target) * softplus(logits)


def bce_in_numpy(logits, target):
    z, t = logits.numpy(), target.numpy()
    return torch.from_numpy(np.asarray(np.logaddexp(0, z) - t * z).astype(z.dtype))


def bce_by_logsumexp(logits, target):
    pair = torch.stack([torch.zeros_like(logits), logits])
    return pair.logsumexp(dim=0) - logits * target


def sigmoid_by_tanh(z):
    return (torch.tanh(z / 2) + 1) / 2


def sigmoid_by_cases(z):
    e = torch.exp(-z.abs())
    return torch.where(z >= 0, 1 / (1 + e), e / (1 + e))


def bce_gradient_by_loops(logits, target):
    made = [
        0.5 * (1 + math.tanh(z / 2)) - t
        for z, t in zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True)
    ]
    return torch.tensor(made, dtype=logits.dtype).reshape(logits.shape)


def bce_gradient_in_numpy(logits, target):
    with np.errstate(over="ignore"):
        return torch.from_numpy(np.asarray(1 / (1 + np.exp(-logits.numpy())) - target.numpy()))


# ---------------------------------------------------------------------------------- KL and ELBO
def kl_by_loops(mu, logvar):
    total = torch.zeros((), dtype=mu.dtype)
    for m, v in zip(mu.flatten().tolist(), logvar.flatten().tolist(), strict=True):
        total += (m * m + math.exp(v) - 1 - v) / 2
    return total / len(mu)


def kl_by_deviation(mu, logvar):
    sigma = torch.exp(logvar / 2)
    return (0.5 * (mu**2 + sigma**2 - 1) - torch.log(sigma)).sum(1).mean()


def kl_in_numpy(mu, logvar):
    m, v = mu.numpy(), logvar.numpy()
    return torch.tensor(0.5 * np.sum(m * m + np.exp(v) - 1 - v) / m.shape[0], dtype=mu.dtype)


def kl_gradients_in_steps(mu, logvar):
    variance = logvar.exp()
    dvariance = 0.5 * (1 - 1 / variance) / mu.shape[0]
    return mu * (1 / mu.shape[0]), dvariance * variance


def kl_gradients_in_numpy(mu, logvar):
    m, v = mu.numpy(), logvar.numpy()
    made = m / len(m), np.expm1(v) / (2 * len(m))
    return tuple(torch.from_numpy(np.asarray(part)) for part in made)


def kl_gradients_by_samples(mu, logvar):
    n = len(mu)
    return torch.stack([row / n for row in mu]), torch.stack(
        [(v.exp() - 1) / (2 * n) for v in logvar]
    )


def elbo_by_loops(logits, target, mu, logvar):
    each = [
        bce_by_logaddexp(a, t).sum() + 0.5 * (m**2 + v.exp() - 1 - v).sum()
        for a, t, m, v in zip(logits, target, mu, logvar, strict=True)
    ]
    return sum(each) / len(each)


def elbo_by_parts(logits, target, mu, logvar):
    return bce_of_both_sides(logits, target).sum() / len(mu) + kl_by_deviation(mu, logvar)


def elbo_in_numpy(logits, target, mu, logvar):
    terms = bce_in_numpy(logits, target).numpy()
    return torch.tensor(terms.sum() / len(terms), dtype=mu.dtype) + kl_in_numpy(mu, logvar)


def elbo_negated(logits, target, mu, logvar):
    axes = tuple(range(1, logits.ndim))
    elbo = -bce_by_logsumexp(logits, target).sum(axes) - 0.5 * (
        mu.square() + torch.expm1(logvar) - logvar
    ).sum(1)
    return -elbo.mean()


SOLUTIONS = {
    "sampling_forward": {
        "deviation": lambda mu, logvar, eps: mu + torch.exp(0.5 * logvar) * eps,
        "loops": draw_by_loops,
        "numpy": draw_in_numpy,
        "power": lambda mu, logvar, eps: mu + math.e ** (logvar / 2) * eps,
        "addcmul": lambda mu, logvar, eps: torch.addcmul(mu, logvar.div(2).exp(), eps),
        "root": lambda mu, logvar, eps: mu + math.sqrt(math.e) ** logvar * eps,
        "float64": in_float64(lambda mu, logvar, eps: eps * (logvar * 0.5).exp() + mu),
    },
    "sampling_backward": {
        "formula": lambda dz, v, eps: (dz.clone(), dz * eps * torch.exp(v / 2) / 2),
        "steps": gradients_in_steps,
        "numpy": gradients_in_numpy,
        "samples, a list": gradients_by_samples,
        "through the noise": lambda dz, v, eps: (1 * dz, 0.5 * dz * (eps * v.mul(0.5).exp())),
        "float64": in_float64(lambda dz, v, eps: (dz.clone(), dz * (v / 2).exp() * eps / 2)),
    },
    "bce_with_logits_forward": {
        "loops": bce_by_loops,
        "logaddexp": bce_by_logaddexp,
        "both sides": bce_of_both_sides,
        "numpy": bce_in_numpy,
        "logsumexp": bce_by_logsumexp,
        "float64": in_float64(bce_by_logaddexp),
    },
    "bce_with_logits_backward": {
        "torch.sigmoid": lambda z, t: torch.sigmoid(z) - t,
        "tanh": lambda z, t: sigmoid_by_tanh(z) - t,
        "two cases": lambda z, t: sigmoid_by_cases(z) - t,
        "loops": bce_gradient_by_loops,
        "numpy": bce_gradient_in_numpy,
        "both sides": lambda z, t: (1 - t) * torch.sigmoid(z) - t * torch.sigmoid(-z),
    },
    "kl_forward": {
        "formula": lambda mu, v: 0.5 * (mu**2 + v.exp() - 1 - v).sum() / len(mu),
        "samples": lambda mu, v: (-0.5 * (1 + v - mu.pow(2) - v.exp()).sum(dim=1)).mean(),
        "loops": kl_by_loops,
        "deviation": kl_by_deviation,
        "numpy": kl_in_numpy,
        "float64": in_float64(lambda mu, v: (mu * mu + v.expm1() - v).sum() / 2 / mu.size(0)),
    },
    "kl_backward": {
        "formula": lambda mu, v: (mu / len(mu), 0.5 * (v.exp() - 1) / len(mu)),
        "steps": kl_gradients_in_steps,
        "numpy": kl_gradients_in_numpy,
        "samples": kl_gradients_by_samples,
        "a list": lambda mu, v: [mu.div(mu.size(0)), v.expm1().div(2 * v.size(0))],
        "float64": in_float64(lambda mu, v: (mu / len(mu), (v.exp() - 1) / len(mu) / 2)),
    },
    "elbo_loss": {
        "samples": elbo_by_loops,
        "parts": elbo_by_parts,
        "numpy": elbo_in_numpy,
        "the ELBO negated": elbo_negated,
        "float64": in_float64(elbo_by_parts),
    },
}
