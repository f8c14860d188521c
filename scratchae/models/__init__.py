"""The models, and a registry to build them by name."""

from scratchae.models.autoencoder import Autoencoder
from scratchae.models.conv import conv
from scratchae.models.deep import plain_deep, residual
from scratchae.models.fc import fc
from scratchae.models.registry import build, description, names, options_of, register
from scratchae.models.vae import VAE, conv_vae, linear_vae, vae

register("fc", fc)
register("conv", conv)
register("vae", vae)
register("conv-vae", conv_vae)
register("linear-vae", linear_vae)
register("residual", residual)
register("plain-deep", plain_deep)

__all__ = [
    "VAE",
    "Autoencoder",
    "build",
    "conv",
    "conv_vae",
    "description",
    "fc",
    "linear_vae",
    "names",
    "options_of",
    "plain_deep",
    "register",
    "residual",
    "vae",
]
