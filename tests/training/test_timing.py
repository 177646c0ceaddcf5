"""Timing: every kind of work of a study in turn, and what their times say of whole plans."""

import csv
import inspect
import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from altfreeze import cli
from altfreeze.freezing.cost import step_flops
from altfreeze.freezing.plan import Epoch, Step, Work, Workload, plan_work
from altfreeze.tables.reference_seconds import SPEEDUP_COLUMNS, median_seconds, reference_seconds, speedups
from altfreeze.training import timing
from altfreeze.training.batches import Scores, draw_batches
from altfreeze.training.network import StackedMLP
from altfreeze.training.trainer import train_pack
from builders import ENTRIES, make_study, write_study
from sklearn.datasets import load_wine

WORKLOAD = Workload((4, 8, 8, 8, 3), 20, 8)
WORKLOADS = {("iris", 4): WORKLOAD}
BOTTOM, TOP = (1.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 1.0)
NAMES = list(ENTRIES.values())
BY_LAYER = (0.0, 0.0, 0.5, 1.0)


def make_timed(**keys):
    chosen = {
        "datasets": ["iris"],
        "depths": [4],
        "primary_depth": 4,
        "freeze_ratios": [0.5],
        "strategies": ["alternating", "standard_half_updates", "frozen_bottom", "random_half"],
        "epochs_standard": 6,
        "epochs_alternating": 6,
        "freeze_period": 2,
        "width": 8,
        "batch_size": 8,
    }
    return make_study(**(chosen | keys))


def planned(study, strategy):
    return study.cell("iris", 4, strategy).plan(WORKLOAD)


def frame(rows):
    return pd.DataFrame(rows, columns=timing.COLUMNS)


def true_seconds(work):
    layers = 10 - work.lowest + 2 * work.first + 3 * work.inner + work.last - work.cached
    return 1e-6 * work.rows * (layers + 4 * work.by_layer)


def steady(cell, workload, device):
    return lambda work, repetitions: true_seconds(work) * repetitions


def kinds_of(study):
    return set().union(*(plan_work(planned(study, strategy), WORKLOAD) for strategy in study.strategies))


def step_kinds(work):
    return [each for each in work if each.kind in ("step", "single")]


class NoisyMachine:
    """A machine that is slow for whole rounds, slows down within them, and stalls now and then."""

    def __init__(self, kinds, generator, drift=0.3, ramp=0.3, noise=0.05, stalls=0.05):
        self.kinds, self.generator = kinds, generator
        self.drift, self.ramp, self.noise, self.stalls = drift, ramp, noise, stalls
        self.calls = 0

    def __call__(self, work, repetitions):
        place = self.calls % self.kinds
        if place == 0:
            self.level = self.generator.lognormal(0, self.drift)
        self.calls += 1
        seconds = true_seconds(work) * repetitions * self.level * (1 + self.ramp * place / self.kinds)
        seconds *= self.generator.lognormal(0, self.noise)
        return seconds * (3 if self.generator.random() < self.stalls else 1)


def speedups_on(study, machine, rounds=15):
    rows = timing.measure(study, WORKLOADS, rounds, make_timer=lambda *_: machine)
    return speedups(study, frame(rows), WORKLOADS).set_index("strategy")


def true_speedup(study, strategy):
    def per_step(label):
        counts = plan_work(planned(study, label), WORKLOAD)
        steps = sum(counts[work] for work in step_kinds(counts))
        return sum(count * true_seconds(work) for work, count in counts.items()) / steps

    return per_step("standard") / per_step(strategy)


