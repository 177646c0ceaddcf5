"""Collect what a study made into tables, and check that nothing is missing, doubled, changed or of other code."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from altfreeze.data.dataset import read_dataset
from altfreeze.freezing.plan import Work, Workload
from altfreeze.study.cell import Cell
from altfreeze.study.grid import Pack, Study, tuning_file
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.support.errors import InputError
from altfreeze.support.files import sha256_of_file, write_json
from altfreeze.support.parallel import in_order
from altfreeze.tables.logs import check_expected, read_json
from altfreeze.tables.packs import PackRows, PackTask, check_decided, check_workload, missing_rows, pack_rows
from altfreeze.tables.reference_seconds import median_seconds, speedups
from altfreeze.tables.schema import (
    CELL,
    SETTING,
    columns,
    conform,
    frame_of,
    parquet_output,
    read_table,
    write_table,
)
from altfreeze.tables.seals import seals
from altfreeze.tables.targets import calibrated_targets, reached_targets

# mistakes of one study that are named; more are counted
MOST_NAMED = 20


def collect(study: Study, results: Path | str, tables: Path | str, threads: int = 1, missing: str = "refuse") -> None:
    """Write the tables of the runs, and ``study.json``: the study, where it was run and the tables' seals.

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
        With one line for each pack, data set or tuning that is missing or is not what the study says, and for
        each kind of work that was not timed, unless they are marked. And whatever `missing` says, if packs were
        trained by different code: numbers that are not comparable make no study, be it whole or partial.
    """
    results, tables = Path(results), Path(tables)
    given, origin = _read_given(study, results), str(results / "runs")
    packs = _Packs(study, results, given, threads)
    # the targets come from calibration, so its packs are read first
    calibration = frame_of("runs", [rows.runs for rows in packs.rows(calibrates=True)], origin)
    calibration = calibration[list(columns("calibration"))]
    targets = calibrated_targets(study, calibration, given.classes)
    aims = {
        setting: list(zip(rows["level"], rows["target"], strict=True)) for setting, rows in targets.groupby(SETTING)
    }
    runs, times = [], []
    with contextlib.ExitStack() as written:
        add_epochs = written.enter_context(parquet_output(tables / "epochs.parquet", "epochs"))
        add_flow = written.enter_context(parquet_output(tables / "gradient_flow.parquet", "gradient_flow"))
        for rows in packs.rows(calibrates=False, targets=aims):
            runs.append(rows.runs)
            times.append(rows.times)
            add_epochs(rows.epochs)
            add_flow(rows.flow)
        timed = {
            (dataset, depth): workload
            for (dataset, depth, recipe), workload in packs.workloads.items()
            if recipe == PRIMARY_RECIPE
        }
        decided = {where[:3]: found for where, found in packs.decided.items() if found and where[3] == PRIMARY_RECIPE}
        speed, untimed = _speedups(study, given.timing, timed, decided, threads)
        alone = _read_alone(results / "tables" / "timing.json")
        # no file has its name yet: what is refused leaves none behind
        _refuse(
            _different_code(packs.manifests, origin),
            [*given.mistakes, *packs.mistakes, *untimed] if missing == "refuse" else [],
        )
        times_to_target = frame_of("times_to_target", times, origin)
        collected = {
            "runs": frame_of("runs", runs, origin),
            "packs": packs.table(origin),
            "calibration": calibration,
            "targets": targets,
            "times_to_target": times_to_target,
            "reached": reached_targets(times_to_target, _levels(study)),
            "tuning": given.tuning,
            "speedups": speed,
        }
        for name, table in collected.items():
            write_table(table, tables / f"{name}.csv")
    sealed = seals(tables, ["epochs.parquet", "gradient_flow.parquet", *(f"{name}.csv" for name in collected)])
    provenance = packs.provenance() | {"timing": alone}
    write_json(tables / "study.json", {"config": study.config, "provenance": provenance, "tables": sealed})


# ---- what the packs are read with


class _Given(NamedTuple):
    """What is read before the packs, and the mistakes in it, one line each.

    ``hashes`` and ``classes`` (with the split that came with them) are by data set, None where it is missing;
    ``seconds`` by data set and depth;
    ``learning_rates`` are those chosen by tuning, by data set, depth, strategy and recipe.
    """

    hashes: dict[str, str | None]
    classes: dict[str, tuple[np.ndarray, np.ndarray | None] | None]
    timing: pd.DataFrame
    seconds: dict[tuple[str, int], dict[Work, float]]
    tuning: pd.DataFrame
    learning_rates: dict[tuple[str, int, str, str], float]
    mistakes: list[str]


def _read_given(study: Study, results: Path) -> _Given:
    hashes: dict[str, str | None] = {}
    classes: dict[str, tuple[np.ndarray, np.ndarray | None] | None] = {}
    mistakes = []
    for name in study.datasets:
        path = results / "data" / f"{name}.npz"
        hashes[name] = classes[name] = None
        if not path.is_file():
            mistakes.append(f"{path}: missing; a data set of the study is not there; run snakemake again")
            continue
        hashes[name] = sha256_of_file(path)
        try:
            classes[name] = read_dataset(path)[1:]
        except InputError as error:
            mistakes.append(f"{error}; delete it and run snakemake again")
    timing, untimed = _read_timing(study, results / "tables" / "timing.csv")
    tuning, learning_rates, untuned = _read_tuning(study, results, hashes)
    mistakes += [*untimed, *untuned]
    return _Given(hashes, classes, timing, median_seconds(timing), tuning, learning_rates, mistakes)


def _read_timing(study: Study, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return the table timing, empty where it is missing, and what is missing of it."""
    if not path.is_file():
        return conform(pd.DataFrame(), "timing", str(path)), [f"{path}: missing; run snakemake again"]
    timing = read_table(path, "timing")
    timed = set(timing[["dataset", "depth"]].itertuples(index=False, name=None))
    return timing, [
        f"{path}: no seconds of {dataset}, depth {depth}; delete it and run snakemake again"
        for dataset, depth in study.places
        if (dataset, depth) not in timed
    ]


