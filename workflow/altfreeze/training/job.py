"""The jobs around trainings: data, device and memory, progress, checkpoints, and the files that are written."""

import datetime
import functools
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from altfreeze.data.dataset import read_dataset
from altfreeze.freezing.flow import FLOW_COLUMNS, GradientFlow
from altfreeze.freezing.plan import Workload
from altfreeze.freezing.strategy import Position
from altfreeze.freezing.written import phase_at
from altfreeze.study.cell import Cell
from altfreeze.study.grid import Study
from altfreeze.support.errors import InputError
from altfreeze.support.files import atomic_output, sha256_of_file, write_json
from altfreeze.support.provenance import code_of_factory, fingerprint, git_state, processor, versions
from altfreeze.training.batches import workload_of
from altfreeze.training.checkpoints import Checkpoint
from altfreeze.training.log import csv_text, log_text
from altfreeze.training.network import use_repeatable_kernels
from altfreeze.training.stacks import Progress, TrainedSeeds, limit_memory, peak_memory, train_seeds
from altfreeze.training.tuning import choose, trial_of
from altfreeze.vocabulary import Metric

# the modules that decide the numbers of a training
_DECIDING = ("altfreeze.training.trainer", "altfreeze.training.log")


def choose_device(device: str) -> str:
    """Return 'cpu' or 'cuda' for 'auto', 'cpu' or 'cuda'.

    Raises
    ------
    InputError
        If cuda is asked for and torch finds none.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise InputError("device: cuda was asked for, but torch finds no CUDA GPU here; allowed here: auto, cpu")
    return "cuda" if available and device != "cpu" else "cpu"


def prepare(device: str, threads: int, memory: int | None = None) -> str:
    """Set torch up for training in a process of its own.

    Parameters
    ----------
    device : {'auto', 'cpu', 'cuda'}
    threads : int
        Threads that torch computes with.
    memory : int, optional
        MiB of the host's memory that this process may take in all, where it trains on the
        CPU: an allocation beyond them fails. A GPU's driver takes addresses without end.

    Returns
    -------
    str
        ``cpu`` or ``cuda``.

    Raises
    ------
    InputError
        If the device is not there.
    """
    device = choose_device(device)
    torch.set_num_threads(threads)
    use_repeatable_kernels(device)
    if memory and device == "cpu":
        limit_memory(memory * 2**20)
    return device


def before_forks() -> None:
    """Do what a process does at its first training, so that those forked from it need not: load what is compiled."""
    fingerprint(*_DECIDING)
    use_repeatable_kernels("cpu")
    X, y, part = np.eye(8, dtype=np.float32), np.arange(8) % 2, np.arange(8, dtype=np.int8) // 3
    cell = Cell(0, "", 2, {"name": "standard"}, 1, 2, 2, 0.0, "adam", 0.1, "constant", 0.0, "auto", "keep")
    # steps that are made at once, and, as masks are drawn for each, single ones
    for dropout in (0.0, 0.5):
        train_seeds(X, y, replace(cell, dropout=dropout), [0], part=part)


def _show_progress(cell: Cell, seeds: Sequence[int]) -> Progress:
    """Return a progress callback: a bar on a terminal, about ten plain lines elsewhere."""
    name = cell.strategy["name"]
    title = f"{cell.dataset} depth {cell.depth} {name} {cell.strategy.get('freeze_ratio', '')}".strip()
    bar = tqdm(desc=title, unit="epoch", disable=not sys.stderr.isatty())

    def progress(rows: list[dict[str, Any]], number: int, epochs: int) -> None:
        bar.total = epochs
        accuracies = [row["validation_accuracy"] for row in rows if row["status"] == "ok"]
        accuracy = f"median validation accuracy {np.median(accuracies):.3f}" if accuracies else "all diverged"
        bar.set_postfix_str(accuracy, refresh=False)
        # a training that is resumed begins above 1
        bar.update(number - bar.n)
        if bar.disable and (number % max(1, epochs // 10) == 0 or number == epochs):
            seconds = f"{rows[0]['seconds']:.2f} s of training"
            print(
                f"{title}: epoch {number}/{epochs}, {accuracy}, {len(accuracies)} of {len(seeds)} seeds ok, {seconds}",
                file=sys.stderr,
            )
        if number == epochs:
            bar.close()

    return progress


def _write_text(path: str | Path, text: str) -> None:
    """Write text to a file, atomically."""
    with atomic_output(path) as file:
        file.write(text)


def _refuse_idle(cell: Cell, workload: Workload) -> None:
    """Refuse a schedule that the training ends before, which is known once the data is; in epochs, it is before."""
    given, steps = cell.strategy, cell.epochs * len(workload.batches)
    where = f"{given['name']} on {cell.dataset} at depth {cell.depth}"
    period = given["period"] if given["name"] in ("alternating", "random_half") and given["unit"] == "step" else 0
    if period >= steps:
        raise InputError(f"{where}: a period of {period} steps is as long as the training of {steps}; allowed: fewer")
    if given["name"] == "phases":
        walked = (Position(*divmod(step, len(workload.batches)), len(workload.batches), steps) for step in range(steps))
        reached = {phase_at(at, given["phases"], given["unit"], given["repeat"]) for at in walked}
        for number in sorted({*range(len(given["phases"]))} - reached)[:1]:
            sentence = f"phase {number + 1} has none of the training's {steps} steps"
            raise InputError(f"{where}: {sentence}; allowed: longer phases, or a longer training")
    stages = cell.depth + 1
    if given["name"] == "chain_thaw" and steps < stages:
        raise InputError(f"{where}: {stages} stages need as many steps, and the training has {steps}; allowed: more")


def run(
    data_path: str | Path,
    cell: Cell,
    seeds: Sequence[int],
    device: str,
    threads: int,
    log_path: str | Path,
    manifest_path: str | Path,
    flow_path: str | Path | None = None,
    checkpoint_path: str | Path | None = None,
    checkpoint_seconds: float = 0,
    memory: int | None = None,
) -> None:
    """Train one pack from a stored data set and write its log and then its manifest.

    Parameters
    ----------
    data_path : path
        The npz of the data set; see `altfreeze.data.dataset.save_dataset`.
    cell : altfreeze.study.cell.Cell
    seeds : sequence of int
    device : {'auto', 'cpu', 'cuda'}
    threads : int
        Threads that torch computes with.
    log_path, manifest_path : path
        Outputs. The manifest is written last: where it stands, the log is whole.
    flow_path : path, optional
        CSV to write each layer's gradient flow to; without it, it is not observed.
    checkpoint_path : path, optional
        Where the state of the training is kept while it runs; a job that was killed goes
        on from there. It is removed after the manifest is written.
    checkpoint_seconds : float
        Seconds of wall time between two checkpoints, each at the end of an epoch; 0 for none.
    memory : int, optional
        MiB of the host's memory that this process may take in all; see `prepare`.

    Raises
    ------
    InputError
        If the device is not there, the data cannot be read, the memory does not hold a
        single seed, or the strategy needs more steps than the training has.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    # all that decides the numbers of the pack
    device = prepare(device, threads, memory)
    X, y, part = read_dataset(data_path)
    _refuse_idle(cell, workload_of(X, y, cell, part))
    flow = GradientFlow() if flow_path else None
    job = {
        "cell": cell.as_dict(),
        "seeds": list(seeds),
        "gradient_flow": flow is not None,
        "data_sha256": sha256_of_file(data_path),
        "code": fingerprint(*_DECIDING),
        "factory": code_of_factory(cell.network),
        "versions": versions("torch", "numpy"),
        "device": device,
        "device_name": torch.cuda.get_device_name() if device == "cuda" else processor(),
        "threads": threads,
    }

    # train, from where a job that was killed left it
    checkpoint = Checkpoint(checkpoint_path, checkpoint_seconds, job)
    attempt = checkpoint.count_start()
    progress = functools.partial(_show_progress, cell)
    trained = train_seeds(X, y, cell, seeds, device, progress, flow, checkpoint, part)

    # the manifest last, for it says that the others are whole
    if flow_path and flow:
        _write_text(flow_path, csv_text(FLOW_COLUMNS, flow.rows))
    _write_text(log_path, log_text(trained.rows))
    spent = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu, "attempt": attempt}
    files = {"log_sha256": sha256_of_file(log_path), "flow_sha256": sha256_of_file(flow_path) if flow_path else None}
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    write_json(manifest_path, _manifest(job, trained, device) | files | spent | {"date": date})
    checkpoint.remove()


