"""Collect what a study made into tables, and check that nothing is missing, doubled or changed."""

import functools
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from altfreeze import InputError
from altfreeze.config import cell, packs, strategies
from altfreeze.data import split_of_seed
from altfreeze.files import atomic_output, sha256_of_file, write_json
from altfreeze.plans import Workload, plan
from altfreeze.reference import median_seconds, reference_seconds, speedups

SCHEMA_PATH = Path(__file__).parents[1] / "schemas" / "tables.schema.yaml"
CELL = ["dataset", "depth", "strategy", "rates"]
KEY = [*CELL, "seed"]
# what the table packs takes of a manifest as it is
PACK_FACTS = ("data_sha256", "code", "device", "threads", "training_seconds", "peak_memory_mib")
# logs hold nine digits: a share is exact to 1e-9, any number to 1e-8 of itself
SHARE_ROUNDING = 1e-9
ROUNDING = 1e-8
# of a difference of shares, what the digits of the logs leave
DIGITS = 8


@functools.cache
def _schema():
    return yaml.safe_load(SCHEMA_PATH.read_text(encoding="utf-8"))


def columns(table):
    """Return the columns of a table in their order.

    Parameters
    ----------
    table : str
        A key of ``workflow/schemas/tables.schema.yaml``.

    Returns
    -------
    dict of str to dict
        Column to its ``type`` and ``description``.
    """
    return _schema()[table]


def conform(frame, table, origin):
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
        If a column is missing or unknown, or a value is not of its type.
    """
    schema = columns(table)
    if frame.shape == (0, 0):
        frame = pd.DataFrame(columns=list(schema))
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
    except (ValueError, TypeError) as error:
        raise InputError(f"{origin}: a value is not of its column's type: {error}") from None


def read_table(path, table):
    """Read a table, CSV or Parquet by its suffix, and check it against its schema; see `conform`."""
    types = {name: "str" for name, column in columns(table).items() if column["type"] == "str"}
    try:
        if Path(path).suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:
            empty = {name: [""] for name in _floats(table)}
            frame = pd.read_csv(path, dtype=types, keep_default_na=False, na_values=empty)
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


def _read_json(path, words, names, heal):
    """Return the named values of a JSON file, or refuse it as not being what `words` say."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [content[name] for name in names], content
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not {words} ({type(error).__name__}: {error}); {heal}") from None


def _check_stated(path, heal, **stated):
    """Refuse a file of which a value, given as (found, expected), is not the study's."""
    for name, (found, expected) in stated.items():
        if found != expected:
            raise InputError(f"{path}: {name} is not what the study says; {heal}")


def _check_rows(path, frame, grid, heal):
    """Refuse a frame whose rows are not those of a grid, a frame of the same key columns."""
    names = list(grid.columns)
    if frame.duplicated(names).any():
        row = frame[frame.duplicated(names)].iloc[0]
        raise InputError(f"{path}: {', '.join(f'{name} {row[name]:g}' for name in names)} stands twice; {heal}")
    found = frame.sort_values(names, ignore_index=True)
    if len(found) != len(grid) or not np.allclose(found[names], grid, rtol=ROUNDING):
        raise InputError(f"{path}: its rows are not those of the seeds and epochs of the study; {heal}")
    return found


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
        The log, with the columns of `altfreeze.training.LOG_COLUMNS`, by seed and epoch.
    manifest : dict
        Its ``workload`` is an `altfreeze.plans.Workload`.

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
    names = ("rows", "log_sha256", "flow_sha256", "workload", "cell", "seeds", "data_sha256")
    (rows, log_sha256, _, work, *stated), manifest = _read_json(manifest_path, "a manifest", names, heal)
    expected = (expected_cell, seeds, data_sha256)
    _check_stated(manifest_path, heal, **dict(zip(names[4:], zip(stated, expected, strict=True), strict=True)))
    try:
        workload = Workload(**work | {"sizes": tuple(work["sizes"])})
        made = np.cumsum([len(epoch.steps) for epoch in plan(expected_cell, workload)]) / len(workload.batches)
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{manifest_path}: workload is none ({type(error).__name__}: {error}); {heal}") from None
    if sha256_of_file(log) != log_sha256:
        raise InputError(f"{log}: its SHA-256 is not the one in its manifest: the log was changed; {heal}")
    frame = pd.read_csv(log, dtype={"status": "str", "active": "str", "updates": "str"})
    if len(frame) != rows:
        raise InputError(f"{log}: {len(frame)} rows, but its manifest says {rows}; {heal}")
    grid = pd.MultiIndex.from_product([seeds, made], names=["seed", "epoch"]).to_frame(index=False)
    return _check_rows(log, frame, grid, heal), manifest | {"workload": workload}


