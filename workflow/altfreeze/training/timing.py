"""Time the kinds of work of a study, one at a time, on a machine with nothing else to do."""

import inspect
import sys
import time
from pathlib import Path

import numpy as np
import torch

from altfreeze.data.dataset import read_dataset
from altfreeze.freezing.plan import Work, plan_work
from altfreeze.support.files import write_csv
from altfreeze.support.randomness import stream_seed
from altfreeze.training.network import StackedMLP, dropout_masks
from altfreeze.training.trainer import Clock, draw_batches, fill, make_optimizer, prepare, to_device, workload_of

COLUMNS = ("dataset", "depth", *Work._fields, "round", "seconds")
# the clock runs for about this long at a time, over at least so many repetitions
TIMED_SECONDS = 0.004
FEWEST_REPETITIONS = 3


def active_layers(work, depth):
    """Return layers that a step of some kind may update.

    Parameters
    ----------
    work : altfreeze.freezing.plan.Work
        Of kind ``step``.
    depth : int
        Number of weight layers.

    Returns
    -------
    tuple of bool, length depth
        Of all patterns of this kind the one whose active inner layers are the lowest.
    """
    start = max(work.lowest - 1, 1)
    inner = range(start, start + work.inner)
    return (bool(work.first), *(index in inner for index in range(1, depth - 1)), bool(work.last))


class Timer:
    """Times kinds of work as `altfreeze.training.train_pack` does them, on one network.

    The network is the same for all kinds of work. Its inputs are random numbers, and the
    weights drift: neither changes how long a step takes.

    Parameters
    ----------
    cell : altfreeze.study.cell.Cell
        any strategy.
    workload : altfreeze.freezing.plan.Workload
    device : torch.device
    """

    def __init__(self, cell, workload, device):
        self.workload = workload
        self.device = device
        self.width = cell.width
        self.generator = torch.Generator().manual_seed(stream_seed(cell.study_seed, "timing"))
        self.network = StackedMLP(workload.sizes, [self.generator.initial_seed()], cell.dropout).to(device)
        # indexed by Work.by_layer
        self.optimizers = [make_optimizer(self.network, cell, by_layer) for by_layer in (False, True)]
        self.step_optimizer = torch.no_grad()(inspect.unwrap(type(self.optimizers[0]).step))
        self.key = cell.run_key(0)
        targets = torch.randint(workload.sizes[-1], (1, workload.rows), generator=self.generator)
        self.targets = targets.to(device)
        self.inputs = {}
        everything = Work("step", 1, 1, workload.depth - 2, 1, 0, workload.batches[0])
        for by_layer in (0, 1):
            # from here on every layer has its optimizer state
            self(everything._replace(by_layer=by_layer), 1)

    def __call__(self, work, repetitions):
        """Return the seconds that some repetitions of a kind of work take together.

        Parameters
        ----------
        work : altfreeze.freezing.plan.Work
        repetitions : int

        Returns
        -------
        float
        """
        time_work = {"fill": self._fills, "epoch": self._epochs, "step": self._steps}[work.kind]
        return time_work(work, repetitions)

    def _input(self, layer):
        """Return what goes into a layer, counted from 0: Tensor, shape (1, rows, inputs of the layer)."""
        if layer not in self.inputs:
            shape = (1, self.workload.rows, self.workload.sizes[layer])
            self.inputs[layer] = torch.randn(shape, generator=self.generator).to(self.device)
        return self.inputs[layer]

    def _fills(self, work, repetitions):
        start, stop = work.lowest - 1, work.cached
        x = self._input(start)
        clock = Clock(self.device)
        clock.start()
        for _ in range(repetitions):
            fill(self.network, x, start, stop)
        clock.stop()
        return clock.seconds

    def _epochs(self, work, repetitions):
        x = self._input(work.cached)
        clock = Clock(self.device)
        clock.start()
        for repetition in range(repetitions):
            draw_batches([self.key], repetition, x, self.targets)
        clock.stop()
        return clock.seconds

    def _steps(self, work, repetitions):
        depth, dropout = self.workload.depth, self.network.dropout
        x_epoch = self._input(work.cached)
        batches = self.workload.rows // work.rows
        loss_sum = torch.zeros(1, device=self.device)
        optimizer = self.optimizers[work.by_layer]
        self.network.set_active(active_layers(work, depth))
        clock = Clock(self.device)
        clock.start()
        for repetition in range(repetitions):
            first = repetition % batches * work.rows
            x, targets = x_epoch[:, first : first + work.rows], self.targets[:, first : first + work.rows]
            keep = None
            if dropout:
                masks = dropout_masks([self.generator], dropout, depth, work.rows, self.width)
                keep = to_device(masks, self.device)
            loss_sum += self.network.compute_gradients(x, targets, keep, work.cached).sum(1)
            self.step_optimizer(optimizer)
        clock.stop()
        return clock.seconds


