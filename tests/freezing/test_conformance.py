"""What every registered strategy must keep, whoever adds it."""

import itertools
import json

import pytest
import torch
from altfreeze.freezing import plan as plans
from altfreeze.freezing.plan import Workload
from altfreeze.freezing.strategy import MASKED, STRATEGIES
from altfreeze.study.cell import Cell
from altfreeze.training import trainer
from altfreeze.training.batches import workload_of
from altfreeze.training.network import StackedMLP
from altfreeze.training.networks import compiled
from altfreeze.training.trainer import train_pack
from builders import NEEDED, make_study, train_plainly
from torch.utils.flop_counter import FlopCounterMode

DEPTH = 5
EPOCHS = 7
SEEDS = (0, 3)
# parameters with which a strategy freezes nothing, where it has such
FREEZES_NOTHING = {
    "alternating": {"freeze_ratio": 0},
    "standard_matched_flops": {"freeze_ratio": 0},
    "frozen_bottom": {"freeze_ratio": 0},
    "frozen_top": {"freeze_ratio": 1},
    "progressive": {"freeze_level": 0},
    "block_cyclic": {"layers_per_block": DEPTH},
    "lisa": {"layers": DEPTH},
    "hift": {"layers_per_group": DEPTH},
    "reservoir": {"every": DEPTH},
    "masked": {"probability": 1},
}


def make_cell(name, **keys):
    entry = {"name": name, "label": "tried"} | NEEDED.get(name, {})
    entry |= {key: keys.pop(key) for key in list(keys) if key in parameters(name)}
    chosen = {
        "datasets": ["wine"],
        "depths": [DEPTH],
        "primary_depth": DEPTH,
        "freeze_ratios": [0.5],
        "strategies": ["alternating", entry] if name != "standard" else ["alternating"],
        "epochs_standard": EPOCHS,
        "epochs_alternating": EPOCHS,
        "width": 12,
        "learning_rate": 0.01,
        "weight_decay": 0.01,
    }
    study = make_study(**(chosen | keys))
    return study.cell("wine", DEPTH, list(study.strategies)[-1] if name != "standard" else "standard")


def parameters(name):
    return STRATEGIES[name].parameters


def bits(network):
    return [parameter.detach().clone() for parameter in network.parameters()]


def spied(monkeypatch, before):
    """Call `before` ahead of each step with the network and the number of cached layers."""
    # so that each step is seen
    monkeypatch.setattr("altfreeze.training.trainer.are_made_at_once", lambda *_: False)
    original = StackedMLP.compute_gradients

    def spy(network, x, targets, keep, start):
        before(network, start)
        return original(network, x, targets, keep, start)

    monkeypatch.setattr(StackedMLP, "compute_gradients", spy)


@pytest.mark.parametrize("name", STRATEGIES)
def test_its_docstring_says_what_it_is_and_where_it_is_from(name):
    text = STRATEGIES[name].schedule.__doc__
    assert "Parameters\n" in text
    assert "Returns\n" in text
    for parameter in parameters(name):
        assert parameter in text


@pytest.mark.parametrize("name", STRATEGIES)
def test_its_cell_can_be_stated_and_its_plan_is_the_same_each_time(name):
    cell = make_cell(name)
    assert Cell(**json.loads(json.dumps(cell.as_dict()))) == cell
    workload = Workload((13, *[12] * (DEPTH - 1), 3), 108, 32)
    plans._plan.cache_clear()
    first = cell.plan(workload)
    plans._plan.cache_clear()
    assert cell.plan(workload) == first
    for epoch in first:
        for step in epoch.steps:
            assert len(step.factors) == DEPTH
            assert all(isinstance(factor, float) and 0 <= factor < float("inf") for factor in step.factors)
            assert any(step.active)