def _read_flow(stem, key, sha256):
    """Return what was observed of each layer in a pack as the table gradient_flow."""
    path = stem.with_name(stem.name + ".flow.csv")
    heal = "delete all files of the pack and run snakemake again"
    if not path.is_file():
        raise InputError(f"{path}: missing; the study asks for gradient_flow; {heal}")
    if sha256_of_file(path) != sha256:
        raise InputError(f"{path}: its SHA-256 is not the one in its manifest: it was changed; {heal}")
    return conform(pd.read_csv(path).assign(**key), "gradient_flow", str(path))


def _run_rows(frame, manifest):
    """Return one row per run of a pack's log."""
    last = frame.groupby("seed").last(skipna=False)
    # a diverged run has no accuracies from that epoch on; it may have a best epoch before
    valid = frame.dropna(subset="validation_accuracy")
    best = frame.loc[valid.groupby("seed")["validation_accuracy"].idxmax()].set_index("seed").reindex(last.index)
    return pd.DataFrame(
        {
            "status": last["status"],
            "epochs": last["epoch"],
            "best_epoch": best["epoch"],
            "best_validation_accuracy": best["validation_accuracy"],
            "best_test_accuracy": best["test_accuracy"],
            "final_validation_accuracy": last["validation_accuracy"],
            "final_test_accuracy": last["test_accuracy"],
            **{name: last[name] for name in ("flops", "updates_mean", "updates_minimum", "reference_seconds")},
            "seconds": last["seconds"] / len(last),
            "pack_seeds": len(last),
            "device": manifest["device"],
        }
    ).reset_index()


def _pack_row(pack, manifest):
    """Return what a pack's manifest says of how its runs came about; the log's path is that of the rule train."""
    return {
        **{name: getattr(pack, name) for name in CELL},
        "seeds": f"{pack.first_seed}-{pack.last_seed}",
        "cell": json.dumps(manifest["cell"], sort_keys=True),
        "log": f"logs/train/{pack.stem}.log",
        **{name: manifest[name] for name in PACK_FACTS},
    }


def _tuning(study, results, hashes):
    """Return the table tuning, and the chosen learning rates by data set, depth and strategy."""
    rows, chosen = [], {}
    heal = "delete it and run snakemake again"
    grid = [(*where, label) for where in _places(study) for label in strategies(study)] if study["tune"] else []
    for dataset, depth, strategy in grid:
        path = results / "tuning" / dataset / f"depth{depth}" / f"{strategy}.json"
        if not path.is_file():
            raise InputError(f"{path}: missing; a strategy of the study was not tuned; run snakemake again")
        names = ("cell", "data_sha256", "learning_rate", "trials")
        (stated, data, rate, trials), _ = _read_json(path, "a tuning", names, heal)
        _check_stated(
            path,
            heal,
            cell=(stated, cell(study, dataset, depth, strategy)),
            data_sha256=(data, hashes[dataset]),
        )
        key = {"dataset": dataset, "depth": depth, "strategy": strategy}
        try:
            table = pd.DataFrame([{**key, **trial, "chosen": int(trial["learning_rate"] == rate)} for trial in trials])
        except (KeyError, TypeError) as error:
            raise InputError(f"{path}: not a tuning ({type(error).__name__}: {error}); {heal}") from None
        table = conform(table, "tuning", str(path))
        _check_stated(path, heal, learning_rates=(sorted(table["learning_rate"]), sorted(map(float, study["tune"]))))
        if table["chosen"].sum() != 1:
            raise InputError(f"{path}: its learning rate is none of its trials; {heal}")
        rows.append(table)
        chosen[dataset, depth, strategy] = rate
    return conform(pd.concat(rows) if rows else pd.DataFrame(), "tuning", str(results / "tuning")), chosen


