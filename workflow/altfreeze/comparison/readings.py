"""Two cells read at a budget: the values of their runs that a comparison pairs by seed."""

import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from altfreeze.study.grid import Study
from altfreeze.support.errors import InputError
from altfreeze.support.randomness import stream_seed
from altfreeze.tables.schema import CELL, ROUNDING, read_categories
from altfreeze.vocabulary import BUDGETS, CLOCKS, MEASURES

# what is read of the tables runs and epochs, beside the cell
RUN_COLUMNS = ("seed", "status", "epochs", "best_epoch", *(measure.column for measure in MEASURES.values()))
EPOCH_COLUMNS = ("seed", *(clock.column for clock in CLOCKS.values()))


def resampling_seed(study_seed: int, dataset: str) -> int:
    """Return the seed of the resamples of a data set's pairs, which all of its comparisons share.

    Parameters
    ----------
    study_seed : int
    dataset : str

    Returns
    -------
    int
        See `altfreeze.statistics.resample_counts`.
    """
    return stream_seed(study_seed, dataset, "bootstrap")


class CellRuns(NamedTuple):
    """The runs of a cell, by seed.

    Attributes
    ----------
    runs : dict of str to ndarray, shape (runs,)
        Columns of the table runs.
    clocks : dict of str to ndarray, shape (epochs,)
        By the name of the clock, what every run has spent after each of its epochs; of no epoch where all are missing.
    scores : ndarray, shape (runs, epochs)
        In the study's metric on the test part; NaN of a missing run.
    """

    runs: dict[str, np.ndarray]
    clocks: dict[str, np.ndarray]
    scores: np.ndarray


class Reading(NamedTuple):
    """Two cells at a budget: what is read of their runs, paired by seed, and how many runs there are.

    Attributes
    ----------
    reference, strategy : ndarray, shape (pairs,)
        Values of the metric.
    read_reference, read_strategy : ndarray, shape (pairs,)
        Share of its epochs after which a run was read.
    seeds : ndarray of int, shape (pairs,)
    runs : int
        Seeds of each cell, those included that give no pair.
    diverged_reference, diverged_strategy, missing_reference, missing_strategy : int
        Runs of that status.
    lower_is_better : bool
        Of a metric, not of a cost.
    """

    reference: np.ndarray
    strategy: np.ndarray
    read_reference: np.ndarray
    read_strategy: np.ndarray
    seeds: np.ndarray
    runs: int
    diverged_reference: int
    diverged_strategy: int
    missing_reference: int
    missing_strategy: int
    lower_is_better: bool = False

    @property
    def sides(self) -> tuple[np.ndarray, np.ndarray]:
        """The values whose difference, second minus first, is positive where the strategy is better.

        Of a cost it is positive where the strategy's is higher.
        """
        return (self.strategy, self.reference) if self.lower_is_better else (self.reference, self.strategy)

    @property
    def differences(self) -> np.ndarray:
        """That of the sides, shape (pairs,)."""
        first, second = self.sides
        return second - first


def read_cells(study: Study, tables: Path, runs: pd.DataFrame) -> dict[tuple, CellRuns]:
    """Return the runs of every cell of a study, by data set, depth, strategy and recipe.

    Parameters
    ----------
    study : Study
    tables : Path
        Folder that holds ``epochs.parquet``.
    runs : DataFrame
        The table runs.

    Returns
    -------
    dict of tuple to CellRuns

    Raises
    ------
    InputError
        With one line, if the tables lack a run of the study or a part of one.
    """
    epochs = _in_order(read_categories(tables / "epochs.parquet", "epochs", [*CELL, *EPOCH_COLUMNS, study.metric.test]))
    numbers = {name: epochs[name].to_numpy() for name in EPOCH_COLUMNS}
    numbers["scores"] = epochs[study.metric.test].to_numpy()
    places = _places(epochs)
    frames = dict(iter(runs.sort_values("seed").groupby(CELL)))
    for key in study.cells:
        if key not in frames:
            raise InputError(f"{tables / 'runs.csv'}: no run of {' '.join(map(str, key))}; run snakemake again")
    cells = {}
    for key in study.cells:
        rows = {name: values[places[key]] for name, values in numbers.items()} if key in places else None
        cells[key] = _cell_runs(tables, key, np.array(study.seeds_of(key[3])), frames[key], rows)
    return cells


def _in_order(epochs: pd.DataFrame) -> pd.DataFrame:
    """Return the table epochs by cell, seed and epoch, its cells numbered in the column cell."""
    cell = np.zeros(len(epochs), np.int64)
    for name in CELL:
        codes, values = pd.factorize(epochs[name])
        cell = cell * len(values) + codes
    cell = pd.factorize(cell)[0]
    keys = [cell, epochs["seed"].to_numpy(), epochs["epoch"].to_numpy()]
    order = np.lexsort(keys[::-1])
    epochs = epochs.assign(cell=cell)
    return epochs if (order[1:] > order[:-1]).all() else epochs.iloc[order]