def _manifest(job: dict[str, Any], trained: TrainedSeeds, device: str) -> dict[str, Any]:
    """Return what is said of a trained pack."""
    return {
        **{name: value for name, value in job.items() if name != "gradient_flow"},
        "status": "diverged" if trained.diverged else "ok",
        "diverged": {str(seed): epoch for seed, epoch in trained.diverged.items()},
        "rows": len(trained.rows),
        "workload": trained.workload._asdict(),
        "git": git_state(),
        "host": os.uname().nodename,
        # which kernels the products were made by: numbers are the same bits under the same ones alone
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "mkl_cbwr": os.environ.get("MKL_CBWR"),
        "stacks": [f"{stack[0]}-{stack[-1]}" for stack in trained.stacks],
        "too_large_stacks": trained.too_large,
        "resumed_at_epochs": trained.resumed_at,
        # an entry of the key strategies that trains the same again
        "decided": trained.decided,
        "training_seconds": trained.seconds,
        "peak_memory_mib": peak_memory() / 2**20,
        "peak_gpu_memory_mib": torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else 0,
    }


def run_tuning(
    data_path: str | Path,
    cell: Cell,
    learning_rates: Sequence[float],
    seeds: Sequence[int],
    device: str,
    threads: int,
    output: str | Path,
    memory: int | None,
    metric: Metric,
) -> None:
    """Train a cell at each learning rate and write the trials and the choice as JSON.

    Parameters
    ----------
    data_path : path
        The npz of the data set; see `altfreeze.data.dataset.save_dataset`.
    cell : altfreeze.study.cell.Cell
        Without a learning rate.
    learning_rates : sequence of float
    seeds : sequence of int
        Seeds of calibration.
    device : {'auto', 'cpu', 'cuda'}
    threads : int
    output : path
    memory : int, optional
        MiB of the host's memory that this process may take in all; see `prepare`.
    metric : altfreeze.vocabulary.Metric
        What the trials are scored by.

    Raises
    ------
    InputError
        If the device is not there, the data cannot be read or the memory does not hold
        a single seed.
    """
    device = prepare(device, threads, memory)
    X, y, part = read_dataset(data_path)
    trials = []
    for rate in learning_rates:
        trained = train_seeds(X, y, cell.at(rate), seeds, device, part=part, only_last=True)
        trials.append(trial_of(rate, len(seeds), trained.rows, metric))
        middle = trials[-1]["median"]
        print(
            f"learning rate {rate:g}: median validation {metric.words} "
            f"{'none' if middle is None else f'{middle:.3f}'}, "
            f"{len(seeds) - trials[-1]['diverged']} of {len(seeds)} seeds ok",
            file=sys.stderr,
        )
    record = {"cell": cell.as_dict(), "data_sha256": sha256_of_file(data_path), "metric": metric.name}
    write_json(output, record | {"learning_rate": choose(trials, metric), "trials": trials})


