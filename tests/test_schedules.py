"""Freezing schedules are pure and exact."""

import pytest
from altfreeze.schedules import Position, active_layers, split_index
from hypothesis import given
from hypothesis import strategies as st

ALTERNATING = {"name": "alternating", "freeze_ratio": 0.5, "period": 1, "unit": "epoch", "first": "top"}

schedules = st.fixed_dictionaries(
    {
        "name": st.just("alternating"),
        "freeze_ratio": st.floats(0, 1),
        "period": st.integers(1, 5),
        "unit": st.sampled_from(["epoch", "step"]),
        "first": st.sampled_from(["bottom", "top"]),
    }
)
depths = st.integers(2, 12)


def walk(strategy, depth, epochs, steps_per_epoch):
    return [
        active_layers(strategy, Position(epoch, step, steps_per_epoch), depth)
        for epoch in range(epochs)
        for step in range(steps_per_epoch)
    ]


@pytest.mark.parametrize(
    ("freeze_ratio", "depth", "k"),
    [
        (0.3, 4, 1),
        (0.5, 4, 2),
        (0.7, 4, 3),
        (0.3, 6, 2),
        (0.7, 6, 4),
        (0.3, 8, 2),
        (0.7, 8, 6),
        (0.5, 5, 2),
        (0.5, 7, 4),
    ],
)
def test_split_index_rounds_to_the_nearest_layer_and_halves_to_even(freeze_ratio, depth, k):
    assert split_index(freeze_ratio, depth) == k


@pytest.mark.parametrize("freeze_ratio", [-0.01, 1.01, float("nan")])
def test_split_index_refuses_a_ratio_outside_of_0_to_1(freeze_ratio):
    with pytest.raises(ValueError, match="allowed: 0 to 1"):
        split_index(freeze_ratio, 4)


def test_alternating_by_epoch():
    seen = walk(ALTERNATING | {"period": 2}, 4, 6, 1)
    top, bottom = (False, False, True, True), (True, True, False, False)
    assert seen == [top, top, bottom, bottom, top, top]


def test_alternating_by_step_counts_through_the_epochs():
    seen = walk(ALTERNATING | {"unit": "step", "first": "bottom", "freeze_ratio": 0.3}, 4, 2, 3)
    bottom, top = (True, False, False, False), (False, True, True, True)
    assert seen == [bottom, top] * 3


@given(schedules, depths, st.integers(1, 7))
def test_exactly_one_group_learns_and_phases_have_their_length(strategy, depth, steps_per_epoch):
    seen = walk(strategy, depth, 4 * strategy["period"], steps_per_epoch)
    k = split_index(strategy["freeze_ratio"], depth)
    if k in (0, depth):
        assert set(seen) == {(True,) * depth}
        return
    bottom = (True,) * k + (False,) * (depth - k)
    top = (False,) * k + (True,) * (depth - k)
    assert set(seen) == {bottom, top}
    length = strategy["period"] * (steps_per_epoch if strategy["unit"] == "epoch" else 1)
    first, second = (bottom, top) if strategy["first"] == "bottom" else (top, bottom)
    assert seen == [(first, second)[step // length % 2] for step in range(len(seen))]


@given(schedules, depths, st.sampled_from([0.0, 1.0]))
def test_an_empty_group_is_standard_training(strategy, depth, freeze_ratio):
    strategy = strategy | {"freeze_ratio": freeze_ratio}
    assert walk(strategy, depth, 3, 2) == walk({"name": "standard"}, depth, 3, 2)
