"""Collect what a study made into tables, and check that nothing is missing, doubled or changed."""

import contextlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from altfreeze.data.split import read_dataset, split_of_seed
from altfreeze.freezing.plan import Workload
from altfreeze.study.cell import Cell
from altfreeze.study.grid import Pack
from altfreeze.support.errors import InputError
from altfreeze.support.files import sha256_of_file, write_json
from altfreeze.support.parallel import in_order
from altfreeze.tables.reference_seconds import median_seconds, reference_seconds, speedups
from altfreeze.tables.schema import (
    ARROW,
    CELL,
    ROUNDING,
    arrays_of,
    arrow_rows,
    columns,
    conform,
    frame_of,
    no_rows,
    parquet_output,
    read_table,
    write_table,
)

# what the table packs takes of a manifest as it is, and what study.json takes beside it
PACK_FACTS = (
    *("data_sha256", "code", "device", "threads", "training_seconds", "peak_memory_mib"),
    *("attempt", "resumed_at_epochs"),
)
RUN_FACTS = (*PACK_FACTS, "git", "versions", "device_name", "host", "wall_seconds", "cpu_seconds")
# the columns of the table epochs that no log has
ADDED = ("dataset", "depth", "strategy", "freeze_ratio", "recipe", "reference_seconds")
NO_LOG = "no log: the job did not run"
# logs hold nine digits: a share is exact to 1e-9
SHARE_ROUNDING = 1e-9


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


def _read_rows(path, table, names, heal):
    """Return columns of a CSV file, typed as those of a table, in Arrow's form."""
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


def _order(path, seeds, made, grid, heal):
    """Return where the rows of a log stand in the order of its seeds and epochs, which must be those of a grid."""
    order = np.lexsort((made, seeds))
    seeds, made = seeds[order], made[order]
    twice = (seeds[1:] == seeds[:-1]) & (made[1:] == made[:-1])
    if twice.any():
        row = twice.argmax()
        raise InputError(f"{path}: seed {seeds[row]}, epoch {made[row]:g} stands twice; {heal}")
    whole = len(order) == len(grid[0]) * len(grid[1])
    if not (
        whole
        and np.array_equal(seeds, np.repeat(grid[0], len(grid[1])))
        and np.allclose(made, np.tile(grid[1], len(grid[0])), rtol=ROUNDING)
    ):
        raise InputError(f"{path}: its rows are not those of the seeds and epochs of the study; {heal}")
    return order


