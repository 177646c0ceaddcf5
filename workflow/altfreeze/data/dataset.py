"""A data set before it is split, and the npz file and manifest that store it."""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from altfreeze.support.errors import InputError
from altfreeze.support.files import atomic_output, sha256_of_file, write_json
from altfreeze.support.messages import listing, plural, quoted

SMALLEST_CLASS = 5


@dataclass(frozen=True, eq=False)
class Dataset:
    """A classification data set before it is split.

    Attributes
    ----------
    X : ndarray of float64, shape (rows, features)
        Raw features in the units of their source; NaN where a value is missing.
    y : ndarray of int64, shape (rows,)
        Class indices 0 … classes − 1.
    class_names : list of str
        Name of each class index.
    feature_names : list of str
        Name of each column of `X`.
    notes : dict
        What was done to the source, as JSON values. A key is there only where it applies: ``file_sha256`` (of
        each file where there are several), ``index_left_out`` (names of a Parquet file's index), ``dropped`` (columns
        left out), ``constant`` (column left out → its value), ``one_hot`` (column → categories), ``missing`` (column →
        rows without a value), ``imputation``, ``missing_categories``, ``without_values`` (columns left out), ``split``
        and ``groups`` (see `altfreeze.data.parts.parts_of`), ``test_rows_also_elsewhere`` (rows of the given test part
        whose features stand in another part, too), ``warnings`` (of OpenML), ``wheel``,
        ``origin`` and ``licence`` (of KEEL).
    part : ndarray of int8, shape (rows,), optional
        The split that is the same for every seed; see `altfreeze.data.split.split_of_seed`.
    """

    X: np.ndarray
    y: np.ndarray
    class_names: list[str]
    feature_names: list[str]
    notes: dict[str, Any] = field(default_factory=dict)
    part: np.ndarray | None = None


def check_classes(y: np.ndarray, class_names: Sequence[str], where: str) -> None:
    """Refuse classes of which no split can be made.

    Parameters
    ----------
    y : ndarray of int, shape (rows,)
        Class indices.
    class_names : sequence of str
    where : str
        What holds the classes, to begin the message of an error.

    Raises
    ------
    InputError
        If there are fewer than two classes, or one has fewer than `SMALLEST_CLASS` rows.
    """
    if len(class_names) < 2:
        raise InputError(f"{where}: all {len(y)} rows have the class {listing(class_names)}; two classes are needed")
    counts = np.bincount(y, minlength=len(class_names))
    small = np.flatnonzero(counts < SMALLEST_CLASS)
    if small.size:
        rows = counts[small[0]]
        others = f" ({small.size - 1} more classes are too small)" if small.size > 1 else ""
        raise InputError(
            f"{where}: class {quoted(class_names[small[0]])} has {rows} {plural(rows, 'row')}{others}; "
            f"a split into 60/20/20 % needs at least {SMALLEST_CLASS} rows of each class"
        )


def save_dataset(
    dataset: Dataset, name: str, source: dict[str, Any], npz_path: Path | str, manifest_path: Path | str
) -> None:
    """Store `dataset` as an npz file and describe it in a JSON manifest, each written atomically.

    Equal data sets give equal bytes. The npz file holds ``X``, ``y``, ``class_names`` and ``feature_names`` (the names
    as fixed-width Unicode), and ``part`` where there is one; it loads without pickle.

    Parameters
    ----------
    dataset : Dataset
        What `altfreeze.data.sources.load_dataset` returned.
    name : str
        Name of the data set in the study.
    source : dict
        The source it was loaded from.
    npz_path, manifest_path : str or pathlib.Path
        Files to write. The manifest holds ``dataset``, ``source``, ``rows``, ``features`` (columns of `X`),
        ``classes`` (name and rows of each), ``missing_cells`` (NaN in `X`), ``notes`` and ``sha256`` (of the npz file).
    """
    given: dict[str, Any] = {} if dataset.part is None else {"part": dataset.part}
    with atomic_output(npz_path, "wb") as file:
        # memory order is part of an npy header, so it is fixed
        np.savez(
            file,
            X=np.ascontiguousarray(dataset.X, dtype=np.float64),
            y=np.ascontiguousarray(dataset.y, dtype=np.int64),
            class_names=np.array(dataset.class_names, dtype=np.str_),
            feature_names=np.array(dataset.feature_names, dtype=np.str_),
            **given,
        )
    counts = np.bincount(dataset.y, minlength=len(dataset.class_names)).tolist()
    manifest = {
        "dataset": name,
        "source": source,
        "rows": dataset.X.shape[0],
        "features": dataset.X.shape[1],
        "classes": [{"name": label, "rows": rows} for label, rows in zip(dataset.class_names, counts, strict=True)],
        "missing_cells": int(np.isnan(dataset.X).sum()),
        "notes": dataset.notes,
        "sha256": sha256_of_file(npz_path),
    }
    write_json(manifest_path, manifest)


def read_dataset(path: Path | str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return the features and classes of a stored data set, and its given split; see `save_dataset`.

    Parameters
    ----------
    path : path

    Returns
    -------
    X : ndarray of float64, shape (rows, features)
    y : ndarray of int64, shape (rows,)
    part : ndarray of int8, shape (rows,), or None
        See `altfreeze.data.split.split_of_seed`.

    Raises
    ------
    InputError
        If the file cannot be read, or its arrays are not those of a data set.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            X, y, part = stored["X"], stored["y"], stored.get("part")
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
    counted = np.array_equal(classes, np.arange(len(rows)))
    if np.isinf(X).any() or len(rows) < 2 or rows.min() < SMALLEST_CLASS or not counted:
        raise InputError(
            f"{path}: not a stored data set: allowed: no infinite feature, and two classes or more, counted from 0, "
            "each of five rows or more"
        )
    if part is not None and not (part.shape == y.shape and part.dtype == np.int8 and {0, 2} <= {*part} <= {0, 1, 2}):
        raise InputError(f"{path}: not a stored data set: part is no split into 0, 1 and 2 of its rows")
    return X, y, part
