"""Gradient flow: what is observed is what a plain loop sees, and observing changes nothing."""

import csv
import math

import numpy as np
import pytest
import torch
from altfreeze.data.split import batch_order, split_of_seed, standardise
from altfreeze.freezing.flow import FLOW_COLUMNS, GradientFlow
from altfreeze.freezing.plan import Workload
from altfreeze.support.randomness import stream_seed
from altfreeze.training.log import csv_text
from altfreeze.training.network import StackedMLP, layer_sizes
from altfreeze.training.optimizer import make_optimizer
from altfreeze.training.trainer import train_pack
from builders import make_study
from torch.nn import functional

DEPTH, EPOCHS, ROWS, BATCHES = 4, 6, 106, 4


def make_cell(strategy="alternating-0.5", **keys):
    chosen = {
        "datasets": ["wine"],
        "depths": [DEPTH],
        "primary_depth": DEPTH,
        "freeze_ratios": [0.5],
        "strategies": ["alternating", "standard_half_updates", "random_half", "block_cyclic", "freezeout"],
        "epochs_standard": EPOCHS,
        "epochs_alternating": EPOCHS,
        "width": 16,
        "learning_rate": 0.01,
        "cache_activations": "off",
    }
    return make_study(**(chosen | keys)).cell("wine", DEPTH, strategy)


def observe(wine, cell, seeds=(0,)):
    """Return the rows of gradient flow as dict of (seed, epoch, layer) to dict of column to value."""
    flow = GradientFlow()
    train_pack(*wine, cell, seeds, flow=flow)
    found = {row[:3]: dict(zip(FLOW_COLUMNS[3:], row[3:], strict=True)) for row in flow.rows}
    assert len(found) == len(flow.rows)
    return found


def plain_loop(X, y, cell, seed):
    """Train one run with autograd.

    Returns
    -------
    gradients : list of dict
        Of each epoch: layer to the gradient of the last step that updated it, as one vector.
    weights : list of list of ndarray
        Before the first and after each epoch: each layer's parameters as one vector.
    """
    key = (cell.study_seed, cell.dataset, cell.depth, seed)
    split = split_of_seed(y, *cell.data_key(seed))
    x = torch.from_numpy(standardise(X, split.train))
    targets = torch.from_numpy(y[split.train])
    sizes = layer_sizes(X.shape[1], cell.width, DEPTH, 3)
    network = StackedMLP(sizes, [stream_seed(*key, "initial weights")])
    optimizer = make_optimizer(network, cell)

    def flat(tensors):
        return np.concatenate([tensor.detach().numpy().astype(float).ravel() for tensor in tensors])

    def layers():
        return [flat(network.layer(index)) for index in range(DEPTH)]

    gradients, weights = [], [layers()]
    for number, epoch in enumerate(cell.plan(Workload(tuple(sizes), ROWS, cell.batch_size))):
        order = torch.from_numpy(batch_order(*cell.data_key(seed), number, ROWS)).split(cell.batch_size)
        gradients.append({})
        for step, batch in zip(epoch.steps, order, strict=False):
            network.set_active(step.active)
            optimizer.zero_grad()
            logits = network(x[split.train[batch]].unsqueeze(0))[0]
            functional.cross_entropy(logits, targets[batch]).backward()
            for index in (index for index in range(DEPTH) if step.active[index]):
                gradients[-1][index] = flat(parameter.grad for parameter in network.layer(index))
            optimizer.step()
        weights.append(layers())
    return gradients, weights


CASES = [
    ("standard", {}),
    ("standard_half_updates", {"epochs_alternating": 5}),
    ("alternating-0.5", {}),
    ("alternating-0.5", {"freeze_period": 2, "optimizer": "sgd"}),
    ("alternating-0.5", {"freeze_unit": "step"}),
    ("alternating-0.5", {"freeze_unit": "step", "freeze_period": 3, "optimizer": "adamw"}),
    ("random_half", {"freeze_unit": "step", "freeze_period": 3}),
]


@pytest.mark.parametrize(("strategy", "keys"), CASES)
def test_norms_and_cosines_are_those_of_a_plain_loop(wine, strategy, keys):
    cell = make_cell(strategy, **keys)
    found = observe(wine, cell)
    gradients, weights = plain_loop(*wine, cell, 0)
    epochs = list(dict.fromkeys(epoch for _, epoch, _ in found))
    assert len(found) == DEPTH * len(gradients) == DEPTH * len(epochs)
    changes = {}
    for number, epoch in enumerate(epochs):
        for layer in range(DEPTH):
            row = found[0, epoch, layer + 1]
            if layer not in gradients[number]:
                assert all(math.isnan(value) for value in row.values()), (epoch, layer)
                continue
            change = weights[number + 1][layer] - weights[number][layer]
            assert row["gradient_norm"] == pytest.approx(np.linalg.norm(gradients[number][layer]), rel=1e-3)
            assert row["change_norm"] == pytest.approx(np.linalg.norm(change), rel=1e-4)
            if layer in changes:
                last = changes[layer]
                cosine = change @ last / np.linalg.norm(change) / np.linalg.norm(last)
                assert row["change_cosine"] == pytest.approx(cosine, abs=1e-4)
            else:
                assert math.isnan(row["change_cosine"])
            changes[layer] = change
    assert len(changes) == DEPTH


