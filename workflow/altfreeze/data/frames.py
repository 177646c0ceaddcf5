"""Tables of users, from files and of OpenML: they are checked, and their columns become features and classes."""

import contextlib
import datetime
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from altfreeze.data.dataset import SMALLEST_CLASS, Dataset, check_classes
from altfreeze.data.notation import Notation, fault_of_text
from altfreeze.data.parts import TEST, Rows, parts_of
from altfreeze.support.errors import InputError
from altfreeze.support.messages import listing, plural, quoted

if TYPE_CHECKING:
    import pandas as pd

MOST_CATEGORIES = 100
LARGEST_NUMBER = 1e100


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
    notation : Notation, optional
        How its numbers were written, if it is of text.
    test_rows : int
        How many of the last rows are the test part.
    """

    frame: "pd.DataFrame"
    target: str
    where: str
    notes: dict[str, Any]
    notation: Notation | None = None
    test_rows: int = 0


def dataset_of_table(table: Table, source: dict[str, Any], seed: int) -> Dataset:
    """Return the data set of a table, after checking it.

    Parameters
    ----------
    table : Table
    source : dict
        Its ``drop``, ``keep``, ``split`` and ``groups``, each of which it may lack; see `altfreeze.study.sources`.
    seed : int
        Seed of a split by groups.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        With a line for each column that is not there, stands under two keys or cannot be encoded, and for classes of
        which no split can be made; or if there are no rows. See `encode_features`, `encode_target` and
        `altfreeze.data.parts.parts_of`.
    """
    frame, target, where, notes, notation, test_rows = table
    dropped, kept = source.get("drop", []), source.get("keep", [])
    chosen = [source[key] for key in ("split", "groups") if key in source]
    names = list(frame.columns)
    refuse_duplicates(names, where, "columns")
    faults = [
        f"{where}: no column {quoted(name)} to {key}; its columns are {listing(names)}"
        for key, listed in (("drop", dropped), ("keep", kept), ("split or group by", chosen))
        for name in listed
        if name not in names
    ]
    if target not in names:
        way = "; a file without a header takes `header: none` and `columns`" if notation else ""
        faults.append(f"{where}: no target column {quoted(target)}; its columns are {listing(names)}{way}")
    if target in dropped:
        faults.append(f"{where}: column {quoted(target)} is the target and is listed under `drop`; it can be one only")
    if both := sorted({*dropped} & {*kept}):
        faults.append(f"{where}: {listing(both)} is listed under `drop` and under `keep`; it can be one only")
    if taken := [name for name in chosen if name == target or name in (*dropped, *kept) or chosen.count(name) > 1]:
        faults.append(f"{where}: column {quoted(taken[0])} is listed under `split` or `groups` and is nothing else")
    if not faults and not len(frame):
        faults.append(f"{where}: column names but no rows; each class needs at least {SMALLEST_CLASS}")
    if faults:
        raise InputError(*faults)
    at = f"{where}: target column {quoted(target)}"
    with _collected(faults):
        y, class_names = encode_target(frame[target], at, target in kept, notation)
        check_classes(y, class_names, at)
    with _collected(faults):
        features = frame.drop(columns=[target, *dropped, *chosen])
        # a constant one has its place in a shape
        taken_whole = list(features.columns) if "shape" in source else kept
        X, feature_names, encoding = encode_features(features, where, taken_whole, notation)
    if faults:
        raise InputError(*faults)
    split, groups = (frame[source[key]] if key in source else None for key in ("split", "groups"))
    part, of_parts = parts_of(Rows(y, class_names, split, groups, test_rows), where, seed)
    if again := 0 if part is None else _test_rows_elsewhere(X, part):
        of_parts["test_rows_also_elsewhere"] = again
    if dropped:
        notes = {**notes, "dropped": list(dropped)}
    return Dataset(X, y, class_names, feature_names, {**notes, **encoding, **of_parts}, part)


def _test_rows_elsewhere(X: np.ndarray, part: np.ndarray) -> int:
    """Return how many rows of the test part have the features of a row of another part."""
    import pandas as pd

    hashes = pd.util.hash_pandas_object(pd.DataFrame(X), index=False).to_numpy()
    return int(np.isin(hashes[part == TEST], hashes[part != TEST]).sum())


@contextlib.contextmanager
def _collected(faults: list[str]) -> Iterator[None]:
    """Add what is refused inside to `faults`, so that all of a table's faults are told at once."""
    try:
        yield
    except InputError as error:
        faults.extend(error.args)


