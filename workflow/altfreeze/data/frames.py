"""Tables of users, from files and of OpenML: they are checked, and their columns become features and classes."""

import csv
import datetime
import hashlib
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from altfreeze.data.dataset import SMALLEST_CLASS, Dataset, check_classes
from altfreeze.support.errors import InputError
from altfreeze.support.messages import listing, plural, quoted, reason

if TYPE_CHECKING:
    import pandas as pd

MOST_CATEGORIES = 100
LARGEST_NUMBER = 1e100
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?")


class Table(NamedTuple):
    """A table with a column of classes, as it is read.

    Attributes
    ----------
    frame : pandas.DataFrame
    target : str
        Column of the classes.
    where : str
        What the table is, to begin the message of an error.
    notes : dict
        See `altfreeze.data.dataset.Dataset`.
    """

    frame: "pd.DataFrame"
    target: str
    where: str
    notes: dict[str, Any]


def dataset_of_table(table: Table, dropped: Sequence[str] = (), constant_allowed: bool = False) -> Dataset:
    """Return the data set of a table, after checking it.

    Parameters
    ----------
    table : Table
    dropped : sequence of str
        Columns to leave out.
    constant_allowed : bool
        Whether a column may hold one value only.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        If a column is not there or used twice, there are no rows, or a column cannot be encoded; see
        `encode_features` and `encode_target`.
    """
    frame, target, where, notes = table
    column_names = list(frame.columns)
    _refuse_duplicates(column_names, where, "columns")
    if target not in column_names:
        raise InputError(f"{where}: no target column {quoted(target)}; its columns are {listing(column_names)}")
    for column_name in dropped:
        if column_name not in column_names:
            raise InputError(
                f"{where}: no column {quoted(column_name)} to drop; its columns are {listing(column_names)}"
            )
    if target in dropped:
        raise InputError(
            f"{where}: column {quoted(target)} is the target and is listed under `drop`; it can be one only"
        )
    if not len(frame):
        raise InputError(f"{where}: column names but no rows; each class needs at least {SMALLEST_CLASS}")
    y, class_names = encode_target(frame[target], f"{where}: column {quoted(target)}")
    check_classes(y, class_names, f"{where}: target column {quoted(target)}")
    X, feature_names, encoding = encode_features(frame.drop(columns=[target, *dropped]), where, constant_allowed)
    if dropped:
        notes = {**notes, "dropped": list(dropped)}
    return Dataset(X=X, y=y, class_names=class_names, feature_names=feature_names, notes={**notes, **encoding})


def encode_features(
    frame: "pd.DataFrame", where: str, constant_allowed: bool = False
) -> tuple[np.ndarray, list[str], dict[str, Any]]:
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
        at = f"{where}: column {quoted(column_name)}"
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
            value = quoted(column.dropna().iloc[0])
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
    notes: dict[str, Any] = {}
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


def encode_target(column: "pd.Series", where: str) -> tuple[np.ndarray, list[str]]:
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
            f"{where} is the target and has {absent.sum()} missing {plural(absent.sum(), 'value')}, the first in data "
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


# ---- files


def _read_file(path: str, where: str) -> bytes:
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise InputError(f"{where} is a directory or a device; a file is needed")
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        place = repr(str(Path.cwd()))
        raise InputError(f"{where} does not exist; a relative path starts at the working directory {place}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{where} cannot be read: {reason(error)}") from error