@pytest.mark.parametrize(
    ("keys", "ages"),
    [
        # the top learns first; a phase of one epoch is one of four steps
        ({}, {(2, "top"): BATCHES, (3, "bottom"): BATCHES, (4, "top"): BATCHES, (5, "bottom"): BATCHES}),
        ({"freeze_period": 2}, {(4, "top"): 2 * BATCHES}),
        ({"freeze_unit": "step"}, {(epoch, group): 1 for epoch in range(EPOCHS) for group in ("top", "bottom")}),
        # the steps top top top bottom | bottom bottom top top | top bottom bottom bottom | and again
        (
            {"freeze_unit": "step", "freeze_period": 3},
            {(1, "top"): 3, (2, "bottom"): 3, (3, "top"): 3, (3, "bottom"): 3, (4, "top"): 3, (5, "bottom"): 3},
        ),
    ],
)
def test_steps_since_update_is_the_number_of_frozen_steps(wine, keys, ages):
    found = observe(wine, make_cell(**keys), seeds=(0, 1))
    expected = {
        (seed, epoch + 1, layer): ages.get((epoch, "bottom" if layer <= 2 else "top"), math.nan)
        for seed in (0, 1)
        for epoch in range(EPOCHS)
        for layer in range(1, DEPTH + 1)
    }
    assert {key: row["steps_since_update"] for key, row in found.items()} == pytest.approx(expected, nan_ok=True)


def test_the_age_is_that_at_the_first_thaw_of_the_epoch(wine):
    cell = make_cell("random_half", freeze_unit="step", batch_size=16)
    epochs = cell.plan(Workload(tuple(layer_sizes(wine[0].shape[1], 16, DEPTH, 3)), ROWS, 16))
    found, step, learned, several = observe(wine, cell), 0, [None] * DEPTH, 0
    for epoch, planned in enumerate(epochs, 1):
        ages = [[] for _ in range(DEPTH)]
        for factors, *_ in planned.steps:
            for layer in (layer for layer in range(DEPTH) if factors[layer]):
                if learned[layer] not in (None, step - 1):
                    ages[layer].append(step - 1 - learned[layer])
                learned[layer] = step
            step += 1
        several += sum(len(set(of_layer)) > 1 for of_layer in ages)
        for layer, of_layer in enumerate(ages, 1):
            first = of_layer[0] if of_layer else math.nan
            assert found[0, epoch, layer]["steps_since_update"] == pytest.approx(first, nan_ok=True)
    assert several > 0, "without an epoch of two ages this test could not tell the first from the others"


def test_a_layer_that_never_freezes_has_no_age(wine):
    assert all(math.isnan(row["steps_since_update"]) for row in observe(wine, make_cell("standard")).values())


@pytest.mark.parametrize("strategy", ["standard", "alternating-0.5", "random_half", "block_cyclic", "freezeout"])
@pytest.mark.parametrize("unit", ["epoch", "step"])
def test_observing_changes_no_bit_of_training(wine, strategy, unit):
    cell = make_cell(strategy, freeze_unit=unit, cache_activations="auto", freeze_period=2, dropout=0.1)
    flow = GradientFlow()
    unseen, seen = train_pack(*wine, cell, [0, 1]), train_pack(*wine, cell, [0, 1], flow=flow)
    assert flow.rows
    for first, second in zip(unseen.rows, seen.rows, strict=True):
        assert first | {"seconds": 0} == second | {"seconds": 0}
    assert all(map(torch.equal, unseen.network.parameters(), seen.network.parameters()))


def test_a_cache_of_frozen_layers_does_not_change_what_is_observed(wine):
    plain, cached = (
        observe(wine, make_cell(freeze_period=3, cache_activations=cache, optimizer="sgd")) for cache in ("off", "auto")
    )
    for key, row in plain.items():
        assert cached[key] == pytest.approx(row, rel=1e-4, abs=1e-6, nan_ok=True)


def test_order_and_company_of_members_do_not_matter(wine):
    forward, backward = (observe(wine, make_cell(), seeds) for seeds in ([0, 1, 2], [2, 5, 0]))
    for key, row in forward.items():
        if key[0] != 1:
            assert backward[key] == pytest.approx(row, rel=1e-3, abs=1e-4, nan_ok=True)


def test_a_change_of_nothing_has_no_direction():
    network = StackedMLP([3, 4, 2], seeds=[0, 1])
    flow = GradientFlow()
    flow.begin(network)
    for epoch in (1, 2):
        network.compute_gradients(torch.ones(2, 5, 3), torch.zeros(2, 5, dtype=torch.int64))
        with torch.no_grad():
            network.weights[0][1] += 1e-6
        flow.end_epoch(epoch, epoch, [7, 8])
    second = {row[:3]: row for row in flow.rows}
    assert second[7, 2, 1][4] == 0
    assert math.isnan(second[7, 2, 1][5])
    assert second[8, 2, 1][5] == pytest.approx(1, abs=1e-3)


def test_what_is_written_can_be_read_again(wine):
    flow = GradientFlow()
    train_pack(*wine, make_cell(), [3, 4], flow=flow)
    header, *rows = csv.reader(csv_text(FLOW_COLUMNS, flow.rows).splitlines())
    assert tuple(header) == FLOW_COLUMNS
    for row, expected in zip(rows, flow.rows, strict=True):
        numbers = [float(text) if text else math.nan for text in row]
        assert np.array_equal(np.float32(numbers), np.float32(expected), equal_nan=True)
