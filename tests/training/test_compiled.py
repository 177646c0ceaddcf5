"""The compiled step is torch's step, member by member."""

import copy
from itertools import product

import pytest
import torch
from altfreeze.training.network import StackedMLP
from altfreeze.training.networks import compiled
from altfreeze.training.optimizer import make_optimizer, update_of
from altfreeze.training.trainer import train_pack
from builders import make_cell


@pytest.mark.parametrize(("name", "decay"), list(product(["sgd", "adam", "adamw"], [0.0, 0.1])))
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_an_update_is_torchs_and_leaves_parameters_without_gradient_alone(name, decay, momentum, monkeypatch):
    cell = make_cell(optimizer=name, weight_decay=decay, momentum=momentum, learning_rate=0.01)
    networks = [StackedMLP([5, 8, 8, 3], seeds=[0, 1])]
    networks.append(copy.deepcopy(networks[0]))
    optimizers = [make_optimizer(network, cell, by_layer=True) for network in networks]
    updates = [update_of(optimizers[0])]
    monkeypatch.setattr(compiled, "WIDEST", 0)
    updates.append(update_of(optimizers[1]))
    assert updates[0].func is not updates[1].func
    untouched = [parameter.detach().clone() for parameter in networks[0].layer(1)]
    for _ in range(5):
        for index in (0, 2):
            for parameter, other in zip(networks[0].layer(index), networks[1].layer(index), strict=True):
                parameter.grad = torch.randn(parameter.shape)
                other.grad = parameter.grad.clone()
        for update, optimizer in zip(updates, optimizers, strict=True):
            optimizer.param_groups[2]["lr"] = 0.02
            update()
    for index in range(3):
        for parameter, other in zip(networks[0].layer(index), networks[1].layer(index), strict=True):
            torch.testing.assert_close(parameter, other, rtol=1e-5, atol=1e-6)
            states = [optimizer.state.get(p, {}) for optimizer, p in zip(optimizers, (parameter, other), strict=True)]
            kept = [{key: value for key, value in state.items() if value is not None} for state in states]
            torch.testing.assert_close(*kept, rtol=1e-5, atol=1e-7)
    assert all(map(torch.equal, networks[0].layer(1), untouched))
    assert not any(optimizers[0].state.get(parameter) for parameter in networks[0].layer(1))


@pytest.mark.parametrize("strategy", ["standard", "alternating-0.5"])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_run_has_the_same_bits_whatever_its_pack(wine, strategy, dropout):
    cell = make_cell(strategy, dropout=dropout, epochs_standard=3, epochs_alternating=3)
    together = train_pack(*wine, cell, [4, 0, 7])
    alone = train_pack(*wine, cell, [7])
    for found, expected in zip(together.network.parameters(), alone.network.parameters(), strict=True):
        assert torch.equal(found[2], expected[0])


def test_a_gradient_is_not_read_from_rows_that_lie_elsewhere():
    network = StackedMLP([5, 8, 3], seeds=[0, 1])
    x, targets = torch.randn(2, 9, 5), torch.randint(3, (2, 9))
    expected = network.compute_gradients(x, targets)
    gradients = [parameter.grad.clone() for parameter in network.parameters()]
    apart = x.transpose(1, 2).contiguous().transpose(1, 2), targets.t().contiguous().t()
    assert torch.equal(network.compute_gradients(*apart), expected)
    assert all(map(torch.equal, (parameter.grad for parameter in network.parameters()), gradients))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("strategy", ["standard", "alternating-0.5", "freezeout"])
def test_steps_that_are_made_at_once_give_the_bits_of_single_ones(wine, strategy, optimizer, monkeypatch):
    recipe = {"optimizer": optimizer, "weight_decay": 0.01, "learning_rate_schedule": "cosine"}
    cell = make_cell(strategy, strategies=["alternating", "freezeout"], **recipe)
    at_once = train_pack(*wine, cell, range(3))
    calls = []
    original = StackedMLP.compute_gradients
    monkeypatch.setattr("altfreeze.training.trainer.are_made_at_once", lambda *_: False)
    monkeypatch.setattr(StackedMLP, "compute_gradients", lambda *arguments: calls.append(1) or original(*arguments))
    single = train_pack(*wine, cell, range(3))
    assert len(calls) == len(single.workload.batches) * single.rows[-1]["epoch"]
    assert all(map(torch.equal, at_once.network.parameters(), single.network.parameters()))
    torch.testing.assert_close(
        *(trained.optimizer.state_dict()["state"] for trained in (at_once, single)), rtol=0, atol=0
    )
    assert [{**row, "seconds": 0} for row in at_once.rows] == [{**row, "seconds": 0} for row in single.rows]
