"""What a study lacks: runs that did not end well, by cell and by strategy."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from altfreeze.tables.schema import CELL, KEY

# what became of a run that the table runs calls ok
OK = "ok"


def failures(runs, calibration, epochs, packs):
    """Return every run whose status is not ok, one row for each cell, status and reason.

    Parameters
    ----------
    runs, calibration, epochs, packs : pandas.DataFrame
        The tables of these names.

    Returns
    -------
    pandas.DataFrame
        The columns of a cell, then ``status``, ``reason``, ``seeds`` (text, for example ``0-3 7``), ``count``, ``runs``
        (of the cell, those that ended well among them) and ``logs`` (list of str, as in packs). Runs of calibration are
        cells of standard training at the seeds of calibration.
    """
    every = pd.concat([runs, calibration.assign(strategy="standard", recipe="configured")], ignore_index=True)
    # a cell of calibration is not that of the compared seeds
    cell = [*CELL, "calibrates"]
    every["calibrates"] = np.arange(len(every)) >= len(runs)
    sizes = every.groupby(cell).size()
    diverged = epochs[epochs["status"] == "diverged"].groupby(KEY)["epoch"].min()
    jobs = {key: _jobs(rows) for key, rows in packs.groupby(CELL)}
    found = []
    for (*key, status), rows in every[every["status"] != OK].groupby([*cell, "status"], sort=False):
        seeds = sorted(rows["seed"])
        here = [job for job in jobs.get(tuple(key[:-1]), []) if any(job.first <= seed <= job.last for seed in seeds)]
        reasons = [job.reason for job in here if job.reason]
        if status == "diverged":
            reasons = _when(diverged.reindex(pd.MultiIndex.from_frame(rows[KEY])).dropna())
        found.append(
            dict(zip(CELL, key, strict=False))
            | {"status": status, "reason": "; ".join(dict.fromkeys(reasons)), "seeds": seed_ranges(seeds)}
            | {"count": len(seeds), "runs": int(sizes[tuple(key)]), "logs": [job.log for job in here]}
        )
    return pd.DataFrame(found, columns=[*CELL, "status", "reason", "seeds", "count", "runs", "logs"])


def retried(packs):
    """Return the packs whose job did not succeed at once.

    Parameters
    ----------
    packs : pandas.DataFrame
        The table packs.

    Returns
    -------
    pandas.DataFrame
        Its rows of an attempt after the first, or that went on from a checkpoint.
    """
    return packs[(packs["attempt"] > 1) | (packs["resumed_at_epochs"] != "")]


def by_strategy(runs):
    """Return how many runs of each strategy ended how.

    Parameters
    ----------
    runs : pandas.DataFrame
        The table runs.

    Returns
    -------
    pandas.DataFrame
        One row for each strategy, in the order of `runs`: ``runs``, and a column for each status but ok.
    """
    counts = runs.groupby(["strategy", "status"], sort=False).size().unstack(fill_value=0)
    counts = counts.reindex(runs["strategy"].unique())
    return counts.assign(runs=counts.sum(axis=1))[["runs", *(name for name in counts if name != OK)]]


def seed_ranges(seeds):
    """Return ascending seeds as text, neighbours as a range, for example ``0-3 7``."""
    seeds = np.asarray(seeds)
    parts = np.split(seeds, np.flatnonzero(np.diff(seeds) > 1) + 1)
    return " ".join(f"{part[0]}" if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts if len(part))


class _Job(NamedTuple):
    """The first and last seed of a pack, its log, and why its runs are missing."""

    first: int
    last: int
    log: str
    reason: str


def _jobs(packs):
    return [
        _Job(*map(int, seeds.split("-")), log, reason)
        for seeds, log, reason in zip(packs["seeds"], packs["log"], packs["reason"], strict=True)
    ]


def _when(first):
    """Say after which epochs losses were first not finite, if the table epochs knows."""
    ends = dict.fromkeys(f"{end:g}" for end in (first.min(), first.max()))
    return [] if first.empty else [f"the loss was not finite after epoch {' to '.join(ends)}"]
