"""Files of users, read into tables: their columns are text and numbers yet, and no features."""

import bz2
import csv
import gzip
import hashlib
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from altfreeze.data.dataset import Dataset
from altfreeze.data.frames import LARGEST_NUMBER, Table, refuse_duplicates
from altfreeze.data.notation import Notation
from altfreeze.study.sources import paths_of
from altfreeze.support.errors import InputError
from altfreeze.support.files import sha256_of_file
from altfreeze.support.messages import listing, plural, quoted, reason

if TYPE_CHECKING:
    import pandas as pd


def read_files(source: dict[str, Any], where: str) -> Table:
    """Return the table of a file, or of several whose rows stand below each other.

    Parameters
    ----------
    source : dict
        Of the kind ``csv``, ``parquet`` or ``feather``; see `altfreeze.study.sources`.
    where : str
        What is read, to begin the message of an error.

    Returns
    -------
    Table

    Raises
    ------
    InputError
        If a file cannot be read or is none of its kind, or files have different columns.
    """
    import pandas as pd

    paths = paths_of(source)
    several = isinstance(source["path"], list) or "test_path" in source
    frames: list[pd.DataFrame] = []
    hashes, indices = [], []
    for path in paths:
        place = f"{where}: file {path!r}"
        content = _read_file(path, place)
        read = _frame_of_csv if source["kind"] == "csv" else _frame_of_arrow
        frame = read(source, path, content, place)
        _refuse_other_columns(frame, frames[0] if frames else frame, place, paths[0])
        frames.append(frame)
        hashes.append(hashlib.sha256(content).hexdigest())
        indices += [name for name in frame.index.names if not isinstance(frame.index, pd.RangeIndex)]
    notes: dict[str, Any] = {"file_sha256": hashes if several else hashes[0]}
    if indices:
        notes["index_left_out"] = [str(name) for name in dict.fromkeys(indices)]
    table = pd.concat(frames, ignore_index=True)
    test_rows = sum(map(len, frames[len(paths_of(source, "path")) :]))
    where = f"{where}: files {listing(paths)}" if several else place
    if source["kind"] != "csv":
        return Table(table, source["target"], where, notes, test_rows=test_rows)
    notation = Notation(*(str(source.get(key, default)) for key, default in Notation._field_defaults.items()))
    columns = table.apply(lambda column: typed(column, notation, codes=column.name == source["target"]))
    return Table(columns, source["target"], where, notes, notation, test_rows)


def _refuse_other_columns(frame: "pd.DataFrame", first: "pd.DataFrame", where: str, path: str) -> None:
    if different := sorted(set(frame.columns) ^ set(first.columns)):
        raise InputError(f"{where} and file {path!r} have different columns: only one has {listing(different)}")


def _only_member(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (name,) = archive.namelist()
        return archive.read(name)


_DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    ".zip": _only_member,
}


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


def _text_of(content: bytes, suffix: str, where: str) -> str:
    try:
        content = _DECOMPRESS.get(suffix, bytes)(content)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise InputError(f"{where} is not one compressed file, as its name {suffix} says: {reason(error)}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{where} is not text in UTF-8 (byte {error.start} is not); a CSV file is needed") from error
    if "\0" in text:
        raise InputError(f"{where} is binary (it has zero bytes); a CSV file in UTF-8 is needed")
    return text


def _frame_of_csv(source: dict[str, Any], path: str, content: bytes, where: str) -> "pd.DataFrame":
    """Return the fields of a CSV file as text, NaN where one is missing."""
    import pandas as pd

    separator = source.get("separator", ",")
    if len(separator) != 1 or separator in '"\r\n':
        raise InputError(
            f"{where}: the separator is {quoted(separator)}; one character is allowed, no quote or line end"
        )
    text = _text_of(content, Path(path).suffix.lower(), where)
    columns = source.get("columns")
    names = _column_names(text, separator, where, columns)
    refuse_duplicates(names, where, "columns")
    marks = [str(mark) for mark in source.get("missing", [])]
    try:
        frame = pd.read_csv(
            io.StringIO(text, newline=None),
            sep=separator,
            header=None if columns else 0,
            names=names,
            dtype=str,
            # words such as NA, None and nan may be classes
            keep_default_na=False,
            na_values=["", *marks],
        )
    except ValueError as error:
        raise InputError(f"{where} is not a CSV file: {reason(error)}") from error
    # pandas knows a mark that is a number, as -999.0 for -999, but none with blanks around it
    around = [mark.strip() for mark in marks]
    return frame.mask(frame.apply(lambda column: column.str.strip().isin(around))) if marks else frame


