"""Training: frozen is frozen, a pack is its members, and every run can be retraced in plain PyTorch."""

import importlib
import inspect
import math
import re
from itertools import pairwise, product

import pytest
import torch
from altfreeze.data.split import batch_order, split_of_seed, standardise
from altfreeze.freezing.cost import step_flops
from altfreeze.freezing.flow import GradientFlow
from altfreeze.support.provenance import closure
from altfreeze.support.randomness import stream_seed
from altfreeze.training import clock, trainer
from altfreeze.training.batches import stack_parts
from altfreeze.training.network import StackedMLP, StackedNetwork, layer_sizes
from altfreeze.training.networks import making
from altfreeze.training.trainer import train_pack
from builders import make_cell
from torch import nn
from typing_extensions import get_protocol_members

OPTIMIZERS = ("sgd", "adam", "adamw")


def without_clock(rows):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def parameters(trained):
    return [parameter.detach().clone() for parameter in trained.network.parameters()]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("unit", ["epoch", "step"])
@pytest.mark.parametrize("ratio", ["0", "1"])
def test_freeze_ratio_0_and_1_are_standard_training_bitwise(wine, optimizer, unit, ratio):
    standard = train_pack(*wine, make_cell("standard", optimizer=optimizer), range(3))
    cell = make_cell(f"alternating-{ratio}", optimizer=optimizer, freeze_unit=unit, state_on_thaw="reset")
    other = train_pack(*wine, cell, range(3))
    assert without_clock(other.rows) == without_clock(standard.rows)
    assert all(map(torch.equal, parameters(other), parameters(standard)))


def layer_bits(trained, layer):
    """Return all bits of a layer: weights and optimizer state."""
    bits = []
    for parameter in trained.network.layer(layer):
        state = trained.optimizer.state.get(parameter, {})
        bits += [parameter.detach().clone(), *(torch.as_tensor(state[key]).clone() for key in sorted(state))]
    return bits


@pytest.mark.parametrize(("optimizer", "state"), list(product(OPTIMIZERS, ["keep", "reset"])))
def test_a_phase_leaves_frozen_weights_and_optimizer_state_bitwise_alone(wine, optimizer, state):
    def after(epochs):
        cell = make_cell(optimizer=optimizer, state_on_thaw=state, epochs_alternating=epochs)
        return train_pack(*wine, cell, range(2))

    trained = [after(epochs) for epochs in (1, 2, 3)]
    initial = [network.detach() for network in StackedMLP(*initial_arguments(wine)).parameters()]
    bottom, top = (0, 1), (2, 3)
    # epoch 1 trains the top, epoch 2 the bottom, epoch 3 the top
    for layer in bottom:
        weight, bias = trained[0].network.layer(layer)
        assert torch.equal(weight, initial[layer])
        assert torch.equal(bias, initial[4 + layer])
        assert not trained[0].optimizer.state.get(weight)
        assert all(map(torch.equal, layer_bits(trained[1], layer), layer_bits(trained[2], layer)))
    for layer in top:
        assert all(map(torch.equal, layer_bits(trained[0], layer), layer_bits(trained[1], layer)))
        assert not any(map(torch.equal, layer_bits(trained[1], layer)[::2], layer_bits(trained[2], layer)[::2]))


def initial_arguments(wine):
    sizes = layer_sizes(wine[0].shape[1], 16, 4, 3)
    return sizes, [stream_seed(1, "wine", 4, seed, "initial weights") for seed in range(2)]


def test_adams_step_count_stands_still_while_frozen_and_starts_anew_on_reset(wine):
    steps_per_epoch = 4  # 106 train rows in batches of 32

    def count(state, layer):
        cell = make_cell(optimizer="adam", state_on_thaw=state, epochs_alternating=4)
        trained = train_pack(*wine, cell, range(2))
        return trained.optimizer.state[trained.network.weights[layer]]["step"].item()

    assert [count("keep", layer) for layer in range(4)] == [2 * steps_per_epoch] * 4
    assert [count("reset", layer) for layer in range(4)] == [steps_per_epoch] * 4