def test_each_round_times_each_kind_of_work_once_in_an_order_of_its_own():
    study = make_timed(strategies=["alternating", "frozen_bottom", "freezeout"])
    rows = timing.measure(study, WORKLOADS, 4, make_timer=steady)
    orders = [[row[2:-2] for row in rows if row[-2] == number] for number in (1, 2, 3, 4)]
    kinds = sorted(kinds_of(study))
    assert {work.kind for work in kinds} == {"step", "single", "fill", "epoch"}
    assert {work.by_layer for work in kinds} == {0, 1}
    assert all(sorted(order) == kinds for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    # a round ends before the next begins, and the orders are those of the study's seed
    assert [row[-2] for row in rows] == sorted(row[-2] for row in rows)
    assert rows == timing.measure(study, WORKLOADS, 4, make_timer=steady)
    assert all(row[-1] == pytest.approx(true_seconds(Work(*row[2:-2])), rel=1e-12) for row in rows)


@pytest.mark.parametrize(("spread", "width", "rounds"), [(0, 0.05, 6), (0, 0, 15), (0.3, 0.05, 15)])
def test_rounds_end_when_the_primary_speedup_is_known_well_enough(spread, width, rounds):
    study, generator = make_timed(strategies=["alternating", "random_half"]), np.random.default_rng(1)
    primary = set(plan_work(planned(study, "alternating-0.5"), WORKLOAD)) - set(
        plan_work(planned(study, "standard"), WORKLOAD)
    )

    def make_timer(cell, workload, device):
        # what the control alone does may be as noisy as it likes
        noise = {work: spread if work in primary else 0.5 for work in kinds_of(study)}
        noise |= dict.fromkeys(plan_work(planned(study, "standard"), WORKLOAD), 0)
        return lambda work, repetitions: true_seconds(work) * repetitions * generator.lognormal(0, noise[work])

    rows = timing.measure(study, WORKLOADS, 15, make_timer=make_timer, width=width)
    assert rows[-1][-2] == rounds
    assert len(rows) == rounds * len(kinds_of(study))


def test_rounds_end_at_the_first_that_is_narrow():
    study, generator = make_timed(), np.random.default_rng(3)
    machine = NoisyMachine(len(kinds_of(study)), generator, drift=0, ramp=0, noise=0.03, stalls=0)
    found = frame(timing.measure(study, WORKLOADS, 50, make_timer=lambda *_: machine, width=0.05))
    ends = found["round"].max()
    assert 6 < ends < 50

    def is_narrow(last):
        row = speedups(study, found[found["round"] <= last], WORKLOADS).set_index("strategy").loc["alternating-0.5"]
        return row["high"] - row["low"] < 0.05 * row["measured"]

    assert [last for last in range(6, ends + 1) if is_narrow(last)] == [ends]


def test_the_clock_runs_long_enough_and_over_some_repetitions():
    repeated = {}

    def make_timer(cell, workload, device):
        def timer(work, repetitions):
            repeated.setdefault(work, []).append(repetitions)
            # the first repetitions of a kind of work are slow
            return repetitions * (1 if len(repeated[work]) == 1 else true_seconds(work) * work.rows**2 / 2)

        return timer

    timing.measure(make_timed(), WORKLOADS, 2, make_timer=make_timer)
    for work, (*warm_up, first, second) in repeated.items():
        assert len(warm_up) > 1
        assert first == second == max(3, round(0.002 / (true_seconds(work) * work.rows**2 / 2)))
    assert {3} < {counts[-1] for counts in repeated.values()}


@pytest.mark.parametrize("depth", [2, 3, 4, 6])
def test_the_layers_that_are_timed_do_the_work_in_question(depth):
    workload = Workload((4, *[8] * (depth - 1), 3), 20, 8)
    for active in product([0.0, 1.0], repeat=depth):
        if any(active):
            (work,) = step_kinds(Epoch([Step(active, 0.0, 8)], 0, None, False).work(workload))
            timed = tuple(map(float, timing.active_layers(work, depth)))
            assert [work] == step_kinds(Epoch([Step(timed, 0.0, 8)], 0, None, False).work(workload))


@pytest.mark.parametrize("label", make_timed(strategies=NAMES).strategies)
def test_each_epoch_draws_its_batches_once_from_what_its_steps_read(label):
    epochs = planned(make_timed(strategies=NAMES), label)
    for epoch in epochs:
        work = epoch.work(WORKLOAD)
        drawn = {each: count for each, count in work.items() if each.kind == "epoch"}
        assert drawn == {Work("epoch", 0, 0, 0, 0, epoch.cached, WORKLOAD.rows): 1}
        assert {each.cached for each in work} == {epoch.cached}
    draws = sum(count for each, count in plan_work(epochs, WORKLOAD).items() if each.kind == "epoch")
    assert draws == len(epochs)


@pytest.mark.parametrize("label", make_timed(strategies=NAMES).strategies)
def test_layers_are_said_to_have_rates_of_their_own_where_a_pack_gives_them(label):
    X, y = load_wine(return_X_y=True)
    cell = make_timed(datasets=["wine"], strategies=NAMES).cell("wine", 4, label)
    trained = train_pack(X, y, cell, [0])
    groups = len(trained.optimizer.param_groups)
    assert groups == (4 if label in ("freezeout", "masked", "phases") else 1)
    work = plan_work(cell.plan(trained.workload), trained.workload)
    assert {each.by_layer for each in step_kinds(work)} == {int(groups > 1)}
    assert not any(each.by_layer for each in work if each not in step_kinds(work))


@pytest.mark.parametrize("label", ["frozen_bottom-0.5", "alternating-0.5", "freezeout"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_timed_work_is_that_of_training(monkeypatch, label, dropout):
    """A pack's batches, gradients, updates and fills, and those that are timed, are asked for in the same way."""
    X, y = load_wine(return_X_y=True)
    study = make_timed(datasets=["wine"], dropout=dropout, strategies=["alternating", "frozen_bottom", "freezeout"])
    cell = study.cell("wine", 4, label)
    seen = []
    gradients, hidden, update = StackedMLP.compute_gradients, StackedMLP.hidden, inspect.unwrap(torch.optim.Adam.step)

    def compute_gradients(self, x, targets, keep=None, start=0):
        learning = tuple(weight.requires_grad for weight in self.weights)
        seen.append((x.shape, x.stride(), targets.shape, None if keep is None else keep.shape, start, learning))
        return gradients(self, x, targets, keep, start)

    def hidden_layers(self, x, start, stop):
        seen.append((x.shape, start, stop))
        return hidden(self, x, start, stop)

    def draw(keys, epoch, x, targets):
        seen.append((tuple(keys), x.shape, x.stride(), targets.shape))
        return draw_batches(keys, epoch, x, targets)

    def step(self):
        seen.append(tuple(tuple(each.requires_grad for each in group["params"]) for group in self.param_groups))
        return update(self)

    monkeypatch.setattr("altfreeze.training.trainer.draw_batches", draw)
    # an update that is compiled does not go through torch's
    monkeypatch.setattr("altfreeze.training.networks.compiled.WIDEST", 0)
    monkeypatch.setattr(torch.optim.Adam, "step", step)
    monkeypatch.setattr(StackedMLP, "compute_gradients", compute_gradients)
    monkeypatch.setattr(StackedMLP, "hidden", hidden_layers)
    monkeypatch.setattr("altfreeze.training.trainer.evaluate", lambda network, x, y: Scores(*[torch.zeros(len(y))] * 3))
    workload = train_pack(X, y, cell, [0]).workload
    trained = set(seen)
    timer = timing.Timer(cell, workload, torch.device("cpu"))
    seen.clear()
    kinds = plan_work(cell.plan(workload), workload)
    for work in kinds:
        before = len(seen)
        assert timer(work, 3) > 0
        # a step is a gradient and an update of batches that are drawn before; no chunks in so small a fill
        assert len(seen) - before == (1 + 3 * 2 if work in step_kinds(kinds) else 3)
    assert set(seen) == trained
    for by_layer, trainer in enumerate(timer.trainers):
        timed = [timing.active_layers(work, 4) for work in step_kinds(kinds) if work.by_layer == by_layer]
        updates = [int(trainer.optimizer.state[weight].get("step", 0)) for weight in trainer.network.weights]
        # every layer was updated once when the timer was made
        assert updates == [1 + 3 * sum(active[layer] for active in timed) for layer in range(4)]


def test_what_slows_a_whole_round_down_cancels():
    study = make_timed()
    found = speedups_on(study, NoisyMachine(len(kinds_of(study)), np.random.default_rng(1), ramp=0, noise=0, stalls=0))
    for strategy, row in found.iterrows():
        expected = [true_speedup(study, strategy)] * 3
        assert row[["measured", "low", "high"]].tolist() == pytest.approx(expected, rel=1e-12)


def test_the_interval_covers_the_true_speedup_as_often_as_it_says():
    study = make_timed()
    kinds = len(kinds_of(study))
    strategies = list(study.strategies)[1:]
    truth = [true_speedup(study, strategy) for strategy in strategies]
    covered = []
    for number in range(250):
        found = speedups_on(study, NoisyMachine(kinds, np.random.default_rng([5, number])))
        assert list(found.index) == strategies
        covered.append((found["low"] <= truth) & (truth <= found["high"]))
    assert np.mean(covered, axis=0).min() >= 0.93
    # half of the steps are the same steps
    assert found.index[found["low"] == found["high"]].tolist() == ["standard_half_updates"]


def test_the_closed_form_is_the_ratio_of_operations():
    study = make_timed(strategies=["alternating", "standard_half_updates"], freeze_period=1)
    found = speedups(study, frame(timing.measure(study, WORKLOADS, 6, make_timer=steady)), WORKLOADS)
    assert tuple(found.columns) == SPEEDUP_COLUMNS
    everything, bottom, top = (
        sum(step_flops(WORKLOAD.sizes, rows, active) for rows in WORKLOAD.batches)
        for active in ((True,) * 4, BOTTOM, TOP)
    )
    # three epochs of each group, and six of all layers
    row = found.iloc[0]
    assert row[["dataset", "depth", "strategy", "rounds"]].tolist() == ["iris", 4, "alternating-0.5", 6]
    assert row["closed_form"] == pytest.approx(2 * everything / (bottom + top), rel=1e-12)
    # half of the steps are not faster steps
    assert found.iloc[1][["strategy", "measured", "closed_form"]].tolist() == ["standard_half_updates", 1, 1]


def test_a_study_is_timed_through_the_command_line(tmp_path, capsys, monkeypatch):
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")
    names = ["alternating", "standard_half_updates", "frozen_bottom", "freezeout"]
    study = make_timed(datasets=["wine"], timing_rounds=6, strategies=names)
    X, y = load_wine(return_X_y=True)
    np.savez(tmp_path / "wine.npz", X=X, y=y)
    output = tmp_path / "tables" / "timing.csv"
    options = ["--study", str(write_study(tmp_path, study)), "--data", str(tmp_path), "--device", "cpu"]
    threads = torch.get_num_threads()
    try:
        cli.main(["timing", *options, "--output", str(output)])
    finally:
        # a job sets these for the rest of its process
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)
    with open(output, encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == timing.COLUMNS
    alone = json.loads(output.with_suffix(".json").read_text(encoding="utf-8"))
    assert alone.keys() == {"device", "cpu_share", "others"}
    assert 0 < alone["cpu_share"] < 1.05
    assert all(float(row[-1]) > 0 for row in rows)
    assert max(len(row[-1].split("e")[0].strip("0.")) for row in rows) >= 8
    progress = capsys.readouterr().err.splitlines()
    assert len(progress) == 1
    assert re.fullmatch(rf"timing wine depth 4: {len(rows) // 6} kinds of work x 6 rounds, \d+\.\d s", progress[0])

    workloads = timing.read_workloads(study, tmp_path)
    trained = train_pack(X, y, replace(study.cell("wine", 4, "alternating-0.5"), epochs=1), [7])
    assert workloads == {("wine", 4): trained.workload}
    table = pd.read_csv(output)
    seconds = median_seconds(table)["wine", 4]
    for strategy in study.strategies:
        epochs = study.cell("wine", 4, strategy).plan(workloads["wine", 4])
        clock = reference_seconds(epochs, workloads["wine", 4], seconds)
        assert len(clock) == (3 if strategy == "standard_half_updates" else 6)
        assert all(np.diff([0, *clock]) > 0)
    found = speedups(study, table, workloads)
    assert found["low"].le(found["measured"]).all()
    assert found["measured"].le(found["high"]).all()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_every_optimizer_can_be_timed(optimizer):
    study = make_timed(optimizer=optimizer, strategies=NAMES)
    rows = timing.measure(study, WORKLOADS, rounds=1)
    assert len(rows) == len({row[2:-2] for row in rows})
    assert all(row[-1] > 0 for row in rows)


def spin(seconds):
    """Compute for so long."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_a_process_that_waits_or_has_company_was_not_alone():
    alone = timing.Alone()
    time.sleep(0.3)
    assert alone.measured()["cpu_share"] < 0.5

    quiet = timing.Alone()
    spin(0.5)
    before = quiet.measured()
    company = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        busy = timing.Alone()
        spin(1)
        found = busy.measured()
    finally:
        company.kill()
        company.wait()
    assert 0 <= before["cpu_share"] <= 1.05
    # on a core of its own, or on this one
    assert found["others"] is None or found["others"] > 0.3 or found["cpu_share"] < 0.9