@pytest.mark.parametrize("name", STRATEGIES)
def test_it_pays_the_operations_of_the_cost_model(name, wine, monkeypatch):
    counted = 0

    def counting(original):
        def wrapper(*arguments):
            nonlocal counted
            with FlopCounterMode(display=False) as counter:
                result = original(*arguments)
            counted += counter.get_total_flops()
            return result

        return wrapper

    # the counter sees torch's products alone
    monkeypatch.setattr(compiled, "WIDEST", 0)
    monkeypatch.setattr(StackedMLP, "compute_gradients", counting(StackedMLP.compute_gradients))
    monkeypatch.setattr(trainer, "fill", counting(trainer.fill))
    trained = train_pack(*wine, make_cell(name, freeze_period=2), SEEDS)
    assert counted == len(SEEDS) * trained.rows[-1]["flops"]


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        *itertools.product(STRATEGIES, ["sgd", "adam", "adamw"]),
        *itertools.product(["alternating", "freezeout", "masked", "random_suffix"], ["muon"]),
    ],
)
def test_what_it_freezes_stays_bitwise_and_what_learns_moves(name, optimizer, wine, monkeypatch):
    made, last = [], None
    original = trainer.make_optimizer

    def recorded(*arguments, **options):
        made.append(original(*arguments, **options))
        return made[-1]

    def state(network, layer):
        tensors = list(network.layer(layer))
        for parameter in network.layer(layer):
            tensors += [v for v in made[0].state.get(parameter, {}).values() if torch.is_tensor(v)]
        return [tensor.detach().clone() for tensor in tensors]

    seen = []
    cell = make_cell(name, optimizer=optimizer)
    planned = [step for epoch in cell.plan(workload_of(*wine, cell)) for step in epoch.steps]

    def before(network, start):
        nonlocal last
        now = [state(network, layer) for layer in range(DEPTH)]
        active = tuple(weight.requires_grad for weight in network.weights)
        assert any(active)
        if last is not None:
            factors = planned[len(seen) - 1].factors
            for old, new, learned, factor in zip(last[1], now, last[0], factors, strict=True):
                same = len(old) == len(new) and all(map(torch.equal, old, new))
                if learned and factor == MASKED:
                    # its weights stay, its momenta do not
                    assert all(map(torch.equal, old[:2], new[:2])) and not same
                elif learned:
                    assert not torch.equal(old[0], new[0])
                elif last[0] == active:
                    assert same
                else:
                    # on its thaw a state may be reset or decayed, a weight may not
                    assert all(map(torch.equal, old[:2], new[:2]))
        seen.append(active)
        last = (active, now)

    monkeypatch.setattr(trainer, "make_optimizer", recorded)
    spied(monkeypatch, before)
    train_pack(*wine, cell, SEEDS)
    assert seen == [step.active for step in planned]


@pytest.mark.parametrize("name", sorted(FREEZES_NOTHING))
def test_where_nothing_freezes_it_is_standard_training_bitwise(name, wine):
    found = train_pack(*wine, make_cell(name, **FREEZES_NOTHING[name]), SEEDS)
    expected = train_pack(*wine, make_cell("standard"), SEEDS)
    assert all(map(torch.equal, bits(found.network), bits(expected.network)))


@pytest.mark.parametrize("name", STRATEGIES)
def test_its_policies_change_no_bit_while_every_layer_learns_at_the_full_rate(name, wine, monkeypatch):
    cell = make_cell(name)
    steps = len([step for epoch in cell.plan(Workload((13, *[12] * (DEPTH - 1), 3), 106, 32)) for step in epoch.steps])
    always = STRATEGIES[name]._replace(schedule=lambda position, depth, **options: (1.0,) * depth, adaptive=False)
    monkeypatch.setitem(STRATEGIES, name, always)
    plans._plan.cache_clear()
    found = train_pack(*wine, cell, SEEDS)
    plans._plan.cache_clear()
    whole = train_pack(*wine, make_cell("standard"), SEEDS)
    rows = [{key: value for key, value in row.items() if key != "seconds"} for row in found.rows]
    expected = [{key: value for key, value in row.items() if key != "seconds"} for row in whole.rows]
    ended = len(SEEDS) * (steps // 4)
    assert rows[:ended] == expected[:ended]
    if steps == 4 * EPOCHS:
        assert all(map(torch.equal, bits(found.network), bits(whole.network)))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("name", STRATEGIES)
def test_it_is_what_plain_pytorch_makes_of_its_plan(name, optimizer, wine):
    cell = make_cell(name, optimizer=optimizer, freeze_period=2)
    trained = train_pack(*wine, cell, SEEDS)
    expected = train_plainly(*wine, cell, SEEDS[1], trained.workload)
    for found, parameter in zip(trained.network.member(1).parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(found, parameter, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", STRATEGIES)
def test_one_run_is_the_same_in_another_pack(name, wine):
    together = train_pack(*wine, make_cell(name), SEEDS)
    alone = train_pack(*wine, make_cell(name), SEEDS[1:])
    for found, expected in zip(
        together.network.member(1).parameters(), alone.network.member(0).parameters(), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