def _places(epochs: pd.DataFrame) -> dict[tuple, slice]:
    """Return which rows of the table epochs, as `_in_order` returns it, are those of each cell."""
    starts = np.flatnonzero(np.diff(epochs["cell"], prepend=-1))
    keys = epochs[CELL].iloc[starts].itertuples(index=False, name=None)
    edges = itertools.pairwise([*starts, len(epochs)])
    return {tuple(key): slice(*edge) for key, edge in zip(keys, edges, strict=True)}


def _cell_runs(
    tables: Path, key: tuple, seeds: np.ndarray, frame: pd.DataFrame, rows: dict[str, np.ndarray] | None
) -> CellRuns:
    """Return the runs of a cell from its rows of the tables runs and epochs, which must be those of the seeds."""
    name = " ".join(map(str, key))
    runs = {column: frame[column].to_numpy() for column in RUN_COLUMNS}
    whole = np.array_equal(runs["seed"], seeds)
    there = seeds[runs["status"] != "missing"] if whole else seeds
    if len(there) and rows is None:
        raise InputError(f"{tables / 'epochs.parquet'}: no run of {name}; run snakemake again")
    rows = rows or dict.fromkeys((*EPOCH_COLUMNS, "scores"), np.empty(0))
    # all seeds of a cell follow one plan, so that their clocks are the same
    first = rows["seed"] == there[0] if len(there) else np.empty(0, bool)
    if not whole or not np.array_equal(rows["seed"], np.repeat(there, first.sum())):
        raise InputError(f"{tables}: the seeds of {name} are not {seeds[0]} to {seeds[-1]}, each whole")
    scores = np.full((len(seeds), first.sum()), np.nan)
    scores[np.isin(seeds, there)] = rows["scores"].reshape(len(there), -1) if len(there) else np.nan
    return CellRuns(runs, {clock.name: rows[clock.column][first] for clock in CLOCKS.values()}, scores)


def rows_at_common_end(*clocks: np.ndarray) -> list[int]:
    """Return where strategies are read so that none has spent more than the least of their ends.

    Parameters
    ----------
    *clocks : ndarray, shape (epochs,)
        What each strategy has spent after each of its epochs, increasing.

    Returns
    -------
    list of int
        Of each strategy the last row that does not exceed the smallest of the last values,
        and -1 where none does, or where what was spent is not known. Values that differ by less
        than the digits of the logs are the same.
    """
    ends = [clock[-1] if len(clock) else np.nan for clock in clocks]
    if np.isnan(ends).any():
        return [-1] * len(ends)
    end = min(ends) * (1 + ROUNDING)
    return [int(np.searchsorted(clock, end, side="right")) - 1 for clock in clocks]


def read_pair(reference: CellRuns, strategy: CellRuns, budget: str, metric: str) -> Reading:
    """Read the runs of two cells at a budget.

    Parameters
    ----------
    reference, strategy : CellRuns
        Of the same seeds.
    budget, metric : str
        See `altfreeze.vocabulary`; at an equal budget, it is the study's metric at the epoch that is read.

    Returns
    -------
    Reading
        Of the seeds of which both runs ended and, at the budget, have made an epoch.
    """
    cells, clock, measure = (reference, strategy), BUDGETS[budget].clock, MEASURES[metric]
    usable = np.all([cell.runs["status"] == "ok" for cell in cells], axis=0)
    unknown = np.full(len(usable), np.nan)
    if clock is None:
        rows = [-1, -1]
        values = [cell.runs[measure.column] for cell in cells]
    else:
        rows = rows_at_common_end(*(cell.clocks[clock.name] for cell in cells))
        usable &= min(rows) >= 0
        values = [cell.scores[:, row] if cell.scores.size else unknown for cell, row in zip(cells, rows, strict=True)]
    if measure.is_ratio:
        # of runs that are not used, nothing may have been spent
        values = [np.ones(len(usable)), np.divide(values[1], values[0], out=unknown.copy(), where=usable)]
        # without timing there are no reference seconds
        usable &= np.isfinite(values[1])
    if measure.metric and metric == measure.metric.best:
        shares = [cell.runs["best_epoch"] / cell.runs["epochs"] for cell in cells]
    else:
        made = [cell.clocks["epoch"] for cell in cells]
        shares = [
            np.full(len(usable), epochs[row] / epochs[-1]) if len(epochs) else unknown
            for epochs, row in zip(made, rows, strict=True)
        ]
    diverged, missing = (
        [int((cell.runs["status"] == status).sum()) for cell in cells] for status in ("diverged", "missing")
    )
    return Reading(
        reference=values[0][usable],
        strategy=values[1][usable],
        read_reference=shares[0][usable],
        read_strategy=shares[1][usable],
        seeds=reference.runs["seed"][usable],
        runs=len(usable),
        diverged_reference=diverged[0],
        diverged_strategy=diverged[1],
        missing_reference=missing[0],
        missing_strategy=missing[1],
        lower_is_better=measure.metric is not None and measure.metric.lower_is_better,
    )