def read_pack(stem, expected_cell, seeds, data_sha256):
    """Read one pack's log after checking it against its manifest and the study.

    Parameters
    ----------
    stem : pathlib.Path
        Path of log and manifest without suffix.
    expected_cell : dict
        What the study says of the cell; see `altfreeze.study.cell.Cell`.
    seeds : list of int
    data_sha256 : str
        Hash of the data set as it is now.

    Returns
    -------
    rows : pyarrow.Table
        The log, with the columns of `altfreeze.training.LOG_COLUMNS`, by seed and epoch.
    manifest : dict
        Its ``workload`` is an `altfreeze.freezing.plan.Workload`.

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
    names = ("rows", "log_sha256", "flow_sha256", "workload", "cell", "seeds", *RUN_FACTS)
    (rows, log_sha256, _, work, *stated), manifest = _read_json(manifest_path, "a manifest", names, heal)
    expected = (expected_cell.as_dict(), seeds, data_sha256)
    _check_stated(manifest_path, heal, **dict(zip(names[4:7], zip(stated, expected, strict=False), strict=True)))
    for name in RUN_FACTS:
        number = name.endswith(("seconds", "_mib", "threads", "attempt"))
        if number and (not isinstance(manifest[name], int | float) or isinstance(manifest[name], bool)):
            raise InputError(f"{manifest_path}: {name} is no number; {heal}")
    if not isinstance(manifest["resumed_at_epochs"], list):
        raise InputError(f"{manifest_path}: resumed_at_epochs is no list; {heal}")
    try:
        workload = Workload(**work | {"sizes": tuple(work["sizes"])})
        made = np.cumsum([len(epoch.steps) for epoch in expected_cell.plan(workload)]) / len(workload.batches)
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{manifest_path}: workload is none ({type(error).__name__}: {error}); {heal}") from None
    if sha256_of_file(log) != log_sha256:
        raise InputError(f"{log}: its SHA-256 is not the one in its manifest: the log was changed; {heal}")
    found = _read_rows(log, "epochs", [name for name in columns("epochs") if name not in ADDED], heal)
    if len(found) != rows:
        raise InputError(f"{log}: {len(found)} rows, but its manifest says {rows}; {heal}")
    order = _order(log, found["seed"].to_numpy(), found["epoch"].to_numpy(), (seeds, made), heal)
    return found.take(order), manifest | {"workload": workload}


def _read_flow(stem, key, sha256):
    """Return what was observed of each layer in a pack as rows of the table gradient_flow."""
    path = stem.with_name(stem.name + ".flow.csv")
    heal = "delete all files of the pack and run snakemake again"
    if not path.is_file():
        raise InputError(f"{path}: missing; the study asks for gradient_flow; {heal}")
    if sha256_of_file(path) != sha256:
        raise InputError(f"{path}: its SHA-256 is not the one in its manifest: it was changed; {heal}")
    rows = _read_rows(path, "gradient_flow", [name for name in columns("gradient_flow") if name not in key], heal)
    return arrow_rows("gradient_flow", len(rows), key | arrays_of(rows))


class _Task(NamedTuple):
    """All that the rows of a pack are made of, but for its files.

    ``targets`` are (level, target) and ``seconds`` those of each kind of work at the pack's data set and depth.
    ``workload`` is that of calibration there, if known. Without a ``cell`` the learning rate was not chosen.
    """

    results: Path
    pack: Pack
    cell: Cell | None
    freeze_ratio: float
    data_sha256: str | None
    seconds: dict
    workload: Workload | None
    targets: list
    flow: bool
    missing: str


class _Rows(NamedTuple):
    """The rows of a pack in Arrow's form, and of its manifest the ``facts`` on its job; without facts it is missing."""

    packs: dict
    runs: pa.Table
    times: pa.Table
    epochs: pa.Table
    flow: pa.Table
    facts: dict | None
    workload: Workload | None


def _collected(task):
    """Return the `_Rows` of a pack, or without them those that say that it is missing, where that is allowed."""
    try:
        return _present(task)
    except InputError as error:
        if task.missing == "refuse":
            raise
        return _missing(task, str(error))


def _key(pack):
    return {name: getattr(pack, name) for name in CELL}


def _stem(task):
    return task.results / "runs" / task.pack.stem


def _pack_row(task, stated, reason=""):
    """Return the row of the table packs, with what the manifest states; the log's path is that of the rule train."""
    return {
        **_key(task.pack),
        "seeds": task.pack.seeds,
        "cell": "" if task.cell is None else json.dumps(task.cell.as_dict(), sort_keys=True),
        "log": f"logs/train/{task.pack.stem}.log",
        **stated,
        "reason": reason,
    }


def _present(task):
    pack, stem = task.pack, _stem(task)
    if task.data_sha256 is None or task.cell is None:
        raise InputError(f"{stem}: its data set or its learning rate is missing; run snakemake again")
    seeds = list(range(pack.first_seed, pack.last_seed + 1))
    rows, manifest = read_pack(stem, task.cell, seeds, task.data_sha256)
    manifest |= {"resumed_at_epochs": " ".join(map(str, manifest["resumed_at_epochs"]))}
    _check_workload(task, manifest["workload"], task.workload or manifest["workload"])
    workload, key = manifest["workload"], _key(pack) | {"freeze_ratio": task.freeze_ratio}
    clock = _clock(task, workload) if not pack.calibrates else np.nan
    values = key | arrays_of(rows) | {"reference_seconds": np.resize(clock, len(rows))}
    epochs = arrow_rows("epochs", len(rows), values)
    # by run and epoch
    logged = {name: value.reshape(len(seeds), -1) for name, value in values.items() if isinstance(value, np.ndarray)}
    status = rows["status"].to_pandas().to_numpy().reshape(len(seeds), -1)[:, -1]
    flow = no_rows("gradient_flow")
    if task.flow and not pack.calibrates:
        flow = _read_flow(stem, _key(pack), manifest["flow_sha256"])
    return _Rows(
        _pack_row(task, {name: manifest[name] for name in PACK_FACTS}),
        _run_rows(key | {"device": manifest["device"]}, status, logged),
        _times(_key(pack), task.targets, logged),
        epochs,
        flow,
        {name: manifest[name] for name in RUN_FACTS},
        workload,
    )


