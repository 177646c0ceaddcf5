"""Measure how close frozen steps come to their closed form, and show what is lost; print tables.

Two questions: by which factor is alternating freezing faster than as many epochs of
standard training, next to the ratio of the two plans' operations, and where do the
seconds of a standard and of a frozen step go? Standard and alternating training are
timed in turn, A B A B, and compared in pairs, by round. Called as
``python benchmarks/benchmark_freezing.py``, with ``--quick`` for a tiny run.
"""

import argparse
import contextlib
import functools
import os
import time
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

# first, as it sets the threads of the libraries and finds the package of this checkout
from benchmark_training import interleave, machine, print_table, training_cell  # isort: skip

import numpy as np
import torch
from altfreeze.freezing.cost import fill_flops, step_flops
from altfreeze.freezing.plan import Epoch, Step, Workload
from altfreeze.freezing.schedules import split_index
from altfreeze.statistics import median_interval
from altfreeze.training.batches import Parts
from altfreeze.training.job import prepare
from altfreeze.training.network import StackedMLP, layer_sizes
from altfreeze.training.trainer import Trainer, train_pack
from torch.profiler import ProfilerActivity, profile

DEPTH = 6
FREEZE_RATIO = 0.5
STRATEGY = f"alternating-{FREEZE_RATIO:g}"
BOTTOM = split_index(FREEZE_RATIO, DEPTH)
# which layers learn, bottom first
ALL_LEARN = (True,) * DEPTH
BOTTOM_LEARNS = tuple(layer < BOTTOM for layer in range(DEPTH))
TOP_LEARNS = tuple(layer >= BOTTOM for layer in range(DEPTH))
# so small that no number becomes special: what a step costs must not depend on what was learned
LEARNING_RATE = 1e-6
TOLERANCE = 0.05
# the fewest of which a distribution-free interval of the median at 95 % can be given
ROUNDS = 6
PROFILE_ROUNDS = 5
# operations of torch, by what they are to a step
PRODUCTS = ("bmm", "baddbmm")
ELEMENTWISE = (
    *("clamp_min_", "threshold_backward", "copy_", "sum"),
    *("_log_softmax", "exp_", "gather", "scatter_", "sub", "neg", "mul_"),
)
GATHER = ("index",)
PARTS = ("products", "optimizer", "element-wise", "index gather", "overhead")


class Case(NamedTuple):
    """Networks of equally wide layers, features and classes included, and how they are trained."""

    width: int
    batch_size: int
    batches: int
    """Batches in an epoch, a multiple of 3 where the batch size is none."""
    plans: dict
    """Epochs in a phase, E, to the settings of the cache; with E = 1 none is made, as it would not pay."""
    profiled: int = 0
    """Steps that are profiled at a time."""


PLANS = {1: ("off",), 2: ("off", "auto"), 5: ("off", "auto")}
CASES = (
    Case(64, 128, 48, PLANS, profiled=240),
    Case(128, 128, 24, PLANS),
    Case(256, 128, 12, PLANS, profiled=48),
    Case(512, 128, 6, PLANS),
    Case(1024, 128, 6, PLANS, profiled=6),
    # the larger the batch, the less the optimizer counts, whose seconds depend on the parameters alone
    Case(1024, 512, 3, {2: ("off", "auto")}, profiled=3),
    # without cache the closed form is the same for every E
    Case(2048, 128, 3, {1: ("off",), 2: ("auto",), 5: ("auto",)}),
)
QUICK_CASES = (Case(16, 32, 6, PLANS, profiled=12), Case(32, 32, 6, PLANS, profiled=12))


def synthetic(case):
    """Return random data whose train part is exactly the case's batches, with as many classes as features.

    Parameters
    ----------
    case : Case

    Returns
    -------
    X : ndarray of float64, shape (rows, width)
    y : ndarray of int64, shape (rows,)
    """
    # each class has a multiple of 5 rows, 3 of which are for training: see altfreeze.data.stratified_split
    groups = case.batch_size * case.batches // 3
    y = np.repeat(np.linspace(0, case.width - 1, groups).round().astype(np.int64), 5)
    return np.random.default_rng(0).standard_normal((len(y), case.width)), y


