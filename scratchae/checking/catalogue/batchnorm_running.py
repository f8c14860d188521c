"""Mistakes of BatchNorm's running statistics."""

from __future__ import annotations

from functools import partial

from scratchae.checking.mistake import mistake
from scratchae.layers.batchnorm import running_statistics

wrong_running = partial(mistake, "running_statistics", chapter=7)


@wrong_running(
    "momentum is used the wrong way round: it is the share of the new batch, "
    "(1 − momentum)·running + momentum·batch."
)
def momentum_the_other_way(running_mean, running_var, mean, var, m, momentum=0.1):
    return running_statistics(running_mean, running_var, mean, var, m, 1 - momentum)


@wrong_running(
    "The running variance takes the biased variance as it is: what is kept is the unbiased "
    "estimate, var·m / (m − 1)."
)
def variance_stays_biased(running_mean, running_var, mean, var, m, momentum=0.1):
    return running_statistics(running_mean, running_var, mean, var * (m - 1) / m, m, momentum)


@wrong_running(
    "The correction is upside down, var·(m − 1) / m: the unbiased variance is the larger one, "
    "var·m / (m − 1)."
)
def correction_inverted(running_mean, running_var, mean, var, m, momentum=0.1):
    smaller = var * ((m - 1) / m) ** 2
    return running_statistics(running_mean, running_var, mean, smaller, m, momentum)


@wrong_running(
    "var is divided by m − 1 as if it were a sum of squares: it is their mean already, so the "
    "unbiased one is var·m / (m − 1)."
)
def variance_taken_for_a_sum(running_mean, running_var, mean, var, m, momentum=0.1):
    return running_statistics(running_mean, running_var, mean, var / m, m, momentum)


@wrong_running(
    "The correction m / (m − 1) is applied to the old running variance as well, so it grows with "
    "every batch: correct the batch's var alone."
)
def correction_of_the_whole(running_mean, running_var, mean, var, m, momentum=0.1):
    larger = running_var * m / (m - 1)
    return running_statistics(running_mean, larger, mean, var, m, momentum)


@wrong_running(
    "The batch's mean is multiplied by m / (m − 1) too: that correction belongs to the variance "
    "alone, a mean is unbiased as it is."
)
def correction_of_the_mean(running_mean, running_var, mean, var, m, momentum=0.1):
    return running_statistics(running_mean, running_var, mean * m / (m - 1), var, m, momentum)


@wrong_running(
    "The running variance moves towards the batch's standard deviation: it averages variances, so "
    "take no root."
)
def deviation_for_variance(running_mean, running_var, mean, var, m, momentum=0.1):
    moved_mean, _ = running_statistics(running_mean, running_var, mean, var, m, momentum)
    deviation = (var * m / (m - 1)).sqrt()
    return moved_mean, (1 - momentum) * running_var + momentum * deviation


@wrong_running(
    "The old statistics are replaced by the batch's: keep a share of 1 − momentum of what was "
    "there."
)
def replaced(running_mean, running_var, mean, var, m, momentum=0.1):
    return running_statistics(running_mean, running_var, mean, var, m, 1.0)


@wrong_running(
    "Only the running mean moves: running_var has to follow in the same way, with var·m / (m − 1)."
)
def variance_not_moved(running_mean, running_var, mean, var, m, momentum=0.1):
    moved_mean, _ = running_statistics(running_mean, running_var, mean, var, m, momentum)
    return moved_mean, running_var.clone()


@wrong_running(
    "Only the running variance moves: running_mean has to follow in the same way, towards mean."
)
def mean_not_moved(running_mean, running_var, mean, var, m, momentum=0.1):
    _, moved_var = running_statistics(running_mean, running_var, mean, var, m, momentum)
    return running_mean.clone(), moved_var


@wrong_running(
    "The two results have changed places: first the running mean, then the running variance."
)
def mean_and_variance_exchanged(running_mean, running_var, mean, var, m, momentum=0.1):
    return running_statistics(running_mean, running_var, mean, var, m, momentum)[::-1]


@wrong_running(
    "momentum·batch is added without making room for it: the old value keeps only a share of "
    "1 − momentum, or the sum grows for ever."
)
def old_share_not_reduced(running_mean, running_var, mean, var, m, momentum=0.1):
    moved = running_statistics(running_mean, running_var, mean, var, m, momentum)
    return moved[0] + momentum * running_mean, moved[1] + momentum * running_var


@wrong_running(
    "The batch's statistics are added in full: they get a share of momentum, "
    "(1 − momentum)·running + momentum·batch."
)
def batch_share_not_reduced(running_mean, running_var, mean, var, m, momentum=0.1):
    unbiased = var * m / (m - 1)
    return (1 - momentum) * running_mean + mean, (1 - momentum) * running_var + unbiased


@wrong_running(
    "These are the steps momentum·(batch − running), not the places they lead to: add them to the "
    "old running statistics."
)
def steps_alone(running_mean, running_var, mean, var, m, momentum=0.1):
    moved = running_statistics(running_mean, running_var, mean, var, m, momentum)
    return moved[0] - running_mean, moved[1] - running_var


@wrong_running(
    "The results are right, but running_mean and running_var are changed in place: this function "
    "gives back new tensors, and the layer copies them."
)
def changed_in_place(running_mean, running_var, mean, var, m, momentum=0.1):
    moved = running_statistics(running_mean, running_var, mean, var, m, momentum)
    return running_mean.copy_(moved[0]), running_var.copy_(moved[1])
