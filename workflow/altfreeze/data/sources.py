"""Load or make a data set and store it as one npz file and its JSON manifest.

The stored features are raw: splitting, imputing and standardising come later,
because they depend on a run's seed.
"""

import csv
import datetime
import hashlib
import http.client
import io
import re
import warnings
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from altfreeze.support.errors import InputError
from altfreeze.support.files import atomic_output, sha256_of_file, write_json
from altfreeze.support.randomness import stream_seed

SMALLEST_CLASS = 5
MOST_CATEGORIES = 100
LARGEST_NUMBER = 1e100
_MOST_NAMES_LISTED = 10
_LONGEST_QUOTE = 100
_LONGEST_REASON = 300
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?")


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
        What was done to the source, as JSON values. A key is there only where it applies: ``file_sha256``,
        ``dropped`` (columns left out), ``one_hot`` (column → categories), ``missing`` (column → rows without a
        value), ``imputation``, ``missing_categories``, ``warnings`` (of OpenML).
    """

    X: np.ndarray
    y: np.ndarray
    class_names: list[str]
    feature_names: list[str]
    notes: dict = field(default_factory=dict)


def load_dataset(name, source, study_seed):
    """Load or make the data set that `source` describes.

    Parameters
    ----------
    name : str
        Name of the data set in the study; part of the key of the random stream of a made set.
    source : dict
        ``kind`` and its parameters: ``iris``, ``wine``, ``breast_cancer``, ``digits`` (bundled with scikit-learn);
        ``classification``, ``moons``, ``circles``, ``spirals``, ``gaussian_quantiles`` (made); ``csv``, ``parquet``
        (a file, a relative path starts at the working directory; Parquet stores categories of numbers as numbers);
        ``openml`` (fetched once, then read from scikit-learn's cache, whose place the environment variable
        SCIKIT_LEARN_DATA sets).
    study_seed : int
        Seed of the study; made sets with the same study seed, name and source are equal.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        If the source cannot be read or made, or is not a classification data set with numbers, text and booleans as
        features and at least two classes of at least 5 rows each.
    """
    where = f"data set {_quoted(name)}"
    kind = source["kind"]
    if kind in _BUNDLED:
        dataset = _load_bundled(kind)
    elif kind in _MADE:
        dataset = _make(name, source, study_seed, where)
    else:
        dataset = _load_frame(source, where)
    _check_classes(dataset.y, dataset.class_names, where)
    return dataset


def save_dataset(dataset, name, source, npz_path, manifest_path):
    """Store `dataset` as an npz file and describe it in a JSON manifest, each written atomically.

    Equal data sets give equal bytes. The npz file holds ``X``, ``y``, ``class_names`` and ``feature_names`` (the names
    as fixed-width Unicode) and loads without pickle.

    Parameters
    ----------
    dataset : Dataset
        What `load_dataset` returned.
    name : str
        Name of the data set in the study.
    source : dict
        The source it was loaded from.
    npz_path, manifest_path : str or pathlib.Path
        Files to write. The manifest holds ``dataset``, ``source``, ``rows``, ``features`` (columns of `X`),
        ``classes`` (name and rows of each), ``missing_cells`` (NaN in `X`), ``notes`` and ``sha256`` (of the npz file).
    """
    with atomic_output(npz_path, "wb") as file:
        # memory order is part of an npy header, so it is fixed
        np.savez(
            file,
            X=np.ascontiguousarray(dataset.X, dtype=np.float64),
            y=np.ascontiguousarray(dataset.y, dtype=np.int64),
            class_names=np.array(dataset.class_names, dtype=np.str_),
            feature_names=np.array(dataset.feature_names, dtype=np.str_),
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


def made_set_seed(*key):
    """Return the random state of the made set named by `key`, usually (study seed, data set name).

    Parameters
    ----------
    *key : int or str
        The parts of the key, in order.

    Returns
    -------
    int
        A number in [0, 2**32), the range scikit-learn allows: the first 32 bits of the key's random stream seed.
    """
    return stream_seed(*key) >> 31


def make_spirals(samples, arms, turns, noise, seed):
    """Make interleaved spirals in the plane, one class an arm.

    A point of arm a at radius r in [0, 1) lies at the angle 2π(turns · r + a / arms), which is Archimedes' spiral; r is
    the square root of a uniform draw, so that the outer windings are not sparser than the inner ones. Two arms are the
    benchmark of [1]_.

    Parameters
    ----------
    samples : int
        Number of rows, spread evenly over the arms.
    arms : int
        Number of classes.
    turns : float
        Windings from the centre to the rim.
    noise : float
        Standard deviation of the Gaussian noise on each coordinate, in units of the outer radius.
    seed : int
        Seed of the draw.

    Returns
    -------
    X : ndarray of float64, shape (samples, 2)
        Coordinates.
    y : ndarray of int64, shape (samples,)
        Arm of each row.

    Raises
    ------
    ValueError
        If `samples` or `noise` is negative.

    References
    ----------
    .. [1] K. J. Lang and M. J. Witbrock, "Learning to Tell Two Spirals Apart", Proceedings of the 1988 Connectionist
       Models Summer School, pp. 52–59, 1988.
    """
    generator = np.random.default_rng(seed)
    y = np.arange(samples, dtype=np.int64) % arms
    radius = np.sqrt(generator.uniform(size=samples))
    angle = 2 * np.pi * (turns * radius + y / arms)
    points = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    return points + generator.normal(scale=noise, size=points.shape), y


def redraw_labels(y, classes, share, seed):
    """Draw a share of the labels anew, uniformly over the classes, so that no classifier can be always right.

    The rule is that of ``flip_y`` in scikit-learn's ``make_classification``: about share / classes of the redrawn
    labels stay as they were.

    Parameters
    ----------
    y : ndarray of int, shape (rows,)
        Class indices.
    classes : int
        Number of classes.
    share : float
        Probability in [0, 1] that a label is drawn anew.
    seed : int
        Seed of the draw.

    Returns
    -------
    ndarray of int64, shape (rows,)

    Raises
    ------
    ValueError
        If `share` is not in [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"label_noise is {share}, allowed is 0 to 1")
    generator = np.random.default_rng(seed)
    redrawn = generator.uniform(size=len(y)) < share
    return np.where(redrawn, generator.integers(classes, size=len(y)), y).astype(np.int64)


