"""What the tests of pictures share: digits to draw, and what a figure shows of them."""

import numpy as np
import pandas as pd
import torch

SHAPES = [(784,), (28, 28), (1, 28, 28)]


def digits(n, shape=(784,), dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(n, *shape, generator=generator) * 2 - 1).to(dtype)


def history(train, test=None):
    columns = {"epoch": range(1, len(train) + 1), "train_loss": train}
    return pd.DataFrame(columns if test is None else {**columns, "test_loss": test})


def drawn(ax):
    """The little pictures on `ax`, (K, H, W)."""
    return np.stack([np.asarray(image.get_array()) for image in ax.images])


def points(ax):
    """What was scattered, (N, 2) or (N, 3)."""
    three = hasattr(ax, "get_zlim")
    parts = [
        np.stack(c._offsets3d, axis=1) if three else np.asarray(c.get_offsets())
        for c in ax.collections
    ]
    return np.concatenate(parts)


def words(figure):
    """All that is written, once drawn."""
    figure.draw_without_rendering()
    texts = [t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text"))]
    return "\n".join(text for text in texts if text)


def pictures(x):
    return x.double().reshape(-1, 28, 28).numpy()
