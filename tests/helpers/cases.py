"""The library's random layers, each beside its torch.nn twin."""

from __future__ import annotations

from torch import nn

from reference.twins import twin
from scratchae import layers
from scratchae.checking.layer_cases import LAYER_CASES, LayerCase


class Case(LayerCase):
    """A layer's name and arguments, the shapes of its inputs, and how their numbers lie."""

    def module(self) -> nn.Module:
        """torch.nn's of the same name, newly made from the same arguments."""
        return getattr(nn, self.name)(**self.arguments)

    def pair(self, device: str = "cpu") -> tuple[layers.Layer, nn.Module]:
        """Ours in float64 with random weights and statistics, and its twin."""
        layer = self.random_layer(device)
        return layer, twin(layer)


def with_twin(case: LayerCase) -> Case:
    values = {name: value for name, value in vars(case).items() if name != "generator"}
    return Case(**values)


CASES = {name: strategy.map(with_twin) for name, strategy in LAYER_CASES.items()}