def _read_alone(path: Path) -> dict[str, Any]:
    """Return what the timing job measured of its being alone; nothing where it left no such file."""
    heal = "delete it and run snakemake again"
    return read_json(path, "what timing wrote", ("device", "cpu_share", "others"), heal) if path.is_file() else {}


def _read_tuning(
    study: Study, results: Path, hashes: Mapping[str, str | None]
) -> tuple[pd.DataFrame, dict[tuple[str, int, str, str], float], list[str]]:
    """Return the table tuning, the learning rates that were chosen, and what is missing."""
    rows, learning_rates, mistakes = [], {}, []
    # what a missing data set was tuned on is another one
    for where in (each for each in study.tunings if hashes[each[0]] is not None):
        try:
            tuned, learning_rates[where] = _tuned(study, results, hashes, where)
            rows.append(tuned)
        except InputError as error:
            mistakes.append(str(error))
    table = pd.concat(rows) if rows else pd.DataFrame()
    return conform(table, "tuning", str(results / "tuning")), learning_rates, mistakes


def _tuned(
    study: Study, results: Path, hashes: Mapping[str, str | None], where: tuple[str, int, str, str]
) -> tuple[pd.DataFrame, float]:
    """Return the rows of one cell's tuning, and the learning rate that it chose."""
    path = results / tuning_file(where)
    heal = "delete it and run snakemake again"
    if not path.is_file():
        raise InputError(f"{path}: missing; a strategy of the study was not tuned; run snakemake again")
    content = read_json(path, "a tuning", ("cell", "data_sha256", "metric", "learning_rate", "trials"), heal)
    expected = {"cell": study.cell(*where).as_dict(), "data_sha256": hashes[where[0]]}
    check_expected(path, heal, content, expected | {"metric": study.metric.name})
    learning_rate, tried = content["learning_rate"], study.learning_rates_to_try
    # a better one may lie beyond
    edge = "yes" if learning_rate in (min(tried), max(tried)) else "no"
    key = dict(zip(CELL, where, strict=True)) | {"edge": edge}
    try:
        table = pd.DataFrame(
            [{**key, **trial, "chosen": int(trial["learning_rate"] == learning_rate)} for trial in content["trials"]]
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: not a tuning ({type(error).__name__}: {error}); {heal}") from None
    table = conform(table, "tuning", str(path))
    check_expected(path, heal, {"trials": sorted(table["learning_rate"])}, {"trials": sorted(tried)})
    if table["chosen"].sum() != 1:
        raise InputError(f"{path}: its learning rate is none of its trials; {heal}")
    return table, learning_rate


# ---- the packs


class _Packs:
    """The packs of a study as they are read: what the tables of all of them need is kept, their rows are not.

    Attributes
    ----------
    workloads : dict of (str, int, str) to altfreeze.freezing.plan.Workload
        By data set, depth and recipe.
    manifests : dict of altfreeze.study.grid.Pack to dict
        What the manifests say of the jobs; a missing pack has none.
    mistakes : list of str
        Why packs are missing, one line each.
    decided : dict of (str, int, str, str) to dict or None
        By data set, depth, label and recipe, what an adaptive strategy decided.
    """

    def __init__(self, study: Study, results: Path, given: _Given, threads: int) -> None:
        self.study, self.results, self.given, self.threads = study, results, given, threads
        self.workloads: dict[tuple[str, int, str], Workload] = {}
        self.manifests: dict[Pack, dict[str, Any]] = {}
        self.mistakes: list[str] = []
        self.decided: dict[tuple[str, int, str, str], dict[str, Any] | None] = {}
        self._table: dict[Pack, dict[str, Any]] = {}

    def _task(self, pack: Pack, targets: Mapping[tuple[str, int, str], Sequence[tuple[float, float]]]) -> PackTask:
        """Return what the rows of a pack are made of."""
        where = (pack.dataset, pack.depth, pack.strategy, pack.recipe)
        cell: Cell | None = self.study.cell(*where)
        if cell and (tuned_by := self.study.tuned_by(pack.recipe)):
            learning_rate = self.given.learning_rates.get((*where[:3], tuned_by))
            cell = cell.at(learning_rate) if learning_rate is not None else None
        # the work of the primary recipe alone is timed
        timed = self.given.seconds.get(where[:2], {}) if pack.recipe == PRIMARY_RECIPE else {}
        return PackTask(
            results=self.results,
            pack=pack,
            cell=cell,
            freeze_ratio=self.study.strategies[pack.strategy].get("freeze_ratio", np.nan),
            data_sha256=self.given.hashes[pack.dataset],
            seconds=timed,
            workload=self.workloads.get(pack.setting),
            targets=targets.get(pack.setting, []),
            flow=bool(self.study.gradient_flow),
            metric=self.study.metric,
        )

    def rows(
        self, calibrates: bool, targets: Mapping[tuple[str, int, str], Sequence[tuple[float, float]]] | None = None
    ) -> Iterator[PackRows]:
        """Yield the rows of each pack that calibrates or is compared, in the order of the study.

        The workload of a pack must be that of the packs before, at its data set and depth under its recipe, and so
        must be what it decided.
        """
        tasks = [self._task(pack, targets or {}) for pack in self.study.packs if pack.calibrates == calibrates]
        for task, rows in zip(tasks, in_order(pack_rows, tasks, self.threads), strict=True):
            if rows.workload is not None:
                try:
                    check_workload(task, rows.workload, self.workloads.setdefault(task.pack.setting, rows.workload))
                    check_decided(task, rows.decided, self.decided.setdefault(task.pack[:4], rows.decided))
                except InputError as error:
                    rows = missing_rows(task, str(error))
            self._table[task.pack] = rows.pack
            if rows.facts is not None:
                self.manifests[task.pack] = rows.facts
            self.mistakes += rows.mistakes
            yield rows

    def table(self, origin: str) -> pd.DataFrame:
        """Return the table packs, in the order of the study."""
        return conform(pd.DataFrame([self._table[pack] for pack in self.study.packs]), "packs", origin)

    def provenance(self) -> dict[str, Any]:
        """Return what the packs say of where they ran: each distinct value once, and sums."""
        facts = list(self.manifests.values())

        def distinct(name: str) -> list[Any]:
            values: list[Any] = []
            for fact in facts:
                if fact[name] not in values:
                    values.append(fact[name])
            return values

        return {
            "packs": len(facts),
            "missing_packs": len(self.study.packs) - len(facts),
            **{name: distinct(name) for name in ("git", "code", "versions", "device", "device_name", "threads")},
            "hosts": len(distinct("host")),
            "dates": sorted(filter(None, distinct("date"))),
            **{name: sum(fact[name] for fact in facts) for name in ("training_seconds", "wall_seconds", "cpu_seconds")},
            "peak_memory_mib": max((fact["peak_memory_mib"] for fact in facts), default=0.0),
        }


def _levels(study: Study) -> list[tuple[Any, ...]]:
    """Return cell and level of every row of the table reached."""
    return [(*cell, level) for cell in study.cells for level in study.target_levels]


def _speedups(
    study: Study,
    timing: pd.DataFrame,
    workloads: Mapping[tuple[str, int], Workload],
    decided: Mapping[tuple[str, int, str], dict[str, Any]],
    threads: int,
) -> tuple[pd.DataFrame, list[str]]:
    """Return the table speedups of all data sets and depths that were timed, and what is missing."""
    timed = dict(list(timing.groupby(CELL[:2])))
    places = [place for place in study.places if place in workloads and place in timed]
    tasks = [(study, timed[place], {place: workloads[place]}, decided) for place in places]
    parts = list(in_order(_speedups_of, tasks, threads))
    tables = [part for part in parts if not isinstance(part, str)]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    return conform(table, "speedups", "timing.csv"), [part for part in parts if isinstance(part, str)]


def _speedups_of(task: tuple[Any, ...]) -> pd.DataFrame | str:
    """Return the speedups of a task, or why there are none."""
    try:
        return speedups(*task)
    except InputError as error:
        return str(error)


# ---- the check


def _different_code(manifests: Mapping[Pack, Mapping[str, Any]], origin: str) -> list[str]:
    """Return one line if packs were trained by different code, which names those of the rarer code."""
    codes = Counter(str(facts["code"]) for facts in manifests.values())
    if len(codes) < 2:
        return []
    (most, _), *_ = codes.most_common()
    others = [pack.stem for pack, facts in manifests.items() if facts["code"] != most]
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    counts = ", ".join(f"{count} by {code}" for code, count in codes.most_common())
    return [
        f"{origin}: its packs were trained by different code ({counts}), and are no one study; delete "
        f"{others[0]}.csv and .json{more} (all whose manifest does not say code {most}) and run snakemake again; "
        f"if that does not help, delete {origin}"
    ]


def _refuse(*mistakes: Sequence[str]) -> None:
    """Refuse a study with all of its mistakes, if there are any."""
    lines = list(dict.fromkeys(line for part in mistakes for line in part))
    if not lines:
        return
    more = len(lines) - MOST_NAMED
    raise InputError(*lines[:MOST_NAMED], *([f"and {more} more"] if more > 0 else []))