def plain_loop(X, y, cell, seed):  # noqa: C901 it is read in one go
    """Train one run in plain PyTorch, written by hand from the documented streams."""
    key = (cell.study_seed, cell.dataset, cell.depth, seed)
    split = split_of_seed(y, *cell.data_key(seed))
    features = torch.from_numpy(standardise(X, split.train))
    targets = torch.from_numpy(y)
    sizes = [X.shape[1], *[cell.width] * (cell.depth - 1), int(y.max()) + 1]
    torch.manual_seed(stream_seed(*key, "initial weights"))
    layers = [nn.Linear(fan_in, fan_out) for fan_in, fan_out in pairwise(sizes)]
    masks = torch.Generator().manual_seed(stream_seed(*key, "dropout"))

    def forward(x, dropout):
        keep = None
        if dropout:
            keep = torch.rand((len(layers) - 1, len(x), cell.width), generator=masks) >= dropout
        for index, layer in enumerate(layers):
            x = layer(x)
            if index < len(layers) - 1:
                x = torch.relu(x)
                if dropout:
                    x = x * keep[index] / (1 - dropout)
        return x

    options = {"lr": cell.learning_rate, "weight_decay": cell.weight_decay}
    weights = [parameter for layer in layers for parameter in layer.parameters()]
    if cell.optimizer == "sgd":
        optimizer = torch.optim.SGD(weights, momentum=cell.momentum, **options)
    else:
        optimizer = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[cell.optimizer](weights, **options)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=cell.epochs)
    history = []
    for epoch in range(cell.epochs):
        alternating = cell.strategy["name"] == "alternating"
        for index, layer in enumerate(layers):
            learns = not alternating or (index >= len(layers) // 2) == (epoch % 2 == 0)
            thaws = learns and not layer.weight.requires_grad
            for parameter in layer.parameters():
                parameter.requires_grad_(learns)
                if thaws and cell.state_on_thaw == "reset":
                    optimizer.state.pop(parameter, None)
        total = 0.0
        order = split.train[batch_order(*cell.data_key(seed), epoch, len(split.train))]
        for start in range(0, len(order), cell.batch_size):
            batch = order[start : start + cell.batch_size]
            loss = nn.functional.cross_entropy(forward(features[batch], cell.dropout), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            # gradients that are still there from before a freeze would move the weights
            for parameter in weights:
                if not parameter.requires_grad:
                    parameter.grad = None
            optimizer.step()
            total += loss.item() * len(batch)
        if cell.learning_rate_schedule == "cosine":
            scheduler.step()
        with torch.no_grad():
            logits = forward(features[split.validation], 0)
            validation = nn.functional.cross_entropy(logits, targets[split.validation]).item()
        history.append((total / len(order), validation))
    return history, weights


@pytest.mark.parametrize(
    ("strategy", "optimizer", "options"),
    [
        *product(["standard", "alternating-0.5"], OPTIMIZERS, [{}]),
        *product(["alternating-0.5"], OPTIMIZERS, [{"state_on_thaw": "reset", "learning_rate_schedule": "cosine"}]),
        ("alternating-0.5", "adam", {"dropout": 0.2}),
    ],
)
def test_member_of_ten_equals_a_pack_of_one_and_a_plain_loop(wine, strategy, optimizer, options):
    cell = make_cell(
        strategy, optimizer=optimizer, epochs_standard=5, epochs_alternating=5, learning_rate=0.005, **options
    )
    together = train_pack(*wine, cell, range(10))
    for seed in (0, 7):
        alone = train_pack(*wine, cell, [seed])
        history, weights = plain_loop(*wine, cell, seed)
        rows = [row for row in together.rows if row["seed"] == seed]
        for index, (train_loss, validation_loss) in enumerate(history):
            for row in (rows[index], alone.rows[index]):
                assert row["train_loss"] == pytest.approx(train_loss, rel=2e-5, abs=2e-6)
                assert row["validation_loss"] == pytest.approx(validation_loss, rel=2e-5, abs=2e-6)
        for member, position in ((together.network.member(seed), "together"), (alone.network.member(0), "alone")):
            for found, expected in zip(member.parameters(), weights, strict=True):
                torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-5, msg=position)


def test_order_and_company_in_a_pack_do_not_matter(wine):
    cell = make_cell(learning_rate=0.005)
    forward = train_pack(*wine, cell, [0, 1, 2, 3])
    backward = train_pack(*wine, cell, [3, 9, 1, 0])
    for seed, places in ((0, (0, 3)), (1, (1, 2)), (3, (3, 0))):
        for first, second in zip(
            forward.network.member(places[0]).parameters(), backward.network.member(places[1]).parameters(), strict=True
        ):
            torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-6)
        accuracies = [
            [row["test_accuracy"] for row in trained.rows if row["seed"] == seed] for trained in (forward, backward)
        ]
        assert accuracies[0] == accuracies[1]


