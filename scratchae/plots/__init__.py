"""Figures of autoencoders and their training. Every function returns a Figure, and `save` writes it to a file.

Digits are tensors (N, 784), (N, 28, 28) or (N, 1, 28, 28) of any floating-point dtype on any
device, with pixels from -1 (black) to 1 (white). A model is not changed: the functions run a copy
of it in evaluation mode. No display is needed, and no window is opened.
"""

from scratchae.plots.comparison import compared_digits, compared_losses
from scratchae.plots.generative import elbo_parts, latent_plane, samples
from scratchae.plots.latent import interpolation, latent_cloud
from scratchae.plots.layers import feature_maps, filters
from scratchae.plots.profile import profile_picture
from scratchae.plots.style import save
from scratchae.plots.sweep import sweep_picture
from scratchae.plots.trace import trace_picture
from scratchae.plots.training import loss_curves, visualize_outputs

__all__ = [
    "compared_digits",
    "compared_losses",
    "elbo_parts",
    "feature_maps",
    "filters",
    "interpolation",
    "latent_cloud",
    "latent_plane",
    "loss_curves",
    "profile_picture",
    "samples",
    "save",
    "sweep_picture",
    "trace_picture",
    "visualize_outputs",
]