def _column_names(text: str, separator: str, where: str, columns: Sequence[str] | None) -> list[str]:
    """Return the given names or the first line's; pandas would rename duplicates and fill short rows in silence."""
    reader = csv.reader(io.StringIO(text, newline=None), delimiter=separator)
    names, origin = list(columns or ()), "`columns`" if columns else "the header"
    try:
        for fields in reader:
            if not names:
                names = fields
            elif fields and len(fields) != len(names):
                raise InputError(
                    f"{where}: line {reader.line_num} has {len(fields)} {plural(len(fields), 'field')} and {origin} "
                    f"{len(names)}, separated by {quoted(separator)}; every line needs as many as {origin}"
                )
    except csv.Error as error:
        raise InputError(f"{where}: line {reader.line_num} is not CSV: {reason(error)}") from error
    if not names:
        raise InputError(f"{where} is empty; a header line with the column names and rows are needed")
    return names


def typed(text: "pd.Series", notation: Notation, codes: bool) -> "pd.Series":
    """Return a column of text as numbers if all of it is.

    Parameters
    ----------
    text : pandas.Series
        Text; NaN where a value is missing.
    notation : Notation
    codes : bool
        Whether it is of classes: those with leading zeros are codes and stay text.

    Returns
    -------
    pandas.Series
    """
    present = text.dropna()
    if not len(present) or not present.str.fullmatch(notation.pattern).all():
        return text
    if codes:
        if present.str.contains(r"^ *[-+]?0[0-9]").any():
            return text
        if present.str.fullmatch(r" *[-+]?[0-9]+ *").all():
            # beyond 2**53 a float is not exact
            return present.map(int).astype(object).reindex(text.index)
    return notation.plain(text).astype("float64")


def _frame_of_arrow(source: dict[str, Any], path: str, content: bytes, where: str) -> "pd.DataFrame":
    import pyarrow
    import pyarrow.feather
    import pyarrow.parquet

    is_feather = source["kind"] == "feather"
    try:
        file = io.BytesIO(content)
        table = pyarrow.feather.read_table(file) if is_feather else pyarrow.parquet.ParquetFile(file).read()
        refuse_duplicates(table.column_names, where, "columns")
        frame = table.to_pandas()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{where} is not a readable {source['kind'].title()} file: {reason(error)}") from error
    frame.columns = [str(column_name) for column_name in frame.columns]
    return frame


def read_npz(source: dict[str, Any], where: str) -> Dataset:
    """Read an npz file of features of any shape and classes.

    Parameters
    ----------
    source : dict
        Of kind ``npz``.
    where : str
        How messages begin.

    Returns
    -------
    Dataset
        The numbers of each row stand in one line.

    Raises
    ------
    InputError
        If the file has no such arrays, or they are no finite numbers with a class for each row.
    """
    path, names = source["path"], (source.get("features", "X"), source.get("target", "y"))
    where = f"{where}: {path}"
    try:
        with np.load(path, allow_pickle=False) as stored:
            X, y = (stored[name] for name in names)
    except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{where} has no arrays {' and '.join(names)} that can be read: {reason(error)}") from error
    if X.ndim < 2 or y.shape != X.shape[:1] or X.dtype.kind not in "fiub" or y.dtype.kind not in "iubUS":
        raise InputError(
            f"{where}: {names[0]} is {X.dtype} {X.shape} and {names[1]} {y.dtype} {y.shape}; allowed: numbers "
            "(rows, ...) and a whole number or a word for each row"
        )
    X = X.reshape(len(X), -1).astype(np.float64)
    if not X.size or not (np.abs(X) <= LARGEST_NUMBER).all():
        raise InputError(f"{where}: {names[0]} is empty, or not all finite numbers up to {LARGEST_NUMBER:g}")
    classes, indices = np.unique(y, return_inverse=True)
    features = [f"x{number}" for number in range(1, X.shape[1] + 1)]
    notes = {"file_sha256": sha256_of_file(path)}
    return Dataset(X, indices.astype(np.int64), [str(name) for name in classes], features, notes)