def _places(study):
    """Return (data set, depth) of every part of the study, in its order."""
    return [(dataset, depth) for dataset in study["datasets"] for depth in study["depths"]]


def _chance(study, dataset, depth, y):
    """Return the share of the largest class in the validation part, which is the same for every seed."""
    counts = np.bincount(y[split_of_seed(y, study["seed"], dataset, depth, 0).validation])
    return counts.max() / counts.sum()


def _median_accuracy(accuracies):
    """Return the median with a diverged run, NaN, below all others; NaN if it falls on one."""
    median = np.median(np.nan_to_num(accuracies, nan=-np.inf))
    return median if np.isfinite(median) else np.nan


def _targets(study, results, calibration):
    """Return the table targets from the final validation accuracies of the calibration runs."""
    accuracies = calibration.groupby(["dataset", "depth"])["final_validation_accuracy"].agg(list)
    rows = []
    for dataset, depth in _places(study):
        with np.load(results / "data" / f"{dataset}.npz", allow_pickle=False) as stored:
            chance = _chance(study, dataset, depth, stored["y"])
        accuracy = _median_accuracy(accuracies[dataset, depth])
        for level in study["target_levels"]:
            target = chance + level * (accuracy - chance)
            rows.append((dataset, depth, level, len(accuracies[dataset, depth]), chance, accuracy, target))
    return conform(pd.DataFrame(rows, columns=list(columns("targets"))), "targets", "targets")


def _times_to_target(epochs, targets):
    """Return the table times_to_target: of each run and level the first row at the target, or else the last."""
    runs = epochs.groupby(KEY, sort=False).ngroup().to_numpy()
    rows = pd.Series(range(len(epochs)))
    last = rows.groupby(runs).max().to_numpy()
    found = []
    for level, table in targets.groupby("level", sort=False):
        aims = epochs.loc[last, ["dataset", "depth"]].merge(table, how="left")["target"].to_numpy()
        hits = epochs["validation_accuracy"].to_numpy() >= aims[runs] - SHARE_ROUNDING
        first = rows.where(hits).groupby(runs).min().to_numpy()
        reached = ~np.isnan(first)
        at = epochs.loc[np.where(reached, first, last)].reset_index(drop=True)
        found.append(at.assign(level=level, target=aims, reached=reached))
    found = pd.concat(found).sort_index(kind="stable")
    found = found.assign(updates=found["updates_mean"], seconds=found["reference_seconds"])
    return conform(found[list(columns("times_to_target"))].reset_index(drop=True), "times_to_target", "epochs")


def _reached(times):
    """Return the table reached: of each cell and level how many runs reached the target, and medians."""
    clocks = ["epoch", "updates", "flops", "seconds"]
    # a run that did not reach the target takes longer than any that did
    late = times.assign(**{name: times[name].astype("float64").where(times["reached"] == 1, np.inf) for name in clocks})
    cells = late.groupby([*CELL, "level"], sort=False)
    table = cells["reached"].agg(runs="size", reached="sum")
    table = table.assign(censored=table["runs"] - table["reached"]).join(cells[clocks].median())
    return conform(table.replace(np.inf, np.nan).reset_index(), "reached", "times_to_target")


