"""The rows that one pack adds to the tables, or those that say that it is missing."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from altfreeze.freezing.plan import Work, Workload
from altfreeze.study.cell import Cell
from altfreeze.study.grid import Pack
from altfreeze.support.errors import InputError
from altfreeze.tables.logs import PACK_FACTS, RUN_FACTS, read_flow, read_pack
from altfreeze.tables.reference_seconds import reference_seconds
from altfreeze.tables.schema import CELL, arrays_of, arrow_rows, columns, no_rows
from altfreeze.tables.targets import times_to_target
from altfreeze.vocabulary import CLOCKS, METRICS, Metric

NO_LOG = "no log: the job did not run"
_LONGEST_REASON = 300


class PackTask(NamedTuple):
    """All that the rows of a pack are made of, but for its files.

    Attributes
    ----------
    results : pathlib.Path
    pack : altfreeze.study.grid.Pack
    cell : altfreeze.study.cell.Cell or None
        None where the learning rate was not chosen.
    freeze_ratio : float
        NaN for a strategy without groups.
    data_sha256 : str or None
        None where the data set is missing.
    seconds : dict of altfreeze.freezing.plan.Work to float
        Of each kind of work at the pack's data set and depth; empty where nothing was timed, as of variations.
    workload : altfreeze.freezing.plan.Workload or None
        That of calibration at the pack's data set and depth, if known.
    targets : list of (float, float)
        Level and target.
    flow : bool
        Whether the study asks for gradient flow.
    metric : altfreeze.vocabulary.Metric
        What a run is scored by.
    """

    results: Path
    pack: Pack
    cell: Cell | None
    freeze_ratio: float
    data_sha256: str | None
    seconds: Mapping[Work, float]
    workload: Workload | None
    targets: Sequence[tuple[float, float]]
    flow: bool
    metric: Metric

    @property
    def stem(self) -> Path:
        """Path of the pack's files, without suffix."""
        return self.results / "runs" / self.pack.stem

    @property
    def key(self) -> dict[str, Any]:
        """The cell's columns."""
        return {name: getattr(self.pack, name) for name in CELL}

    @property
    def waits(self) -> bool:
        """Whether the pack cannot be there, because what it is trained with is missing."""
        return self.data_sha256 is None or self.cell is None


class PackRows(NamedTuple):
    """The rows of a pack.

    Attributes
    ----------
    pack : dict
        Row of the table packs.
    runs, times, epochs, flow : pyarrow.Table
        Rows of the tables runs, times_to_target, epochs and gradient_flow.
    facts : dict or None
        What the manifest says of the job (`RUN_FACTS`); None where the pack is missing.
    workload : altfreeze.freezing.plan.Workload or None
    mistakes : tuple of str
        Why the pack is missing, or what is missing of it, one line each; none where only what it waits for is.
    decided : dict or None
        What an adaptive strategy decided, as one that can be trained again.
    """

    pack: dict[str, Any]
    runs: pa.Table
    times: pa.Table
    epochs: pa.Table
    flow: pa.Table
    facts: dict[str, Any] | None
    workload: Workload | None
    mistakes: tuple[str, ...]
    decided: dict[str, Any] | None = None


def pack_rows(task: PackTask) -> PackRows:
    """Return the rows of a pack, or those that say that it is missing, and why.

    Parameters
    ----------
    task : PackTask

    Returns
    -------
    PackRows
    """
    try:
        return _present(task)
    except InputError as error:
        return missing_rows(task, str(error))


def check_workload(task: PackTask, workload: Workload, expected: Workload) -> None:
    """Refuse a pack whose workload is not that of the other packs at its data set and depth."""
    if workload != expected:
        raise InputError(
            f"{task.stem}.json: workload is not that of the packs before; delete it and run snakemake again"
        )


def check_decided(task: PackTask, decided: dict[str, Any] | None, expected: dict[str, Any] | None) -> None:
    """Refuse a pack that follows another plan than the packs of its cell before, as another machine may decide."""
    if decided != expected:
        raise InputError(
            f"{task.stem}.json: decided is not that of the packs before; delete it and run snakemake again"
        )


def _pack_row(task: PackTask, facts: Mapping[str, Any], reason: str = "") -> dict[str, Any]:
    """Return the row of the table packs, with what the manifest says; the log's path is that of the rule train."""
    return {
        **task.key,
        "seeds": task.pack.seeds,
        "cell": "" if task.cell is None else json.dumps(task.cell.as_dict(), sort_keys=True),
        "log": f"logs/train/{task.pack.stem}.log",
        **facts,
        "reason": reason,
    }


