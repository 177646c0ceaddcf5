"""The files of one pack: its log and manifest are read, checked against the study, and turned into rows of tables."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from altfreeze.freezing.cost import Layer
from altfreeze.freezing.plan import Workload
from altfreeze.study.cell import Cell
from altfreeze.support.errors import InputError
from altfreeze.support.files import sha256_of_file
from altfreeze.tables.schema import ARROW, CELL, ROUNDING, arrays_of, arrow_rows, columns

# what the table packs takes of a manifest as it is, and what study.json takes beside it
PACK_FACTS = (
    *("data_sha256", "code", "device", "threads", "training_seconds", "peak_memory_mib"),
    *("attempt", "resumed_at_epochs"),
)
RUN_FACTS = (*PACK_FACTS, "git", "versions", "device_name", "host", "wall_seconds", "cpu_seconds")
# the columns of the tables epochs and gradient_flow that no log has
ADDED_COLUMNS = (*CELL, "freeze_ratio", "reference_seconds")
HEAL_PACK = "delete both files of the pack and run snakemake again"


# ---- files that are checked


def read_json(path: Path, what: str, names: Sequence[str], heal: str) -> dict[str, Any]:
    """Return the content of a JSON file that must have some keys.

    Parameters
    ----------
    path : pathlib.Path
    what, heal : str
        What the file should be, and what to do if it is not.
    names : sequence of str
        Keys that must be there.

    Returns
    -------
    dict

    Raises
    ------
    InputError
        If it cannot be read, or a key is not there.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        for name in names:
            content[name]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not {what} ({type(error).__name__}: {error}); {heal}") from None
    return content


def check_expected(path: Path, heal: str, content: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Refuse a file of which a value is not the one that the study expects."""
    for name, value in expected.items():
        if content[name] != value:
            raise InputError(f"{path}: {name} is not what the study says; {heal}")


def _check_sha256(path: Path, sha256: str, heal: str) -> None:
    if sha256_of_file(path) != sha256:
        raise InputError(f"{path}: its SHA-256 is not the one in its manifest: the log was changed; {heal}")


def _read_rows(path: Path, table: str, heal: str) -> pa.Table:
    """Return the columns of a table that a log has, typed, in Arrow's form."""
    names = [name for name in columns(table) if name not in ADDED_COLUMNS]
    types = {name: ARROW[columns(table)[name]["type"]] for name in names}
    try:
        # processes read beside each other already
        rows = csv.read_csv(
            path,
            read_options=csv.ReadOptions(use_threads=False),
            convert_options=csv.ConvertOptions(column_types=types, null_values=[""], include_columns=names),
        )
    except (pa.ArrowException, KeyError) as error:
        raise InputError(f"{path}: not a log: {' '.join(str(error).split())}; {heal}") from None
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        if column.null_count and not pa.types.is_floating(column.type):
            raise InputError(f"{path}: column {name}: a value is missing; {heal}")
    return rows


def _order(path: Path, rows: pa.Table, seeds: Sequence[int], made: np.ndarray) -> np.ndarray:
    """Return where the rows of a log stand in the order of its seeds and epochs, which must be those expected."""
    seed, epoch = rows["seed"].to_numpy(), rows["epoch"].to_numpy()
    order = np.lexsort((epoch, seed))
    seed, epoch = seed[order], epoch[order]
    twice = (seed[1:] == seed[:-1]) & (epoch[1:] == epoch[:-1])
    if twice.any():
        row = twice.argmax()
        raise InputError(f"{path}: seed {seed[row]}, epoch {epoch[row]:g} stands twice; {HEAL_PACK}")
    if not (
        len(order) == len(seeds) * len(made)
        and np.array_equal(seed, np.repeat(seeds, len(made)))
        and np.allclose(epoch, np.tile(made, len(seeds)), rtol=ROUNDING)
    ):
        raise InputError(f"{path}: its rows are not those of the seeds and epochs of the study; {HEAL_PACK}")
    return order


def _read_manifest(path: Path, cell: Cell, seeds: Sequence[int], data_sha256: str) -> tuple[dict[str, Any], np.ndarray]:
    """Return a manifest that is the study's, its workload an object, and the epochs made after each one of the plan."""
    names = ("rows", "log_sha256", "flow_sha256", "workload", "cell", "seeds", *RUN_FACTS)
    manifest = read_json(path, "a manifest", names, HEAL_PACK)
    expected = {"cell": cell.as_dict(), "seeds": list(seeds), "data_sha256": data_sha256}
    check_expected(path, HEAL_PACK, manifest, expected)
    for name in RUN_FACTS:
        is_number = isinstance(manifest[name], int | float) and not isinstance(manifest[name], bool)
        if name.endswith(("seconds", "_mib", "threads", "attempt")) and not is_number:
            raise InputError(f"{path}: {name} is no number; {HEAL_PACK}")
    if not isinstance(manifest["resumed_at_epochs"], list):
        raise InputError(f"{path}: resumed_at_epochs is no list; {HEAL_PACK}")
    work = manifest["workload"]
    try:
        counted = tuple(Layer(*layer) for layer in work["counted"])
        workload = Workload(**work | {"sizes": tuple(work["sizes"]), "counted": counted})
        # what an adaptive strategy decided is as long
        followed = cell.following(manifest["decided"]) if manifest.get("decided") else cell
        made = np.cumsum([len(epoch.steps) for epoch in followed.plan(workload)]) / len(workload.batches)
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"{path}: workload is none, or decided no plan ({type(error).__name__}: {error}); {HEAL_PACK}"
        ) from None
    return manifest | {"workload": workload}, made


