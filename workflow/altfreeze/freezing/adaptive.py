"""Schedules that decide by what was observed of the training so far, and what deciding costs."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from altfreeze.freezing.cost import Layer
from altfreeze.freezing.plan import OBSERVE, Work, Workload, is_cached, layer_ranges
from altfreeze.freezing.schedules import only
from altfreeze.freezing.strategy import STRATEGIES, Count, History, Position, Ratio, strategy


def is_adaptive(chosen: dict[str, Any]) -> bool:
    """Return whether a strategy's plan is decided while it trains."""
    return STRATEGIES[chosen["name"]].adaptive


def written_down(active: Sequence[Sequence[bool]]) -> dict[str, Any]:
    """Return what was decided as a strategy that can be trained again: `altfreeze.freezing.written.phases`.

    Parameters
    ----------
    active : sequence of sequence of bool
        Which layers learned in each epoch.

    Returns
    -------
    dict
    """
    runs = [(layer_ranges(layers), len(list(epochs))) for layers, epochs in itertools.groupby(map(tuple, active))]
    phases = [{"layers": layers, "for": float(epochs)} for layers, epochs in runs]
    return {"name": "phases", "phases": phases, "unit": "epoch", "repeat": False}


def possible_work(workload: Workload, cache: bool) -> set[Work]:
    """Return the kinds of work that an adaptive strategy may decide on.

    The last layer learns, and what is frozen stays so for two epochs or more; see `altfreeze.training.stacks.decide`.

    Parameters
    ----------
    workload : altfreeze.freezing.plan.Workload
    cache : bool
        Whether the output of frozen lowest layers may be computed once and read.

    Returns
    -------
    set of altfreeze.freezing.plan.Work
    """
    depth, kinds = workload.depth, {OBSERVE}
    held = [layers for layers in range(depth) if layers == 0 or (cache and is_cached(layers, workload))]
    for lowest in range(1, depth + 1):
        cached = lowest - 1 if lowest - 1 in held else 0
        # of the inner layers from the lowest one on that learns, which does, any others may
        most = depth - max(lowest, 2)
        for inner, rows in itertools.product(range(lowest not in (1, depth), most + 1), set(workload.batches)):
            kinds.add(Work("step", lowest, int(lowest == 1), inner, 1, cached, rows))
    kinds |= {Work("epoch", 0, 0, 0, 0, layers, workload.rows) for layers in held}
    fills = itertools.combinations(held, 2)
    return kinds | {Work("fill", start + 1, 0, 0, 0, stop, workload.rows) for start, stop in fills}


def deciding_flops(layers: Sequence[Layer], active: Sequence[bool]) -> int:
    """Return the operations of observing one network for an epoch.

    Parameters
    ----------
    layers : sequence of altfreeze.freezing.cost.Layer, length depth
    active : sequence of bool, length depth
        Which layers learned.

    Returns
    -------
    int
        Of each parameter that learned, a difference, and a multiplication and an addition for each of two norms.
    """
    return 5 * sum(layer.parameters for layer, learns in zip(layers, active, strict=True) if learns)


@strategy(state_on_thaw="keep", adaptive=True)
def grades(
    position: Position, depth: int, history: History, *, threshold: Ratio = 0.3, grace: Ratio = 0.25
) -> tuple[float, ...]:
    """A layer freezes for good when its gradient's norm falls below a share of its largest: GradES.

    Parameters
    ----------
    position, depth
        See `alternating`.
    history : altfreeze.freezing.strategy.History
        Of the epochs so far.
    threshold : float
        Share of the largest norm so far, 0 to 1.
    grace : float
        Share of the training before any layer may freeze, 0 to 1.

    Returns
    -------
    tuple of float, length `depth`

    Notes
    -----
    Source: Wen et al. (2025), GradES, https://arxiv.org/abs/2509.01842: a weight matrix is frozen once the magnitude
    of its gradient (in a later version, of the gradient's change) is below a threshold after a grace period. Abstracts
    were read, no code. Adapted: a layer with its bias takes the place of a matrix; the norm is the Euclidean one of an
    epoch's last step; the threshold is relative, as an absolute one would have to be tuned for each data set, and to
    the largest norm, as a pretrained network begins with that and one that is not with vanishing gradients; layers
    freeze between epochs; the last one always learns, while theirs ends training when all are frozen. Calibration's
    seeds decide for all runs of a cell, see `altfreeze.training.stacks.decide`. Nothing of theirs is known to be wrong.
    """
    norms = np.array(history.gradients).reshape(-1, depth)
    # an epoch counts if the grace is over at its end
    counts = np.arange(1, len(norms) + 1) * position.steps_per_epoch >= grace * position.horizon
    low = np.less(norms, threshold * np.fmax.accumulate(norms, axis=0))[counts].any(axis=0)
    return only([layer for layer in range(depth) if not low[layer] or layer == depth - 1], depth)


@strategy(state_on_thaw="keep", adaptive=True)
def autofreeze(
    position: Position, depth: int, history: History, *, interval: Count = 2, quantile: Ratio = 0.5
) -> tuple[float, ...]:
    """The lowest layers freeze for good while what they learn changes least from interval to interval: AutoFreeze.

    Parameters
    ----------
    position, depth
        See `alternating`.
    history : altfreeze.freezing.strategy.History
        Of the epochs so far.
    interval : int
        Epochs between two decisions.
    quantile : float
        Of the layers' rates of change; below the first layer that reaches it, all freeze. 0 to 1.

    Returns
    -------
    tuple of float, length `depth`

    Notes
    -----
    Let c_l be the norm of what an interval's epochs added to layer l, summed over them, and c'_l that of the interval
    before. Its rate of change is |c'_l - c_l| / c'_l. After each interval but the first, the lowest layer that learns
    is the first one whose rate is at least the quantile of those that learn; the last layer always learns and counts
    in no quantile.

    Source: Liu, Agarwal and Venkataraman (2021), https://arxiv.org/abs/2102.01386; rule and defaults of
    https://github.com/YuhanLiu11/AutoFreeze (freeze_intermediate_e2e_lr.py, percentile 50). Adapted: updates take the
    place of the gradients that they accumulate, Euclidean norms that of 1-norms, and an interval is counted in epochs.
    Not copied: the code makes a new model and a new optimizer at each decision that leaves any layer frozen, so
    that all momenta are lost each time; it compares the rates of all layers, frozen ones included, so that where the
    quantile is 0 they thaw; and it adds up gradients that are accumulated already, twice, where
    gradient_accumulation_steps is above 1.
    """
    changes = np.array(history.changes).reshape(-1, depth)
    whole = len(changes) // interval
    added = changes[: whole * interval].reshape(whole, interval, depth).sum(axis=1)
    lowest = 0
    for before, after in itertools.pairwise(added):
        rates = np.abs(before - after)[lowest:-1] / before[lowest:-1]
        # where one who decides diverged, no rate is known
        if len(rates) and (rates >= np.quantile(rates, quantile)).any():
            lowest += int(np.argmax(rates >= np.quantile(rates, quantile)))
    return only(range(lowest, depth), depth)