def _repetitions(timer, work):
    """Warm a kind of work up and return how often to repeat it while the clock runs."""
    fastest = min(timer(work, FEWEST_REPETITIONS) for _ in range(3)) / FEWEST_REPETITIONS
    return max(FEWEST_REPETITIONS, round(TIMED_SECONDS / fastest))


def measure(study, workloads, rounds, device="cpu", make_timer=Timer):
    """Time every kind of work that a plan of the study does, once in each round.

    The kinds of work of a data set and depth take turns, in an order that is drawn anew
    for each round: what drifts or disturbs the machine for a while meets all of them alike.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    workloads : dict of (str, int) to altfreeze.freezing.plan.Workload
        By data set and depth: what is timed, in this order.
    rounds : int
    device : str
        ``cpu`` or ``cuda``.
    make_timer : callable
        ``make_timer(cell, workload, device)`` to what times the work; see `Timer`.

    Returns
    -------
    list of tuple
        One per kind of work and round, in the order of the measurements, with the
        entries `COLUMNS`. Rounds are counted from 1; ``seconds`` are those of one step,
        fill or start of an epoch, the mean of the repetitions in one measurement.
    """
    rows = []
    for (dataset, depth), workload in workloads.items():
        began = time.perf_counter()
        cells = [study.cell(dataset, depth, strategy) for strategy in study.strategies]
        kinds = sorted(set().union(*(plan_work(each.plan(workload), workload) for each in cells)))
        timer = make_timer(cells[0], workload, torch.device(device))
        repetitions = {work: _repetitions(timer, work) for work in kinds}
        order = np.random.default_rng(stream_seed(study.seed, dataset, depth, "timing order"))
        for number in range(1, rounds + 1):
            for index in order.permutation(len(kinds)):
                work = kinds[index]
                seconds = timer(work, repetitions[work]) / repetitions[work]
                rows.append((dataset, depth, *work, number, seconds))
        took = time.perf_counter() - began
        print(
            f"timing {dataset} depth {depth}: {len(kinds)} kinds of work x {rounds} rounds, {took:.1f} s",
            file=sys.stderr,
        )
    return rows


def read_workloads(study, data_folder):
    """Return what the runs of a study work on.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    data_folder : path
        Folder of the stored data sets, ``{dataset}.npz``.

    Returns
    -------
    dict of (str, int) to altfreeze.freezing.plan.Workload
        By data set and depth.

    Raises
    ------
    InputError
        If a data set cannot be read.
    """
    workloads = {}
    for dataset in study.datasets:
        X, y = read_dataset(Path(data_folder) / f"{dataset}.npz")
        for depth in study.depths:
            workloads[dataset, depth] = workload_of(X, y, study.cell(dataset, depth, "standard"))
    return workloads


def run(study, data_folder, output, device="cpu", threads=1):
    """Time the work of a study and write the times.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    data_folder : path
        Folder of the stored data sets, ``{dataset}.npz``.
    output : path
        CSV to write, with the columns `COLUMNS`.
    device : {'auto', 'cpu', 'cuda'}
    threads : int
        Threads that torch computes with.

    Raises
    ------
    InputError
        If the device is not there or a data set cannot be read.
    """
    device = prepare(device, threads)
    write_csv(output, COLUMNS, measure(study, read_workloads(study, data_folder), study.timing_rounds, device))