def _check_workload(task, workload, expected):
    if workload != expected:
        raise InputError(
            f"{_stem(task)}.json: workload is not that of the packs before; delete it and run snakemake again"
        )


def _clock(task, workload):
    """Return the reference seconds of a run after each epoch; NaN where its work was not timed and need not be."""
    try:
        return reference_seconds(task.cell.plan(workload), workload, task.seconds)
    except InputError:
        if task.missing == "refuse":
            raise
        return np.nan


def _run_rows(key, status, logged):
    """Return one row per run of a pack, from its logged numbers, shape (runs, epochs)."""
    runs, last = np.arange(len(status)), {name: value[:, -1] for name, value in logged.items()}
    # a diverged run has no accuracies from that epoch on; it may have a best epoch before
    accuracy = np.nan_to_num(logged["validation_accuracy"], nan=-np.inf)
    at = accuracy.argmax(axis=1)
    best = {
        name: np.where(np.isfinite(accuracy[runs, at]), logged[name][runs, at], np.nan)
        for name in ("epoch", "validation_accuracy", "test_accuracy")
    }
    values = {
        "status": status,
        "seed": last["seed"],
        "epochs": last["epoch"],
        "best_epoch": best["epoch"],
        "best_validation_accuracy": best["validation_accuracy"],
        "best_test_accuracy": best["test_accuracy"],
        "final_validation_accuracy": last["validation_accuracy"],
        "final_test_accuracy": last["test_accuracy"],
        **{name: last[name] for name in ("flops", "updates_mean", "updates_minimum", "reference_seconds")},
        "seconds": last["seconds"] / len(runs),
        "pack_seeds": len(runs),
    }
    return arrow_rows("runs", len(runs), key | values)


def _times(key, targets, logged):
    """Return rows of times_to_target: of each run and level that of its first epoch at the target, or else its last."""
    accuracy = logged["validation_accuracy"]
    levels, aims = (np.array(values, float) for values in zip(*targets, strict=True)) if targets else ([], np.empty(0))
    hits = accuracy[:, None, :] >= aims[:, None] - SHARE_ROUNDING
    reached = hits.any(axis=2)
    at = np.where(reached, hits.argmax(axis=2), accuracy.shape[1] - 1)
    run = np.arange(len(accuracy))[:, None]
    clocks = {"epoch": "epoch", "updates": "updates_mean", "flops": "flops", "seconds": "reference_seconds"}
    values = {
        "seed": np.repeat(logged["seed"][:, 0], len(aims)),
        "level": np.tile(levels, len(accuracy)),
        "target": np.tile(aims, len(accuracy)),
        "reached": reached.ravel().astype(int),
        **{clock: logged[name][run, at].ravel() for clock, name in clocks.items()},
    }
    return arrow_rows("times_to_target", reached.size, key | values)


def _missing(task, mistake):
    """Return the `_Rows` of a pack without results: its runs without values, and the reason why."""
    pack, path = task.pack, _stem(task)
    files = any(path.with_name(path.name + suffix).exists() for suffix in (".csv", ".json"))
    # files of a pack whose data set or learning rate is missing are of another study
    there = files and task.data_sha256 is not None and task.cell is not None
    count = pack.last_seed - pack.first_seed + 1
    nothing = {"int": 0, "float": np.nan, "str": ""}
    stated = {name: nothing[columns("packs")[name]["type"]] for name in PACK_FACTS}
    run = {name: nothing[column["type"]] for name, column in columns("runs").items()}
    run |= _key(pack) | {"freeze_ratio": task.freeze_ratio, "status": "missing"}
    run["seed"] = np.arange(pack.first_seed, pack.last_seed + 1)
    empty = {name: no_rows(name) for name in ("times_to_target", "epochs", "gradient_flow")}
    return _Rows(
        _pack_row(task, stated, mistake if there else _last_words(task)),
        arrow_rows("runs", count, run),
        empty["times_to_target"],
        empty["epochs"],
        empty["gradient_flow"],
        None,
        None,
    )