def encode_features(frame, where, constant_allowed=False):
    """Turn the columns of a frame into numbers; text, booleans and categories become one-hot columns.

    A missing number is NaN. A missing category is NaN in all of its feature's one-hot columns: imputed by the training
    mean, each of them becomes the category's frequency among the training rows.

    Parameters
    ----------
    frame : pandas.DataFrame, shape (rows, columns)
        Features, with text as column names.
    where : str
        What the frame is, to begin the message of an error.
    constant_allowed : bool
        Whether a column may hold one value only.

    Returns
    -------
    X : ndarray of float64, shape (rows, features)
        Features; NaN where a value is missing.
    feature_names : list of str
        Column names, and ``column=category`` for one-hot columns, categories sorted.
    notes : dict
        ``one_hot``, ``missing``, ``imputation`` and ``missing_categories`` of `Dataset.notes`, where they apply.

    Raises
    ------
    InputError
        If there is no column, or a column has no name, no value, a constant value, an infinite value, dates, another
        type than numbers, text and booleans, or more than 100 categories; or if two features get the same name.
    """
    if not len(frame.columns):
        raise InputError(f"{where}: no feature columns are left beside the target; at least one is needed")
    blocks, feature_names, one_hot, missing = [], [], {}, {}
    for column_name in frame.columns:
        at = f"{where}: column {_quoted(column_name)}"
        if not column_name.strip():
            raise InputError(
                f"{at} has no name (it is often a row number, which is no feature); name it or list it under `drop`"
            )
        column = frame[column_name]
        absent = int(column.isna().sum())
        if absent == len(column):
            raise InputError(f"{at} has no values, all {absent} rows are missing; list it under `drop`")
        if absent:
            missing[column_name] = absent
        numeric = _is_numeric(column, at)
        if not constant_allowed and column.nunique() == 1:
            value = _quoted(column.dropna().iloc[0])
            raise InputError(f"{at} is constant, each value is {value}; list it under `drop`")
        if numeric:
            blocks.append(_numbers(column, at))
            feature_names.append(column_name)
        else:
            block, categories = _one_hot(column, at)
            blocks.append(block)
            feature_names.extend(f"{column_name}={category}" for category in categories)
            one_hot[column_name] = categories
    _refuse_duplicates(feature_names, where, "features (one-hot columns included)")
    notes = {}
    if one_hot:
        notes["one_hot"] = one_hot
    if missing:
        notes["missing"] = missing
        notes["imputation"] = "train mean, per seed"
    if missing.keys() & one_hot.keys():
        notes["missing_categories"] = (
            "missing in all one-hot columns of the feature; the train mean is each category's frequency in training"
        )
    return np.column_stack(blocks), feature_names, notes


