"""Draws: which random numbers of torch a forward pass takes, so that they can be given again."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Draws(TorchDispatchMode):
    """Within it every operator is watched; `seen` becomes true with the first that draws.

    drawn: takes in (generator, its state before) for every draw from a torch.Generator.

    >>> generator, drawn = torch.Generator().manual_seed(3), []
    >>> with Draws(drawn) as draws:
    ...     first = torch.rand(2, generator=generator)
    >>> state = generator.set_state(drawn[0][1])
    >>> draws.seen, torch.equal(torch.rand(2, generator=generator), first)
    (True, True)
    """

    def __init__(self, drawn: list[tuple[torch.Generator, Tensor]]) -> None:
        super().__init__()
        self.seen, self.drawn = False, drawn

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        values = (*args, *(kwargs or {}).values())
        if torch.Tag.nondeterministic_seeded in operator.tags:
            self.seen = True
            self.drawn += [(g, g.get_state()) for g in values if isinstance(g, torch.Generator)]
        return operator(*args, **(kwargs or {}))
