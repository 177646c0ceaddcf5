"""Split and standardise a data set, and order its batches; what decides the numbers of a training, NumPy only."""

from typing import NamedTuple

import numpy as np

from altfreeze.support.randomness import stream_seed

VALIDATION_SHARE = 0.2
TEST_SHARE = 0.2


class Split(NamedTuple):
    """Row numbers of the three parts, each sorted."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def stratified_split(y: np.ndarray, generator: np.random.Generator) -> Split:
    """Split rows 60/20/20 so that every class is spread in these shares.

    Of a class with n rows, round(0.2 n) go to validation, as many to test, the
    rest to train. The sizes of the parts thus depend on the classes alone, never
    on the draw.

    Parameters
    ----------
    y : ndarray of int, shape (rows,)
        Class of each row.
    generator : numpy.random.Generator
        Source of the draw.

    Returns
    -------
    Split
    """
    parts: tuple[list[np.ndarray], ...] = ([], [], [])
    for label in np.unique(y):
        rows = generator.permutation(np.flatnonzero(y == label))
        validation = round(VALIDATION_SHARE * len(rows))
        test = round(TEST_SHARE * len(rows))
        for part, chosen in zip(parts, np.split(rows, [len(rows) - validation - test, len(rows) - test]), strict=True):
            part.append(chosen)
    return Split(*(np.sort(np.concatenate(part)) for part in parts))


def split_of_seed(y: np.ndarray, study_seed: int, dataset: str, seed: int) -> Split:
    """Return the split that a run with this key trains on.

    Parameters
    ----------
    y : ndarray of int, shape (rows,)
        Class of each row of the whole data set.
    study_seed, dataset, seed : int, str, int
        The run's key; neither depth nor strategy is part of it.

    Returns
    -------
    Split
    """
    return stratified_split(y, np.random.default_rng(stream_seed(study_seed, dataset, seed, "split")))


def standardise(X: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Centre and scale every feature by its train part; missing values become 0.

    A missing value is imputed by the feature's mean over the train part, which is
    0 after centring. A feature that does not vary in the train part is only
    centred; one that is missing in all of it becomes 0.

    Parameters
    ----------
    X : ndarray of float64, shape (rows, features)
        Raw features; NaN where missing.
    train : ndarray of int
        Row numbers of the train part.

    Returns
    -------
    ndarray of float32, shape (rows, features)
    """
    present = ~np.isnan(X[train])
    count = np.maximum(present.sum(axis=0), 1)
    mean = np.where(present, X[train], 0).sum(axis=0) / count
    scale = np.sqrt(np.where(present, (X[train] - mean) ** 2, 0).sum(axis=0) / count)
    scale[scale == 0] = 1
    known = present.any(axis=0)
    return np.where(np.isnan(X) | ~known, 0, (X - mean) / scale).astype(np.float32)


def batch_order(study_seed: int, dataset: str, seed: int, epoch: int, rows: int) -> np.ndarray:
    """Return the order in which an epoch visits the train part.

    Batch b of size B holds the rows ``split.train[order[b * B : (b + 1) * B]]``; the
    last batch may be smaller.

    Parameters
    ----------
    study_seed, dataset, seed : int, str, int
        The run's key; neither depth nor strategy is part of it.
    epoch : int
        Counted from 0.
    rows : int
        Rows in the train part.

    Returns
    -------
    ndarray of int64, shape (rows,)
        A permutation of 0 .. rows - 1.
    """
    key = stream_seed(study_seed, dataset, seed, "batch order")
    return np.random.default_rng([key, epoch]).permutation(rows)