def encode_target(column, where):
    """Turn a column of classes into class indices; the classes are sorted, numbers as numbers.

    Parameters
    ----------
    column : pandas.Series, shape (rows,)
        Text, integers, booleans, categories, or floating-point numbers with integral values.
    where : str
        What the column is, to begin the message of an error.

    Returns
    -------
    y : ndarray of int64, shape (rows,)
        Class indices.
    class_names : list of str
        Name of each class.

    Raises
    ------
    InputError
        If a value is missing, not integral or of another type.
    """
    absent = column.isna().to_numpy()
    if absent.any():
        raise InputError(
            f"{where} is the target and has {absent.sum()} missing {_plural(absent.sum(), 'value')}, the first in data "
            f"row {absent.argmax() + 1}; every row needs a class"
        )
    labels = column.tolist()
    if _is_numeric(column, where):
        for row, value in enumerate(labels, start=1):
            if isinstance(value, float) and not value.is_integer():
                raise InputError(
                    f"{where} is the target and holds {value} in data row {row}; this is a classification study, "
                    "whose target holds classes: text, integers or booleans"
                )
        labels = [int(value) for value in labels]
    classes = _sorted_categories(labels)
    index = {label: number for number, label in enumerate(classes)}
    return np.array([index[label] for label in labels], dtype=np.int64), [str(label) for label in classes]


def _quoted(text):
    quoted = repr(str(text))
    return quoted if len(quoted) <= _LONGEST_QUOTE else f"{quoted[:_LONGEST_QUOTE]}…"


def _reason(error):
    text = "".join(character if character.isprintable() else " " for character in str(error))
    line = " ".join(text.split()) or type(error).__name__
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}…"


def _plural(count, noun):
    return noun if count == 1 else f"{noun}s"


def _listing(names):
    shown = ", ".join(_quoted(name) for name in names[:_MOST_NAMES_LISTED])
    more = len(names) - _MOST_NAMES_LISTED
    return f"{shown} and {more} more" if more > 0 else shown


def _refuse_duplicates(names, where, what):
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise InputError(f"{where}: {what} share a name: {_listing(repeated)}; each needs its own")


def _check_classes(y, class_names, where):
    if len(class_names) < 2:
        raise InputError(f"{where}: all {len(y)} rows have the class {_listing(class_names)}; two classes are needed")
    counts = np.bincount(y, minlength=len(class_names))
    small = np.flatnonzero(counts < SMALLEST_CLASS)
    if small.size:
        rows = counts[small[0]]
        others = f" ({small.size - 1} more classes are too small)" if small.size > 1 else ""
        raise InputError(
            f"{where}: class {_quoted(class_names[small[0]])} has {rows} {_plural(rows, 'row')}{others}; "
            f"a split into 60/20/20 % needs at least {SMALLEST_CLASS} rows of each class"
        )


# bundled with scikit-learn

_BUNDLED = {"iris": "load_iris", "wine": "load_wine", "breast_cancer": "load_breast_cancer", "digits": "load_digits"}


def _load_bundled(kind):
    import sklearn.datasets

    bunch = getattr(sklearn.datasets, _BUNDLED[kind])()
    return Dataset(
        X=np.asarray(bunch.data, dtype=np.float64),
        y=np.asarray(bunch.target, dtype=np.int64),
        class_names=[str(label) for label in bunch.target_names],
        feature_names=[str(feature) for feature in bunch.feature_names],
    )


# made


def _make_classification(source, seed, noise_seed):
    from sklearn.datasets import make_classification

    X, y = make_classification(
        n_samples=source["samples"],
        n_features=source["features"],
        n_informative=source["informative"],
        n_redundant=0,
        n_classes=source["classes"],
        flip_y=source.get("label_noise", 0),
        class_sep=source.get("class_separation", 1.0),
        random_state=seed,
    )
    return X, y, source["classes"]


def _make_moons(source, seed, noise_seed):
    from sklearn.datasets import make_moons

    return *make_moons(source["samples"], noise=source["noise"], random_state=seed), 2


def _make_circles(source, seed, noise_seed):
    from sklearn.datasets import make_circles

    return (
        *make_circles(source["samples"], noise=source["noise"], factor=source["factor"], random_state=seed),
        2,
    )


def _make_spirals(source, seed, noise_seed):
    arms = source["arms"]
    return *make_spirals(source["samples"], arms, source["turns"], source["noise"], seed), arms