def test_strategies_of_one_seed_see_the_same_data_in_the_same_order_from_the_same_weights(wine, monkeypatch):
    seen = []
    # so that each step is seen
    monkeypatch.setattr("altfreeze.training.trainer.are_made_at_once", lambda *_: False)
    original = StackedMLP.compute_gradients

    def spy(network, x, targets, keep, start):
        if not seen[-1]:
            seen[-1] += [parameter.detach().clone() for parameter in network.parameters()]
        seen[-1] += [x.clone(), targets.clone()]
        return original(network, x, targets, keep, start)

    monkeypatch.setattr(StackedMLP, "compute_gradients", spy)
    for strategy in ("standard", "alternating-0.5"):
        seen.append([])
        train_pack(*wine, make_cell(strategy), range(2))
    assert len(seen[0]) == len(seen[1]) == 8 + 2 * 4 * 4
    assert all(map(torch.equal, *seen))


def test_counts_and_cost_are_those_of_the_schedule(wine):
    trained = train_pack(*wine, make_cell(epochs_alternating=3), range(2))
    sizes = layer_sizes(13, 16, 4, 3)
    top = sum(step_flops(sizes, batch, (False, False, True, True)) for batch in (32, 32, 32, 10))
    bottom = sum(step_flops(sizes, batch, (True, True, False, False)) for batch in (32, 32, 32, 10))
    share = (16 * 16 + 16 + 16 * 3 + 3) / (13 * 16 + 16 + 16 * 16 + 16 + 16 * 16 + 16 + 16 * 3 + 3)
    rows = [row for row in trained.rows if row["seed"] == 1]
    assert [row["active"] for row in rows] == ["3-4", "1-2", "3-4"]
    assert [row["flops"] for row in rows] == [top, top + bottom, 2 * top + bottom]
    assert [row["updates"] for row in rows] == ["0 0 4 4", "4 4 4 4", "4 4 8 8"]
    assert [row["updates_minimum"] for row in rows] == [0, 4, 4]
    assert [row["updates_mean"] for row in rows] == pytest.approx([4 * share, 4, 4 + 4 * share], rel=1e-12)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert all(earlier["seconds"] < later["seconds"] for earlier, later in pairwise(rows))


def test_both_groups_learn_within_an_epoch_when_phases_are_counted_in_steps(wine):
    rows = train_pack(*wine, make_cell(freeze_unit="step", epochs_alternating=2), [0]).rows
    assert [row["active"] for row in rows] == ["1-4"] * 2
    assert rows[-1]["updates"] == "4 4 4 4"


