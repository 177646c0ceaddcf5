"""Freezing schedules are pure and exact."""

import math
from dataclasses import asdict
from typing import Literal, get_args, get_origin

import pytest
from altfreeze.freezing.schedules import split_index
from altfreeze.freezing.strategy import STRATEGIES, Position, defaults, factors, learning_rate_position
from hypothesis import given
from hypothesis import strategies as st

ALTERNATING = {"name": "alternating", "freeze_ratio": 0.5, "period": 1, "unit": "epoch", "first": "top"}

depths = st.integers(2, 12)
seeds = st.integers(0, 2**64 - 1)


def values(annotation):
    """Return a search strategy for a parameter, from its annotation in the signature of its schedule."""
    if get_origin(annotation) is Literal:
        return st.sampled_from(get_args(annotation))
    if annotation is bool:
        return st.booleans()
    if get_origin(annotation) is list:
        layers, shares = st.sampled_from(["all", "1", "last", "2-last", "1-2"]), st.sampled_from([0.1, 0.3, 1.0])
        return st.lists(st.fixed_dictionaries({"layers": layers, "for": shares}), min_size=1, max_size=4)
    number, *bounds = get_args(annotation)
    bounds = {name: value for bound in bounds for name, value in asdict(bound).items()}
    if number is int:
        return st.integers(bounds["ge"], 5)
    # far from an excluded bound: t_0 -> 0 makes the scaled factors of freezeout overflow
    low = bounds["ge"] if "ge" in bounds else bounds["gt"] + 0.01
    high = bounds["le"] if "le" in bounds else bounds["lt"] - 0.01
    return st.floats(low, high)


def chosen(name):
    return st.fixed_dictionaries(
        {"name": st.just(name)} | {key: values(annotation) for key, annotation in STRATEGIES[name].parameters.items()}
    )


schedules = chosen("alternating")
any_schedule = st.sampled_from(sorted(STRATEGIES)).flatmap(chosen)


def walk(strategy, depth, epochs, steps_per_epoch, seed=0):
    horizon = epochs * steps_per_epoch
    return [
        factors(strategy, Position(*divmod(step, steps_per_epoch), steps_per_epoch, horizon, seed), depth)
        for step in range(horizon)
    ]


def learning(*layers):
    return tuple(float(layer in layers) for layer in range(4))


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
    top, bottom = learning(2, 3), learning(0, 1)
    assert seen == [top, top, bottom, bottom, top, top]


def test_alternating_by_step_counts_through_the_epochs():
    seen = walk(ALTERNATING | {"unit": "step", "first": "bottom", "freeze_ratio": 0.3}, 4, 2, 3)
    bottom, top = learning(0), learning(1, 2, 3)
    assert seen == [bottom, top] * 3


