"""Reference seconds: what a whole plan takes on a quiet machine, from the times of its kinds of work.

Pure; needs no torch, which only measuring does (`altfreeze.training.timing`).
"""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from altfreeze.freezing.adaptive import deciding_flops
from altfreeze.freezing.plan import OBSERVE, Epoch, Work, Workload, plan_work
from altfreeze.statistics import median_interval
from altfreeze.study.grid import Study
from altfreeze.support.errors import InputError

SPEEDUP_COLUMNS = ("dataset", "depth", "strategy", "rounds", "measured", "low", "high", "closed_form")


def _total(counts: Mapping[Work, int], seconds: Mapping[Work, Any]) -> Any:
    """Return the seconds of some work, number or array, as the seconds of each kind are."""
    for work in counts:
        if work not in seconds:
            where = ", ".join(f"{name} {value}" for name, value in work._asdict().items())
            raise InputError(f"timing: no seconds of {where}; delete timing.csv and run snakemake again")
    return sum(count * seconds[work] for work, count in counts.items())


def _seconds_by_round(frame: pd.DataFrame) -> dict[tuple[str, int], dict[Work, np.ndarray]]:
    """Return {(dataset, depth): {Work: seconds in each round, shape (rounds,)}}."""
    by_place = {}
    for key, rows in frame.groupby(["dataset", "depth"]):
        table = rows.pivot(index=list(Work._fields), columns="round", values="seconds")
        by_place[key] = {Work(*index): seconds for index, seconds in zip(table.index, table.to_numpy(), strict=True)}
    return by_place


def median_seconds(timing: pd.DataFrame) -> dict[tuple[str, int], dict[Work, float]]:
    """Return the seconds of each kind of work, the median over the rounds.

    Parameters
    ----------
    timing : pandas.DataFrame
        With the columns `altfreeze.training.timing.COLUMNS`.

    Returns
    -------
    dict of (str, int) to dict of altfreeze.freezing.plan.Work to float
        By data set and depth.
    """
    return {
        key: {work: float(np.median(seconds)) for work, seconds in kinds.items()}
        for key, kinds in _seconds_by_round(timing).items()
    }


def reference_seconds(
    epochs: Sequence[Epoch], workload: Workload, seconds: Mapping[Work, float], observed: bool = False
) -> list[float]:
    """Return the seconds of a run, cumulative, as its plan and the times of its work give them.

    They are those of its steps, fills and starts of epochs; the moments in which layers
    are frozen and thawed are left out.

    Parameters
    ----------
    epochs : list of altfreeze.freezing.plan.Epoch
        See `altfreeze.freezing.plan.plan`.
    workload : altfreeze.freezing.plan.Workload
    seconds : dict of altfreeze.freezing.plan.Work to float
        See `median_seconds`.
    observed : bool
        Whether each epoch is observed at its end, as an adaptive strategy does.

    Returns
    -------
    list of float, length of `epochs`
        Seconds of training of one network after each epoch.

    Raises
    ------
    InputError
        If a kind of work has no seconds.
    """
    observing = Counter({OBSERVE: int(observed)})
    return list(itertools.accumulate(_total(epoch.work(workload) + observing, seconds) for epoch in epochs))


def speedups(
    study: Study,
    timing: pd.DataFrame,
    workloads: Mapping[tuple[str, int], Workload],
    decided: Mapping[tuple[str, int, str], dict[str, Any]] | None = None,
) -> pd.DataFrame:
    """Return how much faster than standard training a step of each other strategy is.

    Speed is that of a strategy's whole plan: the seconds of all its work over the
    number of its steps. Both sides of a ratio come from the same round, so that what
    slows a whole round down cancels. The interval is that of the median of the rounds'
    ratios; see `altfreeze.statistics.median_interval`.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    timing : pandas.DataFrame
        With the columns `altfreeze.training.timing.COLUMNS`.
    workloads : dict of (str, int) to altfreeze.freezing.plan.Workload
        By data set and depth: what is looked at, in this order.
    decided : dict of (str, int, str) to dict, optional
        By data set, depth and label, what an adaptive strategy decided. One that did not is left out.

    Returns
    -------
    pandas.DataFrame
        With the columns `SPEEDUP_COLUMNS`. ``measured``: median over the rounds of
        standard training's seconds per step over the strategy's, with the ends ``low``
        and ``high`` of its interval; ``closed_form``: the same ratio of operations.

    Raises
    ------
    InputError
        If a kind of work has no seconds.
    """
    by_round = _seconds_by_round(timing)
    rows = []
    for (dataset, depth), workload in workloads.items():
        seconds, flops = {}, {}
        for strategy in study.strategies:
            cell, found = study.cell(dataset, depth, strategy), (decided or {}).get((dataset, depth, strategy))
            if found is None and strategy not in study.planned:
                continue
            epochs = (cell.following(found) if found else cell).plan(workload)
            steps = sum(len(epoch.steps) for epoch in epochs)
            observed = epochs if found else []
            work = plan_work(epochs, workload) + Counter({OBSERVE: len(observed)})
            seconds[strategy] = _total(work, by_round.get((dataset, depth), {})) / steps
            deciding = sum(deciding_flops(workload.layers, epoch.steps[0].active) for epoch in observed)
            flops[strategy] = (sum(epoch.flops(workload) for epoch in epochs) + deciding) / steps
        for strategy in list(seconds)[1:]:
            ratios = seconds["standard"] / seconds[strategy]
            closed_form = flops["standard"] / flops[strategy]
            rows.append((dataset, depth, strategy, len(ratios), *median_interval(ratios), closed_form))
    return pd.DataFrame(rows, columns=SPEEDUP_COLUMNS)