def _present(task: PackTask) -> PackRows:
    """Return the rows of a pack whose files are there and the study's."""
    pack = task.pack
    if task.data_sha256 is None or task.cell is None:
        raise InputError(f"{task.stem}: its data set or its learning rate is missing; run snakemake again")
    seeds = list(range(pack.first_seed, pack.last_seed + 1))
    rows, manifest = read_pack(task.stem, task.cell, seeds, task.data_sha256)
    workload = manifest["workload"]
    check_workload(task, workload, task.workload or workload)
    manifest |= {"resumed_at_epochs": " ".join(map(str, manifest["resumed_at_epochs"]))}
    key = task.key | {"freeze_ratio": task.freeze_ratio}
    seconds: list[float] = [np.nan]
    mistakes: list[str] = []
    decided = manifest.get("decided")
    if task.seconds and not pack.calibrates:
        try:
            followed = task.cell.following(decided) if decided else task.cell
            seconds = reference_seconds(followed.plan(workload), workload, task.seconds, bool(decided))
        except InputError as error:
            mistakes.append(str(error))
    values = key | arrays_of(rows) | {"reference_seconds": np.resize(seconds, len(rows))}
    # by run and epoch
    logged = {name: value.reshape(len(seeds), -1) for name, value in values.items() if isinstance(value, np.ndarray)}
    status = rows["status"].to_pandas().to_numpy().reshape(len(seeds), -1)[:, -1]
    flow = no_rows("gradient_flow")
    if task.flow and not pack.calibrates:
        flow = read_flow(task.stem, task.key, manifest["flow_sha256"])
    return PackRows(
        pack=_pack_row(task, {name: manifest[name] for name in PACK_FACTS}),
        runs=_run_rows(key | {"device": manifest["device"]}, status, logged, task.metric),
        times=times_to_target(task.key, task.targets, logged, task.metric),
        epochs=arrow_rows("epochs", len(rows), values),
        flow=flow,
        facts={name: manifest[name] for name in RUN_FACTS} | {"date": manifest.get("date")},
        workload=workload,
        mistakes=tuple(mistakes),
        decided=decided,
    )


def _run_rows(key: Mapping[str, Any], status: np.ndarray, logged: Mapping[str, np.ndarray], metric: Metric) -> pa.Table:
    """Return one row per run of a pack, from its logged numbers, shape (runs, epochs)."""
    runs, last = np.arange(len(status)), {name: value[:, -1] for name, value in logged.items()}
    # a diverged run has no scores from that epoch on; it may have a best epoch before
    scores = np.nan_to_num(metric.sign * logged[metric.validation], nan=-np.inf)
    at = scores.argmax(axis=1)
    scored = [name for each in METRICS.values() for name in (each.validation, each.test)]
    best = {
        name: np.where(np.isfinite(scores[runs, at]), logged[name][runs, at], np.nan) for name in ("epoch", *scored)
    }
    values = {
        "status": status,
        "seed": last["seed"],
        **{f"best_{name}": values for name, values in best.items()},
        **{f"final_{name}": last[name] for name in scored},
        **{clock.end: last[clock.column] for clock in CLOCKS.values()},
        "updates_minimum": last["updates_minimum"],
        "seconds": last["seconds"] / len(runs),
        "pack_seeds": len(runs),
    }
    return arrow_rows("runs", len(runs), {**key, **values})


# ---- a pack that is missing


def missing_rows(task: PackTask, mistake: str) -> PackRows:
    """Return the rows of a pack without results: its runs without values, and the reason why.

    Parameters
    ----------
    task : PackTask
    mistake : str
        What is wrong with its files, in one line.

    Returns
    -------
    PackRows
    """
    pack = task.pack
    files = any(task.stem.with_name(task.stem.name + suffix).exists() for suffix in (".csv", ".json"))
    # files of a pack whose data set or learning rate is missing are of another study
    reason = mistake if files and not task.waits else _last_words(task)
    nothing = {"int": 0, "float": np.nan, "str": ""}
    facts = {name: nothing[columns("packs")[name]["type"]] for name in PACK_FACTS}
    run = {name: nothing[column["type"]] for name, column in columns("runs").items()}
    run |= task.key | {"freeze_ratio": task.freeze_ratio, "status": "missing"}
    seeds = np.arange(pack.first_seed, pack.last_seed + 1)
    return PackRows(
        pack=_pack_row(task, facts, reason),
        runs=arrow_rows("runs", len(seeds), run | {"seed": seeds}),
        times=no_rows("times_to_target"),
        epochs=no_rows("epochs"),
        flow=no_rows("gradient_flow"),
        facts=None,
        workload=None,
        mistakes=() if task.waits else (mistake,),
    )


def _last_words(task: PackTask) -> str:
    """Return the last line of the log of the job that failed, be it the pack's or one that it waited for."""
    pack, job = task.pack, f"train/{task.pack.stem}"
    if task.data_sha256 is None:
        job = f"data/{pack.dataset}"
    elif task.cell is None:
        job = f"tune/{pack.dataset}/depth{pack.depth}/{pack.strategy}/{pack.recipe}"
    try:
        log = (task.results / "logs" / f"{job}.log").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return NO_LOG
    words = [" ".join(line.split()) for line in log.split("\n") if line.strip()]
    return words[-1][:_LONGEST_REASON] if words else f"the job was stopped: logs/{job}.log is empty"