def encode_features(
    frame: "pd.DataFrame", where: str, kept: Sequence[str] = (), notation: Notation | None = None
) -> tuple[np.ndarray, list[str], dict[str, Any]]:
    """Turn the columns of a frame into numbers; text, booleans and categories become one-hot columns.

    A missing number is NaN. A missing category is NaN in all of its feature's one-hot columns: imputed by the training
    mean, each of them becomes the category's frequency among the training rows. A constant column is left out, and so
    is one without any value.

    Parameters
    ----------
    frame : pandas.DataFrame, shape (rows, columns)
        Features, with text as column names.
    where : str
        What the frame is, to begin the message of an error.
    kept : sequence of str
        Columns that may be constant, different in each row, or look like dates or numbers with marks among them.
    notation : Notation, optional
        See `Table`.

    Returns
    -------
    X : ndarray of float64, shape (rows, features)
        Features; NaN where a value is missing.
    feature_names : list of str
        Column names, and ``column=category`` for one-hot columns, categories sorted.
    notes : dict
        ``one_hot``, ``missing``, ``imputation``, ``missing_categories``, ``constant`` and ``without_values`` of
        `Dataset.notes`, where they apply.

    Raises
    ------
    InputError
        If no column is left, or two features get the same name; else with a line for each column that has no name, an
        infinite value, another type than numbers, text and booleans, more than 100 categories, categories
        that differ by blanks, case or a last dot, or, unless kept, numbers with marks among them, dates, or texts or
        whole numbers that differ in each row.
    """
    faults: list[str] = []
    blocks, feature_names, one_hot, missing, constant = [], [], {}, {}, {}
    empty = list(frame.columns[frame.isna().all()])
    for name in frame.columns.drop(empty):
        with _collected(faults):
            column, at = frame[name], f"{where}: column {quoted(name)}"
            numeric = _is_numeric(column, at)
            if column.nunique() == 1 and name not in kept:
                value = column.dropna().iloc[0]
                constant[name] = f"{value:.15g}" if numeric else str(value)
                continue
            if absent := int(column.isna().sum()):
                missing[name] = absent
            if numeric:
                blocks.append(_numbers(column, at, name in kept))
                feature_names.append(name)
            else:
                block, one_hot[name] = _one_hot(column, at, name in kept, notation)
                blocks.append(block)
                feature_names.extend(f"{name}={category}" for category in one_hot[name])
    if not blocks and not faults:
        faults.append(
            f"{where}: no feature columns are left beside the target"
            + (f" (constant are {listing(list(constant))})" if constant else "")
            + (f" (without a value are {listing(empty)})" if empty else "")
            + "; at least one is needed"
        )
    with _collected(faults):
        refuse_duplicates(feature_names, where, "features (one-hot columns included)")
    if faults:
        raise InputError(*faults)
    notes: dict[str, Any] = {
        "one_hot": one_hot,
        "missing": missing,
        "imputation": missing and "train mean, per seed",
        "missing_categories": missing.keys() & one_hot.keys()
        and "missing in all one-hot columns of the feature; the train mean is each category's frequency in training",
        "constant": constant,
        "without_values": empty,
    }
    return np.column_stack(blocks), feature_names, {key: note for key, note in notes.items() if note}


def encode_target(
    column: "pd.Series", where: str, kept: bool = False, notation: Notation | None = None
) -> tuple[np.ndarray, list[str]]:
    """Turn a column of classes into class indices; the classes are sorted, numbers as numbers.

    Parameters
    ----------
    column : pandas.Series, shape (rows,)
        Text, integers, booleans, categories, or floating-point numbers with integral values.
    where : str
        What the column is, to begin the message of an error.
    kept : bool
        Whether classes that look alike, or like numbers with marks among them, are what they should be.
    notation : Notation, optional
        See `Table`.

    Returns
    -------
    y : ndarray of int64, shape (rows,)
        Class indices.
    class_names : list of str
        Name of each class.

    Raises
    ------
    InputError
        If a value is missing, not integral or of another type; or, unless kept, if classes differ only by blanks, case
        or a last dot, or are numbers with marks among them.
    """
    absent = column.isna().to_numpy()
    if absent.any():
        raise InputError(
            f"{where} has {absent.sum()} missing {plural(absent.sum(), 'value')}, the first in data row "
            f"{absent.argmax() + 1}; every row needs a class"
        )
    if not _is_numeric(column, where):
        return _categories(column, where, kept, notation)
    labels = column.tolist()
    for row, value in enumerate(labels, start=1):
        if isinstance(value, float) and not value.is_integer():
            raise InputError(
                f"{where} holds {value} in data row {row}; this is a classification study, whose target holds "
                "classes: text, integers or booleans"
            )
    return _indexed([int(value) for value in labels])


