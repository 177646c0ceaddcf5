"""Standard and alternating training, and the controls of their comparison."""

import functools
from collections.abc import Container

import numpy as np

from altfreeze.freezing.strategy import Count, Group, Position, Ratio, Unit, strategy


def split_index(freeze_ratio: float, depth: int) -> int:
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


def only(layers: Container[int], depth: int) -> tuple[float, ...]:
    """Return the factors with which the layers of a set learn and all others are frozen."""
    return tuple(float(layer in layers) for layer in range(depth))


def _phase(position: Position, period: int, unit: str) -> int:
    elapsed = position.epoch if unit == "epoch" else position.elapsed
    return elapsed // period


@functools.lru_cache(maxsize=4096)
def shuffled(seed: int, draw: int, count: int) -> tuple[int, ...]:
    """Return 0 .. count - 1 in the random order of one draw of a schedule's stream."""
    return tuple(np.random.default_rng([seed, draw]).permutation(count).tolist())


@strategy(state_on_thaw="keep")
def standard(position: Position, depth: int) -> tuple[float, ...]:
    """Every layer learns at every step.

    Parameters
    ----------
    position : Position
        Ignored: the schedule does not change.
    depth : int
        Number of weight layers.

    Returns
    -------
    tuple of float, length `depth`
    """
    return (1.0,) * depth


@strategy()
def alternating(
    position: Position, depth: int, *, freeze_ratio: Ratio, period: Count, unit: Unit, first: Group
) -> tuple[float, ...]:
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
    tuple of float, length `depth`
    """
    k = split_index(freeze_ratio, depth)
    if k in (0, depth):
        return standard(position, depth)
    bottom_learns = (_phase(position, period, unit) % 2 == 0) == (first == "bottom")
    return only(range(k) if bottom_learns else range(k, depth), depth)


@strategy(budget="half_updates", state_on_thaw="keep")
def standard_half_updates(position: Position, depth: int) -> tuple[float, ...]:
    """Control: standard training for half of alternating's steps.

    Each layer is then updated as often as under alternating, where every group learns
    for half of the steps (if its phases are equal and even in number): the null hypothesis
    is that freezing does nothing else.

    Parameters
    ----------
    position, depth
        See `standard`.

    Returns
    -------
    tuple of float, length `depth`
    """
    return standard(position, depth)


@strategy(budget="matched_flops", state_on_thaw="keep")
def standard_matched_flops(
    position: Position, depth: int, *, freeze_ratio: Ratio, period: Count, unit: Unit, first: Group
) -> tuple[float, ...]:
    """Control: standard training that stops at alternating's operations.

    It makes as many steps as fit into the operations of `alternating` with the same
    parameters, so that it lacks less than one step.

    Parameters
    ----------
    position, depth
        See `standard`.
    freeze_ratio, period, unit, first
        Those of the `alternating` whose operations are matched; the schedule itself does
        not read them.

    Returns
    -------
    tuple of float, length `depth`
    """
    return standard(position, depth)


@strategy(state_on_thaw="keep")
def frozen_bottom(position: Position, depth: int, *, freeze_ratio: Ratio) -> tuple[float, ...]:
    """Control: the bottom group keeps its initial weights, the top learns throughout.

    Parameters
    ----------
    position, depth
        See `standard`.
    freeze_ratio : float
        Share of the layers in the bottom group, 0 to 1. If either group is empty, this
        is standard training.

    Returns
    -------
    tuple of float, length `depth`
    """
    k = split_index(freeze_ratio, depth)
    return standard(position, depth) if k in (0, depth) else only(range(k, depth), depth)


@strategy(state_on_thaw="keep")
def frozen_top(position: Position, depth: int, *, freeze_ratio: Ratio) -> tuple[float, ...]:
    """Control: the top group keeps its initial weights, the bottom learns throughout.

    Parameters
    ----------
    position, depth, freeze_ratio
        See `frozen_bottom`.

    Returns
    -------
    tuple of float, length `depth`
    """
    k = split_index(freeze_ratio, depth)
    return standard(position, depth) if k in (0, depth) else only(range(k), depth)


@strategy()
def random_half(position: Position, depth: int, *, period: Count, unit: Unit) -> tuple[float, ...]:
    """Control: a random half of the layers learns, then the other half, then a new one.

    Each phase's half is uniformly random, and both phases of a pair together update
    every layer equally often, as under `alternating`: what differs is that the halves are
    no contiguous groups and do not stay the same.

    Parameters
    ----------
    position, depth
        See `alternating`.
    period : int
        Length of a phase in `unit`.
    unit : {'epoch', 'step'}
        What a phase is counted in.

    Returns
    -------
    tuple of float, length `depth`
    """
    pair, second = divmod(_phase(position, period, unit), 2)
    order = shuffled(position.seed, pair, depth)
    return only(order[depth // 2 :] if second else order[: depth // 2], depth)