@given(schedules, depths, st.integers(1, 7))
def test_exactly_one_group_learns_and_phases_have_their_length(strategy, depth, steps_per_epoch):
    seen = walk(strategy, depth, 4 * strategy["period"], steps_per_epoch)
    k = split_index(strategy["freeze_ratio"], depth)
    if k in (0, depth):
        assert set(seen) == {(1.0,) * depth}
        return
    bottom = (1.0,) * k + (0.0,) * (depth - k)
    top = (0.0,) * k + (1.0,) * (depth - k)
    assert set(seen) == {bottom, top}
    length = strategy["period"] * (steps_per_epoch if strategy["unit"] == "epoch" else 1)
    first, second = (bottom, top) if strategy["first"] == "bottom" else (top, bottom)
    assert seen == [(first, second)[step // length % 2] for step in range(len(seen))]


@given(schedules, depths, st.sampled_from([0.0, 1.0]))
def test_an_empty_group_is_standard_training(strategy, depth, freeze_ratio):
    strategy = strategy | {"freeze_ratio": freeze_ratio}
    assert walk(strategy, depth, 3, 2) == walk({"name": "standard"}, depth, 3, 2)


@given(any_schedule, depths, st.integers(1, 6), st.integers(1, 5), seeds)
def test_every_strategy_is_sound_at_every_step(strategy, depth, epochs, steps_per_epoch, seed):
    for seen in walk(strategy, depth, epochs, steps_per_epoch, seed):
        assert isinstance(seen, tuple) and len(seen) == depth
        assert all(type(factor) is float and 0 <= factor < math.inf for factor in seen)
        assert any(seen), "no layer learns"


@given(any_schedule, depths, st.integers(1, 6), st.integers(1, 5), seeds, st.randoms())
def test_every_strategy_is_pure(strategy, depth, epochs, steps_per_epoch, seed, random):
    once = walk(strategy, depth, epochs, steps_per_epoch, seed)
    order = list(range(len(once)))
    random.shuffle(order)
    given_parameters = dict(strategy)
    for step in order:
        position = Position(*divmod(step, steps_per_epoch), steps_per_epoch, len(once), seed)
        assert factors(strategy, position, depth) == once[step]
    assert strategy == given_parameters


@given(any_schedule, depths, st.integers(1, 6), st.integers(1, 5), seeds)
def test_no_learning_rate_comes_from_the_future(strategy, depth, epochs, steps_per_epoch, seed):
    horizon = epochs * steps_per_epoch
    for step in range(horizon):
        position = Position(*divmod(step, steps_per_epoch), steps_per_epoch, horizon, seed)
        source = learning_rate_position(strategy, position, depth)
        assert 0 <= source.elapsed <= step and 0 <= source.step < steps_per_epoch
        assert source[2:] == position[2:]


def test_defaults_are_parameters_and_are_taken():
    for name, strategy in STRATEGIES.items():
        missing = {"freeze_ratio": 0.5, "period": 1, "unit": "step", "first": "top"}
        missing["phases"] = [{"layers": "all", "for": 1.0}]
        taken = defaults(name)
        assert taken.keys() <= strategy.parameters.keys()
        given_keys = {key: value for key, value in missing.items() if key in strategy.parameters}
        assert given_keys.keys() | taken.keys() == strategy.parameters.keys()
        assert walk({"name": name} | given_keys, 4, 3, 2) == walk({"name": name} | given_keys | taken, 4, 3, 2)


@given(st.sampled_from(["standard_half_updates", "standard_matched_flops"]).flatmap(chosen), depths)
def test_the_controls_of_the_budget_freeze_nothing(strategy, depth):
    assert walk(strategy, depth, 3, 2) == walk({"name": "standard"}, depth, 3, 2)


def test_the_controls_of_the_budget_demand_theirs():
    budgets = {name: strategy.budget for name, strategy in STRATEGIES.items() if strategy.budget != "epochs"}
    assert budgets == {"standard_half_updates": "half_updates", "standard_matched_flops": "matched_flops"}


@given(st.floats(0, 1), depths)
def test_a_frozen_group_never_learns_and_the_other_always_does(freeze_ratio, depth):
    k = split_index(freeze_ratio, depth)
    for name, group in {"frozen_bottom": range(k, depth), "frozen_top": range(k)}.items():
        learns = range(depth) if k in (0, depth) else group
        expected = tuple(float(layer in learns) for layer in range(depth))
        assert set(walk({"name": name, "freeze_ratio": freeze_ratio}, depth, 3, 2)) == {expected}


@given(chosen("random_half"), depths, st.integers(1, 4), seeds)
def test_each_pair_of_random_halves_updates_each_layer_once(strategy, depth, steps_per_epoch, seed):
    seen = walk(strategy, depth, 6 * strategy["period"], steps_per_epoch, seed)
    length = strategy["period"] * (steps_per_epoch if strategy["unit"] == "epoch" else 1)
    phases = [seen[start : start + length] for start in range(0, 6 * length, length)]
    assert all(len(set(phase)) == 1 for phase in phases)
    for (first, *_), (second, *_) in zip(phases[::2], phases[1::2], strict=True):
        assert [a + b for a, b in zip(first, second, strict=True)] == [1.0] * depth
        assert (sum(first), sum(second)) == (depth // 2, depth - depth // 2)


def test_random_halves_are_uniform_and_differ_between_pairs_and_seeds():
    strategy = {"name": "random_half", "period": 1, "unit": "step"}
    one, other = (walk(strategy, 4, 1200, 1, seed)[::2] for seed in (1, 2))
    assert one != other and walk(strategy, 4, 1200, 1, 1)[::2] == one
    counts = [one.count(half) for half in sorted(set(one))]
    # 6 halves, 600 draws: 100 each, standard deviation 9.1
    assert len(counts) == 6 and all(60 < count < 140 for count in counts)