def read_csv(source: dict[str, Any], where: str) -> Table:
    """Return the table of a CSV file.

    Parameters
    ----------
    source : dict
        ``path``, ``target`` and, if it is not the comma, ``separator``.
    where : str
        What is read, to begin the message of an error.

    Returns
    -------
    Table

    Raises
    ------
    InputError
        If the file cannot be read or is not CSV in UTF-8 with a header.
    """
    import pandas as pd

    where = f"{where}: file {source['path']!r}"
    separator = source.get("separator", ",")
    if len(separator) != 1 or separator in '"\r\n':
        raise InputError(
            f"{where}: the separator is {quoted(separator)}; one character is allowed, no quote or line end"
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
        raise InputError(f"{where} is not a CSV file: {reason(error)}") from error
    return Table(frame, source["target"], where, {"file_sha256": hashlib.sha256(content).hexdigest()})


def _csv_column_names(text: str, separator: str, where: str) -> list[str]:
    """Return the fields of the first line; pandas would rename duplicates and fill short rows in silence."""
    reader = csv.reader(io.StringIO(text, newline=None), delimiter=separator)
    header: list[str] = []
    try:
        for fields in reader:
            if not header:
                header = fields
            elif fields and len(fields) != len(header):
                raise InputError(
                    f"{where}: line {reader.line_num} has {len(fields)} {plural(len(fields), 'field')} and the header "
                    f"{len(header)}, separated by {quoted(separator)}; every line needs as many as the header"
                )
    except csv.Error as error:
        raise InputError(f"{where}: line {reader.line_num} is not CSV: {reason(error)}") from error
    if not header:
        raise InputError(f"{where} is empty; a header line with the column names and rows are needed")
    return header


def read_parquet(source: dict[str, Any], where: str) -> Table:
    """Return the table of a Parquet file.

    Parameters
    ----------
    source : dict
        ``path`` and ``target``.
    where : str
        What is read, to begin the message of an error.

    Returns
    -------
    Table

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    import pyarrow
    import pyarrow.parquet

    where = f"{where}: file {source['path']!r}"
    content = _read_file(source["path"], where)
    try:
        table = pyarrow.parquet.ParquetFile(io.BytesIO(content)).read()
        _refuse_duplicates(table.column_names, where, "columns")
        frame = table.to_pandas()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{where} is not a readable Parquet file: {reason(error)}") from error
    frame.columns = [str(column_name) for column_name in frame.columns]
    return Table(frame, source["target"], where, {"file_sha256": hashlib.sha256(content).hexdigest()})


# ---- columns


def _refuse_duplicates(names: Sequence[str], where: str, what: str) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise InputError(f"{where}: {what} share a name: {listing(repeated)}; each needs its own")


def _is_numeric(column: "pd.Series", where: str) -> bool:
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


def _numbers(column: "pd.Series", where: str) -> np.ndarray:
    """Return a column of numbers; NaN where one is missing."""
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except OverflowError as error:
        raise InputError(f"{where} has an integer beyond the largest float, about 1.8e308") from error
    infinite = np.isinf(values)
    if infinite.any():
        raise InputError(
            f"{where} has {infinite.sum()} infinite {plural(infinite.sum(), 'value')}, the first in data row "
            f"{infinite.argmax() + 1}; finite numbers are needed, and an empty field where a value is missing"
        )
    beyond = np.abs(values) > LARGEST_NUMBER
    if beyond.any():
        raise InputError(
            f"{where} holds {values[beyond][0]:g} in data row {beyond.argmax() + 1}, of which no variance can be "
            f"computed; {LARGEST_NUMBER:g} is the largest that is allowed: take another unit, or logarithms"
        )
    return values


def _sorted_categories(values: Sequence[Any]) -> list[Any]:
    """Return distinct values: numbers before texts, each in their order."""
    return sorted(set(values), key=lambda value: (isinstance(value, str), value))


def _one_hot(column: "pd.Series", where: str) -> tuple[np.ndarray, list[str]]:
    """Return a column of categories as one column of 0 and 1 for each, and their names."""
    present = column.notna().to_numpy()
    values = column[present].tolist()
    categories = _sorted_categories(values)
    if all(isinstance(category, str) and _ISO_DATE.fullmatch(category) for category in categories):
        raise InputError(
            f"{where} holds dates such as {quoted(categories[0])}; make them numbers or list it under `drop`"
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