def cells(case, phase, cache):
    """Return the cells of standard and of alternating training for two whole phases.

    Parameters
    ----------
    case : Case
    phase : int
        Epochs in a phase.
    cache : {'auto', 'off'}
        Whether the output of frozen lowest layers is cached.

    Returns
    -------
    tuple of dict
    """
    settings = {
        "batch_size": case.batch_size,
        "learning_rate": LEARNING_RATE,
        "freeze_period": phase,
        "cache_activations": cache,
    }
    return tuple(
        training_cell("synthetic", DEPTH, case.width, 2 * phase, strategy, **settings)
        for strategy in ("standard", STRATEGY)
    )


def workload(case):
    """Return the workload of a case; see `altfreeze.freezing.plan.Workload`."""
    sizes = layer_sizes(case.width, case.width, DEPTH, case.width)
    return Workload(tuple(sizes), case.batch_size * case.batches, case.batch_size)


def closed_form(case, phase, cache):
    """Return the operations of standard training over those of alternating training."""
    standard, alternating = (
        sum(epoch.flops(workload(case)) for epoch in cell.plan(workload(case))) for cell in cells(case, phase, cache)
    )
    return standard / alternating


def print_ceilings(case):
    """Print the closed forms for any equally wide network and for the one that is measured.

    Parameters
    ----------
    case : Case
    """
    ratio, sizes = Fraction(FREEZE_RATIO), workload(case).sizes

    def row(name, cached, fills):
        """Return the row of a plan with `cached` layers whose fill is made `fills` times an epoch."""
        # altfreeze.freezing.cost without the terms of single layers, in units of F
        deep = 3 / ((3 - (3 if cached else 2) * ratio + fills * ratio + 2 + ratio) / 2)
        top = step_flops(sizes, 1, TOP_LEARNS, cached) + fills * fill_flops(sizes, 1, 0, cached)
        exact = 2 * step_flops(sizes, 1, ALL_LEARN) / (top + step_flops(sizes, 1, BOTTOM_LEARNS))
        return [name, "auto" if cached else "off", f"{float(deep):.3f}", f"{float(exact):.3f}"]

    print_table(
        f"Closed form: operations of standard over those of alternating training, r = {FREEZE_RATIO:g}",
        ["E", "cache", "deep network", f"depth {DEPTH}"],
        [
            row("any", 0, 0),
            *(row(str(phase), BOTTOM, Fraction(1, phase)) for phase in case.plans if phase > 1),
            row("limit", BOTTOM, 0),
        ],
    )


def training_seconds(X, y, cell):
    """Return the seconds on the training clock of one network: without evaluation and set-up."""
    return train_pack(X, y, cell, [0]).seconds


def measure_speedups(cases, rounds):
    """Print how much faster than standard training alternating training is, next to its closed form.

    Parameters
    ----------
    cases : sequence of Case
    rounds : int
    """
    rows = []
    for case in cases:
        X, y = synthetic(case)
        for phase, caches in case.plans.items():
            contenders = {"standard": cells(case, phase, "off")[0]}
            contenders |= {cache: cells(case, phase, cache)[1] for cache in caches}
            timers = {name: functools.partial(training_seconds, X, y, cell) for name, cell in contenders.items()}
            seconds = interleave(timers, rounds)
            for cache in caches:
                speedup = median_interval(seconds["standard"] / seconds[cache])
                expected = closed_form(case, phase, cache)
                share = speedup.estimate / expected
                rows.append(
                    [
                        *(str(case.width), str(case.batch_size), str(phase), cache),
                        f"{1000 * np.median(seconds['standard']) / (2 * phase * case.batches):.3g}",
                        f"{expected:.3f}",
                        f"{speedup.estimate:.3f} [{speedup.low:.3f}, {speedup.high:.3f}]",
                        f"{share:.3f}",
                        "yes" if abs(share - 1) <= TOLERANCE else "above" if share > 1 else "below",
                    ]
                )
    print_table(
        f"Speed-up: seconds of standard over those of alternating training, two phases of E epochs, {rounds} rounds.\n"
        "Measured: median of the rounds' ratios and its distribution-free interval.",
        [
            *("width", "batch", "E", "cache", "ms of a standard step", "closed form", "measured [low, high]"),
            *("measured/closed form", f"within {TOLERANCE:.0%}"),
        ],
        rows,
    )


