"""Autoencoders made from tensor arithmetic alone: `import scratchae as sa` gives the public names.

    sa.fit("fc", sa.load("sample"), epochs=1)
    sa.Linear, sa.Adam, sa.MSELoss, sa.train_step, sa.check ...

A name is imported when it is first used, so `import scratchae` does not load torch. A package is
there in the same way: `sa.plots.loss_curves(run)`.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for type checkers and editors; the same names as in _HOMES
    from scratchae.checking.check import check as check
    from scratchae.checking.diagnose import diagnose as diagnose
    from scratchae.checking.gradcheck import gradcheck as gradcheck
    from scratchae.checking.trace import trace as trace
    from scratchae.data import Augmentation as Augmentation
    from scratchae.data import Batches as Batches
    from scratchae.data import Corruption as Corruption
    from scratchae.data import Dataset as Dataset
    from scratchae.data import digit_from_picture as digit_from_picture
    from scratchae.data import load as load
    from scratchae.errors import ScratchaeError as ScratchaeError
    from scratchae.interchange import export_onnx as export_onnx
    from scratchae.interchange import load_weights as load_weights
    from scratchae.interchange import save_weights as save_weights
    from scratchae.layers import GELU as GELU
    from scratchae.layers import AvgPool2d as AvgPool2d
    from scratchae.layers import BatchNorm1d as BatchNorm1d
    from scratchae.layers import BatchNorm2d as BatchNorm2d
    from scratchae.layers import Conv2d as Conv2d
    from scratchae.layers import ConvTranspose2d as ConvTranspose2d
    from scratchae.layers import Dropout as Dropout
    from scratchae.layers import Flatten as Flatten
    from scratchae.layers import GaussianSampling as GaussianSampling
    from scratchae.layers import GroupNorm as GroupNorm
    from scratchae.layers import Layer as Layer
    from scratchae.layers import LayerNorm as LayerNorm
    from scratchae.layers import LeakyReLU as LeakyReLU
    from scratchae.layers import Linear as Linear
    from scratchae.layers import MaxPool2d as MaxPool2d
    from scratchae.layers import ReLU as ReLU
    from scratchae.layers import Residual as Residual
    from scratchae.layers import Sequential as Sequential
    from scratchae.layers import Sigmoid as Sigmoid
    from scratchae.layers import SiLU as SiLU
    from scratchae.layers import Softplus as Softplus
    from scratchae.layers import Tanh as Tanh
    from scratchae.layers import Unflatten as Unflatten
    from scratchae.layers import Upsample as Upsample
    from scratchae.losses import BCEWithLogitsLoss as BCEWithLogitsLoss
    from scratchae.losses import ContinuousBernoulliLoss as ContinuousBernoulliLoss
    from scratchae.losses import CrossEntropyLoss as CrossEntropyLoss
    from scratchae.losses import GaussianNLLLoss as GaussianNLLLoss
    from scratchae.losses import Loss as Loss
    from scratchae.losses import MSELoss as MSELoss
    from scratchae.models import VAE as VAE
    from scratchae.models import Autoencoder as Autoencoder
    from scratchae.models import build as build
    from scratchae.models import register as register
    from scratchae.optim import SGD as SGD
    from scratchae.optim import Adam as Adam
    from scratchae.optim import AdamW as AdamW
    from scratchae.optim import CosineAnnealingLR as CosineAnnealingLR
    from scratchae.optim import LinearLR as LinearLR
    from scratchae.optim import OneCycleLR as OneCycleLR
    from scratchae.optim import Optimizer as Optimizer
    from scratchae.optim import ReduceLROnPlateau as ReduceLROnPlateau
    from scratchae.optim import Schedule as Schedule
    from scratchae.optim import SequentialLR as SequentialLR
    from scratchae.optim import StepLR as StepLR
    from scratchae.profiling import profile as profile
    from scratchae.step import train_step as train_step
    from scratchae.sweep import sweep as sweep
    from scratchae.training import Run as Run
    from scratchae.training import compare as compare
    from scratchae.training import evaluate as evaluate
    from scratchae.training import fit as fit
    from scratchae.training import open_run as open_run
    from scratchae.training import psnr as psnr

__version__ = "0.1.0"

_HOMES = {
    "checking": "check diagnose gradcheck trace",
    "data": "Augmentation Batches Corruption Dataset digit_from_picture load",
    "errors": "ScratchaeError",
    "interchange": "export_onnx load_weights save_weights",
    "layers": "AvgPool2d BatchNorm1d BatchNorm2d Conv2d ConvTranspose2d Dropout Flatten "
    "GaussianSampling GELU GroupNorm Layer LayerNorm LeakyReLU Linear MaxPool2d ReLU "
    "Residual Sequential Sigmoid SiLU Softplus Tanh Unflatten Upsample",
    "losses": "BCEWithLogitsLoss ContinuousBernoulliLoss CrossEntropyLoss GaussianNLLLoss Loss MSELoss",
    "models": "VAE Autoencoder build register",
    "optim": "SGD Adam AdamW CosineAnnealingLR LinearLR OneCycleLR Optimizer ReduceLROnPlateau Schedule "
    "SequentialLR StepLR",
    "profiling": "profile",
    "step": "train_step",
    "training": "Run compare evaluate fit open_run psnr",
}
_PACKAGES = [*_HOMES, "course", "distributed", "engines", "explorer", "plots", "sweep"]
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted([*_HOME_OF, "__version__", "sweep"])  # sweep: a package that can be called


def __getattr__(name: str) -> object:
    """Import a public name, or a package, when it is first used."""
    if name in _HOME_OF:
        value = getattr(importlib.import_module(f"scratchae.{_HOME_OF[name]}"), name)
    elif name in _PACKAGES:
        value = importlib.import_module(f"scratchae.{name}")
    else:
        raise AttributeError(f"module 'scratchae' has no attribute {name!r}")
    globals()[name] = value  # the next time it is found without a call of this function
    return value


def __dir__() -> list[str]:
    """The public names and the packages, for completion; nothing is imported."""
    return sorted({*globals(), *_HOME_OF, *_PACKAGES})