def _last_words(task):
    """Return the last line of the log of the job that failed, be it the pack's or one that it waited for."""
    pack, job = task.pack, f"train/{task.pack.stem}"
    if task.data_sha256 is None:
        job = f"data/{pack.dataset}"
    elif task.cell is None:
        job = f"tune/{pack.dataset}/depth{pack.depth}/{pack.strategy}"
    try:
        log = (task.results / "logs" / f"{job}.log").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return NO_LOG
    lines = log.split("\n")
    words = [" ".join(line.split()) for line in lines if line.strip()]
    return words[-1][:300] if words else f"the job was stopped: logs/{job}.log is empty"


def _tuning(study, results, hashes, missing):
    """Return the table tuning, and the chosen learning rates by data set, depth and strategy."""
    rows, chosen = [], {}
    grid = [(*where, label) for where in study.places for label in study.strategies] if study.tune else []
    for place in grid:
        try:
            table, chosen[place] = _tuned(study, results, hashes, *place)
        except InputError:
            if missing == "refuse":
                raise
        else:
            rows.append(table)
    return conform(pd.concat(rows) if rows else pd.DataFrame(), "tuning", str(results / "tuning")), chosen


def _tuned(study, results, hashes, dataset, depth, strategy):
    """Return the rows of one strategy's tuning, and the learning rate that it chose."""
    path = results / "tuning" / dataset / f"depth{depth}" / f"{strategy}.json"
    heal = "delete it and run snakemake again"
    if not path.is_file():
        raise InputError(f"{path}: missing; a strategy of the study was not tuned; run snakemake again")
    names = ("cell", "data_sha256", "learning_rate", "trials")
    (stated, data, rate, trials), _ = _read_json(path, "a tuning", names, heal)
    _check_stated(
        path,
        heal,
        cell=(stated, study.cell(dataset, depth, strategy).as_dict()),
        data_sha256=(data, hashes[dataset]),
    )
    key = {"dataset": dataset, "depth": depth, "strategy": strategy}
    try:
        table = pd.DataFrame([{**key, **trial, "chosen": int(trial["learning_rate"] == rate)} for trial in trials])
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: not a tuning ({type(error).__name__}: {error}); {heal}") from None
    table = conform(table, "tuning", str(path))
    _check_stated(path, heal, learning_rates=(sorted(table["learning_rate"]), sorted(map(float, study.tune))))
    if table["chosen"].sum() != 1:
        raise InputError(f"{path}: its learning rate is none of its trials; {heal}")
    return table, rate


def _chance(study, dataset, depth, y):
    """Return the share of the largest class in the validation part, which is the same for every seed."""
    counts = np.bincount(y[split_of_seed(y, study.seed, dataset, depth, 0).validation])
    return counts.max() / counts.sum()


def _classes(path, missing):
    """Return the classes of a stored data set, or None where it cannot be read and may be missing."""
    try:
        return read_dataset(path)[1]
    except InputError:
        if missing == "refuse":
            raise
        return None


def _median_accuracy(accuracies):
    """Return the median with a diverged run, NaN, below all others; NaN if it falls on one."""
    median = np.median(np.nan_to_num(accuracies, nan=-np.inf))
    return median if np.isfinite(median) else np.nan


