"""What the page on schedules shows: plans in numbers and words."""

import inspect
import itertools
from typing import NamedTuple

import numpy as np

from altfreeze.freezing.plan import layer_ranges

# how long a strategy trains, by its budget
LENGTHS = {
    "epochs": "for the epochs of the configuration",
    "half_updates": "for half of the steps",
    "matched_flops": "until the operations of alternating are spent",
}
# more groups of layers than these are told as a range
_MOST_GROUPS = 8


def first_sentence(documented):
    """Return the first line of a docstring, which says what the documented does."""
    return inspect.getdoc(documented).partition("\n")[0]


class Totals(NamedTuple):
    """What a training makes: steps, updates of each layer and their mean over parameters, operations."""

    steps: int
    updates: tuple
    updates_mean: float
    flops: int


def totals(epochs, workload):
    """Return the totals of a plan.

    Parameters
    ----------
    epochs : list of altfreeze.freezing.plan.Epoch
    workload : altfreeze.freezing.plan.Workload

    Returns
    -------
    Totals
    """
    updates = tuple(map(sum, zip(*(epoch.updates() for epoch in epochs), strict=True)))
    parameters = [(fan_in + 1) * fan_out for fan_in, fan_out in itertools.pairwise(workload.sizes)]
    return Totals(
        sum(len(epoch.steps) for epoch in epochs),
        updates,
        float(np.average(updates, weights=parameters)),
        sum(epoch.flops(workload) for epoch in epochs),
    )


def in_words(epochs):
    """Return which layers of a plan learn in how many steps, and in which epochs.

    Parameters
    ----------
    epochs : list of altfreeze.freezing.plan.Epoch

    Returns
    -------
    str
        For example ``of 150 steps, layers 1-3 learn in 75 (in 25 of the epochs 2 to 50)``.
    """
    by_epoch = np.array([epoch.updates() for epoch in epochs])
    steps = sum(len(epoch.steps) for epoch in epochs)
    groups = {}
    for layer, counts in enumerate(by_epoch.T):
        groups.setdefault((*np.flatnonzero(counts) + 1, int(counts.sum())), []).append(layer)
    start = f"of {steps:,} steps, "
    if len(groups) > _MOST_GROUPS:
        totals_of_layers = by_epoch.sum(axis=0)
        return f"{start}each layer learns in {totals_of_layers.min():,} to {totals_of_layers.max():,}"
    parts = []
    for (*learned, updates), layers in groups.items():
        of_group = [layer in layers for layer in range(by_epoch.shape[1])]
        who = f"layer{'s' * (len(layers) > 1)} {layer_ranges(of_group).replace(' ', ', ')}"
        verb = "learn" if len(layers) > 1 else "learns"
        parts.append(f"{who} {verb} in {updates:,} ({_epochs(learned)})" if learned else f"{who} never {verb}")
    return start + "; ".join(parts)


def _epochs(numbers):
    first, last = int(numbers[0]), int(numbers[-1])
    if first == last:
        return f"in epoch {first}"
    whole = len(numbers) == last - first + 1
    return f"in {'' if whole else f'{len(numbers)} of '}{'the ' * (not whole)}epochs {first} to {last}"