def test_a_control_that_stops_within_an_epoch_is_standard_training_up_to_there(wine):
    cell = make_cell("standard_half_updates", epochs_alternating=5)
    half = train_pack(*wine, cell, range(2))
    whole = train_pack(*wine, make_cell("standard", epochs_standard=5), range(2))
    assert without_clock(half.rows[:4]) == without_clock(whole.rows[:4])
    assert [row["epoch"] for row in half.rows[::2]] == [1, 2, 2.5]
    assert half.rows[-1]["updates"] == "10 10 10 10"
    # two batches of 32 were seen in the last epoch
    assert half.rows[-1]["train_loss"] != whole.rows[5]["train_loss"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("strategy", ["alternating-0.5", "frozen_bottom-0.5"])
def test_the_activation_cache_changes_no_number_but_the_cost(wine, optimizer, strategy):
    options = {"optimizer": optimizer, "epochs_alternating": 6, "freeze_period": 3}
    cached, computed = (
        train_pack(*wine, make_cell(strategy, cache_activations=cache, **options), range(2))
        for cache in ("auto", "off")
    )
    for with_cache, without in zip(cached.rows, computed.rows, strict=True):
        for key in ("train_loss", "validation_loss", "validation_accuracy"):
            assert with_cache[key] == pytest.approx(without[key], rel=1e-5)
    for first, second in zip(parameters(cached), parameters(computed), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-6)
    assert cached.rows[-1]["flops"] < computed.rows[-1]["flops"]


def test_the_cache_holds_what_the_frozen_layers_give(wine, monkeypatch):
    seen = {"auto": [], "off": []}
    # so that each step is seen
    monkeypatch.setattr("altfreeze.training.trainer.are_made_at_once", lambda *_: False)
    original = StackedMLP.compute_gradients
    for cache, batches in seen.items():

        def spy(network, x, targets, keep, start, batches=batches):
            batches.append(x if start else network.hidden(x, 0, 2))
            return original(network, x, targets, keep, start)

        monkeypatch.setattr(StackedMLP, "compute_gradients", spy)
        train_pack(*wine, make_cell("frozen_bottom-0.5", cache_activations=cache, epochs_alternating=2), range(2))
    assert len(seen["auto"]) == 2 * 4
    for found, expected in zip(*seen.values(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


def test_a_diverged_seed_is_marked_from_its_epoch_on_and_harms_no_other(wine, monkeypatch):
    cell = make_cell("standard")
    sound = train_pack(*wine, cell, range(3))
    made = []

    class Recorded(StackedMLP):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)

    def poison(rows, number, epochs):
        if number == 2:
            made[0].weights[0].detach()[1, 0, 0] = math.inf

    monkeypatch.setattr(making, "StackedMLP", Recorded)
    trained = train_pack(*wine, cell, range(3), progress=poison)
    assert trained.diverged == {1: 3}
    for row, expected in zip(without_clock(trained.rows), without_clock(sound.rows), strict=True):
        if row["seed"] == 1 and row["epoch"] >= 3:
            assert row["status"] == "diverged"
            assert all(math.isnan(row[name]) for name in row if name.endswith(("_loss", "_accuracy")))
        else:
            assert row == expected
            assert row["status"] == "ok"


@pytest.mark.parametrize("touched", ["at the first step", "at the last"])
def test_an_epoch_in_which_a_frozen_layer_changed_ends_the_training(wine, monkeypatch, touched):
    steps, original = [], StackedMLP.compute_gradients

    def touch(network, *arguments):
        steps.append(1)
        frozen = next(weight for weight in network.weights if not weight.requires_grad)
        if len(steps) == (1 if touched == "at the first step" else 4):
            frozen.detach()[0, 0, 0] += 1e-3
        return original(network, *arguments)

    monkeypatch.setattr(StackedMLP, "compute_gradients", touch)
    cell = make_cell(freeze_unit="step", epochs_alternating=3)
    with pytest.raises(RuntimeError, match="changed during a phase"):
        train_pack(*wine, cell, range(2))
    assert len(steps) == (4 if touched == "at the first step" else 8), "the step after a phase has its check"


def test_switches_within_an_epoch_do_not_wait_for_the_device(wine, monkeypatch):
    waits = []

    class Counted(clock.Clock):
        def __init__(self, device):
            super().__init__(device)
            self.wait = lambda: waits.append(1)

    monkeypatch.setattr(trainer, "Clock", Counted)
    train_pack(*wine, make_cell(freeze_unit="step", epochs_alternating=3), range(2))
    assert len(waits) == 3 * 2, "one before and one after each epoch"
    asked = []
    monkeypatch.setattr(torch.Tensor, "item", lambda tensor, item=torch.Tensor.item: asked.append(1) or item(tensor))
    train_pack(*wine, make_cell(freeze_unit="step", epochs_alternating=3), range(2))
    assert len(asked) == 3 + 1, "the frozen layers' checks, once per epoch and at the end"


class OnlyTheInterface:
    """A network that has what `StackedNetwork` names and nothing else."""

    def __init__(self, network):
        for name in get_protocol_members(StackedNetwork) - {"__call__"}:
            setattr(self, name, getattr(network, name))
        self._call = network.__call__

    def __call__(self, x):
        return self._call(x)


@pytest.mark.parametrize("strategy", ["alternating-0.5", "frozen_bottom-0.5"])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_the_trainer_asks_a_network_for_nothing_but_its_interface(wine, strategy, dropout):
    cell = make_cell(strategy, freeze_period=2, dropout=dropout)
    expected = train_pack(*wine, cell, range(2))
    parts = stack_parts(*wine, [cell.data_key(seed) for seed in range(2)], torch.device("cpu"))
    seeds = [stream_seed(*cell.run_key(seed), "initial weights") for seed in range(2)]
    network = StackedMLP(expected.workload.sizes, seeds, dropout)
    plan = cell.plan(expected.workload)
    made = trainer.Trainer(OnlyTheInterface(network), cell, plan, expected.workload, range(2), parts, GradientFlow())
    for epoch in plan:
        made.clock.start()
        made.begin_epoch(epoch)
        made.make_steps(epoch.steps)
        made.clock.stop()
        made.end_epoch()
        made.record()
    assert without_clock(made.records) == without_clock(expected.rows)
    assert all(map(torch.equal, network.parameters(), expected.network.parameters()))


def test_nothing_that_decides_a_number_prints_writes_or_tries_again():
    deciding = closure("altfreeze.training.trainer", "altfreeze.training.log")
    assert {"altfreeze.training.batches", "altfreeze.freezing.switch", "altfreeze.data.split"} <= {*deciding}
    for name in ("support.files", "support.provenance", "training.job", "training.stacks", "training.checkpoints"):
        assert f"altfreeze.{name}" not in deciding
    for name in deciding:
        source = inspect.getsource(importlib.import_module(name))
        assert not re.search(r"\bprint\(|\btqdm\b|sys\.std|\bopen\(|write_text", source), name