def _targets(study, results, calibration, missing):
    """Return the table targets from the final validation accuracies of the calibration runs.

    Of a missing run nobody knows how good it was: without it there is no median, and no target.
    """
    places = {place: runs for place, runs in calibration.groupby(["dataset", "depth"])}
    classes = {name: _classes(results / "data" / f"{name}.npz", missing) for name in study.datasets}
    rows = []
    for dataset, depth in study.places:
        runs = places[dataset, depth]
        chance = accuracy = np.nan
        if classes[dataset] is not None:
            chance = _chance(study, dataset, depth, classes[dataset])
        there = (runs["status"] != "missing").sum()
        if there == len(runs):
            accuracy = _median_accuracy(runs["final_validation_accuracy"].to_numpy())
        for level in study.target_levels:
            target = chance + level * (accuracy - chance)
            rows.append((dataset, depth, level, there, chance, accuracy, target))
    return conform(pd.DataFrame(rows, columns=list(columns("targets"))), "targets", "targets")


def _reached(times, cells):
    """Return the table reached: of each cell and level how many runs reached the target, and medians."""
    clocks = ["epoch", "updates", "flops", "seconds"]
    # a run that did not reach the target takes longer than any that did
    late = times.assign(**{name: times[name].astype("float64").where(times["reached"] == 1, np.inf) for name in clocks})
    found = late.groupby([*CELL, "level"], sort=False)
    table = found["reached"].agg(runs="size", reached="sum")
    table = table.assign(censored=table["runs"] - table["reached"]).join(found[clocks].median())
    # a cell of which every run is missing has rows of its own
    table = table.reindex(pd.MultiIndex.from_tuples(cells, names=[*CELL, "level"]))
    table = table.fillna(dict.fromkeys(("runs", "reached", "censored"), 0))
    return conform(table.replace(np.inf, np.nan).reset_index(), "reached", "times_to_target")


def _timing(results, missing):
    """Return the table timing, empty where it is missing and may be."""
    path = results / "tables" / "timing.csv"
    if missing == "mark" and not path.is_file():
        return conform(pd.DataFrame(), "timing", str(path))
    return read_table(path, "timing")


