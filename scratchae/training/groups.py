"""Groups of runs that differ only by their seed, with a label for each group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from scratchae.training.run import Run

OF_THE_SEED = ("seed", "checksum", "test_checksum")  # settings that may differ within a group


def grouped(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return {label: runs}. The runs of a group differ only by their seed.

    If two runs have the same settings and the same seed, for example because they were made by different
    engines, the second one starts another group.
    """
    groups: list[list[Run]] = []
    for run in runs:
        fitting = [
            group
            for group in groups
            if common(group[0]) == common(run)
            and run.settings.seed not in [member.settings.seed for member in group]
        ]
        if fitting:
            fitting[0].append(run)
        else:
            groups.append([run])
    labels = labels_of(groups)
    return dict(zip(labels, groups, strict=True))


def common(run: Run) -> dict[str, object]:
    """Return the settings that all runs of a group share."""
    return {name: value for name, value in asdict(run.settings).items() if name not in OF_THE_SEED}


def labels_of(groups: Sequence[list[Run]]) -> list[str]:
    """Return a text for each group: its model, and the settings in which the groups differ."""
    settings = [common(group[0]) for group in groups]
    differing = [
        name
        for name in settings[0]
        if name not in ("model", "test_data") and len({str(own[name]) for own in settings}) > 1
    ]
    if {"lr", "weight_decay"} & {*differing} and len({kind(own) for own in settings}) == 1:
        differing = [name for name in differing if name != "optimizer"]  # it repeats the two
    if len({(own["model"], own["loss"]) for own in settings}) == len(
        {own["model"] for own in settings}
    ):
        differing = [name for name in differing if name != "loss"]  # it belongs to the model
    labels = []
    for own in settings:
        written = [setting_in_words(name, own[name]) for name in differing]
        labels.append(", ".join([str(own["model"]), *written]))
    return [
        label if labels.count(label) == 1 else f"{label}, {group[0].folder}"
        for label, group in zip(labels, groups, strict=True)
    ]


def kind(settings: dict[str, object]) -> str:
    """Return the name of the optimiser."""
    return str(settings["optimizer"]).partition("(")[0]


def setting_in_words(name: str, value: object) -> str:
    """Return a setting as a part of a label.

    >>> setting_in_words("lr", 0.001), setting_in_words("data", "/home/me/train.csv")
    ('lr 0.001', 'train.csv')
    """
    if name == "data":
        return Path(str(value)).name
    if name in ("optimizer", "loss"):
        return str(value).removesuffix("()")
    if name == "epochs":
        return f"{value} epoch{'' if value == 1 else 's'}"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{name.replace('_', ' ')} {text}"