def _make_gaussian_quantiles(source, seed, noise_seed):
    from sklearn.datasets import make_gaussian_quantiles

    X, y = make_gaussian_quantiles(
        n_samples=source["samples"],
        n_features=source["features"],
        n_classes=source["classes"],
        random_state=seed,
    )
    return X, redraw_labels(y, source["classes"], source.get("label_noise", 0), noise_seed), source["classes"]


_MADE = {
    "classification": _make_classification,
    "moons": _make_moons,
    "circles": _make_circles,
    "spirals": _make_spirals,
    "gaussian_quantiles": _make_gaussian_quantiles,
}


def _make(name, source, study_seed, where):
    kind = source["kind"]
    seed = made_set_seed(study_seed, name)
    noise_seed = made_set_seed(study_seed, name, "label noise")
    try:
        with np.errstate(all="ignore"):
            X, y, classes = _MADE[kind](source, seed, noise_seed)
    except (ValueError, ArithmeticError, MemoryError) as error:
        raise InputError(f"{where}: no {kind} set can be made with these parameters: {_reason(error)}") from error
    if not (np.abs(X) <= LARGEST_NUMBER).all():
        raise InputError(
            f"{where}: these parameters make a {kind} set with values that are not finite or beyond {LARGEST_NUMBER:g}"
        )
    return Dataset(
        X=X.astype(np.float64),
        y=y.astype(np.int64),
        class_names=[str(label) for label in range(classes)],
        feature_names=[f"x{number}" for number in range(1, X.shape[1] + 1)],
    )


# tables: files and OpenML


def _load_frame(source, where):
    frame, target, where, notes = _FRAME_READERS[source["kind"]](source, where)
    column_names = list(frame.columns)
    _refuse_duplicates(column_names, where, "columns")
    if target not in column_names:
        raise InputError(f"{where}: no target column {_quoted(target)}; its columns are {_listing(column_names)}")
    dropped = source.get("drop", [])
    for column_name in dropped:
        if column_name not in column_names:
            raise InputError(
                f"{where}: no column {_quoted(column_name)} to drop; its columns are {_listing(column_names)}"
            )
    if target in dropped:
        raise InputError(
            f"{where}: column {_quoted(target)} is the target and is listed under `drop`; it can be one only"
        )
    if not len(frame):
        raise InputError(f"{where}: column names but no rows; each class needs at least {SMALLEST_CLASS}")
    y, class_names = encode_target(frame[target], f"{where}: column {_quoted(target)}")
    _check_classes(y, class_names, f"{where}: target column {_quoted(target)}")
    features = frame.drop(columns=[target, *dropped])
    X, feature_names, encoding = encode_features(features, where, constant_allowed=source["kind"] == "openml")
    if dropped:
        notes = {**notes, "dropped": list(dropped)}
    return Dataset(X=X, y=y, class_names=class_names, feature_names=feature_names, notes={**notes, **encoding})


def _read_file(path, where):
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise InputError(f"{where} is a directory or a device; a file is needed")
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        place = repr(str(Path.cwd()))
        raise InputError(f"{where} does not exist; a relative path starts at the working directory {place}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{where} cannot be read: {_reason(error)}") from error


def _read_csv(source, where):
    import pandas as pd

    where = f"{where}: file {source['path']!r}"
    separator = source.get("separator", ",")
    if len(separator) != 1 or separator in '"\r\n':
        raise InputError(
            f"{where}: the separator is {_quoted(separator)}; one character is allowed, no quote or line end"
        )
    content = _read_file(source["path"], where)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{where} is not text in UTF-8 (byte {error.start} is not); a CSV file is needed") from error
    if "\0" in text:
        raise InputError(f"{where} is binary (it has zero bytes); a CSV file in UTF-8 is needed")
    column_names = _csv_column_names(text, separator, where)
    _refuse_duplicates(column_names, where, "columns")
    try:
        frame = pd.read_csv(
            io.StringIO(text, newline=None),
            sep=separator,
            header=0,
            names=column_names,
            low_memory=False,
        )
    except ValueError as error:
        raise InputError(f"{where} is not a CSV file: {_reason(error)}") from error
    return frame, source["target"], where, {"file_sha256": hashlib.sha256(content).hexdigest()}


def _csv_column_names(text, separator, where):
    """Return the fields of the first line; pandas would rename duplicates and fill short rows in silence."""
    reader = csv.reader(io.StringIO(text, newline=None), delimiter=separator)
    header = []
    try:
        for fields in reader:
            if not header:
                header = fields
            elif fields and len(fields) != len(header):
                raise InputError(
                    f"{where}: line {reader.line_num} has {len(fields)} {_plural(len(fields), 'field')} and the header "
                    f"{len(header)}, separated by {_quoted(separator)}; every line needs as many as the header"
                )
    except csv.Error as error:
        raise InputError(f"{where}: line {reader.line_num} is not CSV: {_reason(error)}") from error
    if not header:
        raise InputError(f"{where} is empty; a header line with the column names and rows are needed")
    return header


