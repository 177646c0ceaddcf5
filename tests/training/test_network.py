"""Stacked networks are ordinary networks, side by side."""

from itertools import pairwise, product

import pytest
import torch
from altfreeze.training.network import StackedMLP, dropout_masks, initial_parameters, layer_sizes
from altfreeze.training.networks import compiled
from torch import nn

SIZES = layer_sizes(5, 8, 4, 3)


def test_layer_sizes():
    assert SIZES == [5, 8, 8, 8, 3]


@pytest.mark.parametrize("seed", [0, 12345, 2**63 - 1])
def test_initial_parameters_are_those_of_pytorch(seed):
    torch.manual_seed(seed)
    layers = [nn.Linear(fan_in, fan_out) for fan_in, fan_out in pairwise(SIZES)]
    for (weight, bias), layer in zip(initial_parameters(SIZES, seed), layers, strict=True):
        assert torch.equal(weight.t(), layer.weight)
        assert torch.equal(bias, layer.bias)


def test_member_is_the_network_of_its_seed():
    stacked = StackedMLP(SIZES, seeds=[3, 4, 5])
    torch.manual_seed(4)
    layers = [nn.Linear(fan_in, fan_out) for fan_in, fan_out in pairwise(SIZES)]
    member = stacked.member(1)
    assert [type(module).__name__ for module in member] == ["Linear", "ReLU"] * 3 + ["Linear"]
    for layer, expected in zip(member[::2], layers, strict=True):
        assert torch.equal(layer.weight, expected.weight)
        assert torch.equal(layer.bias, expected.bias)
    x = torch.randn(3, 7, 5)
    torch.testing.assert_close(stacked(x)[1], member(x[1]))


def test_member_with_dropout_has_it_after_each_relu():
    member = StackedMLP(SIZES, seeds=[0], dropout=0.25).member(0)
    assert [type(module).__name__ for module in member] == ["Linear", "ReLU", "Dropout"] * 3 + ["Linear"]
    assert member[2].p == 0.25


def test_member_is_a_copy():
    stacked = StackedMLP(SIZES, seeds=[0])
    with torch.no_grad():
        stacked.member(0)[0].weight.zero_()
    assert stacked.weights[0].count_nonzero() == stacked.weights[0].numel()


def test_set_active_freezes_by_flag_and_by_absent_gradient():
    stacked = StackedMLP(SIZES, seeds=[0, 1])
    stacked(torch.randn(2, 7, 5)).sum().backward()
    stacked.set_active((False, True, False, True))
    for index, learns in enumerate((False, True, False, True)):
        for parameter in stacked.layer(index):
            assert parameter.requires_grad == learns
            assert (parameter.grad is not None) == learns


def logits_by_hand(stacked, x, keep):
    """Return the logits with dropout, from operations that autograd follows."""
    for index in range(stacked.depth):
        weight, bias = stacked.layer(index)
        x = x @ weight + bias
        if index < stacked.depth - 1:
            x = torch.relu(x)
            if keep is not None:
                x = x * keep[:, index] / (1 - stacked.dropout)
    return x


STATES = [active for active in product([False, True], repeat=4) if any(active)]


@pytest.mark.parametrize("active", STATES)
@pytest.mark.parametrize("dropout", [0.0, 0.25])
@pytest.mark.parametrize("widest", [0, 8])
def test_gradients_are_those_of_autograd_and_bitwise_those_of_the_unfrozen_network(
    active, dropout, widest, monkeypatch
):
    monkeypatch.setattr(compiled, "WIDEST", widest)
    stacked = StackedMLP(SIZES, seeds=[0, 1], dropout=dropout)
    x, targets = torch.randn(2, 7, 5), torch.randint(3, (2, 7))
    keep = torch.rand(2, 3, 7, 8).ge_(dropout) if dropout else None
    logits = logits_by_hand(stacked, x, keep)
    losses = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    (losses.sum() / 7).backward()
    automatic = [[parameter.grad.clone() for parameter in stacked.layer(index)] for index in range(4)]
    torch.testing.assert_close(stacked.compute_gradients(x, targets, keep), losses.view(2, 7))
    unfrozen = [[parameter.grad.clone() for parameter in stacked.layer(index)] for index in range(4)]
    stacked.set_active(active)
    stacked.compute_gradients(x, targets, keep)
    for index, learns in enumerate(active):
        for parameter, whole, expected in zip(stacked.layer(index), unfrozen[index], automatic[index], strict=True):
            torch.testing.assert_close(whole, expected, rtol=1e-5, atol=1e-7)
            assert torch.equal(parameter.grad, whole) if learns else parameter.grad is None


def test_computing_gradients_leaves_the_batch_alone():
    stacked = StackedMLP(SIZES, seeds=[0], dropout=0.5)
    x = torch.randn(1, 7, 5)
    before = x.clone()
    stacked.compute_gradients(x, torch.zeros(1, 7, dtype=torch.int64), torch.ones(1, 3, 7, 8))
    assert torch.equal(x, before)


def test_dropout_masks_come_from_each_members_own_generator():
    def generators(*seeds):
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    together = dropout_masks(generators(1, 2), 0.3, 4, 50, 8)
    alone = dropout_masks(generators(2), 0.3, 4, 50, 8)
    assert together.shape == (2, 3, 50, 8)
    assert torch.equal(together[1], alone[0])
    assert set(together.unique().tolist()) == {0, 1}
    assert abs(together.mean().item() - 0.7) < 0.03
