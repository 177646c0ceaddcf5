"""The change of phases: what thaws is as stated, and what was frozen is shown to have stayed as it was."""

import pytest
import torch
from altfreeze.freezing.switch import PhaseSwitch
from altfreeze.training.network import StackedMLP
from altfreeze.training.optimizer import make_optimizer
from builders import make_cell

OPTIMIZERS = ("sgd", "adam", "adamw")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_decayed_state_is_what_zero_gradients_would_have_made(optimizer):
    cell = make_cell(optimizer=optimizer, weight_decay=0)
    networks = [StackedMLP([5, 8, 8, 8, 3], seeds=[0, 1]) for _ in range(2)]
    optimizers = [make_optimizer(network, cell) for network in networks]
    x = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))
    for network, made in zip(networks, optimizers, strict=True):
        network(x).square().sum().backward()
        made.step()
    switch = PhaseSwitch(networks[0], optimizers[0], "decay")
    switch.to((False, False, True, True), 1)
    switch.to((True,) * 4, 8)
    for parameter in networks[1].parameters():
        parameter.grad = torch.zeros_like(parameter)
    for _ in range(7):
        optimizers[1].step()
    for decayed, stepped in zip(networks[0].layer(1), networks[1].layer(1), strict=True):
        found, expected = optimizers[0].state[decayed], optimizers[1].state[stepped]
        assert found.keys() == expected.keys()
        for key in found:
            torch.testing.assert_close(found[key], expected[key], rtol=1e-5, atol=0)
    top = networks[0].layer(3)[0]
    assert all(
        torch.equal(optimizers[0].state[top][key], value) for key, value in kept(networks[0], x, cell)[3].items()
    )


def kept(network, x, cell):
    """Return each layer's optimizer state after one step from the initial weights of `network`."""
    fresh = StackedMLP([5, 8, 8, 8, 3], seeds=[0, 1])
    made = make_optimizer(fresh, cell)
    fresh(x).square().sum().backward()
    made.step()
    return [made.state[fresh.layer(index)[0]] for index in range(network.depth)]


def switched():
    cell = make_cell(optimizer="sgd")
    network = StackedMLP([5, 8, 8, 8, 3], seeds=[0, 1])
    optimizer = make_optimizer(network, cell)
    network(torch.randn(2, 7, 5)).sum().backward()
    optimizer.step()
    switch = PhaseSwitch(network, optimizer, "keep")
    switch.remember((False, False, True, True))
    switch.to((False, False, True, True), 1)
    switch.check()
    switch.confirm()
    return switch


@pytest.mark.parametrize("kind", ["weight", "state", "gradient", "flag"])
def test_the_check_at_a_switch_sees_a_frozen_layer_that_was_touched(kind):
    switch = switched()
    weight = switch.network.weights[0]
    if kind == "weight":
        weight.detach()[1, 2, 3] += 1e-3
    elif kind == "state":
        switch.optimizer.state[weight]["momentum_buffer"][0, 0, 0] += 1e-3
    elif kind == "gradient":
        weight.grad = torch.zeros_like(weight)
    else:
        weight.requires_grad_()
    with pytest.raises(RuntimeError, match="frozen"):
        switch.check()
        switch.confirm()
