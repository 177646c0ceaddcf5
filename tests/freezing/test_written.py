"""A list of phases: which step belongs to which, in whatever they are counted, and what its label says."""

import pytest
import torch
from altfreeze.freezing.plan import Workload
from altfreeze.freezing.strategy import Position, factors, in_words
from altfreeze.freezing.written import layers_of
from altfreeze.support.errors import InputError
from altfreeze.training.trainer import train_pack
from builders import make_wine_study
from hypothesis import given
from hypothesis import strategies as st

# 4 epochs of 4 steps on wine, 4 layers
KEYS = {"freeze_ratios": [0.5], "state_on_thaw": "reset"}


def phases(*listed, **keys):
    """Return an entry of phases, each given as (layers, for) or (layers, for, factor)."""
    return {
        "name": "phases",
        "phases": [dict(zip(("layers", "for", "factor"), each, strict=False)) for each in listed],
    } | keys


def cell_of(entry, **keys):
    study = make_wine_study(**({"strategies": ["alternating", *filter(None, [entry])]} | KEYS | keys))
    return study.cell("wine", 4, list(study.strategies)[-1])


def walked(entry, epochs=4, steps=4, depth=4):
    """Return the layers that learn in each step, in order, as text."""
    chosen = {"unit": "share", "repeat": False} | entry
    positions = [Position(*divmod(step, steps), steps, epochs * steps) for step in range(epochs * steps)]
    found = [factors(chosen, position, depth) for position in positions]
    return ["".join(str(layer) for layer, factor in enumerate(step, 1) if factor) for step in found]


@pytest.mark.parametrize(
    ("named", "depth", "layers"),
    [
        ("all", 3, {0, 1, 2}),
        (2, 3, {1}),
        ("2", 3, {1}),
        ("last", 5, {4}),
        ("1-3", 4, {0, 1, 2}),
        ("3-last", 5, {2, 3, 4}),
        ("1 3-4 last", 7, {0, 2, 3, 6}),
        ("3-last", 3, {2}),
    ],
)
def test_layers_are_counted_from_the_bottom(named, depth, layers):
    assert layers_of(named, depth) == layers


def test_a_step_belongs_to_the_phase_in_which_it_begins():
    assert walked(phases(("1", 0.3), ("all", 0.7))) == ["1"] * 5 + ["1234"] * 11
    assert walked(phases(("1", 0.25), ("all", 0.7))) == ["1"] * 4 + ["1234"] * 12
    assert walked(phases(("1", 1), ("2", 2), ("all", 1), unit="epoch")) == ["1"] * 4 + ["2"] * 8 + ["1234"] * 4
    assert walked(phases(("1", 3), ("2", 1), unit="step", repeat=True)) == ["1", "1", "1", "2"] * 4
    # the last phase lasts until the training ends
    assert walked(phases(("1", 3), ("2", 1), unit="step")) == ["1"] * 3 + ["2"] * 13


@given(st.lists(st.integers(1, 12), min_size=1, max_size=8), st.integers(1, 4))
def test_shares_in_decimals_end_where_their_sum_says(parts, steps):
    total = sum(parts)
    layers = [str(1 + number % 2) for number in range(len(parts))]
    shares = [(name, part / 100) for name, part in zip(layers, parts, strict=True)]
    found = walked(phases(*shares, (3, (100 - total) / 100)), epochs=100, steps=steps)
    expected = [
        text for text, part in zip((share[0] for share in shares), parts, strict=True) for _ in range(part * steps)
    ]
    assert found == expected + ["3"] * (steps * 100 - len(expected))


@pytest.mark.parametrize("unit", ["epoch", "step"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_alternating_written_down_is_alternating_bitwise(unit, optimizer, wine):
    keys = {"freeze_unit": unit, "optimizer": optimizer}
    written = cell_of(phases(("3-last", 1), ("1-2", 1), unit=unit, repeat=True), **keys)
    found, expected = (train_pack(*wine, cell, range(2)) for cell in (written, cell_of(None, **keys)))
    for one, other in zip(found.network.parameters(), expected.network.parameters(), strict=True):
        assert torch.equal(one, other)
    assert [row["flops"] for row in found.rows] == [row["flops"] for row in expected.rows]


def test_a_factor_of_the_whole_training_is_another_learning_rate(wine):
    # of a power of two, so that no digit is lost
    slow = cell_of(phases(("1 2", 0.5, 0.5), ("all", 0.5, 0.5)))
    same = cell_of(phases(("1 2", 0.5), ("all", 0.5)), learning_rate=0.01)
    found, expected = (train_pack(*wine, cell, range(2)) for cell in (slow, same))
    assert [row["learning_rate"] for row in found.rows] == [0.01] * 8
    for one, other in zip(found.network.parameters(), expected.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_labels_name_the_phases_and_differ():
    entries = [
        phases(("1-3", 0.3), ("all", 0.7)),
        phases(("1-3", 0.3), ("all", 0.7, 0.1)),
        phases(("1-3", 3), ("all", 1), unit="epoch"),
        phases(("1-3", 3), ("all", 1), unit="step", repeat=True),
        phases(("1 4", 0.3), (4, 0.7), label="mine"),
    ]
    study = make_wine_study(**KEYS, strategies=["alternating", *entries])
    assert list(study.strategies)[2:] == [
        "phases-1-3_for_0.3+all_for_0.7",
        "phases-1-3_for_0.3+all_for_0.7_at_0.1",
        "phases-1-3_for_3_epochs+all_for_1_epoch",
        "phases-1-3_for_3_steps+all_for_1_step+repeat",
        "mine",
    ]
    assert in_words(study.strategies["mine"]) == "unit share, repeat False, layers 1 4 for 0.3, then layers 4 for 0.7"


def test_the_same_phases_twice_are_one_line():
    twice = [phases(("1-3", 0.3), ("all", 0.7))] * 2
    with pytest.raises(InputError, match=r'"phases-1-3_for_0.3\+all_for_0.7" stands twice'):
        make_wine_study(**KEYS, strategies=["alternating", *twice])


def test_a_plan_caches_below_a_phase_that_lasts():
    workload = Workload((13, 16, 16, 16, 3), 106, 32)
    made = cell_of(phases(("3-4", 3), ("all", 1), unit="epoch")).plan(workload)
    assert [epoch.cached for epoch in made] == [2, 2, 2, 0]
