"""Read, split and standardise a stored data set, and order its batches; NumPy only."""

import zipfile
import zlib
from typing import NamedTuple

import numpy as np

from altfreeze.support.errors import InputError
from altfreeze.support.randomness import stream_seed

VALIDATION_SHARE = 0.2
TEST_SHARE = 0.2


class Split(NamedTuple):
    """Row numbers of the three parts, each sorted."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def read_dataset(path):
    """Return the features and classes of a stored data set; see `altfreeze.data.sources.save_dataset`.

    Parameters
    ----------
    path : path

    Returns
    -------
    X : ndarray of float64, shape (rows, features)
    y : ndarray of int64, shape (rows,)

    Raises
    ------
    InputError
        If the file cannot be read, or its arrays are not those of a data set.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            X, y = stored["X"], stored["y"]
    # what numpy and zipfile raise for a file that is no npz, or a part of one
    except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: not a stored data set: {error}") from None
    if not (isinstance(X, np.ndarray) and isinstance(y, np.ndarray)):
        raise InputError(f"{path}: not a stored data set: X or y is no array")
    shapes = X.ndim == 2 and X.shape[1] and y.ndim == 1 and len(X) == len(y)
    if not (shapes and X.dtype == np.float64 and y.dtype == np.int64):
        raise InputError(
            f"{path}: not a stored data set: X is {X.dtype} {X.shape} and y {y.dtype} {y.shape}; "
            "allowed: float64 (rows, features) and int64 (rows,)"
        )
    classes, rows = np.unique(y, return_counts=True)
    if np.isinf(X).any() or len(rows) < 2 or rows.min() < 5 or not np.array_equal(classes, np.arange(len(rows))):
        raise InputError(
            f"{path}: not a stored data set: allowed: no infinite feature, and two classes or more, counted from 0, "
            "each of five rows or more"
        )
    return X, y


def stratified_split(y, generator):
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
    parts = ([], [], [])
    for label in np.unique(y):
        rows = generator.permutation(np.flatnonzero(y == label))
        validation = round(VALIDATION_SHARE * len(rows))
        test = round(TEST_SHARE * len(rows))
        for part, chosen in zip(parts, np.split(rows, [len(rows) - validation - test, len(rows) - test]), strict=True):
            part.append(chosen)
    return Split(*(np.sort(np.concatenate(part)) for part in parts))


def split_of_seed(y, study_seed, dataset, depth, seed):
    """Return the split that a run with this key trains on.

    Parameters
    ----------
    y : ndarray of int, shape (rows,)
        Class of each row of the whole data set.
    study_seed, dataset, depth, seed : int, str, int, int
        The run's key; the strategy is not part of it.

    Returns
    -------
    Split
    """
    return stratified_split(y, np.random.default_rng(stream_seed(study_seed, dataset, depth, seed, "split")))


def standardise(X, train):
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


def batch_order(study_seed, dataset, depth, seed, epoch, rows):
    """Return the order in which an epoch visits the train part.

    Batch b of size B holds the rows ``split.train[order[b * B : (b + 1) * B]]``; the
    last batch may be smaller.

    Parameters
    ----------
    study_seed, dataset, depth, seed : int, str, int, int
        The run's key; the strategy is not part of it.
    epoch : int
        Counted from 0.
    rows : int
        Rows in the train part.

    Returns
    -------
    ndarray of int64, shape (rows,)
        A permutation of 0 .. rows - 1.
    """
    key = stream_seed(study_seed, dataset, depth, seed, "batch order")
    return np.random.default_rng([key, epoch]).permutation(rows)