def read_pack(stem: Path, cell: Cell, seeds: Sequence[int], data_sha256: str) -> tuple[pa.Table, dict[str, Any]]:
    """Read one pack's log after checking it against its manifest and the study.

    Parameters
    ----------
    stem : pathlib.Path
        Path of log and manifest without suffix.
    cell : altfreeze.study.cell.Cell
        What the study says of the cell.
    seeds : sequence of int
    data_sha256 : str
        Hash of the data set as it is now.

    Returns
    -------
    rows : pyarrow.Table
        The log, with the columns of the table epochs but for `ADDED_COLUMNS`, by seed and epoch.
    manifest : dict
        Its ``workload`` is an `altfreeze.freezing.plan.Workload`.

    Raises
    ------
    InputError
        With one line that names the file, if the log or the manifest is missing, was
        changed after it was written, or belongs to another cell, data set or seeds.
    """
    log, manifest_path = (stem.with_name(stem.name + suffix) for suffix in (".csv", ".json"))
    for path in (log, manifest_path):
        if not path.is_file():
            raise InputError(f"{path}: missing; a cell of the study has no result; run snakemake again")
    manifest, made = _read_manifest(manifest_path, cell, seeds, data_sha256)
    _check_sha256(log, manifest["log_sha256"], HEAL_PACK)
    rows = _read_rows(log, "epochs", HEAL_PACK)
    if len(rows) != manifest["rows"]:
        raise InputError(f"{log}: {len(rows)} rows, but its manifest says {manifest['rows']}; {HEAL_PACK}")
    return rows.take(_order(log, rows, seeds, made)), manifest


def read_flow(stem: Path, key: dict[str, Any], sha256: str) -> pa.Table:
    """Return what was observed of each layer in a pack as rows of the table gradient_flow."""
    path, heal = stem.with_name(stem.name + ".flow.csv"), "delete all files of the pack and run snakemake again"
    if not path.is_file():
        raise InputError(f"{path}: missing; the study asks for gradient_flow; {heal}")
    _check_sha256(path, sha256, heal)
    rows = _read_rows(path, "gradient_flow", heal)
    return arrow_rows("gradient_flow", len(rows), key | arrays_of(rows))