def _read_parquet(source, where):
    import pyarrow
    import pyarrow.parquet

    where = f"{where}: file {source['path']!r}"
    content = _read_file(source["path"], where)
    try:
        table = pyarrow.parquet.ParquetFile(io.BytesIO(content)).read()
        _refuse_duplicates(table.column_names, where, "columns")
        frame = table.to_pandas()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{where} is not a readable Parquet file: {_reason(error)}") from error
    frame.columns = [str(column_name) for column_name in frame.columns]
    return frame, source["target"], where, {"file_sha256": hashlib.sha256(content).hexdigest()}


def _fetch_openml(source, where):
    from sklearn.datasets import fetch_openml

    if "id" in source:
        which = {"data_id": source["id"]}
        where = f"{where}: OpenML id {source['id']}"
    else:
        which = {"name": source["name"], "version": source["version"]}
        where = f"{where}: OpenML {_quoted(source['name'])} version {source['version']}"
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            bunch = fetch_openml(**which, as_frame=True)
    except OSError as error:
        raise InputError(
            f"{where} cannot be fetched: {_reason(error)}; the network is needed once, then scikit-learn's cache serves"
        ) from error
    except (ValueError, KeyError, IndexError, EOFError, zlib.error, http.client.HTTPException) as error:
        raise InputError(
            f"{where} is unknown or cannot be used: {_reason(error)}; a dense data set with one target is needed, "
            "and the network once, then scikit-learn's cache serves"
        ) from error
    if len(bunch.target_names) != 1:
        raise InputError(f"{where} has {len(bunch.target_names)} target columns; one is needed")
    messages = [_reason(warning.message) for warning in caught]
    return bunch.frame, bunch.target_names[0], where, {"warnings": messages} if messages else {}


_FRAME_READERS = {"csv": _read_csv, "parquet": _read_parquet, "openml": _fetch_openml}


def _is_numeric(column, where):
    """Tell numbers from categories, and refuse what is neither."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if is_numeric_dtype(column.dtype) and not is_bool_dtype(column.dtype):
        return True
    types = set(map(type, column.dropna().tolist()))
    for kind in types - {str, bool, int, float}:
        what = "dates" if issubclass(kind, (datetime.date, datetime.time, datetime.timedelta)) else "values"
        raise InputError(
            f"{where} holds {what} of type {kind.__name__}; allowed are numbers, text and booleans: convert it"
            ", or list a feature under `drop`"
        )
    return column.dtype == object and types <= {int, float}


def _numbers(column, where):
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except OverflowError as error:
        raise InputError(f"{where} has an integer beyond the largest float, about 1.8e308") from error
    infinite = np.isinf(values)
    if infinite.any():
        raise InputError(
            f"{where} has {infinite.sum()} infinite {_plural(infinite.sum(), 'value')}, the first in data row "
            f"{infinite.argmax() + 1}; finite numbers are needed, and an empty field where a value is missing"
        )
    beyond = np.abs(values) > LARGEST_NUMBER
    if beyond.any():
        raise InputError(
            f"{where} holds {values[beyond][0]:g} in data row {beyond.argmax() + 1}, of which no variance can be "
            f"computed; {LARGEST_NUMBER:g} is the largest that is allowed: take another unit, or logarithms"
        )
    return values


def _sorted_categories(values):
    return sorted(set(values), key=lambda value: (isinstance(value, str), value))


def _one_hot(column, where):
    present = column.notna().to_numpy()
    values = column[present].tolist()
    categories = _sorted_categories(values)
    if all(isinstance(category, str) and _ISO_DATE.fullmatch(category) for category in categories):
        raise InputError(
            f"{where} holds dates such as {_quoted(categories[0])}; make them numbers or list it under `drop`"
        )
    if len(categories) > MOST_CATEGORIES:
        raise InputError(
            f"{where} has {len(categories)} distinct categories, {MOST_CATEGORIES} at most are allowed; "
            "list it under `drop`"
        )
    index = {category: number for number, category in enumerate(categories)}
    block = np.full((len(column), len(categories)), np.nan)
    block[present] = np.eye(len(categories))[[index[value] for value in values]]
    return block, [str(category) for category in categories]
