"""The models, and a registry to build them by name."""

from scratchae.models.autoencoder import Autoencoder
from scratchae.models.conv import conv
from scratchae.models.fc import fc
from scratchae.models.registry import build, description, names, options_of, register

register("fc", fc)
register("conv", conv)

__all__ = ["Autoencoder", "build", "conv", "description", "fc", "names", "options_of", "register"]
