"""The cost model counts what the products of a step need, to the last operation."""

import itertools

import pytest
import torch
from altfreeze.freezing.cost import layer_flops, step_flops
from altfreeze.training.network import StackedMLP, layer_sizes
from altfreeze.training.networks import compiled
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode


def counted(step):
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


@pytest.mark.parametrize("depth", range(2, 9))
def test_equals_the_flop_counter_for_every_freeze_state(depth, monkeypatch):
    # the counter sees torch's products alone
    monkeypatch.setattr(compiled, "WIDEST", 0)
    sizes = layer_sizes(5, 7, depth, 3)
    stacked = StackedMLP(sizes, seeds=[0, 1])
    x, targets = torch.randn(2, 11, 5), torch.zeros(2, 11, dtype=torch.int64)

    def autograd():
        functional.cross_entropy(stacked(x).flatten(0, 1), targets.flatten()).backward()

    for active in itertools.product([False, True], repeat=depth):
        if any(active):
            stacked.set_active(active)
            expected = 2 * step_flops(sizes, 11, active)
            assert counted(lambda: stacked.compute_gradients(x, targets)) == expected
            assert counted(autograd) == expected


@pytest.mark.parametrize("active", [(True, True, True), (True, False, False), (False, True, True)])
def test_equals_the_flop_counter_on_an_ordinary_network(active):
    sizes = layer_sizes(5, 7, 3, 4)
    network = StackedMLP(sizes, seeds=[0]).member(0)
    for layer, learns in zip(network[::2], active, strict=True):
        layer.requires_grad_(learns)
    x, targets = torch.randn(9, 5), torch.zeros(9, dtype=torch.int64)
    assert counted(lambda: functional.cross_entropy(network(x), targets).backward()) == step_flops(sizes, 9, active)


@given(st.lists(st.integers(1, 50), min_size=3, max_size=10), st.integers(1, 64), st.data())
def test_closed_forms(sizes, batch, data):
    flops = layer_flops(sizes, batch)
    depth, total = len(flops), sum(flops)
    k = data.draw(st.integers(1, depth - 1))
    bottom = sum(flops[:k])
    top_learns = [False] * k + [True] * (depth - k)
    bottom_learns = [True] * k + [False] * (depth - k)
    assert step_flops(sizes, batch, [True] * depth) == 3 * total - flops[0]
    assert step_flops(sizes, batch, top_learns) == 3 * total - 2 * bottom - flops[k]
    assert step_flops(sizes, batch, bottom_learns) == 2 * total + bottom - flops[0]


def test_one_product():
    assert layer_flops([3, 5], 7) == [2 * 7 * 3 * 5]


@pytest.mark.parametrize(("active", "message"), [([False, False], "no layer"), ([True], "1 entries for 2 layers")])
def test_refuses_a_state_that_cannot_be(active, message):
    with pytest.raises(ValueError, match=message):
        step_flops([3, 4, 5], 7, active)
