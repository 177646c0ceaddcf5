"""What tests build: studies, cells, data, finished tables and pages; no test module imports another."""

import fcntl
import itertools
import json
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from altfreeze.comparison.compare import compare
from altfreeze.data.dataset import Dataset
from altfreeze.data.frames import LARGEST_NUMBER
from altfreeze.data.sources import load_dataset
from altfreeze.freezing.plan import Workload, plan_work
from altfreeze.study.cell import Cell
from altfreeze.study.grid import FIRST_CALIBRATION_SEED, Pack, Study
from altfreeze.support.files import atomic_output, sha256_of_file, write_json
from altfreeze.tables.collect import collect
from altfreeze.tables.schema import CELL, columns, read_table
from altfreeze.training.log import LOG_COLUMNS, csv_text
from altfreeze.vocabulary import CLOCKS
from hypothesis import strategies as st
from pyarrow import parquet

ROOT = Path(__file__).parents[1]


# ---- programs that a test needs


def need(programs: list[str], script: str, path: str | None = None) -> list[str]:
    """Find programs, installed by a script of this folder where that is possible.

    Where they cannot be had the test is skipped, but in CI it fails.

    Parameters
    ----------
    programs : list of str
    script : str
    path : str, optional
        Folders to look in, as in PATH.

    Returns
    -------
    list of str
        Where they are.
    """

    def find():
        return [shutil.which(program, path=path) for program in programs]

    if not all(find()) and os.geteuid() == 0 and shutil.which("apt-get"):
        # tests that run side by side install one after the other
        with open(Path(tempfile.gettempdir(), "altfreeze-tests-install.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not all(find()):
                subprocess.run([Path(__file__).with_name(script)], check=False, timeout=900)
    if not all(find()):
        absent = [program for program, place in zip(programs, find(), strict=True) if not place]
        reason = f"{', '.join(absent)} not found; tests/{script} installs what is needed"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return find()


# ---- studies and cells


def make_study(**keys: Any) -> Study:
    """Return a study of the default configuration with some keys changed."""
    return Study.of(keys)


def make_cell(strategy: str = "alternating-0.5", study: Study | None = None, **keys: Any) -> Cell:
    """Return a cell of a small study on wine, or of another one.

    Parameters
    ----------
    strategy : str
        Label of the strategy.
    study : Study, optional
        Where the cell is from: its first data set and depth.
    **keys
        Keys of the configuration, or values of the cell.
    """
    small = {"datasets": ["wine"], "depths": [4], "primary_depth": 4, "freeze_ratios": [0, 0.5, 1]}
    small |= {"epochs_standard": 4, "epochs_alternating": 4, "width": 16, "learning_rate": 0.02, "weight_decay": 0.01}
    of_cell = {name: keys.pop(name) for name in ("dataset", "depth", "epochs", "strategy") if name in keys}
    study = study or make_study(**(small | {"sources": {"wine": {"kind": "wine"}}} | keys))
    return replace(study.cell(study.datasets[0], study.depths[0], strategy), **of_cell)


# ---- data


def tree_rows(count: int = 12, **columns: Any) -> dict[str, Any]:
    """Return a sound table of two features and the two classes of ``species``, with columns replaced or added."""
    return {
        "width": [index / 8 for index in range(count)],
        "colour": ["red" if index % 3 else "blue" for index in range(count)],
        "species": ["oak" if index % 2 else "ash" for index in range(count)],
        **columns,
    }


def tree_csv(separator: str = ",", **columns: Any) -> bytes:
    """Return `tree_rows` as a CSV file."""
    return pd.DataFrame(tree_rows(**columns)).to_csv(index=False, sep=separator).encode()


def load_tree_csv(folder: Path, content: bytes, **source: Any) -> Dataset:
    """Return the data set of a CSV file with the target ``species``."""
    path = folder / "trees.csv"
    path.write_bytes(content)
    return load_dataset("trees", {"kind": "csv", "path": str(path), "target": "species", **source}, 0)


def load_tree_parquet(folder: Path, table: pd.DataFrame | pa.Table, **source: Any) -> Dataset:
    """Return the data set of a Parquet file with the target ``species``."""
    path = folder / "trees.parquet"
    parquet.write_table(table if isinstance(table, pa.Table) else pa.Table.from_pandas(table), path)
    return load_dataset("trees", {"kind": "parquet", "path": str(path), "target": "species", **source}, 0)


def assert_one_line(error: pytest.ExceptionInfo, *words: str) -> None:
    """Check that an error is one line that begins with the data set and holds some words."""
    message = str(error.value)
    assert message.isprintable(), message
    assert message.startswith("data set ")
    for word in words:
        assert word in message


@st.composite
def mixed_frames(draw: st.DrawFn) -> pd.DataFrame:
    """Draw a table of numbers, integers, texts and booleans, with missing values but in the integers."""
    kinds = {
        "number": st.floats(-LARGEST_NUMBER, LARGEST_NUMBER) | st.none(),
        "integer": st.integers(-(2**53), 2**53),
        "text": st.sampled_from(["a", "b", "c", "ü=\n"]) | st.none(),
        "flag": st.booleans() | st.none(),
    }
    height = draw(st.integers(1, 15))
    names = st.from_regex(r"[a-zé ,\"']{0,5}[a-z]", fullmatch=True)
    columns = draw(st.dictionaries(names, st.sampled_from(list(kinds)), min_size=1))

    def values(kind):
        column = st.lists(kinds[kind], min_size=height, max_size=height)
        return draw(column.filter(lambda values: any(value is not None for value in values)))

    return pd.DataFrame({name: values(kind) for name, kind in columns.items()})


# ---- logs, manifests and finished tables

# a study whose results are written without training, so that every number is known
RESULTS_CONFIG = {
    "datasets": ["iris", "wine"],
    "depths": [4],
    "primary_depth": 4,
    "freeze_ratios": [0.5],
    "strategies": [
        "alternating",
        "standard_half_updates",
        "standard_matched_flops",
        "frozen_bottom",
        "random_half",
        {"name": "standard", "label": "again"},
    ],
    "seeds": 6,
    "seeds_per_job": 3,
    "epochs_standard": 3,
    "epochs_alternating": 3,
    "calibration_seeds": 3,
    "target_levels": [0.9, 1.0],
}
RESULTS_STUDY = make_study(**RESULTS_CONFIG)
# 13 + 7 + 6 + 6 rows in the validation part
RESULTS_CLASSES = np.repeat([0, 1, 2, 3], [63, 37, 30, 30])
# seconds of a step by how many of the first, the inner and the last layers learn; the start of an epoch takes one
RESULTS_SECONDS = {(1, 2, 1): 10.0, (0, 1, 1): 5.0, (1, 1, 0): 7.0, (0, 0, 0): 1.0}
TABLES = ["epochs", "runs", "packs", "calibration", "targets", "times_to_target", "reached", "tuning", "speedups"]


def write_csv(path: Path, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file with the digits of a log."""
    with atomic_output(path) as file:
        file.write(csv_text(names, rows))


def results_workload(depth: int) -> Workload:
    """Return work of which every layer costs the same: three batches of 32 rows."""
    return Workload((4,) * (depth + 1), 96, 32)


def results_accuracies(dataset: str, strategy: str, seed: int, epoch: float) -> tuple[float, float]:
    """Return a run's validation and test accuracy after an epoch: better by the seed, standard training the best."""
    validation = {"iris": 0.6, "wine": 0.7}[dataset] + 0.01 * (seed % FIRST_CALIBRATION_SEED) + 0.05 * min(epoch, 2)
    validation -= 0.02 * (seed + 1) if strategy not in ("standard", "again") else 0
    return validation, validation / 2 + 0.001 * epoch


def _write_pack(results, study, pack, diverged, learning_rate, accuracies):
    """Write log and manifest of a pack as a training does."""
    cell, work = study.cell(pack.dataset, pack.depth, pack.strategy), results_workload(pack.depth)
    cell = cell if learning_rate is None else cell.at(learning_rate)
    seeds = range(pack.first_seed, pack.last_seed + 1)
    steps, flops, updates, rows, flow = 0, 0, np.zeros(pack.depth, int), [], []
    for epoch in cell.plan(work):
        steps, flops, updates = steps + len(epoch.steps), flops + epoch.flops(work), updates + epoch.updates()
        made = steps / len(work.batches)
        # a clock that is not named here counts the steps
        counted = {clock.column: steps for clock in CLOCKS.values()} | {"epoch": made}
        counted |= {"active": "1-4", "learning_rate": 0.1, "flops": flops, "updates": " ".join(map(str, updates))}
        counted |= {"updates_mean": float(updates.mean()), "updates_minimum": min(updates), "seconds": 2.0 * made}
        for seed in seeds:
            gone = (pack.dataset, pack.strategy, seed) in diverged and made >= 2
            validation, test = [math.nan] * 2 if gone else accuracies(pack.dataset, pack.strategy, seed, made)
            losses = {"train_loss": validation, "validation_loss": validation}
            shares = {"validation_accuracy": validation, "test_accuracy": test}
            rows.append({"seed": seed, "status": "diverged" if gone else "ok", **losses, **shares, **counted})
            flow += [(seed, made, layer, 0.5, 0.1, math.nan, math.nan) for layer in range(1, pack.depth + 1)]
    stem = results / "runs" / pack.stem
    log, flow_log = (stem.with_name(stem.name + suffix) for suffix in (".csv", ".flow.csv"))
    write_csv(log, LOG_COLUMNS, [[row[name] for name in LOG_COLUMNS] for row in rows])
    if study.gradient_flow:
        # torch would be imported with the names that the flow has
        write_csv(flow_log, [name for name in columns("gradient_flow") if name not in CELL], flow)
    manifest = {
        "cell": cell.as_dict(),
        "seeds": list(seeds),
        "rows": len(rows),
        "workload": work._asdict(),
        "log_sha256": sha256_of_file(log),
        "flow_sha256": sha256_of_file(flow_log) if study.gradient_flow else None,
        "data_sha256": sha256_of_file(results / "data" / f"{pack.dataset}.npz"),
        "device": "cpu",
        **{key: 1.0 for key in ("training_seconds", "wall_seconds", "cpu_seconds", "peak_memory_mib")},
        **{key: "same" for key in ("git", "code", "versions", "device_name", "host")},
        "threads": 1,
        "attempt": 1,
        "resumed_at_epochs": [],
    }
    write_json(stem.with_name(stem.name + ".json"), manifest)


def write_timing(results: Path, study: Study = RESULTS_STUDY) -> None:
    """Write the table timing of a study: six rounds of the same seconds, see RESULTS_SECONDS."""
    rows = []
    for dataset, depth in study.places:
        work = results_workload(depth)
        plans = [study.cell(dataset, depth, label).plan(work) for label in study.strategies]
        for kind in sorted(set().union(*(plan_work(epochs, work) for epochs in plans))):
            seconds = RESULTS_SECONDS.get((kind.first, kind.inner, kind.last), 6.0)
            rows += [(dataset, depth, *kind, number, seconds) for number in range(1, 7)]
    write_csv(results / "tables" / "timing.csv", list(columns("timing")), rows)


def _write_tuning(results, study, dataset, depth, strategy, learning_rate):
    """Write what the tuning of a strategy found."""
    trials = [
        {"learning_rate": tried, "seeds": 3, "diverged": 0, "validation_accuracy": 0.7, "validation_loss": None}
        for tried in study.tune
    ]
    content = {
        "learning_rate": learning_rate,
        "trials": trials,
        "cell": study.cell(dataset, depth, strategy).as_dict(),
        "data_sha256": sha256_of_file(results / "data" / f"{dataset}.npz"),
    }
    write_json(results / "tuning" / dataset / f"depth{depth}" / f"{strategy}.json", content)


def write_results(
    results: Path,
    study: Study = RESULTS_STUDY,
    diverged: Collection[tuple[str, str, int]] = (),
    accuracies: Callable[[str, str, int, float], tuple[float, float]] = results_accuracies,
) -> Path:
    """Write the data sets, logs, manifests, tunings and timing of a study, without training.

    Parameters
    ----------
    results : pathlib.Path
        Folder to write to.
    study : Study
    diverged : collection of (str, str, int)
        Data set, strategy and seed of the runs that diverge after their first epoch.
    accuracies : callable
        Of (data set, strategy, seed, epoch): validation and test accuracy.

    Returns
    -------
    pathlib.Path
        `results`.
    """
    (results / "data").mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(study.datasets):
        np.savez(results / "data" / f"{name}.npz", X=np.full((160, 4), float(number)), y=RESULTS_CLASSES)
        for depth, strategy in itertools.product(study.depths, study.strategies if study.tune else ()):
            _write_tuning(results, study, name, depth, strategy, study.tune[-1])
    for pack in study.packs:
        learning_rate = study.tune[-1] if pack.recipe == "tuned" else None
        _write_pack(results, study, pack, diverged, learning_rate, accuracies)
    write_timing(results, study)
    return results


def read_tables(folder: Path, names: Iterable[str] = TABLES) -> dict[str, pd.DataFrame]:
    """Return tables of a folder by their names."""
    stored = {"epochs": "parquet", "gradient_flow": "parquet"}
    return {name: read_table(folder / f"{name}.{stored.get(name, 'csv')}", name) for name in names}


def collect_tables(results: Path, study: Study = RESULTS_STUDY) -> dict[str, pd.DataFrame]:
    """Collect the results of a study, and return its tables by their names."""
    collect(study, results, results / "tables")
    return read_tables(results / "tables")


# what is compared, but for the table pairs
COMPARED = ["comparisons", "across_datasets", "trends", "times", "profiles", "matrix"]
COMPARED += ["self_comparison", "variance", "seeds_needed"]


def compare_tables(results: Path, study: Study = RESULTS_STUDY) -> dict[str, pd.DataFrame]:
    """Compare what was collected of a study, and return the tables that compare by their names."""
    compare(study, results / "tables")
    return read_tables(results / "tables", COMPARED)


def compare_results(folder: Path, study: Study = RESULTS_STUDY, **options: Any) -> dict[str, pd.DataFrame]:
    """Write the results of a study to a folder named results, see `write_results`, and return what is compared."""
    results = write_results(folder / "results", study, **options)
    collect(study, results, results / "tables")
    return compare_tables(results, study)


def change_text(path: Path, change: Callable[[str], str]) -> None:
    """Write a file anew, its text changed."""
    path.write_text(change(path.read_text()))


def change_json(path: Path, **keys: Any) -> None:
    """Write a JSON file anew, some of its keys changed."""
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def remove_pack(results: Path, pack: Pack) -> None:
    """Remove log and manifest of a pack."""
    for suffix in (".csv", ".json"):
        (results / "runs" / f"{pack.stem}{suffix}").unlink()


# ---- pages in a browser
