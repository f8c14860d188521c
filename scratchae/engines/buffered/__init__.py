"""The buffered engine: every tensor has a fixed place in memory, so that a step allocates nothing.

Read the files in this order:

    place.py, buffers.py     how a batch is stored, and which tensors share memory
    node.py                  one layer with fixed memory: `link`, `forward`, `backward`
    linear.py, reshape.py, activations.py, sums.py, batchnorm.py
                             the short nodes
    patches.py, convolution.py
                             convolutions as products of matrices
    toom_cook.py, winograd.py
                             a faster method for convolutions of small images
    plan.py                  the nodes of a model, its loss, and the two passes
    adam.py, engine.py       the update, and the engine
"""

from scratchae.engines.buffered.engine import BufferedEngine, FrugalEngine
from scratchae.engines.buffered.plan import FORMS, NoFormError, Plan

__all__ = ["FORMS", "BufferedEngine", "FrugalEngine", "NoFormError", "Plan"]
