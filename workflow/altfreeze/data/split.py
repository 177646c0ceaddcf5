"""Split and standardise a data set, and order its batches; what decides the numbers of a training, NumPy only."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from altfreeze.support.randomness import stream_seed

VALIDATION_SHARE = 0.2
TEST_SHARE = 0.2
# where the test part is given: 60 to 20, as without
VALIDATION_OF_REST = 0.25


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
    return Split(*_spread(y, np.arange(len(y)), [VALIDATION_SHARE, TEST_SHARE], generator))


def _spread(
    y: np.ndarray, rows: np.ndarray, shares: Sequence[float], generator: np.random.Generator
) -> list[np.ndarray]:
    """Return rows in parts, each sorted, every class in these shares; what is left of it stands in the first one."""
    parts: list[list[np.ndarray]] = [[] for _ in (0, *shares)]
    for label in np.unique(y[rows]):
        drawn = generator.permutation(rows[y[rows] == label])
        counts = [round(share * len(drawn)) for share in shares]
        ends = len(drawn) - np.cumsum(counts[::-1])[::-1]
        for part, chosen in zip(parts, np.split(drawn, ends), strict=True):
            part.append(chosen)
    return [np.sort(np.concatenate(part)) for part in parts]


def split_of_seed(y: np.ndarray, study_seed: int, dataset: str, seed: int, part: np.ndarray | None = None) -> Split:
    """Return the split that a run with this key trains on.

    Parameters
    ----------
    y : ndarray of int, shape (rows,)
        Class of each row of the whole data set.
    study_seed, dataset, seed : int, str, int
        The run's key; neither depth nor strategy is part of it.
    part : ndarray of int8, shape (rows,), optional
        The split that the data set came with: place in `Split` of each row's part. Where none is of the validation
        part, a stratified quarter of the train part is drawn as that; without it, all is drawn.

    Returns
    -------
    Split
    """
    generator = np.random.default_rng(stream_seed(study_seed, dataset, seed, "split"))
    if part is None:
        return stratified_split(y, generator)
    split = Split(*(np.flatnonzero(part == place) for place in range(len(Split._fields))))
    if len(split.validation):
        return split
    train, validation = _spread(y, split.train, [VALIDATION_OF_REST], generator)
    return Split(train, validation, split.test)


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
