"""Freezing schedules: which layers learn at a given step.

A schedule is a pure function of the position in training. It returns one flag
per layer, bottom first: True where the layer learns, False where it is frozen.
"""

from typing import NamedTuple


class Position(NamedTuple):
    """A point in training; all counts start at 0."""

    epoch: int
    step: int
    steps_per_epoch: int


def split_index(freeze_ratio, depth):
    """Return k, the number of layers in the bottom group.

    Parameters
    ----------
    freeze_ratio : float
        Share of the layers in the bottom group, 0 to 1.
    depth : int
        Number of weight layers.

    Returns
    -------
    int
        k = round(freeze_ratio * depth), halves to the even number. The bottom
        group is the first k layers, the top group the other depth - k.

    Raises
    ------
    ValueError
        If `freeze_ratio` is outside [0, 1].
    """
    if not 0 <= freeze_ratio <= 1:
        raise ValueError(f"freeze_ratio is {freeze_ratio}; allowed: 0 to 1")
    return round(freeze_ratio * depth)


def standard(position, depth):
    """Every layer learns at every step.

    Parameters
    ----------
    position : Position
        Ignored: the schedule does not change.
    depth : int
        Number of weight layers.

    Returns
    -------
    tuple of bool, length `depth`
    """
    return (True,) * depth


def alternating(position, depth, *, freeze_ratio, period, unit, first):
    """The bottom and the top group learn in turn, `period` units each.

    An empty group leaves the cycle, so a `freeze_ratio` of 0 or 1 is standard
    training.

    Parameters
    ----------
    position : Position
        The step that is about to be made.
    depth : int
        Number of weight layers.
    freeze_ratio : float
        Share of the layers in the bottom group, 0 to 1; see `split_index`.
    period : int
        Length of a phase in `unit`.
    unit : {'epoch', 'step'}
        What a phase is counted in.
    first : {'bottom', 'top'}
        The group that learns in the first phase.

    Returns
    -------
    tuple of bool, length `depth`
    """
    k = split_index(freeze_ratio, depth)
    if k in (0, depth):
        return standard(position, depth)
    elapsed = position.epoch
    if unit == "step":
        elapsed = position.epoch * position.steps_per_epoch + position.step
    bottom_learns = (elapsed // period % 2 == 0) == (first == "bottom")
    return (bottom_learns,) * k + (not bottom_learns,) * (depth - k)


STRATEGIES = {"standard": standard, "alternating": alternating}


def active_layers(strategy, position, depth):
    """Return which layers learn under a named strategy.

    Parameters
    ----------
    strategy : dict
        ``name``, a key of `STRATEGIES`, and that schedule's own parameters.
    position : Position
        The step that is about to be made.
    depth : int
        Number of weight layers.

    Returns
    -------
    tuple of bool, length `depth`
    """
    parameters = {key: value for key, value in strategy.items() if key != "name"}
    return STRATEGIES[strategy["name"]](position, depth, **parameters)
