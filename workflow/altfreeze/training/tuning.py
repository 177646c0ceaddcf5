"""Choose a strategy's learning rate on calibration seeds, by validation data alone."""

import json
import math
import sys
from pathlib import Path

import numpy as np

from altfreeze.data.dataset import read_dataset
from altfreeze.support.errors import InputError
from altfreeze.support.files import sha256_of_file, write_json


def choose(trials):
    """Return the learning rate of the best trial.

    Parameters
    ----------
    trials : sequence of dict
        Each with ``learning_rate``, ``validation_accuracy`` (median over the seeds) and
        ``validation_loss`` (mean over the seeds that ended, None where none did).

    Returns
    -------
    float
        That of the highest validation accuracy; among equals of the lowest validation
        loss, then the lowest learning rate.
    """

    def rank(trial):
        loss = trial["validation_loss"]
        return -trial["validation_accuracy"], math.inf if loss is None else loss, trial["learning_rate"]

    return min(trials, key=rank)["learning_rate"]


def run(data_path, cell, learning_rates, seeds, device, threads, output, memory=None):
    """Train a cell at each learning rate and write the trials and the choice as JSON.

    A diverged run counts with a validation accuracy of 0.

    Parameters
    ----------
    data_path : path
        The npz of the data set; see `altfreeze.data.dataset.save_dataset`.
    cell : altfreeze.study.cell.Cell
        its learning rate is the configured one.
    learning_rates : sequence of float
    seeds : sequence of int
        Seeds of calibration.
    device : {'auto', 'cpu', 'cuda'}
    threads : int
    output : path
    memory : int, optional
        MiB of the host's memory that this process may take in all.

    Raises
    ------
    InputError
        If the device is not there or the data cannot be read.
    """
    # whoever only reads a choice needs no torch
    from altfreeze.training.trainer import prepare, train_seeds

    device = prepare(device, threads)
    X, y = read_dataset(data_path)
    trials = []
    for rate in learning_rates:
        tried = cell.at(rate)
        trained = train_seeds(X, y, tried, seeds, device, memory and memory * 2**20)
        last = trained.rows[-len(seeds) :]
        ended = [row for row in last if row["status"] == "ok"]
        accuracies = [row["validation_accuracy"] if row["status"] == "ok" else 0.0 for row in last]
        trials.append(
            {
                "learning_rate": rate,
                "seeds": len(seeds),
                "diverged": len(trained.diverged),
                "validation_accuracy": float(np.median(accuracies)),
                "validation_loss": float(np.mean([row["validation_loss"] for row in ended])) if ended else None,
            }
        )
        print(
            f"learning rate {rate:g}: median validation accuracy {trials[-1]['validation_accuracy']:.3f}, "
            f"{len(ended)} of {len(seeds)} seeds ok",
            file=sys.stderr,
        )
    write_json(
        output,
        {
            "cell": cell.as_dict(),
            "data_sha256": sha256_of_file(data_path),
            "learning_rate": choose(trials),
            "trials": trials,
        },
    )


def read_learning_rate(path, cell):
    """Return the learning rate that was chosen for a cell.

    Parameters
    ----------
    path : path
        What `run` wrote.
    cell : dict
        The cell at the configured learning rate.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If the file cannot be read or belongs to another cell.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        of, rate = found["cell"], found["learning_rate"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the record of a tuning: {type(error).__name__}: {error}") from None
    if of != cell.as_dict():
        raise InputError(f"{path}: was tuned for another cell; delete it and run snakemake again")
    if not (type(rate) in (int, float) and 0 < rate < math.inf):
        raise InputError(
            f"{path}: learning_rate is {rate!r}; a number > 0 is allowed; delete it and run snakemake again"
        )
    return rate
