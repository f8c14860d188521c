"""The library's random layers, each with its torch.nn twin."""

from __future__ import annotations

from hypothesis import strategies as st
from torch import nn

from reference.twins import twin
from scratchae import layers
from scratchae.checking.layer_cases import FEW, LAYER_CASES, LayerCase, layer_strategy

few = st.sampled_from(FEW)


def pair_or_number(element: st.SearchStrategy[int]) -> st.SearchStrategy:
    """One number for both axes of an image, or one for each."""
    return element | st.tuples(element, element)


class Case(LayerCase):
    """A random layer of the library, with its torch.nn twin."""

    def module(self) -> nn.Module:
        """Make torch.nn's layer of the same name from the same arguments."""
        return getattr(nn, self.name)(**self.arguments)

    def pair(self, device: str = "cpu") -> tuple[layers.Layer, nn.Module]:
        """Make our layer in float64, with random weights and statistics, and its twin."""
        layer = self.random_layer(device)
        return layer, twin(layer)


def with_twin(case: LayerCase) -> Case:
    values = {name: value for name, value in vars(case).items() if name != "generator"}
    return Case(**values)


CASES = {name: layer_strategy(name).map(with_twin) for name in LAYER_CASES}
IN_TORCH = [name for name in CASES if hasattr(nn, name)]  # the layers with a torch.nn namesake
