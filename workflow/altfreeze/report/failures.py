"""What a study lacks: runs that did not end well, by cell and by strategy."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import pandas as pd

from altfreeze.report.words import count
from altfreeze.study.grid import Study
from altfreeze.tables.schema import CELL, KEY

# what became of a run that the table runs calls ok
OK = "ok"
# most rows that the report lists of failed cells and of jobs done again; the tables runs and packs have all
LISTED = 200
# most job logs that it links of one of them
LOGS = 5


def failures(runs: pd.DataFrame, calibration: pd.DataFrame, epochs: pd.DataFrame, packs: pd.DataFrame) -> pd.DataFrame:
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
    every = pd.concat([runs, calibration.assign(strategy="standard")], ignore_index=True)
    # a cell of calibration is not that of the compared seeds
    cell = [*CELL, "calibrates"]
    every["calibrates"] = np.arange(len(every)) >= len(runs)
    sizes = every.groupby(cell).size()
    diverged = epochs[epochs["status"] == "diverged"].groupby(KEY)["epoch"].min()
    jobs = {key: _jobs(rows) for key, rows in packs.groupby(CELL)}
    failed = []
    for (*key, status), rows in every[every["status"] != OK].groupby([*cell, "status"], sort=False):
        seeds = sorted(rows["seed"])
        here = [job for job in jobs.get(tuple(key[:-1]), []) if any(job.first <= seed <= job.last for seed in seeds)]
        reasons = [job.reason for job in here if job.reason]
        if status == "diverged":
            reasons = _when(diverged.reindex(pd.MultiIndex.from_frame(rows[KEY])).dropna())
        failed.append(
            dict(zip(CELL, key, strict=False))
            | {"status": status, "reason": "; ".join(dict.fromkeys(reasons)), "seeds": seed_ranges(seeds)}
            | {"count": len(seeds), "runs": int(sizes[tuple(key)]), "logs": [job.log for job in here]}
        )
    return pd.DataFrame(failed, columns=[*CELL, "status", "reason", "seeds", "count", "runs", "logs"])


def retried(packs: pd.DataFrame) -> pd.DataFrame:
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


def by_strategy(runs: pd.DataFrame) -> pd.DataFrame:
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


def seed_ranges(seeds: Sequence[int]) -> str:
    """Return ascending seeds as text, neighbours as a range, for example ``0-3 7``."""
    ascending = np.asarray(seeds)
    parts = np.split(ascending, np.flatnonzero(np.diff(ascending) > 1) + 1)
    return " ".join(f"{part[0]}" if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts if len(part))


def failed_rows(study: Study, folder: Path, table: pd.DataFrame) -> dict[str, Any]:
    """Return what a page shows of failed runs.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    folder : pathlib.Path
        Where the page stands, which links to logs.
    table : pandas.DataFrame
        See `failures`.

    Returns
    -------
    dict
        ``rows``, the first `LISTED` of the table with a link to each of their first `LOGS` logs, and ``more``,
        what is not listed, in words.
    """
    rows = table.head(LISTED).to_dict("records")
    for row in rows:
        row["more_logs"] = len(row["logs"][LOGS:])
        row["logs"] = [_log_link(study, folder, log) for log in row["logs"][:LOGS]]
    rest = table["count"].iloc[LISTED:]
    more = f"{count(len(rest), 'more cell')} with {count(rest.sum(), 'run')}" if len(rest) else ""
    return {"rows": rows, "more": more}


def retried_rows(study: Study, folder: Path, packs: pd.DataFrame) -> dict[str, Any]:
    """Return what a page shows of jobs that were done again: ``rows``, the first `LISTED`, and how many ``more``."""
    table = retried(packs)
    rows = table.head(LISTED).to_dict("records")
    for row in rows:
        row["log"] = _log_link(study, folder, row["log"])
    return {"rows": rows, "more": len(table) - len(rows)}


def ended_rows(runs: pd.DataFrame) -> dict[str, Any] | None:
    """Return how the runs of each strategy ended, as text: ``statuses`` and ``rows``; None where all ended well."""
    table = by_strategy(runs)
    if table.shape[1] == 1:
        return None
    return {
        "statuses": list(table)[1:],
        "rows": [(row[0], [str(value) for value in row[1:]]) for row in table.itertuples()],
    }


def _log_link(study: Study, folder: Path, log: str) -> dict[str, str]:
    """Return a link to a log from a report in the study's results, or in a folder below them, or from a copy."""
    here, results = folder.resolve(), Path(study.results).resolve()
    base = results if here.is_relative_to(results) else here
    return {"href": quote(Path(os.path.relpath(base / log, here)).as_posix()), "text": log}


class _Job(NamedTuple):
    """The first and last seed of a pack, its log, and why its runs are missing."""

    first: int
    last: int
    log: str
    reason: str


def _jobs(packs: pd.DataFrame) -> list[_Job]:
    rows = zip(packs["seeds"], packs["log"], packs["reason"], strict=True)
    ends = [(seeds.split("-"), log, reason) for seeds, log, reason in rows]
    return [_Job(int(first), int(last), log, reason) for (first, last), log, reason in ends]


def _when(first: pd.Series) -> list[str]:
    """Say after which epochs losses were first not finite, if the table epochs knows."""
    ends = dict.fromkeys(f"{end:g}" for end in (first.min(), first.max()))
    return [] if first.empty else [f"the loss was not finite after epoch {' to '.join(ends)}"]
