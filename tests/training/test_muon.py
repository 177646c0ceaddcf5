"""Muon over a stack is torch's, member by member, and its products are paid for."""

import copy

import pytest
import torch
from altfreeze.freezing.cost import orthogonalise_flops
from altfreeze.freezing.plan import Workload
from altfreeze.training.network import StackedMLP
from altfreeze.training.networks import compiled
from altfreeze.training.optimizer import StackedMuon, make_optimizer, orthogonalise, update_of
from altfreeze.training.trainer import train_pack
from builders import make_cell
from torch.utils.flop_counter import FlopCounterMode

# a first layer of more columns than rows, and one of a single feature, which is no matrix
SIZES = ([5, 8, 8, 8, 3], [12, 8, 3], [1, 8, 8, 2])


@pytest.fixture
def in_float32(monkeypatch):
    """Let torch's own Muon compute in float32."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor.clone())


def test_singular_values_come_near_one():
    updates = torch.randn(3, 20, 7, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalise(updates))
    assert values.min() > 0.6 and values.max() < 1.3
    torch.testing.assert_close(orthogonalise(updates.transpose(1, 2)), orthogonalise(updates).transpose(1, 2))
    assert torch.equal(orthogonalise(torch.zeros(1, 3, 3)), torch.zeros(1, 3, 3))


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("by_layer", [False, True])
def test_each_member_is_moved_as_by_torchs_muon_and_adamw(sizes, by_layer, in_float32):
    torch.manual_seed(0)
    network = StackedMLP(sizes, seeds=[0, 1, 2])
    cell = make_cell(optimizer="muon", weight_decay=0.1, learning_rate=0.01)
    optimizer = make_optimizer(network, cell, by_layer)
    update = update_of(optimizer)
    members = [network.member(index) for index in range(3)]
    layers = [[member[2 * index] for index in range(network.depth)] for member in members]
    common = {"lr": 0.01, "weight_decay": 0.1}
    theirs = []
    for member in layers:
        # the output layer, biases and what is no matrix are AdamW's
        hidden = [layer.weight for layer in member[:-1] if min(layer.weight.shape) > 1]
        ids = {id(weight) for weight in hidden}
        rest = [each for layer in member for each in layer.parameters() if id(each) not in ids]
        theirs += [torch.optim.Muon(hidden, adjust_lr_fn="match_rms_adamw", **common)]
        theirs += [torch.optim.AdamW(rest, **common)]
    for step in range(6):
        # a layer is frozen in some steps
        frozen = step % 3
        for index in range(network.depth):
            weight, bias = network.layer(index)
            weight.grad = bias.grad = None
            if index != frozen:
                weight.grad, bias.grad = torch.randn(weight.shape), torch.randn(bias.shape)
            for position, member in enumerate(layers):
                learns = index != frozen
                member[index].weight.grad = weight.grad[position].t().contiguous() if learns else None
                member[index].bias.grad = bias.grad[position, 0].clone() if learns else None
        update()
        for each in theirs:
            each.step()
    for position, member in enumerate(layers):
        for index, layer in enumerate(member):
            weight, bias = network.layer(index)
            torch.testing.assert_close(weight[position].t(), layer.weight, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(bias[position, 0], layer.bias, rtol=1e-4, atol=1e-5)


def test_layers_of_one_shape_are_one_stack_and_its_products_are_those_of_the_cost_model():
    sizes, active = [5, 8, 8, 8, 3], (True, False, True, True)
    network = StackedMLP(sizes, seeds=[0, 1])
    optimizer = make_optimizer(network, make_cell(optimizer="muon"))
    for index, learns in enumerate(active):
        for parameter in network.layer(index) if learns else ():
            parameter.grad = torch.randn(parameter.shape)
    with FlopCounterMode(display=False) as counter:
        optimizer.step()
    assert counter.get_total_flops() == 2 * orthogonalise_flops(sizes, active)
    # the last layer's matrix is AdamW's, a single feature's no matrix
    assert orthogonalise_flops([5, 8, 3], (True, True)) == 5 * (4 * 25 * 8 + 2 * 125)
    assert orthogonalise_flops([1, 8, 3], (True, True)) == orthogonalise_flops([5, 8, 3], (False, True)) == 0


@pytest.mark.parametrize("strategy", ["standard", "alternating-0.5"])
def test_a_run_pays_for_its_updates_and_is_the_same_in_another_pack(strategy, wine, monkeypatch):
    cell = make_cell(strategy, optimizer="muon", epochs_standard=3, epochs_alternating=3)
    together, alone = train_pack(*wine, cell, [4, 0, 7]), train_pack(*wine, cell, [7])
    for found, expected in zip(together.network.parameters(), alone.network.parameters(), strict=True):
        torch.testing.assert_close(found[2], expected[0], rtol=1e-4, atol=1e-5)
    workload = together.workload
    assert workload == Workload((13, 16, 16, 16, 3), 106, 32, orthogonalises=True)
    plain = workload._replace(orthogonalises=False)
    epochs = cell.plan(workload)
    updates = sum(orthogonalise_flops(workload.sizes, step.active) for epoch in epochs for step in epoch.steps)
    assert together.rows[-1]["flops"] == sum(epoch.flops(plain) for epoch in epochs) + updates
    assert updates > 0


def test_it_is_never_compiled_and_goes_on_from_its_state():
    network = StackedMLP([5, 8, 8, 3], seeds=[0, 1])
    assert compiled.serves(network.layer(0))
    other = copy.deepcopy(network)
    cell = make_cell(optimizer="muon")
    one, again = make_optimizer(network, cell), make_optimizer(other, cell)
    assert isinstance(one, StackedMuon)
    torch.manual_seed(0)
    for step in range(4):
        if step == 2:
            other.load_state_dict(network.state_dict())
            again.load_state_dict(copy.deepcopy(one.state_dict()))
        for parameter, twin in zip(network.parameters(), other.parameters(), strict=True):
            parameter.grad = torch.randn(parameter.shape)
            twin.grad = parameter.grad.clone()
        for optimizer in (one, again) if step >= 2 else (one,):
            update_of(optimizer)()
    assert all(map(torch.equal, network.parameters(), other.parameters()))
