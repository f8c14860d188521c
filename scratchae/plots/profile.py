"""A picture of where the time of a training step goes: a bar for every part, and its shortest possible time."""

from __future__ import annotations

from matplotlib import patheffects
from matplotlib.figure import Figure

from scratchae.errors import ScratchaeError
from scratchae.plots.style import BLUE, RED, headline, styled
from scratchae.profiling import Profile
from scratchae.profiling.result import digits

COLOURS = {"forward": BLUE, "backward": RED, "update": "#88ccee"}


@styled
def profile_picture(profile: Profile) -> Figure:
    """Draw a Profile: one bar for the forward and backward pass of every part.

    The black line in a bar is the floor of the part: its shortest possible time. The number after the
    bar is the measured time divided by the floor.

    >>> from scratchae.layers import Linear, Sequential, Tanh
    >>> from scratchae.profiling import profile
    >>> figure = profile_picture(profile(Sequential(Linear(5, 5), Tanh()), input_shape=(5,), steps=2))
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['0  Linear', '1  Tanh', 'loss  MSELoss', 'optimiser  Adam']
    """
    if not isinstance(profile, Profile):
        raise ScratchaeError(
            f"profile_picture expects the result of profile(model), but got a {type(profile).__name__}"
        )
    parts, table = profile.parts, profile.table
    places = {part: place for place, part in enumerate(parts["part"])}
    figure = Figure((8.0, 1.5 + 0.22 * len(parts)))
    total = profile.total
    times = f"{digits(total['ms'])} ms, the floor is {digits(total['floor_ms'])} ms"
    headline(figure, f"A training step: {times}\n{profile.headline}")
    ax = figure.subplots()
    starts = dict.fromkeys(places, 0.0)
    for name, colour in COLOURS.items():
        rows = table[table["pass"] == name]
        left = rows["part"].map(starts)
        ax.barh(rows["part"].map(places), rows["ms"], left=left, color=colour, label=name)
        starts |= dict(zip(rows["part"], left + rows["ms"], strict=True))
    floors = parts["floor_ms"]
    above, below = ([place + side for place in places.values()] for side in (-0.4, 0.4))
    halo = [patheffects.withStroke(linewidth=2.5, foreground="white")]
    ax.vlines(floors, above, below, color="black", path_effects=halo, label="floor")
    for place, (ms, ratio) in enumerate(zip(parts["ms"], parts["ratio"], strict=True)):
        if ratio == ratio:  # not NaN
            size = digits(round(ratio, 1 if ratio < 10 else None))
            ax.annotate(
                f"{size} ×",
                (max(ms, floors[place]), place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                size=8,
            )
    kinds = parts["layer"].str.partition("(")[0]
    ax.set_yticks(range(len(parts)), [f"{p}  {k}" for p, k in zip(places, kinds, strict=True)])
    ax.set_ylim(len(parts) - 0.4, -0.6)
    ax.set_xlim(0, 1.1 * max(parts["ms"].max(), floors.max()))
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("milliseconds; n ×: the time divided by the floor")
    ax.legend(loc="best", handlelength=1.2)
    return figure
