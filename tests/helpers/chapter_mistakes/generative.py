"""Wrong versions of what chapter 12 asks for, with words that the chapter's check must say."""

import torch

from scratchae.layers import kl_backward, kl_forward
from scratchae.layers.sampling import sampling_backward, sampling_forward
from scratchae.losses import bce_with_logits_backward, bce_with_logits_forward


def with_kl(of_z, of_kl, beta):
    return of_z + beta * of_kl


def vae_step_with(
    reconstruction=lambda terms: terms.sum() / len(terms),
    kl=lambda kl, beta: kl,
    da=lambda da: da / len(da),
    noise=lambda eps: eps,
    mu=with_kl,
    logvar=with_kl,
):
    """vae_step with another number, gradient or noise; noise is that of the backward pass."""

    def vae_step(encoder, decoder, x, eps, beta=1.0):
        means, spreads = encoder.forward(x).chunk(2, dim=1)
        a = decoder.forward(sampling_forward(means, spreads, eps))
        dz = decoder.backward(da(bce_with_logits_backward(a, x)))
        of_z, of_kl = sampling_backward(dz, spreads, noise(eps)), kl_backward(means, spreads)
        dmu, dlogvar = mu(of_z[0], of_kl[0], beta), logvar(of_z[1], of_kl[1], beta)
        encoder.backward(torch.cat([dmu, dlogvar], dim=1))
        found = reconstruction(bce_with_logits_forward(a, x))
        return found, kl(kl_forward(means, spreads), beta)

    return vae_step


def plain(of_z, of_kl, beta):
    return of_z


GENERATIVE = {
    ("ch12_vae", "vae_step"): [
        (vae_step_with(reconstruction=torch.mean), "averaged over the pixels"),
        (vae_step_with(reconstruction=torch.sum), "the reconstruction is summed over the batch"),
        (vae_step_with(kl=lambda kl, beta: beta * kl), "return it without beta"),
        (vae_step_with(da=lambda da: da), "divide the BCE's by the size of the batch"),
        (vae_step_with(noise=torch.randn_like), "draw no noise of your own"),
        (vae_step_with(mu=plain), "dmu lacks the KL's part"),
        (vae_step_with(logvar=plain), "dlogvar lacks the KL's part"),
        (vae_step_with(mu=lambda z, kl, beta: z + kl), "dmu has the KL's part without beta"),
        (vae_step_with(logvar=lambda z, kl, beta: beta * kl), "dlogvar lacks what comes through z"),
    ],
    ("ch12_vae", "importance_bound"): [
        (lambda log_w: log_w.mean(dim=1), "the logarithms are averaged"),
        (lambda log_w: log_w.logsumexp(dim=1), "subtract log K"),
        (lambda log_w: log_w.exp().mean(dim=1).log(), "use logsumexp"),
        (lambda log_w: log_w.logsumexp(dim=0), "one number a picture"),
    ],
}
