"""Choose a strategy's learning rate on calibration seeds, by validation data alone."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from altfreeze.study.cell import Cell
from altfreeze.support.errors import InputError


def trial_of(learning_rate: float, seeds: int, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what a training at a learning rate says of it.

    Parameters
    ----------
    learning_rate : float
    seeds : int
        Number of seeds.
    rows : sequence of dict
        Records of the training, by epoch; see `altfreeze.training.trainer.train_pack`.

    Returns
    -------
    dict
        ``learning_rate``, ``seeds``, ``diverged`` (how many), ``validation_accuracy`` at
        the end (median over the seeds, where a diverged one counts with 0) and
        ``validation_loss`` (mean over the seeds that ended, None where none did).
    """
    last = rows[-seeds:]
    ended = [row for row in last if row["status"] == "ok"]
    accuracies = [row["validation_accuracy"] if row["status"] == "ok" else 0.0 for row in last]
    return {
        "learning_rate": learning_rate,
        "seeds": seeds,
        "diverged": seeds - len(ended),
        "validation_accuracy": float(np.median(accuracies)),
        "validation_loss": float(np.mean([row["validation_loss"] for row in ended])) if ended else None,
    }


def choose(trials: Sequence[dict[str, Any]]) -> float:
    """Return the learning rate of the best trial.

    Parameters
    ----------
    trials : sequence of dict
        See `trial_of`.

    Returns
    -------
    float
        That of the highest validation accuracy; among equals of the lowest validation
        loss, then the lowest learning rate.
    """

    def rank(trial: dict[str, Any]) -> tuple[float, float, float]:
        loss = trial["validation_loss"]
        return -trial["validation_accuracy"], math.inf if loss is None else loss, trial["learning_rate"]

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