@contextlib.contextmanager
def silent():
    """Drop what is written to standard error meanwhile: the profiler announces itself there, past Python."""
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class Steps:
    """Training steps of one freeze state, outside of a training so that they can be profiled.

    Parameters
    ----------
    case : Case
    active : tuple of bool, length `DEPTH`
        Which layers learn, bottom first.
    cached : int
        Lowest layers whose output is the steps' input.
    """

    def __init__(self, case, active, cached):
        rows = case.batch_size * case.profiled
        generator = torch.Generator().manual_seed(0)
        x = torch.randn((1, rows, case.width), generator=generator)
        part = (x, torch.randint(case.width, (1, rows), generator=generator))
        step = Step(tuple(map(float, active)), 0.0, case.batch_size)
        # the rows of an epoch are as many as are profiled
        self.epoch = Epoch([step] * case.profiled, cached, None, False)
        cell, network = cells(case, 1, "off")[0], StackedMLP(workload(case).sizes, [0])
        self.trainer = Trainer(network, cell, [self.epoch], workload(case), [0], Parts(part, part, part))
        self.trainer.switch.to(active, 0)
        self.optimizer_seconds, update = 0.0, self.trainer.update

        def timed_update():
            self.optimizer_seconds -= time.perf_counter()
            update()
            self.optimizer_seconds += time.perf_counter()

        self.trainer.update = timed_update

    def run(self):
        """Make the steps as a training does; return all seconds and the optimizer's."""
        start, self.optimizer_seconds = time.perf_counter(), 0.0
        self.trainer.begin_epoch(self.epoch)
        self.trainer.make_steps(self.epoch.steps)
        return time.perf_counter() - start, self.optimizer_seconds

    def parts(self):
        """Return the seconds of each of `PARTS`: those of operations are profiled, in a run of their own."""
        whole, optimizer = self.run()
        with silent(), profile(activities=[ProfilerActivity.CPU], acc_events=True) as profiler:
            self.run()
        seconds = {event.key: event.self_cpu_time_total / 1e6 for event in profiler.key_averages()}
        products, elementwise, gather = (
            sum(seconds.get(f"aten::{name}", 0.0) for name in names) for names in (PRODUCTS, ELEMENTWISE, GATHER)
        )
        return products, optimizer, elementwise, gather, whole - products - optimizer - elementwise - gather


def measure_parts(cases, rounds):
    """Print where the seconds of a standard and of a frozen step go, and which part is lost.

    Parameters
    ----------
    cases : sequence of Case
    rounds : int
    """
    kinds = {"standard": (ALL_LEARN, 0), "bottom learns": (BOTTOM_LEARNS, 0), "top learns": (TOP_LEARNS, BOTTOM)}
    rows = []
    for case in (case for case in cases if case.profiled):
        contenders = {kind: Steps(case, *state).parts for kind, state in kinds.items()}
        # the first round allocates and chooses kernels
        measured = [[parts() for parts in contenders.values()] for _ in range(rounds + 1)][1:]
        milliseconds = 1000 * np.median(measured, axis=0) / case.profiled
        standard, *learns = np.column_stack([milliseconds, milliseconds.sum(axis=1)])
        frozen = np.mean(learns, axis=0)
        flops = [step_flops(workload(case).sizes, case.batch_size, *state) for state in kinds.values()]
        expected = 2 * flops[0] / sum(flops[1:])
        lost = (frozen - standard / expected) / frozen[-1]
        rows += [
            [
                *(str(case.width), str(case.batch_size), name),
                *(f"{kind[part]:.3g}" for kind in (standard, *learns)),
                f"{standard[part] / standard[-1]:.1%}",
                f"{standard[part] / frozen[part]:.2f}",
                f"{expected:.2f}",
                f"{lost[part]:+.1%}",
            ]
            for part, name in enumerate((*PARTS, "whole step"))
        ]
    print_table(
        f"Where the seconds go: milliseconds per step, median of {rounds} rounds; the top learns from cached output, "
        "without the fill.\n"
        "Lost: seconds above standard's divided by the closed form, as a share of the mean frozen step; below 0: won.",
        [
            *("width", "batch", "part", "standard", "bottom learns", "top learns", "share of standard"),
            *("standard/frozen", "closed form", "lost"),
        ],
        rows,
    )


def main():
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny networks, to see whether it runs")
    cases = QUICK_CASES if parser.parse_args().quick else CASES
    start = time.perf_counter()
    prepare("cpu", threads=1)
    print(machine())
    print(f"Depth {DEPTH}, features = classes = width, Adam, S = 1.")
    print_ceilings(cases[0])
    measure_speedups(cases, ROUNDS)
    measure_parts(cases, PROFILE_ROUNDS)
    print(f"\nmeasured in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
