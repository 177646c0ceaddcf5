"""Choose a strategy's learning rate on calibration seeds, by validation data alone."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from altfreeze.study.cell import Cell
from altfreeze.study.grid import Study, tuning_file
from altfreeze.support.errors import InputError
from altfreeze.vocabulary import Metric


def trial_of(learning_rate: float, seeds: int, rows: Sequence[dict[str, Any]], metric: Metric) -> dict[str, Any]:
    """Return what a training at a learning rate says of it.

    Parameters
    ----------
    learning_rate : float
    seeds : int
        Number of seeds.
    rows : sequence of dict
        Records of the training, by epoch; see `altfreeze.training.trainer.train_pack`.
    metric : altfreeze.vocabulary.Metric
        That of the study.

    Returns
    -------
    dict
        ``learning_rate``, ``seeds``, ``diverged`` (how many), ``validation_accuracy`` at
        the end (median over the seeds, where a diverged one counts with 0),
        ``validation_loss`` (mean over the seeds that ended, None where none did) and
        ``median`` (of the metric on validation data, where a diverged seed counts with 0 or,
        where lower is better, is the worst; None where that is the median).
    """
    last = rows[-seeds:]
    ended = [row for row in last if row["status"] == "ok"]

    def median(column: str, diverged: float) -> float:
        return float(np.median([row[column] if row["status"] == "ok" else diverged for row in last]))

    middle = median(metric.validation, math.inf if metric.lower_is_better else 0.0)
    return {
        "learning_rate": learning_rate,
        "seeds": seeds,
        "diverged": seeds - len(ended),
        "validation_accuracy": median("validation_accuracy", 0.0),
        "validation_loss": float(np.mean([row["validation_loss"] for row in ended])) if ended else None,
        "median": middle if math.isfinite(middle) else None,
    }


def choose(trials: Sequence[dict[str, Any]], metric: Metric) -> float:
    """Return the learning rate of the best trial.

    Parameters
    ----------
    trials : sequence of dict
        See `trial_of`.
    metric : altfreeze.vocabulary.Metric
        That of the study.

    Returns
    -------
    float
        That of the best median; among equals of the lowest validation
        loss, then the lowest learning rate.
    """

    def rank(trial: dict[str, Any]) -> tuple[float, float, float]:
        middle, loss = (math.inf if value is None else value for value in (trial["median"], trial["validation_loss"]))
        return middle if metric.lower_is_better else -middle, loss, trial["learning_rate"]

    return min(trials, key=rank)["learning_rate"]


def read_learning_rate(path: str | Path, cell: Cell) -> float:
    """Return the learning rate that was chosen for a cell.

    Parameters
    ----------
    path : path
        What `altfreeze.training.job.run_tuning` wrote.
    cell : altfreeze.study.cell.Cell
        Without a learning rate.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If the file cannot be read or belongs to another cell.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        tuned, rate = record["cell"], record["learning_rate"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the record of a tuning: {type(error).__name__}: {error}") from None
    if tuned != cell.as_dict():
        raise InputError(f"{path}: was tuned for another cell; delete it and run snakemake again")
    if not (type(rate) in (int, float) and 0 < rate < math.inf):
        raise InputError(
            f"{path}: learning_rate is {rate!r}; a number > 0 is allowed; delete it and run snakemake again"
        )
    return rate


def tuned_cell(study: Study, results: Path, where: tuple[str, int, str, str]) -> Cell:
    """Return a cell of a study at its learning rate, which a tuning has chosen or its recipe says.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    results : path
        Its folder of results.
    where : tuple of str, int, str, str
        Data set, depth, label of the strategy, and recipe.

    Raises
    ------
    InputError
        See `read_learning_rate`.
    """
    cell, tuned_by = study.cell(*where), study.tuned_by(where[3])
    if tuned_by is None:
        return cell
    tuned = (*where[:3], tuned_by)
    return cell.at(read_learning_rate(results / tuning_file(tuned), study.cell(*tuned)))
