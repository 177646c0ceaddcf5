"""Schedules that update a subset of the layers: drawn as published, and what is dropped is not frozen."""

import pytest
import torch
from altfreeze.freezing import plan as plans
from altfreeze.freezing.plan import Workload
from altfreeze.freezing.strategy import MASKED, Position, factors
from altfreeze.training.trainer import train_pack
from builders import make_wine_study

WORKLOAD = Workload((13, 16, 16, 16, 3), 106, 32)


def walk(name, depth, steps, seed=0, **parameters):
    chosen = {"name": name} | parameters
    return [factors(chosen, Position(0, step, steps, steps, seed), depth) for step in range(steps)]


def layers(step):
    return "".join(str(layer) for layer, factor in enumerate(step, 1) if factor)


def cell_of(entry, **keys):
    study = make_wine_study(**({"freeze_ratios": [0.5], "strategies": ["alternating", entry]} | keys))
    return study.cell("wine", 4, list(study.strategies)[-1])


def test_a_random_suffix_begins_at_each_layer_equally_often():
    found = [layers(step) for step in walk("random_suffix", 4, 2000, switch_every=1)]
    assert set(found) == {"1234", "234", "34", "4"}
    # 2000 draws of 4: 500 each, standard deviation 19
    assert all(420 < found.count(each) < 580 for each in set(found))
    assert found != [layers(step) for step in walk("random_suffix", 4, 2000, 1, switch_every=1)]


def test_a_random_suffix_lasts():
    found = [layers(step) for step in walk("random_suffix", 6, 30, switch_every=3)]
    assert all(len(set(found[start : start + 3])) == 1 for start in range(0, 30, 3))


@pytest.mark.parametrize(
    ("depth", "every", "expected"),
    [(2, 2, "12"), (3, 2, "13"), (4, 2, "134"), (6, 2, "1356"), (7, 3, "12457"), (4, 9, "1234")],
)
def test_a_reservoir_is_frozen_at_regular_intervals(depth, every, expected):
    assert {layers(step) for step in walk("reservoir", depth, 3, every=every)} == {expected}


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (2, ["12", "12", "12"]),
        (3, ["13", "13", "23"]),
        (4, ["14", "24", "34"]),
        (7, ["127", "347", "567"]),
        (8, ["128", "348", "5678"]),
    ],
)
def test_segments_are_thirds_of_the_layers_but_the_last(depth, expected):
    found = [walk("segment", depth, 3, part=part) for part in ("lower", "middle", "upper")]
    assert [{layers(step) for step in each} for each in found] == [{each} for each in expected]


@pytest.mark.parametrize("probability", [0.25, 0.5])
def test_masked_keeps_each_layer_by_itself_and_scales_it_by_how_rarely(probability):
    found = walk("masked", 3, 4000, probability=probability)
    assert {factor for step in found for factor in step} == {MASKED, 1 / probability}
    kept = [[factor > MASKED for factor in step] for step in found]
    for layer in range(3):
        share = sum(step[layer] for step in kept) / 4000
        assert share == pytest.approx(probability, abs=4 * (probability * (1 - probability) / 4000) ** 0.5)
    together = sum(step[0] and step[1] for step in kept) / 4000
    assert together == pytest.approx(probability**2, abs=0.03)


def test_masked_pays_for_every_gradient_and_counts_only_what_was_updated():
    masked = cell_of("masked").plan(WORKLOAD)
    whole = make_wine_study(freeze_ratios=[0.5]).cell("wine", 4, "standard").plan(WORKLOAD)
    assert [epoch.flops(WORKLOAD) for epoch in masked] == [epoch.flops(WORKLOAD) for epoch in whole]
    steps = [step for epoch in masked for step in epoch.steps]
    assert all(all(step.active) for step in steps)
    updates = [sum(each) for each in zip(*(epoch.updates() for epoch in masked), strict=True)]
    assert updates == [sum(step.factors[layer] > MASKED for step in steps) for layer in range(4)]
    assert max(updates) < len(steps)


def test_a_job_that_takes_subnormal_numbers_for_0_takes_no_masked_layer_for_a_frozen_one():
    cell = cell_of("masked")
    expected = cell.plan(WORKLOAD)
    plans._plan.cache_clear()
    torch.set_flush_denormal(True)
    try:
        found = cell.plan(WORKLOAD)
        active = {step.active for epoch in found for step in epoch.steps}
    finally:
        torch.set_flush_denormal(False)
        plans._plan.cache_clear()
    assert found == expected and active == {(True,) * 4}
    assert torch.tensor(MASKED * 1e30, dtype=torch.float32) == 0


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_dropped_update_moves_the_momenta_and_no_weight(optimizer, wine):
    """What is masked throughout ends at its initial weights, with the momenta of a layer that is not."""
    cell = cell_of(
        {"name": "masked", "probability": 1e-12}, optimizer=optimizer, weight_decay=0.1, epochs_alternating=1
    )
    trained = train_pack(*wine, cell, range(2))
    initial = train_pack(*wine, cell_of({"name": "frozen_top", "freeze_ratio": 0.5}, epochs_alternating=1), range(2))
    for layer in (2, 3):
        for found, expected in zip(trained.network.layer(layer), initial.network.layer(layer), strict=True):
            assert torch.equal(found, expected)
            state = trained.optimizer.state[found]
            assert state.get("exp_avg", state.get("momentum_buffer")).abs().sum() > 0
    if optimizer != "sgd":
        assert {trained.optimizer.state[each]["step"].item() for each in trained.network.parameters()} == {4.0}
