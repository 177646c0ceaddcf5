"""Collect the logs of a study into tables and check that nothing is missing, doubled or changed."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from altfreeze import InputError
from altfreeze.config import cell, packs, strategies
from altfreeze.files import atomic_output, sha256_of_file, write_json
from altfreeze.randomness import stream_seed
from altfreeze.statistics import mean_difference

SCHEMA_PATH = Path(__file__).parents[1] / "schemas" / "tables.schema.yaml"
KEY = ["dataset", "depth", "strategy", "seed"]
COMPARED_METRICS = ("final_test_accuracy", "best_test_accuracy")


def columns(table):
    """Return the columns of a table in their order.

    Parameters
    ----------
    table : {'epochs', 'runs', 'comparisons'}

    Returns
    -------
    dict of str to dict
        Column to its ``type`` and ``description``.
    """
    return yaml.safe_load(SCHEMA_PATH.read_text(encoding="utf-8"))[table]


def conform(frame, table, origin):
    """Return a table with the columns and types that its schema states.

    Parameters
    ----------
    frame : pandas.DataFrame
    table : {'epochs', 'runs', 'comparisons'}
    origin : str
        Where the table comes from, for the message.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    InputError
        If a column is missing or unknown, or a value is not of its type.
    """
    schema = columns(table)
    if set(frame.columns) != set(schema):
        difference = ", ".join(sorted(set(frame.columns) ^ set(schema)))
        raise InputError(f"{origin}: columns differ from those of the table {table} in: {difference}")
    types = {"int": "int64", "float": "float64", "str": "str"}
    for name, column in schema.items():
        missing = frame[name].isna()
        if column["type"] != "float" and missing.any():
            raise InputError(f"{origin}: column {name}: a value is missing in row {int(missing.argmax()) + 1}")
    try:
        return frame[list(schema)].astype({name: types[column["type"]] for name, column in schema.items()})
    except ValueError as error:
        raise InputError(f"{origin}: a value is not of its column's type: {error}") from None


def read_table(path, table):
    """Read a CSV table and check it against its schema; see `conform`."""
    types = {name: "str" for name, column in columns(table).items() if column["type"] == "str"}
    try:
        frame = pd.read_csv(path, dtype=types, keep_default_na=False, na_values={name: [""] for name in _floats(table)})
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a table: {' '.join(str(error).split())}") from None
    return conform(frame, table, str(path))


def _floats(table):
    return [name for name, column in columns(table).items() if column["type"] == "float"]


def write_table(frame, path):
    """Write a table as CSV, atomically; floats as the shortest text that reads back the same."""
    with atomic_output(path) as file:
        frame.to_csv(file, index=False, lineterminator="\n")


def _write_parquet(frame, path):
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    with atomic_output(path, "wb") as file:
        file.write(buffer.getvalue())


def read_pack(stem, expected_cell, seeds, data_sha256):
    """Read one pack's log after checking it against its manifest and the study.

    Parameters
    ----------
    stem : pathlib.Path
        Path of log and manifest without suffix.
    expected_cell : dict
        What the study says of the cell; see `altfreeze.config.cell`.
    seeds : list of int
    data_sha256 : str
        Hash of the data set as it is now.

    Returns
    -------
    rows : pandas.DataFrame
        The log, with the columns of `altfreeze.training.LOG_COLUMNS`.
    manifest : dict

    Raises
    ------
    InputError
        With one line that names the file, if the log or the manifest is missing, was
        changed after it was written, or belongs to another cell, data set or seeds.
    """
    log, manifest_path = stem.with_name(stem.name + ".csv"), stem.with_name(stem.name + ".json")
    heal = "delete both files of the pack and run snakemake again"
    for path in (log, manifest_path):
        if not path.is_file():
            raise InputError(f"{path}: missing; a cell of the study has no result; run snakemake again")
    try:
        manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
        rows, log_sha256 = manifest["rows"], manifest["log_sha256"]
        stated = (manifest["cell"], manifest["seeds"], manifest["data_sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{manifest_path}: not a manifest ({type(error).__name__}: {error}); {heal}") from None
    for name, found, expected in zip(
        ("cell", "seeds", "data_sha256"), stated, (expected_cell, seeds, data_sha256), strict=True
    ):
        if found != expected:
            raise InputError(f"{manifest_path}: {name} is not what the study says; {heal}")
    if sha256_of_file(log) != log_sha256:
        raise InputError(f"{log}: its SHA-256 is not the one in its manifest: the log was changed; {heal}")
    frame = pd.read_csv(log, dtype={"status": "str", "active": "str"})
    if len(frame) != rows or len(frame) != len(seeds) * expected_cell["epochs"]:
        raise InputError(f"{log}: {len(frame)} rows, but its manifest says {rows}; {heal}")
    if frame.duplicated(["seed", "epoch"]).any():
        row = frame[frame.duplicated(["seed", "epoch"])].iloc[0]
        raise InputError(f"{log}: seed {row.seed}, epoch {row.epoch} stands twice; {heal}")
    return frame, manifest


def _run_rows(frame, manifest):
    """Return one row per run of a pack's log."""
    last = frame.groupby("seed").last(skipna=False)
    accuracy = frame.pivot(index="seed", columns="epoch", values="validation_accuracy")
    # a diverged run has no accuracies from that epoch on; it may have a best epoch before
    best_epoch = accuracy.max(axis=1).where(accuracy.notna().any(axis=1))
    best_epoch = accuracy.eq(best_epoch, axis=0).idxmax(axis=1).where(best_epoch.notna())
    chosen = frame.set_index(["seed", "epoch"])
    best = chosen.reindex(pd.MultiIndex.from_arrays([best_epoch.index, best_epoch]))
    return pd.DataFrame(
        {
            "status": last["status"],
            "epochs": last["epoch"],
            "best_epoch": best_epoch.astype("float64"),
            "best_validation_accuracy": best["validation_accuracy"].to_numpy(),
            "best_test_accuracy": best["test_accuracy"].to_numpy(),
            "final_validation_accuracy": last["validation_accuracy"],
            "final_test_accuracy": last["test_accuracy"],
            "flops": last["flops"],
            "updates_bottom": last["updates_bottom"],
            "updates_top": last["updates_top"],
            "seconds": last["seconds"] / len(last),
            "pack_seeds": len(last),
            "device": manifest["device"],
        }
    ).reset_index()