def collect(study, results, tables):
    """Write the tables of the runs, and ``study.json``.

    These are ``epochs.parquet``, ``epochs.csv``, ``runs.csv``, ``packs.csv``, ``calibration.csv``, ``targets.csv``,
    ``times_to_target.csv``, ``reached.csv``, ``tuning.csv``, ``speedups.csv`` and
    ``gradient_flow.parquet``; the runs of calibration are in calibration, targets and tuning alone.

    Parameters
    ----------
    study : dict
        Complete configuration; see `altfreeze.config.validate`.
    results : path
        Folder with ``data``, ``runs`` and, where the study tunes, ``tuning``.
    tables : path
        Folder to write to; ``timing.csv`` is in it.

    Raises
    ------
    InputError
        With one line that names the file, if a pack or a tuning is missing or is not what
        the study says (`read_pack`), a run stands twice, or a kind of work was not timed.
    """
    results, tables = Path(results), Path(tables)
    ratios = {label: parameters.get("freeze_ratio", np.nan) for label, parameters in strategies(study).items()}
    hashes = {name: _data_sha256(results / "data" / f"{name}.npz") for name in study["datasets"]}
    timing = read_table(tables / "timing.csv", "timing")
    seconds = median_seconds(timing)
    tuning, chosen = _tuning(study, results, hashes)
    epochs, runs, flows, manifests, workloads = [], [], [], [], {}
    calibration, made = [], []
    for pack in packs(study):
        stem, where = results / "runs" / pack.stem, (pack.dataset, pack.depth)
        rate = chosen[(*where, pack.strategy)] if pack.rates == "tuned" else None
        expected = cell(study, *where, pack.strategy, rate)
        seeds = list(range(pack.first_seed, pack.last_seed + 1))
        frame, manifest = read_pack(stem, expected, seeds, hashes[pack.dataset])
        manifests.append(manifest)
        made.append(_pack_row(pack, manifest))
        workload = workloads.setdefault(where, manifest["workload"])
        if manifest["workload"] != workload:
            raise InputError(
                f"{stem}.json: workload is not that of the packs before; delete it and run snakemake again"
            )
        if pack.calibrates:
            ended = _run_rows(frame.assign(reference_seconds=np.nan), manifest)
            calibration.append(ended.assign(dataset=pack.dataset, depth=pack.depth)[list(columns("calibration"))])
            continue
        clock = reference_seconds(plan(expected, workload), workload, seconds.get(where, {}))
        frame = frame.assign(reference_seconds=np.tile(clock, len(seeds)))
        key = {name: getattr(pack, name) for name in CELL}
        ratio = {"freeze_ratio": ratios[pack.strategy]}
        epochs.append(frame.assign(**key, **ratio))
        runs.append(_run_rows(frame, manifest).assign(**key, **ratio))
        if study["gradient_flow"]:
            flows.append(_read_flow(stem, key, manifest["flow_sha256"]))
    origin = str(results / "runs")
    epochs = conform(pd.concat(epochs, ignore_index=True), "epochs", origin)
    runs = conform(pd.concat(runs, ignore_index=True), "runs", origin)
    if runs.duplicated(KEY).any():
        raise InputError(f"{origin}: a run stands twice: {runs[runs.duplicated(KEY)].iloc[0][KEY].to_dict()}")
    flow = pd.concat(flows, ignore_index=True) if flows else conform(pd.DataFrame(), "gradient_flow", origin)
    calibration = conform(pd.concat(calibration, ignore_index=True), "calibration", origin)
    targets = _targets(study, results, calibration)
    times = _times_to_target(epochs, targets)
    written = {
        "epochs": epochs,
        "runs": runs,
        "packs": conform(pd.DataFrame(made), "packs", origin),
        "calibration": calibration,
        "targets": targets,
        "times_to_target": times,
        "reached": _reached(times),
        "tuning": tuning,
        "speedups": conform(speedups(study, timing, workloads), "speedups", str(tables / "timing.csv")),
    }
    _write_parquet(epochs, tables / "epochs.parquet")
    _write_parquet(flow, tables / "gradient_flow.parquet")
    for name, table in written.items():
        write_table(table, tables / f"{name}.csv")
    write_json(tables / "study.json", {"config": study, "provenance": _provenance(manifests)})


def _data_sha256(path):
    if not path.is_file():
        raise InputError(f"{path}: missing; a data set of the study is not there; run snakemake again")
    return sha256_of_file(path)


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
        "hosts": len(distinct("host")),
        "training_seconds": sum(manifest["training_seconds"] for manifest in manifests),
        "wall_seconds": sum(manifest["wall_seconds"] for manifest in manifests),
        "cpu_seconds": sum(manifest["cpu_seconds"] for manifest in manifests),
        "peak_memory_mib": max(manifest["peak_memory_mib"] for manifest in manifests),
    }