# ---- columns


def refuse_duplicates(names: Sequence[str], where: str, what: str) -> None:
    """Refuse names of columns or features that stand twice."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise InputError(f"{where}: {what} share a name: {listing(repeated)}; each needs its own")


def _is_numeric(column: "pd.Series", where: str) -> bool:
    """Tell numbers from categories, and refuse what is neither."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if not str(column.name).strip() and column.name is not None:
        raise InputError(
            f"{where} has no name (it is often a row number, which is no feature); name it or list it under `drop`"
        )
    if is_numeric_dtype(column.dtype) and not is_bool_dtype(column.dtype):
        return True
    types = set(map(type, column.dropna().tolist()))
    for kind in types - {str, bool, int, float}:
        what = "dates" if issubclass(kind, (datetime.date, datetime.time, datetime.timedelta)) else "values"
        value = quoted(next(value for value in column if isinstance(value, kind)))
        raise InputError(
            f"{where} holds {what} of type {kind.__name__} such as {value}; allowed are numbers, text and booleans: "
            "convert it, or list a feature under `drop`"
        )
    return column.dtype == object and types <= {int, float}


def _numbers(column: "pd.Series", where: str, kept: bool) -> np.ndarray:
    """Return a column of numbers; NaN where one is missing."""
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
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
    present = values[~np.isnan(values)]
    if not kept and (present == np.floor(present)).all():
        _refuse_keys(column, where, "whole number", "if it is a measurement")
    return values


def _refuse_keys(column: "pd.Series", where: str, what: str, why: str) -> None:
    if column.nunique() == column.count():
        value, row = column.dropna().iloc[0], column.notna().to_numpy().argmax() + 1
        shown = quoted(value) if isinstance(value, str) else f"{value:.15g}"
        raise InputError(
            f"{where} holds another {what} in each row, {shown} in data row {row}, as the number of a row, a name or a "
            f"key does; list it under `drop`, or under `keep` {why}"
        )


def _indexed(values: Sequence[Any]) -> tuple[np.ndarray, list[str]]:
    """Return the place of each value among the distinct ones, and their names: numbers before texts, in their order."""
    distinct = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    index = {value: place for place, value in enumerate(distinct)}
    return np.array([index[value] for value in values], dtype=np.int64), [str(value) for value in distinct]


def _categories(column: "pd.Series", where: str, kept: bool, notation: Notation | None) -> tuple[np.ndarray, list[str]]:
    """Return the indices of a column's values that are there, and the names of its categories."""
    import pandas as pd

    values = column.dropna().tolist()
    is_text = all(isinstance(value, str) for value in values)
    # a declared category is meant as one
    is_declared = isinstance(column.dtype, pd.CategoricalDtype)
    fault = fault_of_text(column, notation) if is_text and not kept and not is_declared else None
    if fault:
        raise InputError(f"{where} {fault}, or list it under `drop`, or under `keep` to take it as categories")
    indices, names = _indexed(values)
    alike: dict[str, str] = {}
    for name in names if is_text and not kept else ():
        other = alike.setdefault(" ".join(name.split()).casefold().rstrip(". ") or name, name)
        if other != name:
            rows = [int((column == value).to_numpy().argmax()) + 1 for value in (other, name)]
            raise InputError(
                f"{where} holds {quoted(other)} in data row {rows[0]} and {quoted(name)} in data row {rows[1]}, which "
                f"differ only by blanks, case or a last dot; write them alike, or list the column under `keep`"
            )
    return indices, names


def _one_hot(column: "pd.Series", where: str, kept: bool, notation: Notation | None) -> tuple[np.ndarray, list[str]]:
    """Return a column of categories as one column of 0 and 1 for each, and their names."""
    indices, names = _categories(column, where, kept, notation)
    if not kept:
        _refuse_keys(column, where, "text", "to take it as categories")
    if len(names) > MOST_CATEGORIES:
        raise InputError(
            f"{where} has {len(names)} distinct categories, {MOST_CATEGORIES} at most are allowed; list it under `drop`"
        )
    block = np.full((len(column), len(names)), np.nan)
    block[column.notna().to_numpy()] = np.eye(len(names))[indices]
    return block, names