def collect(study, results, tables):
    """Write ``epochs.parquet``, ``epochs.csv``, ``runs.csv`` and ``study.json``.

    Parameters
    ----------
    study : dict
        Complete configuration; see `altfreeze.config.validate`.
    results : path
        Folder with ``data`` and ``runs``.
    tables : path
        Folder to write to.

    Raises
    ------
    InputError
        With one line that names the file, if a pack is missing or is not what the study
        says (`read_pack`), or a run stands twice.
    """
    results = Path(results)
    ratios = {label: parameters.get("freeze_ratio") for label, parameters in strategies(study).items()}
    hashes = {name: sha256_of_file(results / "data" / f"{name}.npz") for name in study["datasets"]}
    epochs, runs, manifests = [], [], []
    for pack in packs(study):
        stem = results / "runs" / pack.stem
        seeds = list(range(pack.first_seed, pack.last_seed + 1))
        expected = cell(study, pack.dataset, pack.depth, pack.strategy)
        frame, manifest = read_pack(stem, expected, seeds, hashes[pack.dataset])
        key = {
            "dataset": pack.dataset,
            "depth": pack.depth,
            "strategy": pack.strategy,
            "freeze_ratio": np.nan if ratios[pack.strategy] is None else ratios[pack.strategy],
        }
        epochs.append(frame.assign(**key))
        runs.append(_run_rows(frame, manifest).assign(**key))
        manifests.append(manifest)
    epochs = conform(pd.concat(epochs, ignore_index=True), "epochs", f"{results / 'runs'}")
    runs = conform(pd.concat(runs, ignore_index=True), "runs", f"{results / 'runs'}")
    if runs.duplicated(KEY).any():
        raise InputError(f"{results / 'runs'}: a run stands twice: {runs[runs.duplicated(KEY)].iloc[0][KEY].to_dict()}")
    tables = Path(tables)
    _write_parquet(epochs, tables / "epochs.parquet")
    write_table(epochs, tables / "epochs.csv")
    write_table(runs, tables / "runs.csv")
    write_json(tables / "study.json", {"config": study, "provenance": _provenance(manifests)})


