"""Columns and types of tables, as ``workflow/schemas/tables.schema.yaml`` defines them; reading and writing them."""

import contextlib
import functools
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml
from pyarrow import compute, csv, parquet

from altfreeze.support.errors import InputError
from altfreeze.support.files import atomic_output
from altfreeze.tables.seals import check_seal

SCHEMA_PATH = Path(__file__).parents[2] / "schemas" / "tables.schema.yaml"
CELL = ["dataset", "depth", "strategy", "recipe"]
KEY = [*CELL, "seed"]
# what all strategies of a comparison have in common
SETTING = ["dataset", "depth", "recipe"]
ARROW = {"int": pa.int64(), "float": pa.float64(), "str": pa.large_string()}
# rows that are read and written at a time
GROUP_ROWS = 2**18
# logs hold nine digits: any number is exact to 1e-8 of itself
ROUNDING = 1e-8
# of a difference of shares, what the digits of the logs leave
DIGITS = 8
# by which a number may leave its range: sums of shares are not exact
SLACK = 1e-6


@functools.cache
def load_schema() -> dict[str, dict[str, dict[str, Any]]]:
    """Return table to column to its ``type``, ``description`` and, where it has a range, ``min`` and ``max``."""
    return yaml.safe_load(SCHEMA_PATH.read_text(encoding="utf-8"))


def columns(table: str) -> dict[str, dict[str, Any]]:
    """Return the columns of a table in their order.

    Parameters
    ----------
    table : str
        A key of ``workflow/schemas/tables.schema.yaml``.

    Returns
    -------
    dict of str to dict
        Column to its ``type``, ``description`` and, where it has a range, ``min`` and ``max``.
    """
    return load_schema()[table]


def float_columns(table: str) -> list[str]:
    """Return the columns of a table that may be empty: its numbers that are not whole."""
    return [name for name, column in columns(table).items() if column["type"] == "float"]


def conform(frame: pd.DataFrame, table: str, origin: str) -> pd.DataFrame:
    """Return a table with the columns and types that its schema states.

    Parameters
    ----------
    frame : pandas.DataFrame
        Without any column, it is the empty table.
    table : str
        See `columns`.
    origin : str
        Where the table comes from, for the message.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    InputError
        If a column is missing or unknown, or a value is not of its type or out of its range.
    """
    schema = columns(table)
    if frame.shape == (0, 0):
        frame = pd.DataFrame(columns=list(schema))
    if set(frame.columns) != set(schema):
        raise _other_columns(origin, table, set(frame.columns) ^ set(schema))
    types = {"int": "int64", "float": "float64", "str": "str"}
    for name, column in schema.items():
        missing = frame[name].isna()
        if column["type"] != "float" and missing.any():
            raise InputError(f"{origin}: column {name}: a value is missing in row {int(missing.argmax()) + 1}")
    try:
        frame = frame[list(schema)].astype({name: types[column["type"]] for name, column in schema.items()})
    except (ValueError, TypeError) as error:
        raise InputError(f"{origin}: a value is not of its column's type: {error}") from None
    _check_ranges(frame, table, origin)
    return frame


def _check_ranges(frame: pd.DataFrame, table: str, origin: str) -> None:
    """Refuse numbers out of the range of their column; infinity is in none but where ``max`` says so."""
    for name in frame.columns:
        column = columns(table)[name]
        if column["type"] == "str":
            continue
        low, high = column.get("min", -np.inf), column.get("max", np.inf)
        values = frame[name].to_numpy()
        outside = (values < low - SLACK) | (values > high + SLACK)
        if column["type"] == "float" and "max" not in column:
            outside |= np.isinf(values)
        if outside.any():
            row = int(outside.argmax())
            allowed = f"{low:g} or more" if np.isinf(high) else f"{low:g} to {high:g}"
            allowed = "finite numbers" if np.isinf(low) else allowed
            raise InputError(f"{origin}: column {name}: {values[row]:g} in row {row + 1}; allowed: {allowed}")


def _other_columns(origin: str, table: str, names: Iterable[str]) -> InputError:
    return InputError(f"{origin}: columns differ from those of the table {table} in: {', '.join(sorted(names))}")


def _not_a_table(path: Path | str, error: Exception) -> InputError:
    return InputError(f"{path}: not a table: {' '.join(str(error).split())}")


# ---- reading


def _check_seal(path: Path | str) -> None:
    try:
        check_seal(Path(path))
    except OSError as error:
        raise _not_a_table(path, error) from None


def read_categories(path: Path | str, table: str, names: Sequence[str]) -> pd.DataFrame:
    """Return some columns of a Parquet table, texts as categories: many rows in little memory.

    Parameters
    ----------
    path : path
    table : str
        See `columns`.
    names : sequence of str
        Columns to read.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    InputError
        If the file is no Parquet table, has not all these columns or values out of their range, or was changed after
        it was written.
    """
    names = list(names)
    _check_seal(path)
    texts = [name for name in names if columns(table)[name]["type"] == "str"]
    try:
        rows = parquet.read_table(path, columns=names, read_dictionary=texts)
        frame = rows.unify_dictionaries().to_pandas()
    except (OSError, ValueError) as error:
        raise _not_a_table(path, error) from None
    if missing := set(names) - set(frame.columns):
        raise _other_columns(str(path), table, missing)
    _check_ranges(frame[names], table, str(path))
    return frame[names].astype(dict.fromkeys(texts, "category"))