def run_timing(
    study: Study, data_folder: str | Path, output: str | Path, device: str = "cpu", threads: int = 1
) -> None:
    """Time the work of a study and write the times.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    data_folder : path
        Folder of the stored data sets, ``{dataset}.npz``.
    output : path
        CSV to write, with the columns `altfreeze.training.timing.COLUMNS`; what `altfreeze.training.timing.Alone`
        measured meanwhile is written beside it, as JSON.
    device : {'auto', 'cpu', 'cuda'}
    threads : int
        Threads that torch computes with.

    Raises
    ------
    InputError
        If the device is not there or a data set cannot be read.
    """
    # its statistics take longer to import than most trainings
    from altfreeze.training.timing import Alone, measure, read_workloads, timing_text

    device = prepare(device, threads)
    workloads = read_workloads(study, data_folder)
    rows: list[tuple] = []
    alone = Alone()
    for (dataset, depth), workload in workloads.items():
        began = time.perf_counter()
        measured = measure(study, {(dataset, depth): workload}, study.timing_rounds, device, width=study.timing_width)
        rows += measured
        rounds = measured[-1][-2]
        print(
            f"timing {dataset} depth {depth}: {len(measured) // rounds} kinds of work x {rounds} rounds, "
            f"{time.perf_counter() - began:.1f} s",
            file=sys.stderr,
        )
    write_json(Path(output).with_suffix(".json"), {"device": device, **alone.measured()})
    _write_text(output, timing_text(rows))