def collect(study, results, tables, threads=1, missing="refuse"):
    """Write the tables of the runs, and ``study.json``.

    These are ``epochs.parquet``, ``runs.csv``, ``packs.csv``, ``calibration.csv``, ``targets.csv``,
    ``times_to_target.csv``, ``reached.csv``, ``tuning.csv``, ``speedups.csv`` and
    ``gradient_flow.parquet``; the runs of calibration are in calibration, targets and tuning alone.

    The logs are read by several processes and written as they come, so that what is held in
    memory is a few packs and the rows of runs, not those of epochs.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    results : path
        Folder with ``data``, ``runs``, ``tables/timing.csv`` and, where the study tunes, ``tuning``.
    tables : path
        Folder to write to.
    threads : int
        Processes at work; no table depends on it.
    missing : {'refuse', 'mark'}
        What to do with a pack that is not there or is not what the study says. ``mark``:
        its runs have the status ``missing`` and no values, and ``packs.csv`` has the reason; without
        all calibration runs there is no target, and without timing there are no reference seconds.

    Raises
    ------
    InputError
        With one line that names the file, if a pack or a tuning is missing or is not what
        the study says (`read_pack`), or a kind of work was not timed.
    """
    results, tables = Path(results), Path(tables)
    ratios = {label: parameters.get("freeze_ratio", np.nan) for label, parameters in study.strategies.items()}
    hashes = {name: _data_sha256(results / "data" / f"{name}.npz", missing) for name in study.datasets}
    timing = _timing(results, missing)
    seconds = median_seconds(timing)
    tuning, chosen = _tuning(study, results, hashes, missing)
    cells = {(*where, label): study.cell(*where, label) for where in study.places for label in study.strategies}

    def task(pack, targets=None):
        place, where = (pack.dataset, pack.depth), (pack.dataset, pack.depth, pack.strategy)
        expected = cells[where]
        if pack.recipe == "tuned":
            expected = expected.at(chosen[where]) if where in chosen else None
        return _Task(
            results=results,
            pack=pack,
            cell=expected,
            freeze_ratio=ratios[pack.strategy],
            data_sha256=hashes[pack.dataset],
            seconds=seconds.get(place, {}),
            workload=workloads.get(place),
            targets=targets[place] if targets else [],
            flow=bool(study.gradient_flow),
            missing=missing,
        )

    origin, made, facts, workloads = str(results / "runs"), [], [], {}

    def rows_of(tasks):
        """Yield the rows of each pack, whose workload must be that of the packs before."""
        for given, rows in zip(tasks, in_order(_collected, tasks, threads), strict=True):
            where = (given.pack.dataset, given.pack.depth)
            if rows.facts is not None:
                try:
                    _check_workload(given, rows.workload, workloads.setdefault(where, rows.workload))
                except InputError as error:
                    if missing == "refuse":
                        raise
                    rows = _missing(given, str(error))
            made.append(rows.packs)
            facts.extend([rows.facts] if rows.facts is not None else [])
            yield rows

    every = study.packs
    ended = [rows.runs for rows in rows_of([task(pack) for pack in every if pack.calibrates])]
    calibration = frame_of("runs", ended, origin)[list(columns("calibration"))]
    targets = _targets(study, results, calibration, missing)
    aims = {place: list(zip(rows["level"], rows["target"], strict=True)) for place, rows in targets.groupby(CELL[:2])}
    compared = [pack for pack in every if not pack.calibrates]
    runs, times = [], []
    with contextlib.ExitStack() as written:
        add_epochs = written.enter_context(parquet_output(tables / "epochs.parquet", "epochs"))
        add_flow = written.enter_context(parquet_output(tables / "gradient_flow.parquet", "gradient_flow"))
        for rows in rows_of([task(pack, aims) for pack in compared]):
            runs.append(rows.runs)
            times.append(rows.times)
            add_epochs(rows.epochs)
            add_flow(rows.flow)
        times = frame_of("times_to_target", times, origin)
        levels = [(*key, level) for key in dict.fromkeys(map(_cell_key, compared)) for level in study.target_levels]
        order = {tuple(getattr(pack, name) for name in (*CELL, "seeds")): n for n, pack in enumerate(every)}
        made.sort(key=lambda row: order[tuple(row[name] for name in (*CELL, "seeds"))])
        for name, table in {
            "runs": frame_of("runs", runs, origin),
            "packs": conform(pd.DataFrame(made), "packs", origin),
            "calibration": calibration,
            "targets": targets,
            "times_to_target": times,
            "reached": _reached(times, levels),
            "tuning": tuning,
            "speedups": _speedups(study, timing, workloads, threads, missing),
        }.items():
            write_table(table, tables / f"{name}.csv")
        write_json(tables / "study.json", {"config": study.config, "provenance": _provenance(facts, len(every))})


def _cell_key(pack):
    return tuple(getattr(pack, name) for name in CELL)


def _speedups(study, timing, workloads, threads, missing):
    """Return the table speedups of all data sets and depths that were timed."""
    timed = dict(list(timing.groupby(CELL[:2])))
    places = [place for place in study.places if place in workloads and place in timed]
    tasks = [(study, timed[place], {place: workloads[place]}, missing) for place in places]
    parts = list(in_order(_speedups_of, tasks, threads))
    return conform(pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(), "speedups", "timing.csv")


def _speedups_of(task):
    *given, missing = task
    try:
        return speedups(*given)
    except InputError:
        if missing == "refuse":
            raise
        return pd.DataFrame(columns=list(columns("speedups")))


def _data_sha256(path, missing):
    if path.is_file():
        return sha256_of_file(path)
    if missing == "mark":
        return None
    raise InputError(f"{path}: missing; a data set of the study is not there; run snakemake again")


def _provenance(facts, packs):
    """Return what the packs say of where they ran: each distinct value once, and sums."""

    def distinct(name):
        values = []
        for each in facts:
            if each[name] not in values:
                values.append(each[name])
        return values

    return {
        "packs": len(facts),
        "missing_packs": packs - len(facts),
        **{name: distinct(name) for name in ("git", "code", "versions", "device", "device_name", "threads")},
        "hosts": len(distinct("host")),
        **{name: sum(each[name] for each in facts) for name in ("training_seconds", "wall_seconds", "cpu_seconds")},
        "peak_memory_mib": max((each["peak_memory_mib"] for each in facts), default=0.0),
    }
