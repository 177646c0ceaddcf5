"""Time the kinds of work of a study, one at a time, on a machine with nothing else to do."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from altfreeze.data.dataset import read_dataset
from altfreeze.freezing.flow import NormObserver
from altfreeze.freezing.plan import Epoch, Step, Work, Workload, plan_work
from altfreeze.statistics import median_interval
from altfreeze.study.cell import Cell
from altfreeze.study.grid import Study
from altfreeze.support.randomness import stream_seed
from altfreeze.training.batches import Parts, workload_of
from altfreeze.training.log import csv_text
from altfreeze.training.networks.making import make_network
from altfreeze.training.optimizer import are_made_at_once
from altfreeze.training.trainer import Trainer

COLUMNS = ("dataset", "depth", *Work._fields, "round", "seconds")
# the clock runs for about this long at a time, over at least so many repetitions
TIMED_SECONDS = 0.002
FEWEST_REPETITIONS = 3
# below these an interval of 95 % of a median has no ends
FEWEST_ROUNDS = 6


def active_layers(work: Work, depth: int) -> tuple[bool, ...]:
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
    """Times kinds of work as `altfreeze.training.trainer.Trainer` does them, on networks of one seed.

    All kinds of work with one sort of optimizer are done by one trainer. Its inputs are
    random numbers, and the weights drift: neither changes how long a step takes.

    Parameters
    ----------
    cell : altfreeze.study.cell.Cell
        Of any strategy.
    workload : altfreeze.freezing.plan.Workload
    device : torch.device
    """

    def __init__(self, cell: Cell, workload: Workload, device: torch.device) -> None:
        # whatever happens to a layer's state on its thaw, it happens before the clock starts
        self.cell = replace(cell, state_on_thaw="keep")
        self.workload = workload
        self.device = device
        self.generator = torch.Generator().manual_seed(stream_seed(cell.study_seed, "timing"))
        targets = torch.randint(workload.sizes[-1], (1, workload.rows), generator=self.generator)
        self.targets = targets.to(device)
        self.inputs: dict[int, torch.Tensor] = {}
        # indexed by Work.by_layer
        self.trainers = [self._trainer(bool(by_layer)) for by_layer in (0, 1)]

    def __call__(self, work: Work, repetitions: int) -> float:
        """Return the seconds that some repetitions of a kind of work take together.

        Parameters
        ----------
        work : altfreeze.freezing.plan.Work
        repetitions : int

        Returns
        -------
        float
        """
        times = {"fill": self._fills, "epoch": self._epochs, "observe": self._observes}
        time_work = times.get(work.kind, self._steps)
        clock = self.trainers[work.by_layer].clock
        before = clock.seconds
        time_work(self.trainers[work.by_layer], work, repetitions)
        return clock.seconds - before

    def _trainer(self, by_layer: bool) -> Trainer:
        """Return a trainer whose layers have all made a step: from here on each has its optimizer state."""
        everything = Step((1.0,) * self.workload.depth, 0.0, self.workload.batches[0])
        plan = [Epoch([everything], 0, None, by_layer)]
        network = make_network(self.cell, self.workload, [self.generator.initial_seed()], self.device)
        part = (self._input(0), self.targets)
        trainer = Trainer(network, self.cell, plan, self.workload, [0], Parts(part, part, part))
        trainer.begin_epoch(plan[0])
        trainer.make_steps([everything])
        return trainer

    def _input(self, layer: int) -> torch.Tensor:
        """Return what goes into a layer, counted from 0: Tensor, shape (1, rows, inputs of the layer)."""
        if layer not in self.inputs:
            shape = (1, self.workload.rows, self.workload.sizes[layer])
            self.inputs[layer] = torch.randn(shape, generator=self.generator).to(self.device)
        return self.inputs[layer]

    def _fills(self, trainer: Trainer, work: Work, repetitions: int) -> None:
        start = work.lowest - 1
        x = self._input(start)
        trainer.clock.start()
        for _ in range(repetitions):
            trainer.cache = x
            trainer.fill(start, work.cached)
        trainer.clock.stop()

    def _epochs(self, trainer: Trainer, work: Work, repetitions: int) -> None:
        trainer.cache = self._input(work.cached)
        epoch = Epoch([], work.cached, None, bool(work.by_layer))
        trainer.clock.start()
        for _ in range(repetitions):
            trainer.begin_epoch(epoch)
        trainer.clock.stop()

    def _observes(self, trainer: Trainer, work: Work, repetitions: int) -> None:
        # of all layers
        everything = Step((1.0,) * self.workload.depth, 0.0, self.workload.batches[0])
        trainer.begin_epoch(Epoch([everything], 0, None, bool(work.by_layer)))
        trainer.make_steps([everything])
        observer = NormObserver()
        observer.begin(trainer.network)
        trainer.clock.start()
        for number in range(repetitions):
            observer.end_epoch(number, number, [0])
        trainer.clock.stop()

    def _steps(self, trainer: Trainer, work: Work, repetitions: int) -> None:
        active = active_layers(work, self.workload.depth)
        step = Step(tuple(map(float, active)), 0.0, work.rows)
        trainer.cache = self._input(work.cached)
        trainer.begin_epoch(Epoch([step], work.cached, None, bool(work.by_layer)))
        trainer.switch.to(active, trainer.steps)
        trainer.at_once = work.kind == "step" and are_made_at_once(trainer.network, trainer.optimizer)
        batches = self.workload.rows // work.rows
        trainer.clock.start()
        for made in range(0, repetitions, batches):
            trainer.rows = 0
            trainer.make_steps([step] * min(batches, repetitions - made))
        trainer.clock.stop()


def _repetitions(timer: Callable[[Work, int], float], work: Work) -> int:
    """Warm a kind of work up and return how often to repeat it while the clock runs."""
    fastest = min(timer(work, FEWEST_REPETITIONS) for _ in range(3)) / FEWEST_REPETITIONS
    return max(FEWEST_REPETITIONS, round(TIMED_SECONDS / fastest))


def measure(
    study: Study,
    workloads: dict[tuple[str, int], Workload],
    rounds: int,
    device: str = "cpu",
    make_timer: Callable[[Cell, Workload, torch.device], Callable[[Work, int], float]] = Timer,
    width: float = 0.0,
) -> list[tuple]:
    """Time every kind of work that a plan of the study does, once in each round.

    The kinds of work of a data set and depth take turns, in an order that is drawn anew
    for each round: what drifts or disturbs the machine for a while meets all of them alike.
    Rounds end early once the primary strategy's speed-up is known well enough. They end by
    its interval's width, whatever the speed-up: in simulations of 6 to 15 rounds, with and
    without stalls, its median stayed within 0.001 of the truth and its interval covered
    that in 94 to 97 % of the studies.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    workloads : dict of (str, int) to altfreeze.freezing.plan.Workload
        By data set and depth: what is timed, in this order.
    rounds : int
        The most.
    device : str
        ``cpu`` or ``cuda``.
    make_timer : callable
        ``make_timer(cell, workload, device)`` to what times the work; see `Timer`.
    width : float
        Width of that interval, as a share of the speed-up, at which rounds end early, after `FEWEST_ROUNDS`
        at the earliest; 0 for never.

    Returns
    -------
    list of tuple
        One per kind of work and round, in the order of the measurements, with the
        entries `COLUMNS`. Rounds are counted from 1; ``seconds`` are those of one step,
        fill or start of an epoch, the mean of the repetitions in one measurement.
    """
    rows: list[tuple] = []
    for (dataset, depth), workload in workloads.items():
        cells = [study.cell(dataset, depth, strategy) for strategy in study.strategies]
        kinds = sorted(set().union(*(cell.work(workload) for cell in cells)))
        plans = {
            label: plan_work(study.cell(dataset, depth, label).plan(workload), workload)
            for label in ("standard", study.primary_strategy)
        }
        # a step takes as long at any learning rate
        cell = cells[0].at(study.untuned_rate)
        timer = make_timer(cell, workload, torch.device(device))
        repetitions = {work: _repetitions(timer, work) for work in kinds}
        order = np.random.default_rng(stream_seed(study.seed, dataset, depth, "timing order"))
        ratios: list[float] = []
        for number in range(1, rounds + 1):
            seconds = {}
            for index in order.permutation(len(kinds)):
                work = kinds[index]
                seconds[work] = timer(work, repetitions[work]) / repetitions[work]
            rows += [(dataset, depth, *work, number, taken) for work, taken in seconds.items()]
            standard, primary = (
                sum(count * seconds[work] for work, count in plans[label].items())
                for label in ("standard", study.primary_strategy)
            )
            ratios.append(standard / primary)
            if width and number >= FEWEST_ROUNDS and _is_narrow(ratios, width):
                break
    return rows


def _is_narrow(ratios: list[float], width: float) -> bool:
    """Return whether the interval of a median is narrower than this share of it."""
    middle, low, high = median_interval(ratios)
    return high - low < width * middle


def read_workloads(study: Study, data_folder: str | Path) -> dict[tuple[str, int], Workload]:
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
        X, y, part = read_dataset(Path(data_folder) / f"{dataset}.npz")
        for depth in study.depths:
            workloads[dataset, depth] = workload_of(X, y, study.cell(dataset, depth, "standard"), part)
    return workloads


class Alone:
    """Measures from its making on how alone a computation of one thread is on its machine."""

    def __init__(self) -> None:
        self.began = time.perf_counter(), time.process_time(), _busy_seconds()

    def measured(self) -> dict[str, float | None]:
        """Return what was measured until now.

        Returns
        -------
        dict of str to float or None
            ``cpu_share``: seconds in which this process computed, over those that passed; below 1 where it had to
            wait for a core. ``others``: how many cores all other processes kept busy, None where the system does not
            tell (it is read from ``/proc/stat``).
        """
        wall, cpu, busy = (
            None if now is None or then is None else now - then
            for now, then in zip((time.perf_counter(), time.process_time(), _busy_seconds()), self.began, strict=True)
        )
        assert wall is not None and cpu is not None
        return {"cpu_share": cpu / wall, "others": None if busy is None else max(0.0, busy - cpu) / wall}


def _busy_seconds() -> float | None:
    """Return for how long all cores together have computed, whatever the process, idle and waiting left out."""
    try:
        ticks = list(map(int, Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9]))
    except (OSError, ValueError):
        return None
    user, nice, system, _idle, _waiting, *others = ticks
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK")


def timing_text(rows: list[tuple]) -> str:
    """Return the table of times as CSV; see `measure`."""
    return csv_text(COLUMNS, rows)
