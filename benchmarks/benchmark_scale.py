"""How the workflow's graph, collection, statistics and report grow with a study: seconds, memory and size.

Logs and manifests are made up, in the form that a training job gives them: no network is trained. Each step is
a process of its own, and its memory the largest sum of what it and its own processes hold at a time. Nothing is
asserted.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import yaml
from pyarrow import csv

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from altfreeze.freezing.plan import Work, Workload, plan_work  # noqa: E402
from altfreeze.study.cell import Cell  # noqa: E402
from altfreeze.study.grid import Pack, Study  # noqa: E402
from altfreeze.study.reading import study_of  # noqa: E402
from altfreeze.support.files import sha256_of_file, write_json  # noqa: E402
from altfreeze.support.randomness import stream_seed  # noqa: E402
from altfreeze.tables.schema import write_table  # noqa: E402

# five times alternating, nine controls and five others: 20 strategies with standard training
STRATEGIES = [
    "alternating",
    "standard_half_updates",
    "standard_matched_flops",
    *({"name": name, "freeze_ratio": "primary"} for name in ("frozen_bottom", "frozen_top")),
    *("random_half", "progressive", "freezeout", "block_cyclic", "lisa", "gradual_unfreezing"),
]
# data sets, depths, seeds and seeds of a pack
GRIDS = {
    "1k": (1, 1, 50, 50),
    "10k": (5, 1, 100, 100),
    "100k": (10, 5, 100, 100),
    "100k in packs of 10": (10, 5, 100, 10),
}
ROWS, FEATURES, CLASSES = 1000, 8, 3


def scaled_study(grid: str) -> Study:
    """Return the study of a grid."""
    datasets, depths, seeds, seeds_per_job = GRIDS[grid]
    names = [f"made{number}" for number in range(datasets)]
    source = {"kind": "gaussian_quantiles", "samples": ROWS, "features": FEATURES, "classes": CLASSES}
    return study_of(
        {
            "datasets": names,
            "sources": dict.fromkeys(names, source),
            # from the depth on at which five ratios split it in five ways
            "depths": list(range(8, 8 + depths)),
            "primary_depth": 8,
            "freeze_ratios": [0.2, 0.35, 0.5, 0.65, 0.8],
            "strategies": STRATEGIES,
            "seeds": seeds,
            "seeds_per_job": seeds_per_job,
            "epochs_standard": 50,
            "epochs_alternating": 50,
            "batch_size": 32,
            "learning_rate": 0.001,
        }
    )


def clocks(cell: Cell, workload: Workload) -> list[dict[str, Any]]:
    """Return what a log says of each epoch of a cell, whatever the seed."""
    steps, flops, updates, rows = 0, 0, np.zeros(workload.depth, int), []
    for epoch in cell.plan(workload):
        steps, flops, updates = steps + len(epoch.steps), flops + epoch.flops(workload), updates + epoch.updates()
        rows.append(
            {
                "epoch": steps / len(workload.batches),
                "active": " ".join(str(layer + 1) for layer, count in enumerate(epoch.updates()) if count),
                "learning_rate": cell.learning_rate,
                "flops": flops,
                "updates": " ".join(map(str, updates)),
                "updates_mean": float(updates.mean()),
                "updates_minimum": int(updates.min()),
                "seconds": round(0.01 * steps, 9),
            }
        )
    return rows


def write_pack(results: Path, pack: Pack, cell: Cell, workload: Workload, data_sha256: str) -> None:
    """Write the log and the manifest of a pack whose runs learn a little, each by its own luck."""
    generator = np.random.default_rng(stream_seed(*pack))
    count, rows = pack.last_seed - pack.first_seed + 1, clocks(cell, workload)
    made = np.array([row["epoch"] for row in rows])[:, None]
    luck = np.random.default_rng(stream_seed(pack.dataset, pack.first_seed)).normal(0, 0.02, count)
    share = 0.4 + 0.5 * (1 - np.exp(-made / 8)) + luck + generator.normal(0, 0.01, (len(rows), count))
    # of so many rows
    right = np.round(np.clip(share, 0, 1) * ROWS / 5) / (ROWS / 5)
    losses = np.round(np.exp(-2 * share) + generator.normal(0, 0.01, share.shape), 9)
    of_test = np.clip(right + generator.integers(-9, 10, right.shape) * 5 / ROWS, 0, 1).round(9).ravel()
    columns = {
        "seed": np.tile(np.arange(pack.first_seed, pack.last_seed + 1), len(rows)),
        "epoch": np.repeat(made.ravel(), count),
        "status": ["ok"] * right.size,
        "train_loss": losses.ravel(),
        "validation_loss": np.round(losses * 1.1, 9).ravel(),
        "validation_accuracy": right.ravel(),
        "validation_balanced_accuracy": right.ravel(),
        "test_loss": np.round(losses * 1.1, 9).ravel(),
        "test_accuracy": of_test,
        "test_balanced_accuracy": of_test,
        **{name: [row[name] for row in rows for _ in range(count)] for name in list(rows[0])[1:]},
    }
    stem = results / "runs" / pack.stem
    log = stem.with_name(stem.name + ".csv")
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as file:
        file.write((",".join(columns) + "\n").encode())
        csv.write_csv(pa.table(columns), file, csv.WriteOptions(include_header=False, quoting_style="none"))
    manifest = {
        "cell": cell.as_dict(),
        "seeds": list(range(pack.first_seed, pack.last_seed + 1)),
        "rows": right.size,
        "workload": workload._asdict(),
        "log_sha256": sha256_of_file(log),
        "flow_sha256": None,
        "data_sha256": data_sha256,
        "device": "cpu",
        "device_name": "none",
        "host": "none",
        "threads": 1,
        "attempt": 1,
        "resumed_at_epochs": [],
        "git": {"commit": None, "dirty": None},
        "code": "made up",
        "versions": {"python": "none"},
        **dict.fromkeys(("training_seconds", "wall_seconds", "cpu_seconds", "peak_memory_mib"), 1.0),
    }
    write_json(stem.with_name(stem.name + ".json"), manifest)


def write_study(folder: Path, study: Study) -> None:
    """Write data sets, timing, logs and manifests of a whole study."""
    results, hashes, timing = folder / study.results, {}, []
    labels = np.arange(ROWS) % CLASSES
    for name in study.datasets:
        (results / "data").mkdir(parents=True, exist_ok=True)
        np.savez(results / "data" / f"{name}.npz", X=np.zeros((ROWS, FEATURES)), y=labels)
        hashes[name] = sha256_of_file(results / "data" / f"{name}.npz")
    # of each class a fifth of the rows, rounded, is for validation and another for the test
    trained = sum(rows - 2 * round(rows / 5) for rows in np.bincount(labels).tolist())
    cells = {}
    for dataset, depth in study.places:
        workload = Workload((FEATURES, *[study.width] * (depth - 1), CLASSES), trained, study.batch_size)
        works = set()
        for label in study.strategies:
            cells[dataset, depth, label] = (cell := study.cell(dataset, depth, label)), workload
            works |= set(plan_work(cell.plan(workload), workload))
        timing += [
            (dataset, depth, *work, number, 1e-4 * (1 + work.inner))
            for work in sorted(works)
            for number in range(1, 1 + study.timing_rounds)
        ]
    names = ["dataset", "depth", *Work._fields, "round", "seconds"]
    write_table(pd.DataFrame(timing, columns=names), results / "tables" / "timing.csv")
    for pack in study.packs:
        write_pack(results, pack, *cells[pack.dataset, pack.depth, pack.strategy], hashes[pack.dataset])


def measured(command: list[str], folder: Path) -> tuple[float, float, float]:
    """Return the wall and CPU seconds of a command and the most memory that it and its processes held, in MiB."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    peak, ended = 0, threading.Event()
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)

        def watch():
            nonlocal peak
            watched = psutil.Process(process.pid)
            while not ended.wait(0.05):
                total = 0
                try:
                    for part in (watched, *watched.children(recursive=True)):
                        total += part.memory_full_info().pss
                except psutil.Error:
                    continue
                peak = max(peak, total)

        thread = threading.Thread(target=watch)
        thread.start()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        seconds = time.perf_counter() - start
        ended.set()
        thread.join()
        if status:
            output.seek(0)
            sys.exit(f"{' '.join(command)[:200]}: {output.read().decode()[-2000:]}")
    return seconds, usage.ru_utime + usage.ru_stime, peak / 2**20