def read_table(path: Path | str, table: str) -> pd.DataFrame:
    """Read a table, CSV or Parquet by its suffix, and check it against its seal and its schema; see `conform`."""
    _check_seal(path)
    types = {name: "str" for name, column in columns(table).items() if column["type"] == "str"}
    try:
        if Path(path).suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:
            empty = {name: [""] for name in float_columns(table)}
            frame = pd.read_csv(path, dtype=types, keep_default_na=False, na_values=empty)
    except (OSError, ValueError) as error:
        raise _not_a_table(path, error) from None
    return conform(frame, table, str(path))


# ---- writing CSV


def write_table(frame: pd.DataFrame, path: Path | str) -> None:
    """Write a table as CSV, atomically; floats as the shortest text that reads back the same."""
    with atomic_output(path, "wb") as file:
        file.write(table_csv(frame))


def table_csv(frame: pd.DataFrame) -> bytes:
    """Return a table as CSV, as `write_table` writes it."""
    return csv_header(frame.columns) + csv_rows(pa.Table.from_pandas(frame, preserve_index=False))


def csv_header(names: Iterable[str]) -> bytes:
    """Return the first line of a table as CSV."""
    return (",".join(names) + "\n").encode()


def csv_rows(table: pa.Table) -> bytes:
    """Return the rows of an Arrow table as CSV, quoted where a text must be: a row is the same in any table."""
    texts = [column for column in table.columns if pa.types.is_large_string(column.type)]
    if any(compute.any(compute.match_substring_regex(text, '[",\r\n]')).as_py() for text in texts):
        # pyarrow would quote every text
        columns_of_text = [column.cast(pa.large_string()).fill_null("").to_pylist() for column in table.columns]
        lines = (",".join(_quoted(value) for value in row) for row in zip(*columns_of_text, strict=True))
        return "".join(f"{line}\n" for line in lines).encode()
    buffer = io.BytesIO()
    # pyarrow 26 writes what its memory held for a chunk without rows
    if len(table):
        csv.write_csv(table.combine_chunks(), buffer, csv.WriteOptions(include_header=False, quoting_style="none"))
    return buffer.getvalue()


def _quoted(text: str) -> str:
    return '"{}"'.format(text.replace('"', '""')) if any(mark in text for mark in '",\r\n') else text


# ---- rows in Arrow's form


def arrow_schema(table: str) -> pa.Schema:
    """Return the names and types of a table's columns in Arrow's form."""
    return pa.schema([(name, ARROW[column["type"]]) for name, column in columns(table).items()])


def no_rows(table: str) -> pa.Table:
    """Return a table without rows in Arrow's form."""
    return arrow_schema(table).empty_table()


def arrow_rows(table: str, count: int, values: Mapping[str, Any]) -> pa.Table:
    """Return rows of a table in Arrow's form.

    Parameters
    ----------
    table : str
        See `columns`.
    count : int
        Number of rows.
    values : dict
        Of each column an array, shape (count,), or one value for all rows; NaN is no value.

    Returns
    -------
    pyarrow.Table
    """
    schema = arrow_schema(table)
    arrays = [
        pa.array(values[field.name], field.type, from_pandas=True)
        if isinstance(values[field.name], np.ndarray | pa.Array)
        else pa.repeat(pa.scalar(values[field.name], field.type, from_pandas=True), count)
        for field in schema
    ]
    return pa.table(arrays, schema)


def arrays_of(rows: pa.Table) -> dict[str, np.ndarray | pa.Array]:
    """Return the columns of rows in Arrow's form, numbers as arrays with NaN for none."""
    return {
        name: column.combine_chunks() if pa.types.is_large_string(column.type) else column.to_numpy()
        for name, column in zip(rows.column_names, rows.columns, strict=True)
    }


def frame_of(table: str, parts: Iterable[pa.Table], origin: str) -> pd.DataFrame:
    """Return parts of a table in Arrow's form as one frame; see `conform`."""
    return conform(pa.concat_tables([no_rows(table), *parts]).to_pandas(), table, origin)


@contextlib.contextmanager
def parquet_output(path: Path | str, table: str) -> Iterator[Callable[[pa.Table], None]]:
    """Write a Parquet file atomically and group by group, so that a group is all that memory holds.

    Parameters
    ----------
    path : path
    table : str
        See `columns`.

    Yields
    ------
    callable
        Adds rows in Arrow's form to the file.
    """
    waiting: list[pa.Table] = []
    with atomic_output(path, "wb") as file, parquet.ParquetWriter(file, arrow_schema(table)) as writer:

        def add(rows: pa.Table, last: bool = False) -> None:
            waiting.append(rows)
            if last or sum(map(len, waiting)) >= GROUP_ROWS:
                writer.write_table(pa.concat_tables(waiting))
                waiting.clear()

        yield add
        add(no_rows(table), last=True)