def _provenance(manifests):
    """Return what the packs say of where they ran: each distinct value once, and sums."""

    def distinct(*path):
        values = []
        for manifest in manifests:
            value = manifest
            for part in path:
                value = value[part]
            if value not in values:
                values.append(value)
        return values

    return {
        "packs": len(manifests),
        "git": distinct("git"),
        "code": distinct("code"),
        "versions": distinct("versions"),
        "device": distinct("device"),
        "device_name": distinct("device_name"),
        "threads": distinct("threads"),
        "training_seconds": sum(manifest["training_seconds"] for manifest in manifests),
        "wall_seconds": sum(manifest["wall_seconds"] for manifest in manifests),
        "cpu_seconds": sum(manifest["cpu_seconds"] for manifest in manifests),
        "peak_memory_mib": max(manifest["peak_memory_mib"] for manifest in manifests),
    }


def compare(study, runs_path, output):
    """Write ``comparisons.csv``: each alternating strategy against standard training.

    Runs are paired by seed. A seed of which a run diverged is left out of the pairs of
    that comparison and counted in ``dropped``.

    Parameters
    ----------
    study : dict
        Complete configuration; see `altfreeze.config.validate`.
    runs_path : path
        ``runs.csv``.
    output : path
        CSV to write.
    """
    runs = read_table(runs_path, "runs")
    rows = []
    for depth in study["depths"]:
        for label, parameters in strategies(study).items():
            if label == "standard":
                continue
            key = {"depth": depth, "strategy": label, "freeze_ratio": parameters["freeze_ratio"], "budget": "epochs"}
            pairs = {name: _pairs(runs, name, depth, label) for name in study["datasets"]}
            for metric in (*COMPARED_METRICS, "flops_ratio"):
                for name in (*study["datasets"], "all"):
                    chosen = list(pairs.values()) if name == "all" else [pairs[name]]
                    generator = np.random.default_rng(
                        stream_seed(study["seed"], name, depth, label, metric, "bootstrap")
                    )
                    rows.append({"dataset": name, **key, "metric": metric, **_compare_one(chosen, metric, generator)})
    write_table(conform(pd.DataFrame(rows), "comparisons", str(output)), output)


def _pairs(runs, dataset, depth, label):
    """Return the runs of a cell beside the standard runs of the same seeds, diverged ones included."""
    cells = runs[(runs["dataset"] == dataset) & (runs["depth"] == depth)].set_index("seed")
    standard, other = cells[cells["strategy"] == "standard"], cells[cells["strategy"] == label]
    return standard.merge(other, left_index=True, right_index=True, suffixes=("_standard", "_other"))


def _compare_one(pairs, metric, generator):
    usable = [frame[(frame["status_standard"] == "ok") & (frame["status_other"] == "ok")] for frame in pairs]
    dropped = sum(map(len, pairs)) - sum(map(len, usable))
    if metric == "flops_ratio":
        standard = [np.ones(len(frame)) for frame in usable]
        other = [(frame["flops_other"] / frame["flops_standard"]).to_numpy() for frame in usable]
    else:
        standard = [frame[f"{metric}_standard"].to_numpy() for frame in usable]
        other = [frame[f"{metric}_other"].to_numpy() for frame in usable]
    differences = [b - a for a, b in zip(standard, other, strict=True)]
    interval = mean_difference(differences, generator)
    complete = all(len(values) for values in differences)
    return {
        "pairs": sum(map(len, usable)),
        "dropped": dropped,
        "diverged_standard": int(sum((frame["status_standard"] == "diverged").sum() for frame in pairs)),
        "diverged_alternating": int(sum((frame["status_other"] == "diverged").sum() for frame in pairs)),
        "standard": float(np.mean([values.mean() for values in standard])) if complete else np.nan,
        "alternating": float(np.mean([values.mean() for values in other])) if complete else np.nan,
        "difference": interval.estimate,
        "low": interval.low,
        "high": interval.high,
    }