def steps(grid: str, threads: int, folder: Path) -> Iterator[tuple[str, float, float, float]]:
    """Yield (step, wall seconds, CPU seconds, MiB) of every step of a grid, in the order of the workflow."""
    study = scaled_study(grid)
    workflow = folder / "clone"
    workflow.mkdir()
    for name in ("Snakefile", "pyproject.toml", "CITATION.cff", "workflow", "config", "profiles"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, workflow / name)
    (workflow / "study.yaml").write_text(yaml.safe_dump(study.config))
    dry_run = ["snakemake", "--dry-run", "--quiet", "all", "--cores", "2", "--configfile", "study.yaml"]
    yield "graph of all jobs", *measured(dry_run, workflow)
    write_study(folder, study)
    tables, given = folder / study.results / "tables", ["--study", str(folder / "study.json")]
    (folder / "study.json").write_text(json.dumps(study.config))
    python = [sys.executable, "-m", "altfreeze"]
    tasks = ["--threads", str(threads)]
    collect = [*python, "collect", *given, "--results", str(tables.parent), "--tables", str(tables), *tasks]
    yield "collect", *measured(collect, folder)
    yield "compare", *measured([*python, "compare", *given, "--tables", str(tables), *tasks], folder)
    report = [*python, "report", *given, "--tables", str(tables), "--pages", "--output", "report.html"]
    yield "report", *measured(report, folder)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("grids", nargs="*", default=list(GRIDS), help=f"of {', '.join(GRIDS)}; all without")
    parser.add_argument("--threads", type=int, default=2, help="processes of collect and compare (2)")
    parser.add_argument("--folder", type=Path, help="where the studies are written and kept (a temporary folder)")
    arguments = parser.parse_args()
    print("| runs | packs | step | seconds | CPU seconds | MiB |", "| --- | --- | --- | --- | --- | --- |", sep="\n")
    for grid in arguments.grids:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            study = scaled_study(grid)
            packs = study.packs
            runs = len(study.places) * len(study.strategies) * study.seeds
            for step, seconds, cpu, memory in steps(grid, arguments.threads, Path(folder)):
                row = (f"{runs:,}", f"{len(packs):,}", step, f"{seconds:.1f}", f"{cpu:.1f}", f"{memory:,.0f}")
                print(f"| {' | '.join(row)} |", flush=True)
            size = (Path(folder) / "report.html").stat().st_size / 2**20
            print(f"| {runs:,} | {len(packs):,} | size of report.html | | | {size:.1f} |", flush=True)


if __name__ == "__main__":
    main()
